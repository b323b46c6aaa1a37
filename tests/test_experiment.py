"""The path a user walks: parameters, runs, resuming, faults, verdicts, report; and the mutants that
must be killed."""

import json
import math
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bigdata_ai.core import InputError, RunError
from bigdata_ai.experiment import claims
from bigdata_ai.experiment.evidence import read, rows
from bigdata_ai.experiment.report import block, figure, record, recorded, report, text_table
from bigdata_ai.experiment.report import update_blocks, verdicts
from bigdata_ai.experiment.declared import describe, experiments, latest_run
from bigdata_ai.experiment.run import check_parameters, parameters, run
from bigdata_ai.experiment.sabotage import kill_rate, sabotage
from bigdata_ai.train.frameworks import BACKENDS

ROOT = Path(__file__).parent.parent
SMALL = {"sizes": [40, 80, 160], "seeds": [0, 1], "steps": 30}


@pytest.fixture(autouse=True)
def runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    "A finished small run in both frameworks; nobody changes it."
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGDATA_AI_RUNS", str(folder))
        return run("volume", SMALL, show_progress=False)


# Parameters


@pytest.mark.parametrize(
    "given, message",
    [
        ({"step": 10}, "did you mean 'steps'"),
        ({"steps": "many"}, "must be of type int"),
        ({"steps": 1.5}, "must be of type int"),
        ({"sizes": 100}, "must be of type list"),
        ({"sizes": [100, "200"]}, r"sizes\[1\] must be of type int"),
        ({"sizes": []}, "must not be empty"),
        ({"dataset": "minst_5k"}, "did you mean 'mnist_5k'"),
        ({"framework": "tensorfow"}, "did you mean 'tensorflow'"),
    ],
    ids=str,
)
def test_a_parameter_that_does_not_fit_is_refused_before_anything_runs(given, message, runs_folder):
    with pytest.raises(InputError, match=message):
        run("volume", given, show_progress=False)
    assert not runs_folder.exists()


def test_an_unknown_experiment_is_refused():
    with pytest.raises(InputError, match="did you mean 'volume'"):
        run("volum")


@pytest.mark.parametrize("name", experiments())
def test_the_full_values_fit_the_parameters_and_suffice_for_a_verdict(name):
    full, declared = (
        describe(name)["full"],
        claims.load_claims(ROOT / "nbs/experiments" / f"{name}.toml"),
    )
    assert check_parameters(name, full) and "framework" in parameters(name)
    first = full[describe(name).get("grid", ["sizes"])[0]]  # the values of the claims' first axis
    assert all(
        len(full["seeds"]) >= max(5, claim.min_seeds) and len(first) >= max(3, claim.min_sizes)
        for claim in declared
    )


# Runs


def test_a_run_leaves_notebooks_evidence_and_facts(finished):
    table = read(finished)
    assert sorted(table.groupby("framework").size().items()) == [
        (name, 6) for name in sorted(BACKENDS)
    ]
    assert not table.duplicated(["framework", "seed", "n"]).any() and table["key"].is_unique
    assert (
        table["error"].between(0, 1).all()
        and (table["checks.overlap"] == 0).all()
        and (table["wall_s"] > 0).all()
    )
    for name in BACKENDS:
        executed = json.loads((finished / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert any(
            "injected-parameters" in cell["metadata"].get("tags", []) for cell in executed["cells"]
        )
        assert not [
            out
            for cell in executed["cells"]
            for out in cell.get("outputs", [])
            if out["output_type"] == "error"
        ]
    facts = json.loads((finished / "run.json").read_text(encoding="utf-8"))
    assert (
        facts["parameters"] == SMALL
        and facts["claims"] == table["claims"].iloc[0]
        and facts["code"] == table["code"].iloc[0]
    )


def test_the_frameworks_draw_their_own_seeds(finished):
    errors = read(finished).pivot(index=["seed", "n"], columns="framework", values="error")
    assert (errors["torch"] != errors["tensorflow"]).any()


def metrics(folder):
    "What was measured, by what it was measured on."
    return {
        (row["framework"], row["seed"], row["setting"]["n"]): row["metrics"]["error"]
        for row in rows(folder / "evidence.jsonl")
    }


def test_a_killed_run_continues_and_ends_as_an_undisturbed_one(finished, runs_folder):
    code = (
        f"from bigdata_ai.experiment.run import run; run('volume', {SMALL!r}, run_id='killed',"
        " show_progress=False)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    evidence = runs_folder / "killed" / "evidence.jsonl"
    deadline = time.monotonic() + 120
    while len(rows(evidence)) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    subprocess.run(["pkill", "-KILL", "-s", str(process.pid)], check=True)
    process.wait()
    kept = rows(evidence)
    assert 3 <= len(kept) < 12
    folder = run("volume", SMALL, run_id="killed", show_progress=False)
    assert rows(evidence)[: len(kept)] == kept and metrics(folder) == metrics(finished)


def test_a_run_is_not_continued_with_other_inputs(finished, runs_folder):
    shutil.copytree(finished, runs_folder / "other")
    with pytest.raises(InputError, match="another parameters"):
        run("volume", {**SMALL, "steps": 31}, run_id="other", show_progress=False)


def test_an_error_in_a_notebook_is_told_with_its_reason():
    with pytest.raises(
        RunError,
        match=r"n, the rows to draw .* Received: 5000.*Hint: the executed notebooks are in",
    ):
        run("volume", {"sizes": [5000]}, ["torch"], show_progress=False)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"learning_rate": -0.1}, "`learning_rate` must be greater than 0"),
        ({"learning_rate": 1e30}, "training loss must stay finite"),
        ({"hidden": [0]}, "A layer's outputs must be a whole number, 1 or more"),
    ],
    ids=str,
)
def test_a_value_that_the_library_refuses_fails_the_run(given, message):
    with pytest.raises(RunError, match=message):
        run("volume", {**SMALL, **given}, ["torch"], show_progress=False)


def test_a_killed_kernel_is_reported_and_does_not_hang():
    die = "import os, threading; threading.Timer(1.5, os.kill, (os.getpid(), 9)).start()"
    with pytest.raises(RunError, match="torch: DeadKernelError"):
        run("volume", {**SMALL, "steps": 20_000}, ["torch"], startup=[die], show_progress=False)


# Verdicts and report


def test_two_seeds_are_too_little_evidence(finished):
    judged = verdicts(finished)
    assert (judged["verdict"] == "undecided").all() and judged["reason"].str.contains(
        "2 of 5 seeds|3 of 6 sizes"
    ).all()


def test_a_threshold_moved_after_the_run_makes_it_invalid(finished):
    declared = claims.load_claims(ROOT / "nbs/experiments/volume.toml")
    loosened = [claims.Claim(**{**vars(claim), "above": claim.above - 1}) for claim in declared]
    assert set(claims.judge(loosened, read(finished))["verdict"]) == {"invalid"}


def test_the_table_fits_a_screen(finished):
    assert max(map(len, text_table(verdicts(finished)).to_string(index=False).splitlines())) <= 100


def test_the_report_stands_alone(finished):
    page = report(finished)
    text = page.read_text(encoding="utf-8")
    links = re.findall(r'href="([^"]+)"', text)
    assert sorted(links) == sorted(
        f"{name}.{kind}" for name in BACKENDS for kind in ("html", "ipynb")
    )
    assert all((finished / link).exists() for link in links)
    assert (
        "data:image/png;base64," in text
        and "CC BY 4.0" in text
        and "no change" in text
        and "海量数据" in text
    )
    for html in finished.glob("*.html"):
        assert not re.findall(
            r'(?:src|<link[^>]*href)="(?:https?:)?//', html.read_text(encoding="utf-8")
        ), html


def test_the_figure_shows_both_frameworks(finished):
    labels = figure(finished).axes[0].get_legend_handles_labels()[1]
    assert {"torch", "tensorflow"} <= set(labels)


def test_latest_run_needs_a_run():
    with pytest.raises(InputError, match="There must be a run"):
        latest_run()


# Recorded evidence and generated blocks


@pytest.mark.parametrize("name", experiments())
def test_recorded_evidence_is_full_and_from_a_commit(name):
    table, full = read(recorded(name)), describe(name)["full"]
    grid = describe(name).get("grid", ["sizes", "seeds"])
    assert (table.groupby("framework").size() == math.prod(len(full[axis]) for axis in grid)).all()
    assert (
        set(table["framework"]) == set(BACKENDS)
        and table["commit"].str.fullmatch("[0-9a-f]{40}").all()
    )
    assert set(verdicts(recorded(name))["verdict"]) <= {"supported", "refuted", "undecided"}


def test_evidence_of_uncommitted_code_is_not_recorded(finished, tmp_path):
    loose = tmp_path / "loose"
    shutil.copytree(finished, loose)
    text = (loose / "evidence.jsonl").read_text(encoding="utf-8")
    (loose / "evidence.jsonl").write_text(
        re.sub(r'"commit": "[^"]*"', '"commit": "0a-dirty"', text), encoding="utf-8"
    )
    with pytest.raises(InputError, match="made by committed code"):
        record(loose)


PROSE = [path for pattern in ("*.md", "nbs/**/*.ipynb") for path in sorted(ROOT.glob(pattern))]


@pytest.mark.parametrize("path", PROSE, ids=lambda path: path.name)
def test_generated_blocks_are_in_step(path):
    assert update_blocks(path, check=True) is False, f"make blocks brings {path.name} up to date"


def test_a_stale_number_is_found_and_renewed(tmp_path):
    note = tmp_path / "note.md"
    note.write_text(
        "Before\n<!-- generated: volume -->\n| error | 0.01 |\n<!-- /generated -->\nAfter",
        encoding="utf-8",
    )
    assert update_blocks(note, check=True) and "0.01" in note.read_text(encoding="utf-8")
    assert update_blocks(note) and not update_blocks(note, check=True)
    assert (
        note.read_text(encoding="utf-8")
        == f"Before\n<!-- generated: volume -->\n{block('volume')}<!-- /generated -->\nAfter"
    )


# Sabotage: the claims of the recorded run, at the size of volume.toml that supports every one of
# them. `test_guards.py` has the rest.


@pytest.mark.slow
def test_the_mutants_of_training_kill_every_claim_in_both_frameworks():
    table = sabotage(
        "volume",
        mutants=("shuffled_labels", "zero_learning_rate", "constant_predictor", "leaked_test_rows"),
    )
    print(table.to_string())
    assert len(table) == 8 and (table["supported"] == 3).all(), (
        "the untouched run must support every claim, or the mutants show nothing"
    )
    assert kill_rate(table) == (8, 8) and (table["lost"] == 3).all()
