"""Every notebook runs: library notebooks by nbdev-test, chapters and experiments by papermill at
smoke size."""

import json
import os
import subprocess
import sys
from pathlib import Path

import papermill
import pytest

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


@pytest.mark.parametrize("notebook", CHAPTERS + EXPERIMENTS, ids=lambda path: path.stem)
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


def test_there_is_something_to_run():
    assert {"00_how_to_use_the_kit", "12_the_articles_program"} <= {path.stem for path in CHAPTERS}
    assert "volume" in {path.stem for path in EXPERIMENTS}
