"""Dose-response and pipeline: statistics on data made by hand, a process that serves, small runs,
recorded evidence."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigdata_ai.core import ContentError, InputError, RunError, rng
from bigdata_ai.data.tables import table
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Missing, Text
from bigdata_ai.data.prepare.features import Encoder, OneHot, Prepared, Scale, dataset
from bigdata_ai.experiment.claims import judge
from bigdata_ai.experiment.statistics import DOSES, STATISTICS, dose_cost, dose_costs
from bigdata_ai.experiment.claims import load_claims
from bigdata_ai.experiment.evidence import read
from bigdata_ai.experiment.report import block, curve_table, figure, recorded, report, text_table
from bigdata_ai.experiment.report import verdicts
from bigdata_ai.experiment.run import describe, file_of, run
from bigdata_ai.experiment.served import Service, load_pipeline, save_pipeline
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import mlp

NEW = ("dose_response", "pipeline")
LEVELS = {"n": (100, 400, 1600), "noise": (0.0, 0.3), "coverage": (1, 3), "age": (1, 6)}


@pytest.fixture(autouse=True)
def runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))


def grid(error, seeds=(0, 1)):
    "Evidence with an error for each setting and seed."
    cells = pd.MultiIndex.from_product([seeds, *LEVELS.values()], names=["seed", *LEVELS]).to_frame(
        index=False
    )
    return cells.assign(framework="torch", model="network", error=error(cells)).sample(
        frac=1, random_state=0
    )


def worse(cells):
    "How many of the four faults are at their worst, one column each."
    return pd.DataFrame(
        {name: cells[name] == (max if DOSES[name] > 0 else min)(LEVELS[name]) for name in DOSES}
    ).astype(float)


# Costs of faults


@settings(max_examples=20, deadline=None)
@given(costs=st.lists(st.floats(-0.1, 0.1), min_size=4, max_size=4))
def test_costs_that_add_up_are_found_again_and_leave_no_interaction(costs):
    rows = grid(lambda cells: 0.5 + worse(cells) @ np.array(costs) + 0.01 * cells["seed"])
    found = dose_costs(rows).set_index("of")["cost"]
    # the third size, between the extremes, does not count
    assert found[list(DOSES)].to_numpy() == pytest.approx(costs, abs=1e-9) and np.allclose(
        found.drop(list(DOSES)), 0, atol=1e-9
    )


@pytest.mark.parametrize(
    "pair", [("n", "noise"), ("coverage", "age"), ("noise", "coverage")], ids=str
)
def test_an_interaction_shows_in_its_pair_alone(pair):
    rows = grid(lambda cells: 0.2 + 0.1 * worse(cells)[list(pair)].prod(axis=1))
    found = dose_costs(rows).set_index("of")["cost"]
    pairs = found.drop(list(DOSES))
    assert pairs[" × ".join(pair)] == pytest.approx(0.1) and pairs.drop(
        " × ".join(pair)
    ).to_numpy() == pytest.approx(0)


def test_effective_rows_make_all_costs_and_interactions_positive():
    rows = grid(
        lambda c: (
            (c["n"] * (1 - 2 * c["noise"]) ** 2 * c["coverage"] / 3 * 2 ** (-c["age"] / 12))
            ** -0.25
        )
    )
    assert (dose_costs(rows)["cost"] > 0).all() and len(dose_costs(rows)) == 10


def test_a_cost_is_a_number_a_seed_beside_its_control():
    rows = grid(lambda cells: 0.2 + 0.1 * worse(cells)["noise"] + 0.01 * cells["seed"])
    value, control = STATISTICS["cost_noise"](rows)
    assert value.to_numpy() == pytest.approx([0.1, 0.1]) and control.to_numpy() == pytest.approx(
        [0.2, 0.21]
    )
    assert STATISTICS["cost_n_noise"](rows)[1].tolist() == [0, 0]
    some = rows[~((rows["seed"] == 1) & (rows["age"] == 6) & (rows["n"] == 100))]
    assert list(STATISTICS["cost_noise"](some)[0].index) == [0], (
        "a seed that lacks a setting is left out"
    )


def test_a_cost_needs_two_doses():
    with pytest.raises(InputError, match="two values of each dose"):
        dose_cost(grid(lambda cells: 0.2).query("age == 1"), ("age",))


STAGES = pd.DataFrame(
    {
        "seed": [0, 0, 0, 0, 1, 1, 1, 1],
        "pipeline": ["raw", "cleaned", "checked", "whole"] * 2,
        "checks.majority": 0.3,
        "error": [0.5, 0.4, 0.35, 0.3, 0.6, 0.4, 0.4, 0.2],
        "served_gap": [0, 0, 0, 1e-9] * 2,
        "repeat_gap": [0.0] * 8,
    }
)


@pytest.mark.parametrize(
    "name, values, control",
    [
        ("cleaning_gain", [0.1, 0.2], 0.55),
        ("label_check_gain", [0.05, 0], 0.4),
        ("augmenting_gain", [0.05, 0.2], 0.375),
        ("pipeline_gain", [0.2, 0.4], 0.55),
        ("pipeline_majority_gain", [0.4, 0.5], 0.7),
        ("served_gap", [1e-9, 1e-9], 0),
        ("repeat_gap", [0, 0], 0),
    ],
)
def test_a_statistic_of_a_pipeline(name, values, control):
    value, beside = STATISTICS[name](STAGES.sample(frac=1, random_state=0))
    assert value.sort_index().tolist() == pytest.approx(values) and beside.mean() == pytest.approx(
        control
    )


# Claims


@pytest.mark.parametrize("name", NEW)
def test_the_claims_are_one_family_with_controls_and_published_figures(name):
    declared = load_claims(file_of(name, ".toml"))
    assert {claim.family for claim in declared} == {len(declared)} and len(declared) >= 7
    assert all(claim.control and claim.published for claim in declared)
    assert {claim.axes for claim in declared} == {tuple(describe(name)["axes"])}


@pytest.mark.parametrize(
    "change, claim, verdict",
    [
        ({}, "served_as_trained", "supported"),
        ({"served_gap": 1e-3}, "served_as_trained", "refuted"),
        ({"repeat_gap": 1e-3}, "repeats", "refuted"),
        ({"error": 0.3}, "cleaning_pays", "refuted"),
        ({"error": 0.3}, "whole_beats_raw", "refuted"),
        ({"error": 0.65}, "beats_majority", "refuted"),
        ({"error": 0.8}, "beats_majority", "invalid"),
    ],
    ids=str,
)
def test_a_claim_on_the_recorded_pipeline_can_fail(change, claim, verdict):
    rows = read(recorded("pipeline")).assign(**change)
    judged = judge(load_claims(file_of("pipeline", ".toml")), rows).set_index(
        ["claim", "framework"]
    )["verdict"]
    assert judged[f"pipeline.{claim}", "all"] == verdict


def test_a_claim_on_the_recorded_grid_can_fail():
    rows, declared = read(recorded("dose_response")), load_claims(file_of("dose_response", ".toml"))
    # the noise of two settings exchanged: what was right is now wrong
    swapped = rows.assign(noise=rows["noise"].map({0.0: 0.3, 0.3: 0.0}))
    for table_, verdict in ((rows, "supported"), (swapped, "refuted")):
        judged = judge(declared, table_).set_index(["claim", "framework"])["verdict"]
        assert (
            judged["dose_response.wrong_labels_cost", "all"]
            == judged["dose_response.rows_heal_noise", "all"]
            == verdict
        )


@pytest.mark.parametrize("name", NEW)
def test_recorded_evidence_holds_the_whole_grid(name):
    rows, full = read(recorded(name)), describe(name)["full"]
    assert (
        rows.groupby("framework").size()
        == np.prod([len(full[axis]) for axis in describe(name)["grid"]])
    ).all()
    assert (
        rows["framework"].nunique() == 2
        and rows["seed"].nunique() >= 10
        and rows["commit"].str.fullmatch("[0-9a-f]{40}").all()
    )
    assert set(verdicts(recorded(name))["verdict"]) <= {"supported", "refuted", "undecided"}
    assert f"made by commit {rows['commit'].iloc[0][:10]}" in block(name)
    assert (
        max(map(len, text_table(verdicts(recorded(name))).to_string(index=False).splitlines()))
        <= 110
    )
    assert describe(name)["budget"]["seconds"] > rows.groupby("framework")["wall_s"].sum().max()


# Small runs


SMALL = {
    "dose_response": {
        "steps": 40,
        "sizes": [60, 120, 240],
        "seeds": [0],
        "test_rows": 150,
        "models": ["network"],
    },
    "pipeline": {"steps": 20, "rows": 300, "seeds": [0], "pipelines": ["raw", "whole"]},
}


@pytest.mark.parametrize(
    "name, framework", [("dose_response", "torch"), ("pipeline", "tensorflow")]
)
def test_a_small_run_leaves_sound_evidence_and_a_report(name, framework):
    folder = run(name, SMALL[name], [framework], quiet=True)
    rows, axes = read(folder), describe(name)["axes"]
    assert not rows.duplicated(["seed", *axes]).any() and rows["error"].between(0, 1).all()
    assert (rows["checks.overlap"] == 0).all() and (
        rows["checks.end_loss"] < rows["checks.start_loss"]
    ).all()
    if name == "pipeline":
        assert rows["served_gap"].max() < 1e-6 and rows["repeat_gap"].max() < 1e-6
    assert len(curve_table(folder)) == len(rows[axes].drop_duplicates())
    assert (
        "(Bonferroni: each at 99." in report(folder).read_text(encoding="utf-8")
        and figure(folder).axes
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, given, message",
    [
        ("dose_response", {"coverages": [1, 4]}, "between 1 and 3"),
        ("dose_response", {"ages": [1, 7]}, "leave months"),
        ("dose_response", {"noises": [0.0, 0.9]}, "below 0.8"),
        ("dose_response", {"models": ["netwrk"]}, "did you mean 'network'"),
        ("pipeline", {"pipelines": ["row"]}, "did you mean 'raw'"),
        ("pipeline", {"wrong": 0.9}, "must lie in"),
    ],
    ids=str,
)
def test_a_value_that_the_notebook_refuses_fails_the_run(name, given, message):
    with pytest.raises(RunError, match=message):
        run(name, given, ["torch"], quiet=True)


# A process that serves


@pytest.fixture(scope="module")
def rows():
    draw = rng(0, "served")
    frame = pd.DataFrame(
        {"x": draw.normal(size=120), "place": draw.choice(["jfk", "JFK ", "LGA"], 120)}
    ).astype({"place": "str"})
    return frame.assign(
        late=(frame["x"] > 0).astype(int), x=frame["x"].where(draw.random(120) > 0.1)
    )


def small(rows, backend):
    cleaner, encoder = (
        Cleaner([Text("place", case="upper"), Missing("x")]),
        Encoder([Scale("x"), OneHot("place")]),
    )
    known = table(rows, target="late")
    encoded = dataset(known, encoder.fit_transform(cleaner.fit_clean(known.frame)))
    return Prepared(
        fit(mlp(encoded.X.shape[1], 8, 2), encoded, backend=backend, epochs=2), cleaner, encoder
    )


def test_a_process_of_its_own_serves_what_was_trained(backend, rows, tmp_path):
    model = small(rows, backend)
    save_pipeline(model, tmp_path / "late")
    assert sorted(path.name for path in (tmp_path / "late").iterdir()) == [
        "cleaner.json",
        "encoder.json",
        "model.safetensors",
    ]
    with Service(tmp_path) as service:
        served = service.predict_proba("late", rows)
        assert service.address.startswith("http://127.0.0.1:")
        asked = (
            ("lat", rows, "did you mean 'late'"),
            ("..", rows, "must be one of"),
            ("late", rows[["x"]], "place"),
        )
        for name, frame, message in asked:
            with pytest.raises(InputError, match=message):
                service.predict_proba(name, frame)
        (tmp_path / "bad").mkdir()
        (tmp_path / "bad" / "model.safetensors").write_bytes(b"no model")
        with pytest.raises(InputError, match="model.safetensors"):
            service.predict_proba("bad", rows)
        assert np.array_equal(service.predict_proba("late", rows), served), (
            "it still answers after errors"
        )
        process = service.process
    assert not Path("/proc", str(process.pid)).exists() and served.shape == (120, 2)
    assert np.abs(served - model.predict_proba(rows)).max() < 1e-6


def test_a_service_ends_when_whoever_started_it_is_killed(tmp_path):
    code = (
        "from bigdata_ai.experiment.served import Service;"
        f" print(Service({str(tmp_path)!r}).process.pid, flush=True); input()"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with starter:
        service = Path("/proc", starter.stdout.readline().strip())
        assert service.exists()
        starter.kill()
    until = time.monotonic() + 30
    while (
        service.exists()
        and "Z" not in (service / "stat").read_text().rpartition(")")[2]
        and time.monotonic() < until
    ):
        time.sleep(0.1)
    assert time.monotonic() < until


def test_a_pipeline_comes_back_in_either_framework(rows, tmp_path, frameworks):
    model = small(rows, "torch")
    save_pipeline(model, tmp_path / "late")
    for backend in frameworks:
        assert (
            np.abs(
                load_pipeline(tmp_path / "late", backend).predict_proba(rows)
                - model.predict_proba(rows)
            ).max()
            < 1e-5
        )
    (tmp_path / "late" / "encoder.json").write_text("{}")
    with pytest.raises(ContentError):
        load_pipeline(tmp_path / "late")


def test_what_is_no_pipeline_is_refused(rows, tmp_path):
    model = small(rows, "torch")
    with pytest.raises(InputError, match="cleaner, an encoder and a network"):
        save_pipeline(Prepared(model.model, model.steps[1]), tmp_path)
    with pytest.raises(InputError, match="must be a folder"):
        Service(tmp_path / "nowhere")
