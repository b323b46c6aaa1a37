"""SQL sources: SQLite, and a real PostgreSQL that the tests start for themselves."""

import datetime
import decimal
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import uuid
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigdata_ai.core import InputError
from bigdata_ai.data.acquire.provenance import SchemaError, SourceError, load_saved, save
from bigdata_ai.data.acquire.sql import check_statement, read_sql, stream_sql

HOSTILE = [
    "x' or 'a' = 'a",
    "'; drop table people; --",
    "\\",
    "' union select password from secrets --",
    "%s",
    ":name",
    "{0}",
    "茶'\"",
    "",
]
PASSWORD = "Pa55-Wort"
SERIES = "generate_series(cast(:one as integer), cast(:rows as integer)) as s(i)"


# A private PostgreSQL


def program(name):
    "A program of PostgreSQL, from the path or from where Debian keeps it."
    versions = sorted(
        Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4])
    )
    found = shutil.which(name) or (str(versions[-1]) if versions else None)
    assert found, (
        f"{name} of PostgreSQL must be installed for these tests. Hint: apt-get install postgresql"
    )
    return found


def unprivileged(*command, folder):
    "Run a command as a user who is not root, since PostgreSQL refuses root."
    before = ["runuser", "-u", "nobody", "--"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*before, *map(str, command)],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def postgres():
    """The address of a fresh PostgreSQL on a free port of this machine, stopped and removed
    afterwards."""
    # not pytest's own folder, which is for root alone
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    data, secret = folder / "data", folder / "password"
    secret.write_text(PASSWORD)
    if os.getuid() == 0:
        shutil.chown(folder, "nobody")
        shutil.chown(secret, "nobody")
    unprivileged(
        program("initdb"),
        "-D",
        data,
        "-U",
        "reader",
        f"--pwfile={secret}",
        "-A",
        "scram-sha-256",
        "-E",
        "UTF8",
        "--locale=C.UTF-8",
        "--no-sync",
        folder=folder,
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off -c"
        " shared_buffers=16MB"
    )
    unprivileged(
        program("pg_ctl"),
        "-D",
        data,
        "-w",
        "-t",
        60,
        "-l",
        folder / "log",
        "-o",
        options,
        "start",
        folder=folder,
    )
    try:
        yield f"postgresql://reader:{PASSWORD}@127.0.0.1:{port}/postgres"
    finally:
        unprivileged(program("pg_ctl"), "-D", data, "-m", "immediate", "stop", folder=folder)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def sqlite(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite') / 'people.db'}"


def filled(address):
    "The same table in either database."
    engine = sqlalchemy.create_engine(
        address.replace("postgresql:", "postgresql+psycopg:"), poolclass=sqlalchemy.pool.NullPool
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("drop table if exists people")
        connection.exec_driver_sql(
            "create table people (id integer primary key, name text, height real, note text)"
        )
        rows = [
            {"id": i, "name": name, "height": 1.5 + i / 8 if i % 2 else None}
            for i, name in enumerate(["Ada", "祖冲之", *HOSTILE])
        ]
        connection.execute(
            sqlalchemy.text("insert into people values (:id, :name, :height, null)"), rows
        )
    return address


@pytest.fixture(params=["sqlite", "postgres"])
def people(request):
    return filled(request.getfixturevalue(request.param))


# Both databases


def test_rows_types_and_provenance(people):
    got = read_sql(
        people, "select id, name, height from people where id < :most order by id;", {"most": 3}
    )
    assert got.table.to_pylist() == [
        {"id": 0, "name": "Ada", "height": None},
        {"id": 1, "name": "祖冲之", "height": 1.625},
        {"id": 2, "name": HOSTILE[0], "height": None},
    ]
    known = got.provenance
    assert known.kind == "sql" and known.hashed == "rows" and known.rows == 3
    assert (
        known.details["parameters"] == {"most": 3}
        and "where id < :most" in known.details["statement"]
    )
    assert (
        PASSWORD not in known.to_json()
        and "reader" not in known.where
        and PASSWORD not in repr(got)
    )


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_parameter_stays_a_value(people, hostile):
    found = (
        read_sql(people, "select name from people where name = :name", {"name": hostile})
        .table["name"]
        .to_pylist()
    )
    assert found == [hostile]
    assert len(read_sql(people, "select id from people")) == 2 + len(HOSTILE)


def test_the_same_value_pasted_would_have_read_everything(people):
    "What the check of statements keeps away: pasted, the first hostile name opens the whole table."
    pasted = f"select id from people where name = '{HOSTILE[0]}'"
    with sqlalchemy.create_engine(
        people.replace("postgresql:", "postgresql+psycopg:")
    ).connect() as connection:
        assert len(connection.exec_driver_sql(pasted).all()) == 2 + len(HOSTILE)
    with pytest.raises(InputError, match="bound, never pasted"):
        read_sql(people, pasted)


@pytest.mark.parametrize(
    "statement",
    [
        "delete from people",
        "update people set name = name",
        "create table other (id integer)",
        "drop table people",
    ],
)
def test_statements_can_only_read(people, statement):
    with pytest.raises((SourceError, InputError)):
        read_sql(people, statement)
    assert len(read_sql(people, "select id from people")) == 2 + len(HOSTILE)


def test_pieces_have_the_same_rows_and_hash_whatever_their_size(people):
    whole = read_sql(people, "select * from people order by id")
    for rows in (1, 3, 100):
        stream = stream_sql(people, "select * from people order by id", rows=rows)
        sizes = [len(piece) for piece in stream]
        assert max(sizes) <= rows and sum(sizes) == len(whole)
        assert stream.provenance.sha256 == whole.provenance.sha256
    assert (
        read_sql(people, "select * from people order by id desc").provenance.sha256
        != whole.provenance.sha256
    )


def test_a_changed_table_is_refused_and_can_be_accepted(people):
    before = read_sql(people, "select * from people")
    engine = sqlalchemy.create_engine(
        people.replace("postgresql:", "postgresql+psycopg:"), poolclass=sqlalchemy.pool.NullPool
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("alter table people rename column height to heights")
    with pytest.raises(SchemaError, match="'height' may now be called 'heights'") as caught:
        read_sql(people, "select * from people", expect=before)
    assert list(caught.value.diff.added) == ["heights"] and list(caught.value.diff.removed) == [
        "height"
    ]
    taken = read_sql(people, "select * from people", expect=before, on_change="accept")
    assert len(taken.provenance.changes) == 2 and taken.provenance.schema["heights"] != "null"


def test_a_stream_is_saved_and_an_unfinished_one_leaves_nothing(people, tmp_path):
    known = save(
        stream_sql(people, "select id, name from people order by id", rows=2),
        tmp_path / "people.parquet",
    )
    again = load_saved(tmp_path / "people.parquet")
    assert again.provenance == known and again.table["name"].to_pylist() == [
        "Ada",
        "祖冲之",
        *HOSTILE,
    ]
    with pytest.raises(SchemaError):
        save(stream_sql(people, "select id from people", expect=again), tmp_path / "other.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "people.parquet",
        "people.parquet.provenance.json",
    ]


def test_a_wrong_statement_is_named_without_parameters(people):
    with pytest.raises(SourceError, match="people|nowhere") as caught:
        read_sql(people, "select id from nowhere where id = :value", {"value": "a-secret-value"})
    assert "a-secret-value" not in str(caught.value) and PASSWORD not in str(caught.value)
    assert caught.value.__suppress_context__


def test_a_function_that_writes_is_stopped_by_the_transaction(postgres):
    "The second lock: this statement passes the check of its text."
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("create sequence if not exists counted")
        with pytest.raises(SourceError, match="read-only transaction"):
            read_sql(postgres, "select nextval(:name)", {"name": "counted"})
        assert connection.execute("select nextval('counted')").fetchone() == (1,)


# Statements


@given(
    st.one_of(
        st.integers(0, 10**9).map(str),
        st.text().map(lambda text: "'" + text.replace("'", "''") + "'"),
        st.floats(0, 1e6, allow_nan=False).map(str),
    )
)
def test_every_pasted_value_is_found(value):
    with pytest.raises(InputError):
        check_statement(f"select * from people where name = {value}", {})


@pytest.mark.parametrize("name", HOSTILE)
def test_every_hostile_name_is_refused_when_pasted(name):
    with pytest.raises(InputError):
        check_statement(f"select * from people where name = '{name}'", {})


@pytest.mark.parametrize(
    "statement",
    [
        "select a.b, c::text from t as a where x = :x and y % z > w",
        "with s as (select x from t) select * from s where x=:x;",
        "select 数 from 表 where x = :x",
    ],
)
def test_honest_statements_pass(statement):
    assert check_statement(statement, {"x": 1}) == statement


def test_sqlite_takes_a_quoted_name_for_a_text_and_is_not_asked(tmp_path):
    """A value pasted in double quotes is a name to the tokenizer, and a text to SQLite if no column
    has it."""
    address = filled(f"sqlite:///{tmp_path / 'people.db'}")
    pasted = 'select id from people where name = "x" or "a" = "a"'
    with sqlite3.connect(tmp_path / "people.db") as careless:
        assert len(careless.execute(pasted).fetchall()) == 2 + len(HOSTILE)
    careless.close()
    with pytest.raises(InputError, match="quoted names"):
        read_sql(address, pasted)
    assert len(read_sql(address, 'select "id" from people;', constants=["id"])) == 2 + len(HOSTILE)


def test_listed_constants_pass_and_only_they():
    assert check_statement(
        'select "O\'Brien; --", "a""b" from t', {}, constants=["O'Brien; --", 'a"b']
    )
    assert check_statement("select date_trunc('day', t), -5 from x", {}, constants=["day", -5])
    with pytest.raises(InputError, match="'hour'"):
        check_statement("select date_trunc('hour', t) from x", {}, constants=["day"])


@pytest.mark.parametrize("parameters", [{}, {"name": 1, "other": 2}, {"nam": 1}])
def test_parameters_and_names_must_be_the_same(parameters):
    with pytest.raises(InputError, match="name"):
        check_statement("select * from people where name = :name", parameters)


# SQLite


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(
    st.lists(
        st.tuples(
            st.none() | st.integers(-(2**63), 2**63 - 1),
            st.none() | st.text(),
            st.none() | st.floats(allow_nan=False),
            st.none() | st.binary(),
        ),
        max_size=8,
    )
)
def test_whatever_sqlite_holds_comes_back(tmp_path, rows):
    path = tmp_path / "any.db"
    with sqlite3.connect(path) as connection:
        connection.execute("drop table if exists t")
        connection.execute("create table t (a integer, b text, c real, d blob)")
        connection.executemany("insert into t values (?, ?, ?, ?)", rows)
    connection.close()
    got = read_sql(path, "select * from t order by rowid")
    assert [tuple(row.values()) for row in got.table.to_pylist()] == rows


def test_r1_sqlite_columns_that_mix_types_become_texts_with_a_note(tmp_path):
    with sqlite3.connect(tmp_path / "mixed.db") as connection:
        connection.execute("create table t (a)")
        connection.executemany("insert into t values (?)", [(1,), ("one",), (2.5,)])
    connection.close()
    acquired = read_sql(tmp_path / "mixed.db", "select a from t")
    assert acquired.table["a"].to_pylist() == ["1", "one", "2.5"]
    assert "'a' mixes texts, such as 'one', with numbers" in acquired.notes[0]
    assert "'a' mixes" in repr(acquired)
    for types in ("string", {"a": "string"}):
        wanted = read_sql(tmp_path / "mixed.db", "select a from t", types=types)
        assert wanted.table["a"].to_pylist() == ["1", "one", "2.5"] and wanted.notes == ()
    with pytest.raises(SchemaError, match="in all its parts"):
        list(stream_sql(tmp_path / "mixed.db", "select a from t", rows=1))


def test_a_damaged_sqlite_file_is_named(tmp_path):
    (tmp_path / "torn.db").write_bytes(b"SQLite format 3\0" + b"x" * 500)
    with pytest.raises(SourceError, match="torn.db"):
        read_sql(tmp_path / "torn.db", "select a from t")
    with pytest.raises(SourceError, match="none.db"):
        read_sql(tmp_path / "none.db", "select a from t")
    assert not (tmp_path / "none.db").exists()


# PostgreSQL


def test_postgres_says_its_types(postgres):
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("drop table if exists kinds")
        connection.execute(
            "create table kinds (a smallint, b bigint, c numeric(9, 2), d date, e timestamptz, f"
            " timestamp, g boolean, h uuid, i jsonb, j bytea, k real, l double precision, m"
            " char(3), n time, o integer[], p numeric)"
        )
        connection.execute(
            "insert into kinds values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
            " %s, %s)",
            (
                1,
                2**60,
                "12.50",
                "2024-02-29",
                "2024-02-29 12:00+08",
                "2024-02-29 12:00",
                True,
                str(uuid.UUID(int=7)),
                '{"数": [1, null]}',
                b"\0\1",
                0.5,
                0.1,
                "abc",
                "23:59:59.5",
                [1, 2],
                "1.25",
            ),
        )
        connection.execute("insert into kinds (a) values (null)")
    got = read_sql(postgres, "select * from kinds order by a")
    assert got.provenance.schema == {
        "a": "int16",
        "b": "int64",
        "c": "decimal",
        "d": "date",
        "e": "timestamp UTC",
        "f": "timestamp",
        "g": "bool",
        "h": "string",
        "i": "string",
        "j": "binary",
        "k": "float32",
        "l": "float64",
        "m": "string",
        "n": "time",
        "o": "list<int64>",
        "p": "decimal",
    }
    row, empty = got.table.to_pylist()
    assert (
        row["c"] == decimal.Decimal("12.50")
        and row["d"] == datetime.date(2024, 2, 29)
        and row["o"] == [1, 2]
    )
    assert row["e"] == datetime.datetime(2024, 2, 29, 4, tzinfo=datetime.UTC)
    assert row["h"].endswith("07") and row["i"] == '{"数": [1, null]}'
    assert set(empty.values()) == {None}
    first = next(stream_sql(postgres, "select * from kinds where a is null", rows=1).tables())
    assert first.schema.field("e").type == pa.timestamp("us", "UTC"), (
        "a column without a value has its type as well"
    )


def test_postgres_streams_through_a_server_side_cursor_in_flat_memory(postgres):
    """Forty thousand rows of 5 kB are 200 MB, and a piece is 2.5 MB. In a process of its own: the growth of the peak while they are
    streamed, and when a plain cursor fetches them, which shows that the bound can be exceeded."""
    program = textwrap.dedent("""
        import re, sys
        import psycopg
        from bigdata_ai.data.acquire.sql import stream_sql
        peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]) / 1024
        statement = ("select i, repeat(md5(i::text), cast({} as integer)) as text "
                     "from generate_series(cast({} as integer), cast({} as integer)) as s(i)")
        def rows(number):
            parameters = {"times": 160, "one": 1, "rows": number}
            return sum(map(len, stream_sql(sys.argv[1], statement.format(":times", ":one", ":rows"), parameters, rows=500).tables()))
        rows(2_000)
        before = peak()
        assert rows(40_000) == 40_000
        streamed = peak()
        with psycopg.connect(sys.argv[1]) as connection: connection.execute(statement.format(160, 1, 40_000))
        print(streamed - before, peak() - before)
    """)
    done = subprocess.run(
        [sys.executable, "-c", program, postgres], capture_output=True, text=True, check=True
    )
    streamed, fetched = map(float, done.stdout.split())
    assert streamed < 60 < fetched, "the result is held by the server, not by the client"


@pytest.mark.parametrize(
    "address, what",
    [
        ("postgresql://reader:wrong-word@127.0.0.1:{port}/postgres", "127.0.0.1"),
        ("postgresql://reader:wrong-word@127.0.0.1:1/postgres", "127.0.0.1:1/postgres"),
    ],
)
def test_a_database_that_does_not_answer_is_named_without_its_password(postgres, address, what):
    port = postgres.rpartition(":")[2].partition("/")[0]
    with pytest.raises(SourceError, match=what) as caught:
        read_sql(address.format(port=port), "select name from people")
    assert "wrong-word" not in str(caught.value)


def test_a_connection_that_breaks_leaves_the_last_good_file(postgres, tmp_path):
    "The server ends the session while its rows are being saved."
    path = tmp_path / "rows.parquet"
    save(read_sql(postgres, f"select i from {SERIES}", {"one": 1, "rows": 3}), path)
    statement = (
        "select i, case when i > :most then pg_terminate_backend(pg_backend_pid()) end as ended "
        f"from {SERIES}"
    )
    with pytest.raises(SourceError, match="127.0.0.1"):
        save(
            stream_sql(postgres, statement, {"one": 1, "most": 4_000, "rows": 9_000}, rows=500),
            path,
        )
    assert load_saved(path).provenance.rows == 3
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "rows.parquet",
        "rows.parquet.provenance.json",
    ]


@pytest.mark.parametrize("database", ["no address", "mysql://u:geheim@h/d", "://u:geheim@h"])
def test_other_databases_are_refused(database):
    with pytest.raises((InputError, SourceError)) as caught:
        read_sql(database, "select a from b")
    assert "geheim" not in str(caught.value)


def test_h7_a_statement_of_postgres_without_end_is_refused_by_the_name_of_its_limit(postgres):
    with pytest.raises(SourceError, match="longest_s.*0.5 s"):
        read_sql(postgres, "select pg_sleep(:s) as s", {"s": 60}, longest_s=0.5)
    many = {"a": 1, "b": 10**9}
    with pytest.raises(SourceError, match="most_bytes.*100,000"):
        read_sql(postgres, "select generate_series(:a, :b) as i", many, most_bytes=100_000)


@pytest.mark.parametrize(
    "statement",
    [
        "copy people to program :w",
        "copy (select id from people) to :w",
        "set transaction read write",
        "select set_config(:k, :v, false) as x from people",
        "with d as (delete from people returning id) select id from d",
        "lock table people",
    ],
)
def test_h14_the_reading_door_of_postgres_leaves_no_file_and_changes_nothing(postgres, statement):
    filled(postgres)
    known = {"w": "/tmp/h14-written", "k": "transaction_read_only", "v": "off"}
    named = {name: value for name, value in known.items() if f":{name}" in statement}
    constants = ["false"] if "false" in statement else []
    with pytest.raises((SourceError, InputError)):
        read_sql(postgres, statement, named, constants=constants)
    assert len(read_sql(postgres, "select id from people")) == 2 + len(HOSTILE)
    assert not Path("/tmp/h14-written").exists()
