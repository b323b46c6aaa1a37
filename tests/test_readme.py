"""README keeps its word: its commands run, its ten lines of Python do what they say."""

import importlib.metadata
import os
import re
import shlex
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"```bash\n(.*?)```", TEXT, re.DOTALL)
    for line in block.splitlines()
    if line.strip()
]
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
ELSEWHERE = {
    "make test": "is what runs this test",
    "pip install -c constraints.txt '.[all]'": "test_wheel.py installs",
}


def here(command, cwd):
    "Run a command as in the activated environment."
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        shlex.split(command),
        cwd=cwd,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


def test_readme_names_the_commands():
    assert {"make demo", *ELSEWHERE} <= set(COMMANDS) and len(COMMANDS) >= 8


def test_readme_lists_every_chapter_and_every_experiment():
    linked = re.findall(r"\]\((nbs/course/[^)]+)\)", TEXT)
    assert linked == sorted(
        str(path.relative_to(ROOT)) for path in (ROOT / "nbs/course").glob("*.ipynb")
    )
    assert all(f"`{path.stem}`" in TEXT for path in (ROOT / "nbs/experiments").glob("*.toml"))


@pytest.mark.parametrize("command", [line for line in COMMANDS if line.startswith("bigdata-ai")])
def test_a_command_of_the_readme_runs(command, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "readme"
    folder.mkdir(exist_ok=True)
    if command == "bigdata-ai report" and not (folder / "_runs").exists():
        here("bigdata-ai run volume -p 'sizes=[40, 80, 160]' -p 'seeds=[0]' -p steps=10", folder)
    if "grid.yaml" in command:
        here(
            f"sh -c {shlex.quote(next(line for line in COMMANDS if line.startswith('printf')))}",
            folder,
        )
    done = here(command, folder)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
def test_make_demo_gives_a_verdict_on_every_claim_in_both_frameworks():
    """The main job in full. In a checkout whose environment was made by make, nothing is installed
    again."""
    done = subprocess.run(
        ["make", "demo", f"PYTHON={sys.executable}"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("volume.")]
    assert len(lines) == 9 and {line[-1] for line in lines} <= {"supported", "refuted", "undecided"}
    assert [line[-1] for line in lines if line[:2] == ["volume.more_rows", "both"]] == ["supported"]
    page = Path(re.search(r"report: (.*)", done.stdout)[1])
    assert page.is_relative_to(ROOT / "_runs") and "data:image/png" in page.read_text(
        encoding="utf-8"
    )


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_the_ten_lines_of_python_work(framework, tmp_path):
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    assert len(code.splitlines()) == 10
    code = (
        code.replace('backend="torch"', f'backend="{framework}"')
        + "\nassert scores['accuracy']['value'] > 0.9, scores\n"
    )
    (tmp_path / "ten.py").write_text(code)
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "ten.py"], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0 and "accuracy" in done.stdout, done.stderr


def test_the_table_example_works(tmp_path):
    code = next(block for block in BLOCKS if "Cleaner(" in block)
    (tmp_path / "table.py").write_text(code)
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "table.py"], cwd=tmp_path, capture_output=True, text=True, env=environment
    )
    assert (
        done.returncode == 0 and "7 rows in, 7 out" in done.stdout and "town=rome" in done.stdout
    ), done.stderr


def test_other_learners_fit_too(tmp_path):
    (tmp_path / "learners.py").write_text(
        BLOCKS[0] + next(block for block in BLOCKS if "cnn(" in block)
    )
    environment = {**os.environ, "MPLBACKEND": "agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "learners.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0 and done.stdout.count("accuracy") == 3, done.stderr


def test_a_learner_takes_raw_rows_behind_its_steps(tmp_path):
    (tmp_path / "prepared.py").write_text(next(block for block in BLOCKS if "Prepared(" in block))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "prepared.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0 and "auroc" in done.stdout, done.stderr


def test_the_targets_that_readme_names_exist():
    for target in re.findall(r"`make ([a-z-]+)`", TEXT) + [
        line.split()[1] for line in COMMANDS if line.startswith("make ")
    ]:
        assert (
            subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True).returncode == 0
        ), target
    assert "make test" in (ROOT / ".ci/run").read_text()


def plain(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def settings(section, name):
    "The requirements that settings.ini lists at one place."
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    return [Requirement(line) for line in parser[section][name].splitlines() if line.strip()]


def brought(requirements):
    "Every installed distribution that some requirements bring, by its plain name."
    known, todo = {}, list(requirements)
    while todo:
        wanted = todo.pop()
        if plain(wanted.name) in known:
            continue
        try:
            there = importlib.metadata.distribution(wanted.name)
        except importlib.metadata.PackageNotFoundError:
            continue
        known[plain(wanted.name)] = there
        extras = wanted.extras | {""}
        for needed in map(Requirement, there.requires or ()):
            if not needed.marker or any(needed.marker.evaluate({"extra": one}) for one in extras):
                todo.append(needed)
    return known


def licence(there):
    classifiers = [line for line in there.metadata.get_all("Classifier", ()) if "License" in line]
    parts = (there.metadata.get("License-Expression"), (there.metadata.get("License") or "")[:200])
    return " ".join([part or "" for part in parts] + classifiers)


def copyleft(requirements):
    return {
        name
        for name, there in brought(requirements).items()
        if re.search(r"GPL|General Public License", licence(there))
    }


def test_readme_lists_the_packages_under_gpl_and_lgpl_and_no_others():
    listed = re.search(r"under the GPL or LGPL, which\s+matters [^:]*: (.*?)\.\n", TEXT, re.DOTALL)
    names = set(re.findall(r"[a-z][a-z-]+", re.sub(r"\([^)]*\)", "", listed[1]))) - {"and"}
    data = settings("extras", "data")
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    others = [name for name in parser["extras"] if name not in ("data", "dev", "bench")]
    assert copyleft(data) == names
    assert copyleft(settings("package", "requirements")) == set()
    assert not {one for name in others for one in copyleft(settings("extras", name))} - names


def test_lower_bounds_are_what_is_tested():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    tested = {plain(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    parser = ConfigParser(delimiters=["="])
    parser.read(ROOT / "settings.ini", encoding="utf-8")
    places = [("package", "requirements"), *(("extras", name) for name in parser["extras"])]
    lower = {
        requirement.name: spec.version
        for place in places
        for requirement in settings(*place)
        for spec in requirement.specifier
        if spec.operator == ">=" and plain(requirement.name) in tested
    }
    assert (
        len(lower) > 50
        and {name: version for name, version in lower.items() if version != tested[plain(name)]}
        == {}
    )
