"""A question of one's own: from `bigdata-ai new` to a verdict, in a folder that is no checkout."""

import json
import os
import subprocess
import sys
from pathlib import Path

import declaration
import nbformat
import papermill
import pytest

from bigdata_ai.core import InputError
from bigdata_ai.experiment.claims import Claim, judge, load_claims
from bigdata_ai.experiment.declared import KEYS, describe, experiments
from bigdata_ai.experiment.evidence import commit, read, rows
from bigdata_ai.experiment.new import new
from bigdata_ai.experiment.report import verdicts

GIVEN = {"seeds": [0, 1], "epochs": 2, "widths": [4, 64]}
SAME = ("experiment", "framework", "parameters", "data", "code", "claims", "seed", "setting")


def command(*words, folder, **more):
    "The command line in a folder of one's own."
    env = {**os.environ, "OMP_NUM_THREADS": "1", **more}
    env.pop("BIGDATA_AI_RUNS", None)
    words = [Path(sys.executable).parent / "bigdata-ai", *words]
    return subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    "A folder with a repository of its user, a new question, and a run of it."
    folder = tmp_path_factory.mktemp("我的 folder")
    assert command("new", "breite", folder=folder).returncode == 0
    notebook = nbformat.read(folder / "breite.ipynb", as_version=4)
    shown = nbformat.v4.new_code_cell("print('for readers')", metadata={"tags": ["interactive"]})
    notebook.cells.append(shown)
    nbformat.write(notebook, folder / "breite.ipynb")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "a question"]):
        subprocess.run([*git, *words], cwd=folder, check=True)
    given = [f"-p{name}={value}" for name, value in GIVEN.items()]
    done = command("run", "breite.ipynb", *given, "-pframework=torch", folder=folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.long
def test_a_new_question_is_run_judged_and_reported(asked):
    folder, told = asked
    (run,) = (folder / "_runs").iterdir()
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, text=True)
    facts = json.loads((run / "run.json").read_text())
    assert facts["commit"] == head.stdout.strip() == commit(folder / "breite.ipynb")
    assert {row["commit"] for row in rows(run / "evidence.jsonl")} == {facts["commit"]}
    # too few seeds for a verdict: the numbers stand there, with what is missing
    assert "breite.wider" in told and "[" in told.split("breite.wider")[1].splitlines()[0]
    assert "too little evidence: 2 of 5 seeds" in told and (run / "report.html").exists()


@pytest.mark.long
def test_a_cell_for_readers_is_left_out_and_noted(asked):
    (run,) = (asked[0] / "_runs").glob("2*")
    *_, last = nbformat.read(run / "torch.ipynb", as_version=4).cells
    assert last.cell_type == "markdown" and "`interactive`" in last.source


@pytest.mark.long
def test_plain_papermill_gives_the_same_rows_and_verdicts(asked, monkeypatch):
    folder, _ = asked
    (run,) = (folder / "_runs").glob("2*")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("BIGDATA_AI_RUNS", raising=False)
    papermill.execute_notebook("breite.ipynb", "out.ipynb", GIVEN, progress_bar=False)
    (alone,) = (folder / "_runs").glob("interactive-breite-*")
    ours, theirs = (rows(one / "evidence.jsonl") for one in (run, alone))
    for one, other in zip(ours, theirs, strict=True):
        assert [one[part] for part in (*SAME, "metrics", "checks")] == [
            other[part] for part in (*SAME, "metrics", "checks")
        ]
    assert verdicts(alone).equals(verdicts(run))
    assert read(alone)["claims"].iloc[0] == read(run)["claims"].iloc[0] != ""


@pytest.mark.parametrize("name", ["volume", "a-b", "2a", "a/b", "", "a b"])
def test_a_name_that_is_none_or_is_taken_is_refused(name, tmp_path):
    with pytest.raises(InputError, match="name of an experiment"):
        new(name, tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_new_overwrites_nothing(tmp_path):
    (tmp_path / "mine.toml").write_text("title = 'kept'")
    with pytest.raises(InputError, match="must not overwrite.*mine.toml"):
        new("mine", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.toml"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("titel = 'a'", "no key titel, is title meant"),
        ("[budget]\nsecond = 3", "no key budget.second, is budget.seconds meant"),
        ("[budget.smoke]\ngib = 3", "no key budget.smoke.gib"),
        ("grid = [1]", "grid must be a list of texts"),
        ("power_law = 'yes'", "power_law must be true or false"),
    ],
)
def test_a_wrong_key_is_refused_with_its_nearest(text, told, tmp_path):
    notebook, declaration = new("mine", tmp_path)
    declaration.write_text(text)
    with pytest.raises(InputError, match=told):
        describe(notebook)


def test_the_page_of_keys_is_up_to_date():
    assert declaration.PAGE.read_text(encoding="utf-8") == declaration.page()


def test_every_key_is_known_and_said():
    used = {key for name in experiments() for key in describe(name)}
    assert used <= set(KEYS) and all(meaning for _, _, meaning in KEYS.values())


CLAIM = {"id": "a.b", "text": "t", "control": "c", "above": 0.0}


def test_the_gain_of_a_setting_is_paired_by_seed():
    import pandas as pd

    claim = Claim(
        **CLAIM,
        statistic="setting_gain",
        better=(("width", 64),),
        worse=(("width", 4),),
        axes=("width",),
        frameworks=("torch",),
        min_seeds=2,
        without=("overlap", "training", "classes", "error_rate", "learned"),
    )
    errors = {(0, 4): 0.5, (0, 64): 0.3, (1, 4): 0.4, (1, 64): 0.1, (2, 4): 0.9}
    table = pd.DataFrame(
        [
            {"framework": "torch", "seed": seed, "width": width, "error": error, "claims": "x"}
            for (seed, width), error in errors.items()
        ]
    )
    line = judge([claim], table).iloc[0]
    # the third seed has one of the two
    assert line["statistic"] == pytest.approx(0.25) and line["seeds"] == 2


@pytest.mark.parametrize("more", [{}, {"better": (("width", 64),)}])
def test_a_gain_says_what_is_compared(more):
    with pytest.raises(InputError, match="better.*worse"):
        Claim(**CLAIM, statistic="setting_gain", **more)


def test_what_is_compared_must_be_there(tmp_path):
    _, declaration = new("mine", tmp_path)
    declaration.write_text(declaration.read_text().replace("{ width = 64 }", "[64]"))
    with pytest.raises(InputError, match="better must be a table"):
        load_claims(declaration)
