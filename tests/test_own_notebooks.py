"""Notebooks, grids, names and evidence as people bring them: run as papermill runs them, or refused with what to do."""

import fcntl
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bigdata_ai.cli import _CONTROLS, app, main
from bigdata_ai.core import InputError, RunError
from bigdata_ai.experiment import declared
from bigdata_ai.experiment.declared import check_run_id, parameters, read_declaration
from bigdata_ai.experiment.evidence import code_hash, read, rows
from bigdata_ai.experiment.query import export, query
from bigdata_ai.experiment.report import report, verdicts
from bigdata_ai.experiment.run import check_parameters, run
from bigdata_ai.experiment.sweep import expand, load_grid, plan, sweep


def book(path, *cells, tagged=0, metadata=None, form=4, minor=5, **more):
    "A notebook as JSON; `tagged` is the cell that holds the parameters."
    made = []
    for i, source in enumerate(cells):
        about = {"tags": ["parameters"]} if i == tagged else {}
        made.append(
            {"cell_type": "code", "source": source, "metadata": about, "outputs": [], **more}
        )
        made[-1] |= {"execution_count": None} | ({"id": f"c{i}"} if minor == 5 else {})
    whole = {"cells": made, "metadata": metadata or {}, "nbformat": form, "nbformat_minor": minor}
    path.write_text(json.dumps(whole))
    return path


# r2: shapes of the cell that holds the parameters: its code, what is given, what the notebook then has
SHAPES = {
    "a computed default": ("n = 2 * 3", {"n": 4}, "4"),
    "a default that is a call": (
        "from pathlib import Path\nn = Path.home() / 'x'",
        {"n": "a"},
        "'a'",
    ),
    "a date": ("import datetime\nn = datetime.date.today()", {"n": "2024-01-01"}, "'2024-01-01'"),
    "a hash in a text": ("n = '#ff0000'  # a colour", {"n": "#00ff00"}, "'#00ff00'"),
    "an equals sign in a text": ("n = 'a=1'", {"n": "b=2"}, "'b=2'"),
    "both in a text": ("n = \"a = '#'\" # x = y", {"n": "z"}, "'z'"),
    "an empty list": ("n = []", {"n": [1, "a"]}, "[1, 'a']"),
    "an empty table": ("n = {}", {"n": {"a": [1]}}, "{'a': [1]}"),
    "None": ("n = None", {"n": 3}, "3"),
    "None to None": ("n = None", {"n": None}, "None"),
    "an empty text": ("n = ''", {"n": "x"}, "'x'"),
    "a negative number": ("n = -1", {"n": -2}, "-2"),
    "an exponent": ("n = 1e-3", {"n": 1e-4}, "0.0001"),
    "a number with underscores": ("n = 1_000", {"n": 2_000}, "2000"),
    "a truth value": ("n = True", {"n": False}, "False"),
    "a pair": ("n = (1, 2)", {"n": [3, 4]}, "[3, 4]"),
    "a list over several lines": ("n = [\n    1,  # one\n    2,\n]", {"n": [3]}, "[3]"),
    "a list of lists": ("n = [[1, 2], [3]]", {"n": [[4], [5, 6]]}, "[[4], [5, 6]]"),
    "a list of kinds": ("n = [1, 'a', None]", {"n": ["b"]}, "['b']"),
    "a list of numbers": ("n = [1, 2.5]", {"n": [0.5, 2]}, "[0.5, 2.0]"),
    "a nested table": ("n = {'a': {'b': 1}}", {"n": {"a": {"b": 2}}}, "{'a': {'b': 2}}"),
    "a text over several lines": ("n = '''a\nb'''", {"n": "c\nd"}, "'c\\nd'"),
    "quotes": ("n = 'it\\'s'", {"n": 'a "b" \\ c'}, repr('a "b" \\ c')),
    "an annotation": ("n: int = 3  # rows", {"n": 4}, "4"),
    "an optional annotation": ("n: int | None = 3", {"n": None}, "None"),
    "an annotation of a fraction": ("n: float = 1", {"n": 0.5}, "0.5"),
    "an annotation alone": ("n: str", {"n": "a"}, "'a'"),
    "two in a line": ("m = 1; n = 2", {"n": 3}, "3"),
    "two names at once": ("m = n = 1", {"n": 3}, "3"),
    "a pair of names": ("m, n = 1, 2", {"n": 3}, "3"),
    "assigned twice": ("n = 1\nn = 'a'", {"n": "b"}, "'b'"),
    "assigned under a condition": ("if True:\n    n = 1", {"n": 2}, "2"),
    "a magic first": ("%matplotlib inline\nn = 1", {"n": 2}, "2"),
    "a comment and a blank line first": ("# Parameters\n\nn = 1", {"n": 2}, "2"),
    "Chinese": ("学习率 = 0.1\nn = '中'", {"n": "文", "学习率": 0.2}, "'文'"),
    "a set": ("n = {1, 2}", {"n": [1]}, "[1]"),
    "a template": ("k = 3\nn = f'{k} rows'", {"n": "none"}, "'none'"),
    "something infinite": ("n = 0.5", {"n": float("inf")}, "inf"),
    "choices of numbers": ("n = 1  # one of: 1, 2", {"n": 2}, "2"),
}
BOOKS = {
    "no kernel and no language": {},
    "a kernel alone": {"metadata": {"kernelspec": {"name": "python3", "display_name": "x"}}},
    "a kernel of another name": {
        "metadata": {
            "kernelspec": {"name": "conda-mine", "language": "python", "display_name": "x"}
        }
    },
    "a language alone": {"metadata": {"language_info": {"name": "python"}}},
    "an older form": {"minor": 2},
    "a list of lines": {"lines": True},
}


def shown(folder):
    "What the last cell of an executed notebook shows; None for nothing."
    cells = json.loads((Path(folder) / "executed.ipynb").read_text())["cells"]
    outputs = cells[-1]["outputs"]
    return "".join(outputs[0]["data"]["text/plain"]) if outputs else None


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_r2_the_parameters_of_any_notebook_are_read(tmp_path, shape):
    code, given, _ = shape
    source = book(tmp_path / "own.ipynb", code, "n")
    assert set(given) <= set(parameters(source))
    assert check_parameters(source, given) == given or code == "n = 1"
    assert plan(source, {key: [value] for key, value in given.items()}) and code_hash(source)


def test_r2_a_comment_belongs_to_its_parameter(tmp_path):
    source = book(
        tmp_path / "own.ipynb", "a = '#x'  # one of: #x, y\nb = [\n 1,\n]  # many = 3\nc = 2"
    )
    known = parameters(source)
    assert (
        known["a"].choices == ("#x", "y")
        and known["b"].help == "many = 3"
        and known["c"].help == ""
    )
    assert known["b"].default == [1] and not known["c"].free


QUICK = [
    "a computed default",
    "both in a text",
    "an empty list",
    "None",
    "a magic first",
    "Chinese",
]


@pytest.mark.parametrize(
    "names", [QUICK, pytest.param([*SHAPES], marks=pytest.mark.slow)], ids=["some", "all"]
)
def test_r2_a_sweep_gives_any_notebook_its_values(tmp_path, names):
    for name in names:
        code, given, wanted = SHAPES[name]
        source = book(tmp_path / "own.ipynb", code, "n")
        grid = {key: [value] for key, value in given.items()}
        table = sweep(source, grid, 1, tmp_path / "runs", show_progress=False)
        assert table["error"][0] == "" and shown(table["folder"][0]) == wanted, name


@pytest.mark.parametrize("options", BOOKS.values(), ids=BOOKS)
def test_r2_a_sweep_runs_notebooks_of_any_form(tmp_path, options):
    options = dict(options)
    cells = ["n = 1\nm = 2", "n"]
    if options.pop("lines", False):
        cells = [text.splitlines(True) for text in cells]
    source = book(tmp_path / "my own 笔记.ipynb", *cells, **options)
    table = sweep(source, {"n": [3]}, 1, tmp_path / "runs", show_progress=False)
    assert table["error"][0] == "" and shown(table["folder"][0]) == "3"


def test_r2_an_old_form_is_read(tmp_path):
    cell = {"cell_type": "code", "input": "n = 1", "language": "python", "outputs": []}
    cell |= {"metadata": {"tags": ["parameters"]}, "collapsed": False}
    old = {"worksheets": [{"cells": [cell]}], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}
    (tmp_path / "old.ipynb").write_text(json.dumps(old))
    assert list(parameters(tmp_path / "old.ipynb")) == ["n"]


def test_r2_a_notebook_without_a_tagged_cell(tmp_path):
    source = book(tmp_path / "own.ipynb", "print(n)", "m = 1", tagged=None)
    assert list(parameters(source)) == ["n"], "papermill gives it before the first cell"
    with pytest.raises(InputError, match="must be one of 'n'"):
        check_parameters(source, {"m": 2})
    with pytest.raises(InputError, match="tag the cell"):
        check_parameters(book(tmp_path / "none.ipynb", "m = 1", tagged=None), {"m": 2})


@pytest.mark.parametrize(
    "code, given, message",
    [
        ("n = 3", {"n": 1.5}, r"must be of type int, such as 3. Received: 1.5, of type float"),
        ("n = 3", {"n": "3"}, "Received: '3', of type str"),
        ("n = 'a'", {"n": 1.1}, "quote what is a text: '1.1'"),
        ("n = True", {"n": "NO"}, "Received: 'NO'.* true or false in YAML"),
        ("n = [1]", {"n": 2}, r"n: \[\[1, 2\], \[3, 4\]\] in a grid"),
        ("n = None", {"n": {1: 2}}, "keys of n must be texts"),
        ("n = None", {"n": object}, "made of None, numbers, texts, lists and tables"),
        ("n = (", {"n": 1}, "cell tagged parameters must be Python"),
    ],
)
def test_r2_what_does_not_fit_is_refused_with_what_to_do(tmp_path, code, given, message):
    with pytest.raises(InputError, match=message):
        check_parameters(book(tmp_path / "own.ipynb", code), given)


@pytest.mark.parametrize(
    "content", ["", "[]", "{", '{"cells": 3}', '{"cells": [1]}', "\x00", "[" * 9999]
)
def test_r2_a_file_that_is_no_notebook_is_refused(tmp_path, content):
    (tmp_path / "own.ipynb").write_text(content)
    for ask in (parameters, code_hash):
        with pytest.raises(InputError, match="A notebook must be a JSON file"):
            ask(tmp_path / "own.ipynb")


def test_r2_a_notebook_in_another_language_is_refused(tmp_path):
    metadata = {"kernelspec": {"name": "ir", "language": "R", "display_name": "R"}}
    with pytest.raises(InputError, match="own.ipynb is in R"):
        parameters(book(tmp_path / "own.ipynb", "n <- 1", metadata=metadata))


def test_r2_run_runs_an_own_notebook_that_declares_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    source = book(tmp_path / "my own.ipynb", "import os\nn = len('a#=')\nm = []", "!echo x\nn")
    result = CliRunner().invoke(app, ["run", str(source), "-p", "n=4", "-p", "m=[1]"])
    assert result.exit_code == 0 and "recorded no evidence" in result.output, result.output


def test_r2_a_parameter_of_a_columns_name_keeps_its_column(tmp_path):
    source = book(tmp_path / "own.ipynb", "seconds = 0\nstate = 'x'")
    table = sweep(
        source, {"seconds": [5], "state": ["y"]}, 1, tmp_path / "runs", show_progress=False
    )
    assert table["parameters.seconds"][0] == 5 and table["parameters.state"][0] == "y"
    assert table["state"][0] == "done"


# r3: grids


@pytest.mark.parametrize(
    "text, value",
    [
        ("1e-3", 0.001), ("1e2", 100.0), ("1E5", 1e5), (".5", 0.5), ("-1.5e+3", -1500.0), ("1.", 1.0),
        ("NO", "NO"), ("no", "no"), ("on", "on"), ("yes", "yes"), ("true", True), ("False", False),
        ("2024-01-01", "2024-01-01"), ("2024-01-01 10:00:00", "2024-01-01 10:00:00"), ("1:30", "1:30"),
        ("010", 10), ("0o10", 8), ("0x1F", 31), ("1_000", "1_000"), ("~", None), ("null", None),
        (".inf", float("inf")), ("-3", -3), ("'1'", "1"), ("12e", "12e"), ("=", "="), ("<<", "<<"),
    ],
)  # fmt: skip
def test_r3_a_scalar_is_what_it_looks_like(tmp_path, text, value):
    (tmp_path / "grid.yaml").write_text(f"a: [{text}]\n")
    (found,) = load_grid(tmp_path / "grid.yaml")["a"]
    assert found == value and type(found) is type(value)


def bomb(levels, width=10):
    lines = ["a0: &a0 [1]"] + [
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * width)}]" for i in range(1, levels)
    ]
    return "\n".join(lines)


@pytest.mark.parametrize(
    "text, message",
    [
        (bomb(10), "at most 100,000 values"),
        ("a: &a [*a]", "alias"),
        ("a: [1]\na: [2]", "'a' is given twice"),
        ("a: [!!python/object/apply:os.system ['ls']]", "could not determine a constructor"),
        ("1: [2]", "must map parameters"),
        ("a: " + "[" * 5000, "A grid must be YAML"),
        ("a: [\x00]", "A grid must be YAML"),
        ("a: [1]\n---\na: [2]", "A grid must be YAML"),
        ("? [1, 2]\n: 3", "A grid must be YAML"),
        ("a: '" + "x" * 2**20 + "'", "at most 1,048,576 bytes"),
    ],
)
def test_r3_h15_a_hostile_grid_is_refused_at_once(tmp_path, text, message):
    (tmp_path / "grid.yaml").write_text(text)
    start = time.monotonic()
    with pytest.raises(InputError, match=message):
        load_grid(tmp_path / "grid.yaml")
    assert time.monotonic() - start < 10


def test_r3_a_grid_of_too_many_runs_is_refused():
    with pytest.raises(InputError, match="at most 100,000 runs. Received: 1,000,000,000"):
        expand({f"p{i}": range(10) for i in range(9)})


def test_r3_a_grid_reaches_the_notebook_as_it_was_written(tmp_path):
    source = book(
        tmp_path / "own.ipynb", "rate = 0.1\ncountry = 'DE'\nday = ''", "rate, country, day"
    )
    (tmp_path / "grid.yaml").write_text("rate: [1e-3]\ncountry: [NO]\nday: [2024-01-01]\n")
    table = sweep(
        source, load_grid(tmp_path / "grid.yaml"), 1, tmp_path / "runs", show_progress=False
    )
    assert shown(table["folder"][0]) == "(0.001, 'NO', '2024-01-01')"


# h13 and h5: ids


@pytest.mark.parametrize(
    "run_id", ["../x", "/tmp/x", "/", ".", "..", "a/b", "", "a b", "x\n", "-x", "a\\b", "\x1b[2J", "x" * 101]
)  # fmt: skip
def test_h13_an_id_is_a_name_and_no_path(tmp_path, monkeypatch, run_id):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    with pytest.raises(InputError, match="The id of a run must be a name"):
        run("volume", {}, ["torch"], run_id=run_id, show_progress=False)
    for words in (["run", "volume", "--id", run_id], ["report", "--", run_id]):
        result = CliRunner().invoke(app, words)
        assert isinstance(result.exception, InputError), words
    assert not (tmp_path / "runs").exists()


def test_h13_a_link_is_no_run(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "runs" / "x").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="no link"):
        run("volume", {}, ["torch"], run_id="x", show_progress=False)
    assert not any((tmp_path / "elsewhere").iterdir())
    assert check_run_id("my-run.2_笔记")


def test_h5_a_second_run_of_one_id_is_refused_while_the_first_is_at_work(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    (tmp_path / "runs" / "one").mkdir(parents=True)
    source = book(tmp_path / "own.ipynb", "n = 1", "n")
    with (tmp_path / "runs" / "one" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RunError, match="'one', which is at work"):
            run(source, {}, ["torch"], run_id="one", show_progress=False)
        assert not (tmp_path / "runs" / "one" / "run.json").exists()
    run(source, {}, ["torch"], run_id="one", show_progress=False)


# Secrets


@pytest.mark.parametrize(
    "name, secret",
    [
        ("password", True), ("db_password", True), ("api_key", True), ("apiKey", True), ("OPENAI_API_KEY", True),
        ("token", True), ("hf_token", True), ("secret", True), ("client_secret", True), ("aws_secret_access_key", True),
        ("credentials", True), ("pwd", True), ("passphrase", True), ("private_key", True),
        ("max_tokens", False), ("tokens", False), ("mask_token", False), ("key", False), ("keys", False),
        ("passes", False), ("author", False), ("secretary", False), ("compass", False), ("bypass", False),
    ],
)  # fmt: skip
def test_a_parameter_named_like_a_secret_is_refused_with_the_way_out(tmp_path, name, secret):
    source = book(tmp_path / "own.ipynb", f"{name} = 'x'")
    if not secret:
        assert check_parameters(source, {name: "y"}) == {name: "y"}
        return
    with pytest.raises(InputError, match="os.environ") as refused:
        plan(source, {name: ["hunter2"]})
    assert "hunter2" not in str(refused.value)


# h16 and damaged evidence

GOOD = {
    "experiment": "volume", "framework": "torch", "seed": 0, "setting": {"n": 50}, "metrics": {"error": 0.5},
    "checks": {}, "data": {"name": "digits", "sha256": "x"}, "versions": {}, "parameters": {}, "code": "c",
    "claims": "d", "commit": "", "key": "k", "wall_s": 1.0, "peak_mib": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        "3",
        '{"metrics": 3}',
        '{"seed": NaN}',
        '{"a": "\\ud800"}',
        "[" * 10**5,
        "\xff\xfe",
    ],
)
def test_h16_a_damaged_line_is_named_by_whoever_reads(tmp_path, monkeypatch, line):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path))
    file = tmp_path / "bad" / "evidence.jsonl"
    file.parent.mkdir()
    (file.parent / "run.json").write_text('{"experiment": "volume", "frameworks": ["torch"]}')
    file.write_bytes(f"{json.dumps(GOOD)}\n{line}\n".encode("latin-1"))
    for ask in (
        rows,
        read,
        verdicts,
        lambda path: report(path.parent),
        lambda path: query("FROM evidence", path),
    ):
        with pytest.raises(InputError, match=r"evidence.jsonl, line 2: "):
            ask(file)
    result = CliRunner().invoke(app, ["report", "bad"])
    assert isinstance(result.exception, InputError)


@pytest.mark.parametrize(
    "change",
    [{"framework": "../x"}, {"framework": 3}, {"data": {"name": "../x"}}, {"data": 3}, {"seed": "a"},
     {"wall_s": None}, {"checks": []}, {"versions": "x"}, {"experiment": None}],
    ids=str,
)  # fmt: skip
def test_h16_a_row_that_is_no_result_is_named_by_the_report(tmp_path, change):
    file = tmp_path / "evidence.jsonl"
    file.write_text(json.dumps(GOOD) + "\n" + json.dumps(GOOD | change) + "\n")
    with pytest.raises(InputError, match=r"evidence.jsonl, line 2: "):
        verdicts(tmp_path)


@pytest.mark.parametrize("content", ["", "{", "[]", '{"experiment": 3, "frameworks": []}', "\x00"])
def test_h16_a_damaged_run_is_named(tmp_path, monkeypatch, content):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "run.json").write_text(content)
    (tmp_path / "one" / "evidence.jsonl").write_text(json.dumps(GOOD) + "\n")
    with pytest.raises(InputError, match="run.json must say"):
        verdicts(tmp_path / "one")


def test_h16_what_stands_in_evidence_does_nothing_to_a_terminal(tmp_path, capsys, monkeypatch):
    evil = "\x1b[2J\x1b]0;title\x07\x9b31m\u202etxt\x08\r"
    file = tmp_path / "evidence.jsonl"
    row = GOOD | {"experiment": evil, "metrics": {evil: 1.0}, "note": evil + "\nnext"}
    file.write_text(json.dumps(row) + "\n" + json.dumps(row | {"seed": 1}) + "\n")
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(row | {"note": "x"}) + "\n")
    for words in (
        ["evidence", "query", "SELECT * FROM evidence", file],
        ["evidence", "diff", file, other],
        ["evidence", "query", f'SELECT "{evil}" FROM evidence2', file],
        ["run", evil],
        ["run", "volume", "-p", f"{evil}=3"],
        ["data", "show", evil],
        ["evidence", "export", tmp_path / "no\x1b[2J" / "x.txt", file],
    ):
        monkeypatch.setattr("sys.argv", ["bigdata-ai", *map(str, words)])
        try:
            main()
        except SystemExit:
            pass
        said = "".join(capsys.readouterr())
        assert said and not _CONTROLS.search(said), words


# r9


@pytest.mark.parametrize("name", ["flights", "reviews", "credit", "flchain", "chicago", "digits"])
def test_r9_every_data_set_is_shown_and_checked(name):
    result = CliRunner().invoke(app, ["data", "show", name])
    assert result.exit_code == 0 and "as recorded" in result.output, result.exception


def test_r9_an_export_to_where_nothing_can_be_written_is_refused(tmp_path):
    file = tmp_path / "evidence.jsonl"
    file.write_text(json.dumps(GOOD) + "\n")
    (tmp_path / "folder.csv").mkdir()
    for path in (
        tmp_path / "evidence.jsonl" / "x.csv",
        tmp_path / "folder.csv",
        Path("/proc/x.csv"),
    ):
        with pytest.raises(InputError, match="An export must go where a file can be written"):
            export(path, file)


@pytest.mark.parametrize(
    "text",
    ["a = ", "full = 3", "[budget]\nseconds = 'x'", "[budget]\nmib = -1", "axes = 'n'", "axes = [1]",
     "claims = [1]", "timeout_s = nan", "[budget]\nsmoke = 3", "\x00", "a = '" + "\udcff'", "title = 3"],
)  # fmt: skip
def test_r2_a_damaged_declaration_is_named(tmp_path, text):
    source = book(tmp_path / "own.ipynb", "n = 1")
    (tmp_path / "own.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InputError, match="own.toml"):
        declared.describe(source)
    with pytest.raises(InputError, match="own.toml"):
        plan(source, {"n": [1]})
    with pytest.raises(InputError):
        read_declaration(tmp_path / "none.toml")
