"""The wheel alone, in fresh environments with one framework each, away from the checkout."""
import configparser
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import bigdata_ai

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], check=True, capture_output=True)
    return next(folder.glob("*.whl"))


def test_one_version_everywhere(wheel):
    settings = configparser.ConfigParser(interpolation=None, delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    version = settings["package"]["version"]
    with zipfile.ZipFile(wheel) as content:
        metadata = content.read(f"bigdata_ai-{version}.dist-info/METADATA").decode()
    assert bigdata_ai.__version__ == version and f"\nVersion: {version}\n" in metadata and f"-{version}-" in wheel.name
    assert f"Summary: {settings['package']['description']}" in metadata
    for extra in [*settings["extras"], "all"]:
        assert f"Provides-Extra: {extra}" in metadata
    for need in settings["package"]["requirements"].split():
        assert f"Requires-Dist: {need.split('>')[0]}" in metadata


def test_the_wheel_carries_ledger_evidence_and_experiments(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    for name in ("_data/catalog.toml", "_data/evidence/volume.jsonl", "_experiments/volume.ipynb", "_experiments/volume.toml"):
        assert f"bigdata_ai/{name}" in names
    modules = {f"bigdata_ai/{path.relative_to(ROOT / 'bigdata_ai')}" for path in (ROOT / "bigdata_ai").rglob("*.py")}
    assert modules <= names


@pytest.mark.long
@pytest.mark.parametrize("framework, other", [("torch", "tensorflow"), ("tensorflow", "torch")])
def test_the_wheel_with_one_framework_runs_its_half_of_the_demo(wheel, framework, other, tmp_path):
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "BIGDATA_AI_RUNS")}

    def run(*words, status=0):
        done = subprocess.run([str(binaries / words[0]), *words[1:]], cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    run("pip", "install", "--quiet", "--no-compile", "-c", str(ROOT / "constraints.txt"), f"{wheel}[{framework}]")
    assert f"{other} missing" in run("bigdata-ai", "doctor") and "as recorded" in run("bigdata-ai", "data", "show", "mnist_5k")
    shown = run("bigdata-ai", "run", "volume", "-p", "dataset=mnist_5k", "-p", "seeds=[0, 1, 2, 3, 4]")
    verdicts = {tuple(line.split()[:2]): line.split()[-1] for line in shown.splitlines() if line.startswith("volume.")}
    assert verdicts["volume.more_rows", framework] == "supported" and verdicts["volume.more_rows", other] == "undecided"
    assert f"pip install 'bigdata-ai[{other}]'" in run("bigdata-ai", "run", "volume", "-p", f"framework={other}", status=2)
    assert not (tmp_path / "venv/lib/python3.11/site-packages" / other).exists()
