"""Label quality, timeliness and diversity: their statistics on data made by hand, their verdicts,
and a small run of each."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigdata_ai.core import InputError, RunError
from bigdata_ai.estimates import mean_interval
from bigdata_ai.experiment.claims import Claim, claims_hash, judge
from bigdata_ai.experiment.statistics import STATISTICS, effective_rows
from bigdata_ai.experiment.claims import load_claims
from bigdata_ai.train.estimators import BASELINES, baseline
from bigdata_ai.train.loop import fit
from bigdata_ai.experiment.evidence import read
from bigdata_ai.experiment.report import block, curve_table, figure, recorded, report, text_table
from bigdata_ai.experiment.report import verdicts
from bigdata_ai.experiment.declared import describe, file_of
from bigdata_ai.experiment.run import run

MORE = ("label_quality", "timeliness", "diversity")
SOUND = {
    "checks.overlap": 0,
    "checks.start_loss": 1.0,
    "checks.end_loss": 0.1,
    "checks.predicted_classes": 2,
    "checks.majority": 0.5,
    "framework": "torch",
    "model": "network",
}


@pytest.fixture(autouse=True)
def runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))


def noisy(rate, sizes=(100, 200, 400, 800), noises=(0.0, 0.2, 0.4), k=10, b=0.5):
    "Errors of a power law in the rows that `rate(noise)` leaves."
    return pd.DataFrame(
        [
            {
                **SOUND,
                "seed": seed,
                "n": n,
                "noise": noise,
                "parameters.classes": k,
                "error": (1 + 0.02 * seed) * (n * rate(noise)) ** -b,
            }
            for seed in range(5)
            for n in sizes
            for noise in noises
        ]
    )


# Statistics on hand-made data


def test_effective_rows_of_a_power_law_are_found_again():
    found = effective_rows(noisy(lambda noise: 1 - 1.5 * noise))
    assert len(found) == 10 and found["share"].to_numpy() == pytest.approx(
        1 - 1.5 * found["noise"].to_numpy(), rel=1e-9
    )
    assert found.groupby("noise")["law"].first().to_dict() == pytest.approx(
        {0.2: (7 / 9) ** 2, 0.4: (5 / 9) ** 2}
    )
    assert found.groupby("noise")["right"].first().to_dict() == pytest.approx({0.2: 0.8, 0.4: 0.6})


def test_effective_rows_end_at_the_smallest_size():
    assert effective_rows(noisy(lambda noise: 1 if noise == 0 else 0.001))[
        "share"
    ].to_numpy() == pytest.approx(100 / 800)


@settings(max_examples=25, deadline=None)
@given(share=st.floats(0.15, 1), b=st.floats(0.1, 1))
def test_effective_rows_do_not_depend_on_the_exponent(share, b):
    found = effective_rows(noisy(lambda noise: 1 if noise == 0 else share, b=b))
    assert found["share"].to_numpy() == pytest.approx(share, rel=1e-6)


APART = 0.7 - ((7 / 9) ** 2 + (5 / 9) ** 2) / 2  # between both rules, over rates of 0.2 and 0.4


@pytest.mark.parametrize(
    "rate, gain",
    [(lambda noise: (1 - noise * 10 / 9) ** 2, APART), (lambda noise: 1 - noise, -APART)],
)
def test_the_nearer_rule_gains(rate, gain):
    value, control = STATISTICS["effective_rows_gain"](noisy(rate))
    assert value.to_numpy() == pytest.approx(gain, rel=1e-6) and len(value) == 5
    assert (
        control.to_numpy() == pytest.approx(APART, rel=1e-6) if gain > 0 else (control < 1e-9).all()
    )


def made(cells, names):
    "One row a seed and cell of {(settings): error}; seed 1 errs a hundredth more."
    return pd.DataFrame(
        [
            {"seed": seed, **dict(zip(names, cell, strict=True)), "error": error + 0.01 * seed}
            for seed in range(2)
            for cell, error in cells.items()
        ]
    )


NOISE = made(
    {
        (0.0, 100): 0.20,
        (0.2, 100): 0.30,
        (0.4, 100): 0.50,
        (0.0, 200): 0.10,
        (0.2, 200): 0.25,
        (0.4, 200): 0.30,
    },
    ("noise", "n"),
)
STALE = made(
    {
        (s, p): e
        for s, line in {
            "static": (0.2, 0.3, 0.4),
            "sliding": (0.2, 0.2, 0.2),
            "growing": (0.1, 0.1, 0.1),
            "delayed": (0.2, 0.2, 0.5),
        }.items()
        for p, e in zip((6, 7, 8), line, strict=True)
    },
    ("strategy", "period"),
)
MIXED = made(
    {
        ("in", 1): 0.1,
        ("out", 1): 0.4,
        ("in", 3): 0.2,
        ("out", 3): 0.35,
        ("in", 4): 0.2,
        ("out", 4): 0.15,
    },
    ("scope", "sources"),
)


@pytest.mark.parametrize(
    "rows, name, value, control",
    [
        (NOISE, "noise_harm", 0.2, 0),
        (NOISE, "noise_harm_shrinks", 0.1, 0),
        (NOISE, "clean_half_gain", 0.05, 0.255),
        (STALE, "refresh_gain", 0.1, 0.305),
        (STALE, "refresh_gain_by_age", 0.1, 0),
        (STALE, "growing_gain", 0.1, 0.205),
        (STALE, "fresh_label_gain", 0.1, 0.305),
        (MIXED, "left_out_cost", 0.3, 0.105),
        (MIXED, "more_sources_gain", 0.05, 0.405),
        (MIXED, "target_source_gain", 0.2, 0.355),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_statistic_is_a_number_a_seed_beside_its_control(rows, name, value, control):
    values, controls = STATISTICS[name](rows.sample(frac=1, random_state=0))
    assert values.tolist() == pytest.approx([value] * 2) and controls.mean() == pytest.approx(
        control
    )


def test_a_seed_that_lacks_a_setting_is_left_out():
    assert len(STATISTICS["refresh_gain"](STALE.iloc[1:])[0]) == 1


def test_half_the_rows_must_have_been_run():
    with pytest.raises(InputError, match="half the largest size"):
        STATISTICS["clean_half_gain"](NOISE.assign(n=NOISE["n"].replace(100, 90)))


# Verdicts


CLAIM = Claim(
    "demo.refresh",
    "Refreshing pays.",
    "refresh_gain",
    "static",
    above=0.05,
    axes=("period", "strategy", "model"),
    where=(("model", "network"),),
    frameworks=("torch",),
)


def stale(gain, seeds=10, noise=0.02, **changes):
    "Evidence in which sliding errs less than static by `gain`, give or take."
    draw = np.random.default_rng(0)
    rows = [
        {
            **SOUND,
            "seed": seed,
            "period": period,
            "strategy": strategy,
            "claims": claims_hash([CLAIM]),
            "error": 0.3 - gain * (strategy == "sliding") + draw.normal(0, noise),
        }
        for seed in range(seeds)
        for period in (6, 7, 8)
        for strategy in ("static", "sliding")
    ]
    return pd.DataFrame(rows).assign(**changes)


@pytest.mark.parametrize(
    "rows, verdict, reason",
    [
        (stale(0.1), "supported", ""),
        (stale(0.0), "refuted", ""),
        (stale(0.05), "undecided", ""),
        (stale(0.1, seeds=4), "undecided", "4 of 5 seeds"),
        (stale(0.1).query("period < 7"), "undecided", "1 of 2 sizes"),
        (stale(0.1, model="logistic"), "undecided", "not run"),
        (
            pd.concat([stale(0.1), stale(0.1).iloc[:2]]),
            "invalid",
            "the same result stands twice (4 of 62 rows)",
        ),
        (stale(0.1, **{"checks.overlap": 1}), "invalid", "trained on"),
        (stale(0.1, **{"checks.end_loss": 1.0}), "invalid", "did not lower the loss"),
        (stale(0.1, **{"checks.predicted_classes": 1}), "invalid", "only one class"),
        (stale(0.1, **{"checks.majority": 0.8}), "invalid", "no better than always guessing"),
        (stale(0.1, claims="other"), "invalid", "not those registered"),
    ],
    ids=str,
)
def test_verdicts_on_other_axes_than_rows(rows, verdict, reason):
    line = judge([CLAIM], rows).iloc[0]
    assert line["verdict"] == verdict and reason in line["reason"]


def test_only_the_model_that_the_claim_names_is_judged():
    both = pd.concat([stale(0.1), stale(0.0, model="logistic", **{"checks.overlap": 1})])
    assert judge([CLAIM], both).iloc[0]["verdict"] == "supported"


def test_a_family_widens_the_interval_as_bonferroni_does():
    rows = stale(0.055, noise=0.005)
    family = Claim(**{**vars(CLAIM), "family": 20})
    alone, together = (
        judge([c], rows.assign(claims=claims_hash([c]))).iloc[0] for c in (CLAIM, family)
    )
    assert together["statistic"] == alone["statistic"] and together["low"] < alone["low"]
    values = STATISTICS["refresh_gain"](rows)[0]
    assert (together["low"], together["high"]) == pytest.approx(
        mean_interval(values, 1 - 0.05 / 20)[1:]
    )


def test_all_claims_of_the_new_experiments_are_one_family_and_volume_is_as_it_was():
    for name in MORE:
        declared = load_claims(file_of(name, ".toml"))
        assert {claim.family for claim in declared} == {len(declared)} and len(declared) >= 4
        assert all(claim.published and claim.control and claim.where for claim in declared)
        assert {claim.axes for claim in declared} == {tuple(describe(name)["axes"])}
    declared = load_claims(file_of("volume", ".toml"))
    assert claims_hash(declared) == read(recorded("volume"))["claims"].iloc[0] and {
        claim.family for claim in declared
    } == {1}


@pytest.mark.parametrize(
    "change", [{"axes": ("strategy", "period")}, {"where": ()}, {"family": 2}], ids=str
)
def test_a_changed_axis_model_or_family_changes_the_hash(change):
    assert claims_hash([Claim(**{**vars(CLAIM), **change})]) != claims_hash([CLAIM])


def test_a_claim_needs_an_axis_and_a_family():
    for change in ({"axes": ()}, {"family": 0}):
        with pytest.raises(InputError, match="must have an axis"):
            Claim(**{**vars(CLAIM), **change})


# Baselines


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_tells_what_the_recorder_asks(kind):
    from bigdata_ai.data.catalog import load
    from bigdata_ai.data.split import split, subset
    from bigdata_ai.evaluation import evaluate

    train, test = split(load("digits"), stratify=True)
    few = subset(train, 200, 0)
    model = fit(baseline(kind), few.take(np.flatnonzero(few.y != 3)))
    chances = model.predict_proba(train.X[:50])
    assert (
        chances.shape == (50, 10)
        and (chances[:, 3] == 0).all()
        and chances.sum(axis=1) == pytest.approx(np.ones(50))
    )
    assert model.history[-1]["loss"] < 0.5 * model.start_loss
    assert evaluate(model, test, metrics="accuracy", resamples=20).overlap == 0
    with pytest.warns(UserWarning, match="were trained on"):
        assert evaluate(model, few, metrics="accuracy", resamples=20).overlap == (few.y != 3).sum()


def test_an_unknown_baseline_is_refused():
    with pytest.raises(InputError, match="did you mean 'forest'"):
        baseline("forrest")


# Small runs


SMALL = {
    "label_quality": {"steps": 30, "sizes": [50, 100, 200], "seeds": [0, 1]},
    "timeliness": {"steps": 30, "seeds": [0, 1], "rows": 100},
    "diversity": {
        "dataset": "handwriting",
        "groups": 2,
        "sources": [1, 2],
        "steps": 30,
        "seeds": [0, 1],
    },
}


@pytest.mark.parametrize(
    "name, framework",
    [("label_quality", "torch"), ("timeliness", "tensorflow"), ("diversity", "torch")],
)
def test_a_small_run_leaves_sound_evidence_and_a_report(name, framework):
    folder = run(name, SMALL[name], [framework], show_progress=False)
    table, axes = read(folder), describe(name)["axes"]
    assert (
        not table.duplicated(["seed", *axes]).any()
        and table["error"].between(0, 1).all()
        and table["model"].nunique() == 2
    )
    assert (table["checks.overlap"] == 0).all() and (
        table["checks.end_loss"] < table["checks.start_loss"]
    ).all()
    assert set(verdicts(folder)["verdict"]) == {"undecided"} and len(curve_table(folder)) == len(
        table[axes].drop_duplicates()
    )
    text = report(folder).read_text(encoding="utf-8")
    assert "(Bonferroni: each at 99.0 %)" in text or "(Bonferroni: each at 98.8 %)" in text
    assert "power law</th>" not in text and len(figure(folder).axes) == 2


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("label_quality", {"dataset": "mnist"}, "did you mean 'mnist_5k'"),
        ("label_quality", {"noises": [0.0, "1"]}, r"noises\[1\] must be of type float"),
        ("timeliness", {"strategies": "static"}, "must be of type list"),
        ("diversity", {"group": 3}, "did you mean 'groups'"),
    ],
    ids=str,
)
def test_a_parameter_that_does_not_fit_is_refused_before_anything_runs(name, given, message):
    with pytest.raises(InputError, match=message):
        run(name, given, show_progress=False)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name, given, message",
    [
        ("label_quality", {"noises": [0.2, 0.4]}, "noises must hold 0"),
        ("timeliness", {"strategies": ["slidin"]}, "did you mean 'sliding'"),
        ("timeliness", {"periods": [5, 6]}, "periods must start at 6"),
        ("diversity", {"sources": [1, 4]}, "between 1 and groups"),
    ],
    ids=str,
)
def test_a_value_that_the_notebook_refuses_fails_the_run(name, given, message):
    with pytest.raises(RunError, match=message):
        run(name, given, ["torch"], show_progress=False)


# Recorded evidence


@pytest.mark.parametrize("name", MORE)
def test_recorded_evidence_holds_the_whole_grid(name):
    table, full = read(recorded(name)), describe(name)["full"]
    assert (
        table.groupby("framework").size()
        == np.prod([len(full[axis]) for axis in describe(name)["grid"]])
    ).all()
    assert table["framework"].nunique() == 2 and table["commit"].str.fullmatch("[0-9a-f]{40}").all()
    assert set(verdicts(recorded(name))["verdict"]) <= {"supported", "refuted", "undecided"}
    assert f"made by commit {table['commit'].iloc[0][:10]}" in block(name)
    assert (
        max(map(len, text_table(verdicts(recorded(name))).to_string(index=False).splitlines()))
        <= 110
    )
