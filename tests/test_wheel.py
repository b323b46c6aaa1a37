"""The wheel alone, in fresh environments with one framework each, away from the checkout."""

import configparser
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from email.parser import Parser
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import bigdata_ai

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"  # a copy: two workers would build in one folder at once
    left_out = shutil.ignore_patterns(".*", "_*runs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=left_out)
    subprocess.run(
        [sys.executable, "-m", "build", "--outdir", str(folder), str(source)],
        check=True,
        capture_output=True,
    )
    return next(folder.glob("*.whl"))


def test_one_version_everywhere(wheel):
    settings = configparser.ConfigParser(interpolation=None, delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    version = settings["package"]["version"]
    with zipfile.ZipFile(wheel) as content:
        metadata = content.read(f"bigdata_ai-{version}.dist-info/METADATA").decode()
    assert (
        bigdata_ai.__version__ == version
        and f"\nVersion: {version}\n" in metadata
        and f"-{version}-" in wheel.name
    )
    assert f"Summary: {settings['package']['description']}" in metadata
    for extra in [*settings["extras"], "all"]:
        assert f"Provides-Extra: {extra}" in metadata
    for need in settings["package"]["requirements"].split():
        assert f"Requires-Dist: {need.split('>')[0]}" in metadata


def test_the_wheel_carries_ledger_evidence_and_experiments(wheel):
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
    for name in (
        "_data/catalog.toml",
        "_data/evidence/volume.jsonl",
        "_experiments/volume.ipynb",
        "_experiments/volume.toml",
        "_experiments/new/question.ipynb",
        "_experiments/new/question.toml",
    ):
        assert f"bigdata_ai/{name}" in names
    modules = {
        f"bigdata_ai/{path.relative_to(ROOT / 'bigdata_ai')}"
        for path in (ROOT / "bigdata_ai").rglob("*.py")
    }
    assert modules | {"bigdata_ai/py.typed"} <= names  # which tells type checkers to look in


def needed(wheel, framework):
    """The distributions that the wheel's metadata asks for with one extra, and what they ask for in
    turn."""
    with zipfile.ZipFile(wheel) as content:
        name = next(name for name in content.namelist() if name.endswith(".dist-info/METADATA"))
        words = Parser().parsestr(content.read(name).decode()).get_all("Requires-Dist")
    found, todo = {}, [(Requirement(word), {framework}) for word in words]
    while todo:
        need, extras = todo.pop()
        if need.marker and not any(
            need.marker.evaluate({"extra": extra}) for extra in extras | {""}
        ):
            continue
        key = canonicalize_name(need.name)
        if key in found and need.extras <= found[key]:
            continue
        found[key] = found.get(key, set()) | need.extras
        todo += [(Requirement(word), found[key]) for word in distribution(key).requires or ()]
    return sorted(found)


def furnish(folder, names):
    """A fresh environment, and in it links to the files of these distributions in the environment
    that runs the tests: no more than they."""
    venv.create(folder)
    packages = (
        folder
        / "lib"
        / f"python{sys.version_info.major}.{sys.version_info.minor}"
        / "site-packages"
    )
    for file in [file for name in names for file in distribution(name).files or ()]:
        source, target = Path(file.locate()), Path(os.path.normpath(packages / file))
        # commands name the other environment's Python
        if target.parent == folder / "bin" or not source.is_file():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.symlink_to(source.resolve())
    return packages


@pytest.mark.long
@pytest.mark.parametrize(
    "framework, other",
    [("torch", "tensorflow"), pytest.param("tensorflow", "torch", marks=pytest.mark.slow)],
)
def test_the_wheel_with_one_framework_runs_its_half_of_the_demo(wheel, framework, other, tmp_path):
    """pip may take nothing from elsewhere, so it refuses the wheel unless all that its metadata
    asks for is there."""
    names, binaries = needed(wheel, framework), tmp_path / "venv" / "bin"
    packages = furnish(tmp_path / "venv", names)
    clean = {
        key: value
        for key, value in os.environ.items()
        if key not in ("PYTHONPATH", "BIGDATA_AI_RUNS")
    }

    def run(*words, status=0):
        done = subprocess.run(words, cwd=tmp_path, env=clean, capture_output=True, text=True)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    command = str(binaries / "bigdata-ai")
    run(
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(binaries / "python"),
        "install",
        "--quiet",
        "--no-index",
        f"{wheel}[{framework}]",
    )
    assert framework in names and other not in names and not (packages / other).exists()
    assert f"{other} missing" in run(command, "doctor") and "as recorded" in run(
        command, "data", "show", "mnist_5k"
    )
    shown = run(
        command,
        "run",
        "volume",
        "-p",
        "dataset=mnist_5k",
        "-p",
        "seeds=[0, 1, 2, 3, 4]",
        "-p",
        "steps=100",
    )
    verdicts = {
        tuple(line.split()[:2]): line.split()[-1]
        for line in shown.splitlines()
        if line.startswith("volume.")
    }
    assert (
        verdicts["volume.more_rows", framework] == "supported"
        and verdicts["volume.more_rows", other] == "undecided"
    )
    assert f"pip install 'bigdata-ai[{other}]'" in run(
        command, "run", "volume", "-p", f"framework={other}", status=2
    )
    loaded = run(
        str(binaries / "python"),
        "-c",
        "import bigdata_ai, numpy; print(bigdata_ai.__file__, numpy.__file__)",
    ).split()
    assert all(Path(file).is_relative_to(packages) for file in loaded), loaded
