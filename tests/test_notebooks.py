"""Every notebook runs: library notebooks by nbdev-test, chapters and experiments by papermill at
smoke size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import papermill
import pytest
from chapters import MEASURED, SIZED, differences, noise, normal, read, with_outputs

from bigdata_ai.experiment.run import budget, execute, limits

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "nbs/course").glob("*.ipynb"))
EXPERIMENTS = sorted((ROOT / "nbs/experiments").glob("*.ipynb"))
SMOKE = {"smoke": True}  # what a chapter is given, where it knows it
# what a chapter may need at smoke size; one that takes half as much again is stopped
CHAPTER = {"seconds": 80, "mib": 2500}


@pytest.mark.long
def test_library_notebooks_pass_their_own_tests():
    # beside another worker, threads that share cores starve each other
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(Path(sys.executable).with_name("nbdev-test")), "nbs/lib", "--n-workers", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=one_thread,
    )
    assert done.returncode == 0, done.stdout + done.stderr


# experiments run in the quick suite where their evidence is looked at
SLOW = [pytest.param(path, marks=pytest.mark.slow) for path in EXPERIMENTS]


@pytest.mark.parametrize("notebook", CHAPTERS + SLOW, ids=lambda path: path.stem)
def test_chapters_and_experiments_run_at_smoke_size(notebook, tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv(
        "BIGDATA_AI_RUN", str(tmp_path / "runs" / "smoke")
    ) if notebook in EXPERIMENTS else None
    known = papermill.inspect_notebook(str(notebook))
    job = tmp_path / "job.json"
    job.write_text(
        json.dumps(
            {
                "source": str(notebook),
                "target": str(tmp_path / "out.ipynb"),
                "timeout_s": 120,
                "startup": [],
                "env": {},
                "parameters": {key: value for key, value in SMOKE.items() if key in known},
            }
        )
    )
    execute(job, limits(budget(notebook, smoke=True) or CHAPTER))
    ended = json.loads(job.with_suffix(".result").read_text())
    print(f"{notebook.stem}: {ended['seconds']} s, {ended['peak_mib']} MiB")
    assert ended["error"] == ""
    if notebook in CHAPTERS:
        new = read(tmp_path / "out.ipynb")
        assert noise(new) == [], "what frameworks and Spark say is no part of a page"
        assert list(differences(read(notebook), new, smoke=True)) == [], (
            "`make chapters` shows what differs and can store it; a cell whose output depends on"
            f" the size is tagged {SIZED!r}"
        )


# The comparison itself


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("took 1.5 s, 900 MiB", "took 22 s, 1,024 MiB"),
        ("in 12 ms", "in 3.1 ms"),
        ("http://127.0.0.1:40123/orders", "http://127.0.0.1:5000/orders"),
        ("<Lake at 0x7f3a2b>", "<Lake>"),
        ("id 0x7f3a2b", "id 0x11"),
        ("read /tmp/tmpab1/lake, then stop", "read /home/her/lake, then stop"),
        ("PosixPath('/tmp/x/y.csv')", "PosixPath('/var/folders/y.csv')"),
        ("torch 2.9.1+cpu", "torch 2.10.0"),
        ("run at 2026-11-30 16:00:46", "run at 2027-01-02T03:04:05.6Z"),
        (
            "part-0-dcea5127-912e-4219-a53a-c3b612345678",
            "part-0-00000000-912e-4219-a53a-000000000000",
        ),
        ("12,000 rows a second", "9 rows a second"),
        ("differs by 2.3e-13", "differs by -1e-16"),
        ("a   b\n\n c ", "a b\nc"),
        ("\x1b[31mred\x1b[0m", "red"),
    ],
)
def test_what_differs_from_run_to_run_is_aside(one, other):
    assert normal(one) == normal(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("accuracy 0.966", "accuracy 0.965"),
        ("1,325 rows", "1,326 rows"),
        ("2013-01-01 05:00:00", "2013-01-01 06:00:00"),
        ("differs by 2.3e-07", "differs by 2.4e-07"),
        ("the first 3 steps", "the first 4 steps"),
        ("`by` must be one of 'a'", "`by` must be 'a'"),
        ("a/b", "a/c"),
        ("supported", "refuted"),
        ("12.5 minutes late", "13.5 minutes late"),
    ],
)
def test_what_a_page_says_is_not_aside(one, other):
    assert normal(one) != normal(other)


def test_numbers_of_a_measured_cell_are_aside_and_words_are_not():
    assert normal("pandas 12 ms  0.5", measured=True) == normal("pandas 1.2 s -7e-3", measured=True)
    assert normal("pandas 12", measured=True) != normal("polars 12", measured=True)


def page(*outputs, tags=()):
    "A notebook with one code cell an output."
    cells = [
        {
            "cell_type": "code",
            "id": f"cell{i}",
            "metadata": {"tags": list(tags)},
            "source": [f"step({i})\n", "shown"],
            "outputs": [each],
        }
        for i, each in enumerate(outputs)
    ]
    return {"cells": [{"cell_type": "markdown", "metadata": {}, "source": []}, *cells]}


def text(plain):
    return {"output_type": "execute_result", "data": {"text/plain": [plain]}, "execution_count": 3}


def stream(name, said):
    return {"output_type": "stream", "name": name, "text": [said]}


def test_differences_name_the_cell_and_its_lines():
    stored = page(text("same"), text("old"), stream("stdout", "one\ntwo\n"))
    new = page(text("same"), text("new"), stream("stdout", "one\n2\n"))
    assert list(differences(stored, stored)) == []
    assert list(differences(stored, new)) == ["step(1)\n  -old\n  +new", "step(2)\n  -two\n  +2"]


def test_sized_cells_count_at_the_stored_size_only():
    stored, new = page(text("20"), tags=[SIZED]), page(text("2"))
    assert (
        list(differences(stored, new, smoke=True)) == [] and len([*differences(stored, new)]) == 1
    )
    stored = page(text("20"), tags=[MEASURED])
    assert list(differences(stored, new)) == []


def test_an_error_and_a_cell_that_did_not_run_differ():
    error = {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []}
    assert "ValueError: no" in next(differences(page(text("1")), page(error)))
    assert "was not executed" in next(differences(page(text("1")), page()))


def test_standard_error_is_noise_and_is_not_stored():
    new = page(stream("stderr", "WARN NativeCodeLoader"), text("2"))
    assert noise(new) == ["WARN NativeCodeLoader"] and noise(page(text("1"))) == []
    kept = with_outputs(page(text("0"), text("1")), new)
    assert [len(cell.get("outputs", [])) for cell in kept["cells"]] == [0, 0, 1]
    assert kept["cells"][2]["outputs"][0]["execution_count"] is None
    assert with_outputs(page(text("")), page(text("<A at 0x1f>")))["cells"][1]["outputs"] == [
        text("<A>") | {"execution_count": None}
    ]


def test_there_is_something_to_run():
    assert {"00_how_to_use_the_kit", "12_the_articles_program"} <= {path.stem for path in CHAPTERS}
    assert "volume" in {path.stem for path in EXPERIMENTS}
