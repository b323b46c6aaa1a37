"""Evidence asked in SQL: nothing half, nothing lost, nothing written; exports and comparisons that
agree with it."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import warnings
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import csv, parquet

from bigdata_ai import cli
from bigdata_ai.core import InputError, MissingExtraError, data_path
from bigdata_ai.experiment import evidence
from bigdata_ai.experiment.query import _flat, diff, export, query, summary, to_mlflow, view

RECORDED = data_path() / "evidence"


def row(n=50, seed=0, error=0.25, framework="torch", **more):
    return {
        "experiment": "demo",
        "framework": framework,
        "seed": seed,
        "setting": {"n": n},
        "metrics": {"error": error},
        **more,
    }


def write(path, *rows):
    for one in rows:
        evidence.append(path, one)
    return path


@pytest.fixture
def file(tmp_path):
    return write(
        tmp_path / "runs" / "a" / "evidence.jsonl",
        row(),
        row(n=100, error=0.125),
        row(seed=1, data={"name": "数字 é'\"", "rows": [1, 2]}),
    )


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    "Runs of this test alone."
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))


# The table


def test_the_recorded_evidence_is_what_read_gives_with_its_file_and_line():
    path = RECORDED / "volume.jsonl"
    table, known = query("SELECT * FROM evidence", path), evidence.read(path)
    assert table["file"].unique().tolist() == ["data/evidence/volume.jsonl"] and table[
        "line"
    ].tolist() == list(range(1, len(known) + 1))
    table = table.drop(columns=["file", "line"])
    table["parameters.hidden"] = table["parameters.hidden"].map(list)
    assert sorted(table) == sorted(known)
    table, known = (
        one.astype(object).where(one.notna(), None) for one in (table, known[table.columns])
    )
    pd.testing.assert_frame_equal(table, known)


NAMES = st.text("abcdé数", min_size=1, max_size=3)
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-9, 9),
    st.text(max_size=3),
    st.lists(st.integers(0, 3), max_size=2),
)
NESTED = st.recursive(VALUES, lambda inner: st.dictionaries(NAMES, inner, max_size=3), max_leaves=6)


@settings(max_examples=60, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "setting": st.dictionaries(NAMES, NESTED, max_size=3),
            "metrics": st.dictionaries(NAMES, VALUES, max_size=2),
            "data": NESTED,
            "k": NESTED,
        }
    )
)
def test_names_and_values_are_those_of_read_for_any_row(tmp_path_factory, given_row):
    path = write(tmp_path_factory.mktemp("any") / "evidence.jsonl", given_row)
    known = evidence.read(path)
    assert _flat(given_row) == {name: known[name].iloc[0] for name in known}


def test_files_of_different_form_are_united_by_name_and_whole_numbers_stay_whole(tmp_path, file):
    other = {
        "experiment": "other",
        "seed": 2**53 + 1,
        "setting": {"N": "all", "line": 7},
        "metrics": {},
    }
    write(tmp_path / "runs" / "b" / "evidence.jsonl", other)
    table = query(
        """SELECT seed, n, "N_1", line, line_1, file, "data.rows" FROM evidence ORDER BY file, line""",
        tmp_path / "runs",
    )
    assert table["seed"].tolist() == [0, 0, 1, 2**53 + 1] and table["line"].tolist() == [1, 2, 3, 1]
    assert table["N_1"].dropna().tolist() == ["all"]
    assert (
        table["line_1"].dropna().tolist() == [7]
        and table["file"].nunique() == 2
        and list(table["data.rows"][2]) == [1, 2]
    )
    with view(file, tmp_path / "runs") as engine:
        assert engine.sql(
            "SELECT typeof(n), typeof(line_1), count(*) FROM evidence GROUP BY ALL"
        ).fetchall() == [("BIGINT", "BIGINT", 4)]


def test_values_of_several_kinds_become_text(tmp_path):
    path = write(
        tmp_path / "e.jsonl", row(n=50), row(n="全部"), row(n=[1, {"a": None}]), row(n=None)
    )
    assert query("SELECT n FROM evidence WHERE n IS NOT NULL", path)["n"].tolist() == [
        "50",
        "全部",
        '[1, {"a": null}]',
    ]


def test_unicode_is_found(file):
    assert query(
        """SELECT "data.name" AS name FROM evidence WHERE "data.name" LIKE '数字%'""", file
    )["name"].tolist() == ["数字 é'\""]


def test_by_default_recorded_evidence_and_all_runs_are_read(file):
    found = query("SELECT DISTINCT file FROM evidence")["file"].tolist()
    assert "data/evidence/volume.jsonl" in found and any(
        name.endswith("runs/a/evidence.jsonl") for name in found
    )


# Lines that are no rows


def test_an_empty_folder_and_a_missing_one_are_clear_errors(tmp_path):
    with pytest.raises(InputError, match=r"must be evidence to read\. Received: .*Hint"):
        view(tmp_path)
    with pytest.raises(InputError, match=r"must exist\. Received: .*nowhere"):
        view(tmp_path / "nowhere")
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(InputError, match="must be evidence"):
        view(tmp_path)


def test_a_torn_last_line_of_a_run_is_left_out_with_its_place_and_written_over_later(file):
    file.write_bytes(file.read_bytes() + '{"n": 2, "err数'.encode()[:-1])
    with pytest.warns(UserWarning, match=r"evidence\.jsonl, line 4: the torn last line"):
        assert query("SELECT count(*) AS c FROM evidence", file)["c"].tolist() == [3]
    write(file, row(seed=9))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert query("SELECT max(seed) AS s FROM evidence", file)["s"].tolist() == [9]


def test_a_torn_last_line_of_recorded_evidence_is_an_error(tmp_path, monkeypatch, file):
    monkeypatch.setattr("bigdata_ai.experiment.query.data_path", lambda: tmp_path)
    path = write(tmp_path / "evidence" / "demo.jsonl", row())
    assert len(query("FROM evidence", path)) == 1
    path.write_bytes(path.read_bytes() + b'{"n"')
    with pytest.raises(InputError, match=r"whole line\. Received: .*/evidence/demo\.jsonl, line 2"):
        view(path)


@pytest.mark.parametrize(
    "line",
    [b'{"n": 1', b"", b"[1]", b"\xff\xfe", b'{"n": NaN}', b'{"setting": 3}', b'{"a": 1}{"b": 2}'],
)
def test_a_whole_line_that_is_no_row_is_named(file, line):
    file.write_bytes(file.read_bytes() + line + b"\n")
    write(file, row(seed=9))
    with pytest.raises(InputError, match=r"evidence\.jsonl, line 4: .*Hint"):
        view(file)


def test_a_reader_waits_for_the_writer_that_holds_the_file(file):
    whole, answers = (json.dumps(row(seed=7)) + "\n").encode(), []
    with warnings.catch_warnings(), file.open("ab", buffering=0) as writer:
        warnings.simplefilter("error")
        fcntl.flock(writer, fcntl.LOCK_EX)
        writer.write(whole[:30])
        reader = threading.Thread(
            target=lambda: answers.append(
                query("SELECT max(seed) AS s FROM evidence", file)["s"].tolist()
            )
        )
        reader.start()
        reader.join(0.4)
        assert reader.is_alive() and answers == []
        writer.write(whole[30:])
        fcntl.flock(writer, fcntl.LOCK_UN)
        reader.join(20)
    assert answers == [[7]]


WRITER = """
import os, signal, sys
from bigdata_ai.experiment import evidence
path, name, count, torn = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
whole = os.pwrite
def half(handle, line, at):
    whole(handle, line[:len(line) // 2], at)
    os.kill(os.getpid(), signal.SIGKILL)
for i in range(count):
    if i == torn: os.pwrite = half
    evidence.append(path, {"writer": name, "i": i, "text": "数据" * (500 * (i % 7))})
    print(i, flush=True)
"""


TOLD = """SELECT writer, count(*) AS c, max(i) + 1 AS m, bool_and(length(text) = 1000 * (i % 7)) AS whole
          FROM evidence GROUP BY writer ORDER BY writer"""


def test_two_writers_one_killed_in_the_middle_of_a_line_show_no_half_line_and_lose_none(tmp_path):
    path, seen = write(tmp_path / "evidence.jsonl", {"writer": "first", "i": 0, "text": ""}), []
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path), *how], stdout=subprocess.PIPE)
        for how in (("stays", "300", "-1"), ("dies", "200", "120"))
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while not seen or any(writer.poll() is None for writer in writers):
            told = query(TOLD, path)
            assert (told["c"] == told["m"]).all() and told["whole"].all()
            seen.append(told["c"].sum())
        final = query(TOLD, path)
    acknowledged = [len(writer.stdout.read().split()) for writer in writers]
    assert acknowledged == [300, 120] and [writer.wait() for writer in writers] == [0, -9]
    assert final["c"].tolist() == [120, 1, 300] and seen == sorted(seen) and len(set(seen)) > 2


# Reading only


@pytest.mark.parametrize(
    "sql",
    [
        "COPY evidence TO '{0}/stolen.csv'",
        "COPY (SELECT 1) TO '{0}/stolen.parquet'",
        "ATTACH '{0}/stolen.db'",
        "EXPORT DATABASE '{0}/stolen'",
        "INSERT INTO evidence VALUES (1)",
        "CREATE TABLE stolen AS FROM evidence",
        "DROP VIEW evidence",
        "UPDATE evidence SET n = 1",
        "DELETE FROM evidence",
        "SELECT * FROM read_csv('{0}/secret.csv')",
        "SELECT * FROM read_text('{0}/secret.csv')",
        "SELECT * FROM '{0}/secret.csv'",
        "SELECT * FROM glob('{0}/*')",
        "SELECT * FROM read_json('{0}/secret.csv')",
        "SET enable_external_access = true",
        "SET threads = 1",
        "RESET lock_configuration",
        "INSTALL httpfs",
        "LOAD httpfs",
        "PRAGMA database_list",
        "SELECT 1; COPY evidence TO '{0}/stolen.csv'",
        "SELECT 1; SELECT 2",
        "SELECT 1; CREATE TABLE stolen (a INT)",
        "WITH w AS (INSERT INTO evidence VALUES (1) RETURNING 1) FROM w",
        "EXPLAIN ANALYZE COPY evidence TO '{0}/stolen.csv'",
        "FROM query('COPY evidence TO ''{0}/stolen.csv''')",
        "CALL pragma_version()",
        "",
        "SELECT (",
        "SELECT * FROM secret",
    ],
)
def test_sql_cannot_write_or_read_a_file(tmp_path, file, sql):
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    before = file.read_bytes()
    with pytest.raises(InputError, match=r"^A query must"):
        query(sql.format(tmp_path), file)
    assert file.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == [
        "runs",
        "secret.csv",
    ]


def test_the_connection_itself_is_locked(tmp_path, file):
    with view(file) as engine:
        for sql in (
            f"COPY evidence TO '{tmp_path}/stolen.csv'",
            "SET enable_external_access = true",
            "INSERT INTO evidence SELECT * FROM evidence",
            f"FROM read_blob('{file}')",
        ):
            with pytest.raises(Exception, match="disabled|locked|not an table|not a table"):
                engine.execute(sql)
        frame = pd.DataFrame({"a": [1]})
        with pytest.raises(Exception, match="frame does not exist"):
            engine.execute("FROM frame")
        assert len(frame) == 1 and engine.execute("SELECT count(*) FROM evidence").fetchall() == [
            (3,)
        ]
    assert not (tmp_path / "stolen.csv").exists()


@pytest.mark.parametrize(
    "sql, message",
    [
        ("SELECT eror FROM evidence", 'Received: eror. Hint: nearest: "error"'),
        ("SELECT evidence.Sed FROM evidence", 'nearest: "seed"'),
        ("SELECT rows FROM evidence", 'nearest: "data.rows"'),
        (
            "SELECT data.name FROM evidence",
            'double quotes. Received: data.… Hint: "data.name", "data.rows".',
        ),
        ("SELECT zzzzzz FROM evidence", "known: file, line, "),
        ("SELECT * FROM evidenc", "from the view evidence"),
        ("SELECT sum(framework) FROM evidence", "No function matches"),
        ("SELECT CAST(framework AS INT) FROM evidence", "Could not convert"),
    ],
)
def test_a_wrong_query_says_what_is_meant(file, sql, message):
    with pytest.raises(InputError) as told:
        query(sql, file)
    assert message in str(told.value)


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE evidence",
        "SUMMARIZE evidence",
        "EXPLAIN FROM evidence",
        "VALUES (1)",
        "WITH a AS (FROM evidence) FROM a",
        "PIVOT evidence ON framework USING avg(error) GROUP BY n",
    ],
)
def test_every_form_of_reading_is_answered(file, sql):
    assert len(query(sql, file)) > 0


# Exports


def test_csv_and_parquet_hold_the_same_as_the_query(tmp_path, file):
    write(
        file,
        row(n=None, seed=3, note=""),
        row(n=2**60 + 1, seed=4, note='a "b",\n数', error=0.1 + 0.2),
    )
    whole = parquet.read_table(export(tmp_path / "out" / "all.parquet", file))
    with view(file) as engine:
        assert whole.equals(engine.sql("FROM evidence").to_arrow_table())
    types = {
        **dict(zip(whole.schema.names, whole.schema.types, strict=True)),
        "data.rows": "string",
    }
    convert = csv.ConvertOptions(
        column_types=types, strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    lines = csv.ParseOptions(newlines_in_values=True)
    text = csv.read_csv(
        export(tmp_path / "all.csv", file), parse_options=lines, convert_options=convert
    )
    lists = [
        None if value is None else json.dumps(value) for value in whole["data.rows"].to_pylist()
    ]
    assert text["data.rows"].to_pylist() == lists
    assert text.drop_columns("data.rows").to_pylist() == whole.drop_columns("data.rows").to_pylist()
    assert [one for one in os.listdir(tmp_path) if one.startswith(".")] == []


def test_an_export_of_a_query_and_what_fails_leaves_the_old_file(tmp_path, file, monkeypatch):
    path = export(
        tmp_path / "some.csv",
        file,
        sql="SELECT n, max(error) AS e FROM evidence GROUP BY n ORDER BY n",
    )
    assert path.read_text() == '"n","e"\n50,0.25\n100,0.125\n'
    for sql in (
        "SELECT nothing FROM evidence",
        "SELECT CAST(framework AS INT) FROM evidence",
        "DROP VIEW evidence",
    ):
        with pytest.raises(InputError):
            export(path, file, sql=sql)
    assert path.read_text().startswith('"n","e"') and os.listdir(tmp_path / "runs" / "a") == [
        "evidence.jsonl"
    ]

    def full(*_):
        raise OSError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="full"):
        patch.setattr("bigdata_ai.core.os.replace", full)
        export(path, file)
    assert path.read_text().startswith('"n","e"') and sorted(os.listdir(tmp_path)) == [
        "runs",
        "some.csv",
    ]
    with pytest.raises(InputError, match=r"must be one of '\.csv', '\.parquet'"):
        export(tmp_path / "some.xls", file)


# Comparison


def test_a_set_is_the_same_as_itself():
    table = diff(RECORDED / "volume.jsonl", RECORDED / "volume.jsonl")
    assert (
        summary(table).to_dict() == {"added": 0, "removed": 0, "changed": 0, "same": len(table)}
        and len(table) == 140
    )
    assert (table["error.difference"] == 0).all() and (
        table["error.before"] == table["error.after"]
    ).all()


def test_all_recorded_evidence_can_be_asked_and_compared():
    table = query("SELECT experiment, count(*) AS rows FROM evidence GROUP BY ALL", RECORDED)
    assert table["rows"].sum() == len(diff(RECORDED, RECORDED, by=("data.name",))) and set(
        table["experiment"]
    ) >= {"volume"}
    # some experiments are recorded on two data sets
    with pytest.raises(InputError, match="by=\\('data.name',\\)"):
        diff(RECORDED, RECORDED)


def test_added_removed_changed_and_same_are_told_apart(tmp_path):
    old = write(
        tmp_path / "old.jsonl",
        row(n=1),
        row(n=2),
        row(n=4, checks={"overlap": 0}),
        row(n=5, data={"sha256": "a"}),
        row(n=3, code="x", versions={"numpy": "1"}, time="a", wall_s=1.0, commit="p", key="q"),
    )
    new = write(
        tmp_path / "new.jsonl",
        row(n=2, error=0.5),
        row(n=4, checks={"overlap": 3}),
        row(n=5, data={"sha256": "b"}),
        row(n=3, code="y", versions={"numpy": "2"}, time="b", wall_s=2.0, commit="r", key="s"),
        row(n=1, framework="tensorflow"),
    )
    table = diff(old, new).set_index(["framework", "n"])
    assert table["state"].to_dict() == {
        ("torch", 1): "removed",
        ("torch", 2): "changed",
        ("torch", 4): "changed",
        ("torch", 5): "same",
        ("torch", 3): "same",
        ("tensorflow", 1): "added",
    }
    assert table["differs"].tolist() == ["", "metrics", "checks", "data", "code, versions", ""]
    assert table.loc[
        ("torch", 2), ["error.before", "error.after", "error.difference"]
    ].tolist() == [0.25, 0.5, 0.25]
    assert table.loc[("torch", 1), ["error.after", "error.difference"]].isna().all()
    parts = {f"different {part}": 1 for part in ("metrics", "code", "versions", "checks", "data")}
    assert summary(diff(old, new)).to_dict() == {
        "added": 1,
        "removed": 1,
        "changed": 2,
        "same": 2,
        **parts,
    }
    back = summary(diff(new, old))
    assert back["added"] == 1 and back["removed"] == 1 and back["changed"] == 2


def test_a_metric_that_is_new_or_gone_is_a_change(tmp_path):
    old, new = (
        write(tmp_path / "old.jsonl", row()),
        write(tmp_path / "new.jsonl", {**row(), "metrics": {"error": 0.25, "ece": 0.1}}),
    )
    table = diff(old, new)
    assert (
        table["state"].tolist() == ["changed"]
        and table["ece.after"].tolist() == [0.1]
        and table["ece.before"].isna().all()
    )


def test_two_answers_for_one_result_are_refused_unless_a_column_tells_them_apart(tmp_path):
    path = write(
        tmp_path / "old.jsonl", row(), row(time="later"), row(data={"name": "b"}, error=0.5)
    )
    with pytest.raises(InputError, match=r"once in a set.*old\.jsonl, line 3.*by="):
        diff(path, path)
    assert diff(path, path, by=("data.name",))["state"].tolist() == ["same", "same"]


# MLflow


def test_mlflow_gets_one_run_a_row_once(tmp_path, file):
    assert to_mlflow(tmp_path / "track", file) == 3 and to_mlflow(tmp_path / "track", file) == 0
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'track' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("demo").experiment_id
    runs = {
        run.data.params["setting.n"] + run.data.params["seed"]: run
        for run in client.search_runs([experiment])
    }
    assert sorted(runs) == ["1000", "500", "501"] and runs["1000"].data.metrics == {"error": 0.125}
    assert (
        runs["501"].data.tags["data.name"] == "数字 é'\""
        and runs["500"].data.params["framework"] == "torch"
    )
    client.update_run(runs["500"].info.run_id, status="RUNNING")  # as a killed process leaves it
    write(file, row(seed=5), row(seed=5))
    assert to_mlflow(tmp_path / "track", file) == 2 and len(client.search_runs([experiment])) == 4


def test_without_mlflow_the_extra_is_named(tmp_path, file, monkeypatch):
    monkeypatch.setattr("bigdata_ai.core.installed", lambda module: False)
    with pytest.raises(MissingExtraError, match=r"bigdata-ai\[mlflow\]"):
        to_mlflow(tmp_path / "track", file)


# The command line


@pytest.fixture
def command(monkeypatch, capsys):
    "The command line in this process: status, standard output, standard error."

    def run(*words, columns=100):
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setattr(sys, "argv", ["bigdata-ai", "evidence", *map(str, words)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        told = capsys.readouterr()
        return end.value.code or 0, told.out, told.err

    return run


def test_query_prints_a_table_that_fits(command, file):
    sql = "SELECT n, avg(error) AS e FROM evidence GROUP BY n ORDER BY n"
    assert command("query", sql, file) == (0, "n    e\n50   0.25\n100  0.125\n", "")
    status, text, _ = command(
        "query",
        "SELECT repeat('x', 99) AS wide, * FROM evidence",
        RECORDED / "volume.jsonl",
        columns=80,
    )
    *table, rows, columns = text.splitlines()
    assert status == 0 and len(table) == 51 and max(map(len, table)) <= 80
    assert rows == "… 90 more rows" and columns.startswith("… more columns: ")


def test_a_torn_line_is_a_warning_beside_the_table(command, file):
    file.write_bytes(file.read_bytes() + b'{"n')
    status, text, said = command("query", "SELECT count(*) AS c FROM evidence", file)
    assert (
        (status, text) == (0, "c\n3\n")
        and said.startswith("Warning: ")
        and "line 4" in said
        and said.count("\n") == 1
    )


@pytest.mark.parametrize(
    "words, message",
    [
        (("query", "SELECT eror FROM evidence"), 'nearest: "error"'),
        (("query", "COPY evidence TO 'stolen.csv'"), "one statement that reads"),
        (("export", "all.xls"), "must be one of '.csv', '.parquet'"),
        (("diff", "nowhere", "nowhere"), "must exist"),
    ],
)
def test_a_mistake_is_a_message_and_status_2(command, words, message):
    status, text, said = command(*words)
    assert status == 2 and text == "" and said.startswith("Error: ") and message in said


def test_export_and_diff(command, tmp_path, file):
    target = tmp_path / "n.csv"
    assert command("export", target, file, "--sql", "SELECT n FROM evidence LIMIT 1") == (
        0,
        f"exported: {target}\n",
        "",
    )
    assert target.read_text() == '"n"\n50\n'
    other = write(tmp_path / "other.jsonl", row(error=0.5), row(n=100, error=0.125))
    status, text, _ = command("diff", file, other, columns=120)
    counts = dict(line.split() for line in text.splitlines()[:4])
    assert status == 0 and counts == {"added": "0", "removed": "1", "changed": "1", "same": "1"}
    assert any(
        line.split() == ["demo", "torch", "0", "50", "changed", "metrics", "0.25", "0.5", "0.25"]
        for line in text.splitlines()
    )
    assert "100" not in text


def test_help_names_the_commands_and_the_installed_program_knows_them():
    program = Path(sys.executable).with_name("bigdata-ai")
    shown = subprocess.run(
        [program, "evidence", "--help"], capture_output=True, text=True, check=True
    )
    assert all(word in shown.stdout for word in ("query", "export", "diff"))
