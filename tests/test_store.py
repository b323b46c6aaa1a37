"""A lake keeps every committed row: through kills, damage, other writers, other schemas, on any
root, for any engine."""

import contextlib
import datetime as dt
import decimal
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import fsspec
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest
import requests
from fsspec.implementations.memory import MemoryFile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigdata_ai.core import ContentError, InputError, rng
from bigdata_ai.data.acquire.provenance import SchemaDiff
from bigdata_ai.data.spark import spark_session
from bigdata_ai.data.store.lake import Lake
from bigdata_ai.data.store.schema import LakeError, lake_schema, schema_diff


@pytest.fixture(params=["folder", "memory"])
def root(request, tmp_path):
    "A root that delta-rs speaks, and one that only fsspec speaks."
    return (
        str(tmp_path / "lake") if request.param == "folder" else f"memory://{uuid.uuid4().hex}/lake"
    )


@pytest.fixture
def lake(tmp_path):
    "Three files in two partitions, versions 0 and 1."
    lake = Lake(tmp_path / "lake")
    lake.append(
        pa.table({"month": [1, 1, 2], "id": [0, 1, 2], "delay": [4.0, None, -2.0]}),
        partition_by="month",
    )
    lake.append(pa.table({"month": [2], "id": [3], "delay": [61.0]}), note="late")
    return lake


@pytest.fixture(scope="module")
def spark():
    return spark_session()


def rows(table, *columns):
    "Rows as a sorted list, since a lake promises no order."
    return sorted(
        (tuple(row[name] for name in columns or table.column_names) for row in table.to_pylist()),
        key=repr,
    )


def python(program, *arguments):
    "Run a program in a process of its own."
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True
    )


# Versions


def test_each_change_is_a_version_that_stays_readable(root):
    lake = Lake(root)
    assert not lake.exists() and "empty" in repr(lake)
    assert lake.append(pa.table({"i": [0, 1]})) == 0
    assert lake.append(pa.table({"i": [2]})) == 1
    assert lake.delete("i = 1") == 1
    assert lake.compact() == {"files_added": 1, "files_removed": 2}
    assert lake.overwrite(pa.table({"i": [9]})) == 4
    assert lake.restore(1) == 5
    want = [[0, 1], [0, 1, 2], [0, 2], [0, 2], [9], [0, 1, 2]]
    assert [sorted(lake.read(version=v)["i"].to_pylist()) for v in range(6)] == want
    assert lake.version == 5 and len(lake) == 3 and "3 rows" in repr(lake)
    assert [sorted(lake.scan(version=v).collect()["i"].to_list()) for v in (0, 5)] == [
        want[0],
        want[5],
    ]
    assert lake.sql("select sum(i) from lake", version=1).fetchall() == [(3,)]


def test_history_says_what_each_commit_did(lake):
    lake.delete("delay < 0", note="negative")
    history = lake.history()
    assert list(history.index) == [2, 1, 0] and list(history["operation"]) == [
        "DELETE",
        "WRITE",
        "WRITE",
    ]
    assert list(history["rows_added"]) == [0, 1, 3] and list(history["rows_deleted"]) == [1, 0, 0]
    assert list(history["note"].fillna("")) == ["negative", "late", ""] and list(
        lake.history(1).index
    ) == [2]
    assert history["sha256"][0] != history["sha256"][1] and len(history["sha256"][0]) == 64
    assert history["time"].is_monotonic_decreasing


def test_files_tell_rows_hashes_and_ranges(lake):
    files = lake.files()
    assert files["rows"].sum() == 4 and set(files["sha256"].map(len)) == {64}
    for row in files.itertuples():
        path = Path(lake.root, row.path)
        assert path.stat().st_size == row.bytes and path.is_file()
    assert (
        files["min.id"].min() == 0
        and files["max.id"].max() == 3
        and files["null_count.delay"].sum() == 1
    )
    assert lake.files(version=0)["rows"].sum() == 3


def test_a_moment_names_a_version(lake):
    moment = lake.history()["time"][0].to_pydatetime()
    assert (
        lake.read(version=moment).num_rows == 3
        and lake.read(version=dt.datetime.now(dt.UTC)).num_rows == 4
    )


def test_vacuum_takes_what_no_recent_version_needs(root):
    lake = Lake(root)
    for i in range(3):
        lake.append(pa.table({"i": [i]}))
    lake.compact()
    assert lake.vacuum() == [] and lake.read(version=2).num_rows == 3
    gone = lake.vacuum(hours=0)
    assert all(Path(lake.root, path).exists() for path in gone) if "://" not in lake.root else gone
    assert lake.vacuum(hours=0, dry_run=False) == gone
    assert len(gone) == 3 and all(path.endswith(".parquet") for path in gone)
    assert sorted(lake.read()["i"].to_pylist()) == [0, 1, 2] and lake.vacuum(hours=0) == []
    with pytest.raises(ContentError, match="missing.*vacuum"):
        lake.read(version=2)
    assert sorted(Lake(root).read()["i"].to_pylist()) == [0, 1, 2]


def test_a_step_of_a_job_is_stored_once(root):
    lake = Lake(root)
    for step in (0, 0, 1, 1, 0, 2):
        Lake(root).append(pa.table({"step": [step]}), once=("job", step))
    lake.append(pa.table({"step": [7]}), once=("other", 0))
    assert sorted(lake.read()["step"].to_pylist()) == [0, 1, 2, 7]


# Reading


def test_conditions_and_columns_are_those_of_sql(lake):
    assert rows(lake.read(["id"], where="month = 2 and delay > 0")) == [(3,)]
    assert rows(lake.read(["id"], where="delay is null or id in (0, 2)")) == [(0,), (1,), (2,)]
    assert rows(lake.read(["id"], where="year(date '2020-01-01') = 2020 and id = 1")) == [(1,)]
    assert lake.read(["delay", "id"], where="true").schema == lake.read(["delay", "id"]).schema
    assert lake.read(where="id > 99").num_rows == 0 and lake.read([]).num_rows in (0, 4)


def test_only_files_that_may_match_are_looked_at(lake):
    "Damage in another partition, or outside the range of a condition, is never met."
    for path in lake.files().loc[lambda f: f["max.id"] < 3, "path"]:
        Path(lake.root, path).unlink()
    assert rows(Lake(lake.root).read(["id"], where="id > 2")) == [(3,)]
    with pytest.raises(ContentError):
        Lake(lake.root).read(["id"], where="id > 1")


def test_every_engine_gives_the_same_rows_and_types(tmp_path, spark):
    texts = ["a b", "x=1%2F", "北京", None, "[q]*{?,", "it's"]
    table = pa.table(
        {
            "city": texts,
            "day": [dt.date(2020, 1, 2)] * 6,
            "i": pa.array(range(6), pa.int8()),
            "code": ["01"] * 6,
            "at": pa.array([dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)] * 6),
            "local": pa.array([dt.datetime(2020, 7, 1, 12)] * 6),
            "price": [decimal.Decimal("1.25")] * 6,
            "list": [[1, None]] * 6,
            "flag": [True, None] * 3,
            "name": texts,
        }
    )
    lake = Lake(tmp_path / "a {lake}*")
    lake.append(table, partition_by=["city", "day", "code"])
    want = rows(table)
    assert rows(lake.read()) == rows(lake.read(where="i >= 0")) == want
    assert (
        rows(lake.duckdb().select(*table.column_names).to_arrow_table().cast(lake.schema)) == want
    )
    assert rows(lake.scan().collect().to_native().cast(lake.schema)) == want
    assert rows(lake.spark(spark).toArrow().cast(lake.schema)) == want
    assert (
        lake.spark(spark).filter("city = '北京'").count()
        == lake.read(where="city = '北京'").num_rows
        == 1
    )


def test_spark_reads_versions_new_columns_and_nothing(tmp_path, spark):
    lake = Lake(tmp_path / "lake")
    lake.append(pa.table({"a": [1]}))
    lake.append(pa.table({"a": [2], "b": ["z"]}), evolve=True)
    assert rows(lake.spark(spark).toArrow()) == [(1, None), (2, "z")] and lake.spark(
        spark, version=0
    ).columns == ["a"]
    lake.delete("true")
    assert lake.spark(spark).count() == 0 and lake.spark(spark).columns == ["a", "b"]
    memory = Lake(f"memory://{uuid.uuid4().hex}/lake")
    memory.append(spark.range(5))
    assert memory.spark(spark).count() == 5


def test_spark_writes_and_leaves_nothing_behind(tmp_path, spark):
    lake = Lake(tmp_path / "lake")
    frame = spark.sql(
        "select id, cast(id % 2 as string) as side, timestamp '2020-01-01 12:00:00' as at, "
        "cast(1.5 as decimal(4, 2)) as price from range(10)"
    )
    lake.append(frame.repartition(3), partition_by="side", note="spark")
    assert lake.read(["id", "side"]).sort_by("id").to_pylist()[3] == {"id": 3, "side": "1"}
    assert lake.read(["at"])["at"].to_pylist()[0] == dt.datetime(2020, 1, 1, 12, tzinfo=dt.UTC)
    assert lake.read(["price"])["price"].to_pylist()[0] == decimal.Decimal("1.50")
    assert sorted(path.name for path in Path(lake.root).iterdir()) == [
        "_delta_log",
        "_sha256",
        "side=0",
        "side=1",
    ]
    with pytest.raises(InputError, match="missing"):
        lake.append(spark.range(3))
    assert not list(Path(lake.root).glob("_staging-*")) and len(lake) == 10


def test_a_stream_of_spark_is_stored_batch_by_batch(tmp_path, spark):
    (tmp_path / "in").mkdir()
    for i in range(3):
        pd.DataFrame({"i": [i]}).to_json(
            tmp_path / "in" / f"{i}.json", orient="records", lines=True
        )
    stream = (
        spark.readStream.schema("i long").option("maxFilesPerTrigger", 1).json(str(tmp_path / "in"))
    )
    lake = Lake(tmp_path / "lake")
    with pytest.raises(InputError, match="foreachBatch"):
        lake.append(stream)

    def store(frame, step):
        for _ in range(2):  # what happens when a job dies after its commit and before Spark's
            lake.append(frame, once=("job", step))

    query = stream.writeStream.trigger(availableNow=True).foreachBatch(store).start()
    query.awaitTermination(60)
    assert rows(lake.read()) == [(0,), (1,), (2,)] and lake.version == 2


# Frames


FRAME = pd.DataFrame({"i": [1, 2], "x": [0.5, None], "t": ["a", None]})
FRAMES = {
    "pandas": lambda: FRAME,
    "polars": lambda: pl.from_pandas(FRAME),
    "lazy": lambda: pl.from_pandas(FRAME).lazy(),
    "arrow": lambda: pa.Table.from_pandas(FRAME),
    "duckdb": lambda: duckdb.connect().from_df(FRAME),
    "reader": lambda: pa.Table.from_pandas(FRAME).to_reader(),
    "dataset": lambda: ds.dataset(pa.Table.from_pandas(FRAME)),
    "nan": lambda: pl.DataFrame({"i": [1, 2], "x": [0.5, float("nan")], "t": ["a", None]}),
    "categories": lambda: FRAME.astype({"t": "category"}),
    "small": lambda: FRAME.astype({"i": "uint16", "x": "float32"}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_any_frame_goes_in_and_nan_is_null(name, root):
    lake = Lake(root)
    lake.append(FRAMES[name]())
    lake.append(FRAMES[name]())
    assert (
        lake.read().sort_by("i").to_pylist()
        == [{"i": 1, "x": 0.5, "t": "a"}] * 2 + [{"i": 2, "x": None, "t": None}] * 2
    )


def test_a_frame_of_no_rows_makes_a_lake_of_no_rows(root, spark):
    lake = Lake(root)
    lake.append(pa.table({"i": pa.array([], pa.int64())}))
    assert lake.read().num_rows == 0 == len(lake) and len(lake.files()) == 0 and lake.verify().empty
    assert (
        lake.sql("select count(*) from lake").fetchall() == [(0,)]
        and lake.spark(spark).count() == 0
    )


def test_more_than_memory_goes_in_and_out_as_a_stream(tmp_path):
    "128 MB of rows pass through a process that may not grow by as much."
    program = """if True:
        import sys, pyarrow as pa, numpy as np, deltalake, duckdb
        from bigdata_ai.data.store.lake import Lake
        schema = pa.schema({"i": pa.int64(), "x": pa.float64()})
        def batches(n):
            for k in range(n): yield pa.record_batch([np.arange(65536) + k, np.random.default_rng(k).random(65536)], schema=schema)
        lake, peak = Lake(sys.argv[1]), []
        for n in (8, 128):
            lake.append(pa.RecordBatchReader.from_batches(schema, batches(n)))
            peak.append(int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]))
        print(len(lake), (peak[1] - peak[0]) / 1024)"""
    done = python(program, tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    count, grown = done.stdout.split()
    assert float(grown) > 0 and int(count) == 136 * 65536 and float(grown) < 110, (
        "128 MB of rows must not be held at once"
    )


# Schemas


def test_a_changed_schema_is_told_column_by_column(lake):
    frame = pa.table({"month": [1], "id": ["x"], "plane": ["N1"]})
    assert schema_diff(lake.schema, frame.schema) == SchemaDiff(
        added={"plane": "string"}, removed={"delay": "double"}, retyped={"id": ("int64", "string")}
    )
    with pytest.raises(
        InputError,
        match="id: type, int64 in the lake, string in the frame; delay: missing.*plane: new",
    ):
        lake.append(frame)
    with pytest.raises(InputError, match="id: type, int64"):
        lake.append(frame, evolve=True)
    assert lake.version == 1


def test_evolving_adds_columns_and_fills_gaps(root):
    lake = Lake(root)
    lake.append(pa.table({"a": [1], "p": ["x"]}), partition_by="p")
    with pytest.raises(InputError, match="evolve=True"):
        lake.append(pa.table({"a": [2], "b": ["new"], "p": ["x"]}))
    lake.append(pa.table({"b": ["new"], "a": pa.array([2], pa.int16()), "p": ["x"]}), evolve=True)
    lake.append(pa.table({"p": ["y"]}), evolve=True)
    assert rows(lake.read(["a", "p", "b"])) == [(1, "x", None), (2, "x", "new"), (None, "y", None)]
    assert lake.schema.names == ["a", "p", "b"] and lake.read(version=0).column_names == ["a", "p"]


@pytest.mark.parametrize(
    "value, fits",
    [
        (pa.array([3.0]), True),
        (pa.array([3], pa.uint8()), True),
        (pa.nulls(1), True),
        (pa.array([2.5]), False),
        (pa.array([2**40]), False),
        (pa.array([True]), None),
        (pa.array(["3"]), None),
        (pa.array([dt.date(2020, 1, 1)]), None),
    ],
)
def test_a_value_is_stored_without_loss_or_not_at_all(tmp_path, value, fits):
    lake = Lake(tmp_path / "lake")
    lake.append(pa.table({"i": pa.array([1], pa.int32())}))
    if fits:
        lake.append(pa.table({"i": value}))
        assert lake.schema.field("i").type == pa.int32() and len(lake) == 2
    else:
        with pytest.raises(
            InputError,
            match="must fit the lake's int32" if fits is False else "i: type, int32 in the lake",
        ):
            lake.append(pa.table({"i": value}))
        assert lake.version == 0


def test_a_bad_value_late_in_a_stream_leaves_nothing(root):
    schema = pa.schema({"i": pa.float64()})
    lake = Lake(root)
    lake.append(pa.table({"i": [1]}))
    batches = (
        pa.record_batch([pa.array([float(k) if k < 5 else 0.5] * 50_000)], schema=schema)
        for k in range(6)
    )
    with pytest.raises(InputError, match="'i' must fit the lake's int64"):
        lake.append(pa.RecordBatchReader.from_batches(schema, batches))
    assert lake.version == 0 and len(Lake(root)) == 1 and lake.append(pa.table({"i": [2]})) == 1


def test_an_error_of_the_source_is_told_and_leaves_nothing(tmp_path):
    def batches():
        yield pa.record_batch({"i": [1]})
        raise RuntimeError("the source broke")

    lake = Lake(tmp_path / "lake")
    with pytest.raises(LakeError, match="the source broke"):
        lake.append(pa.RecordBatchReader.from_batches(pa.schema({"i": pa.int64()}), batches()))
    assert not lake.exists()


@pytest.mark.parametrize(
    "table, told",
    [
        ({"a": pa.array([dt.time(1)])}, "a: time64"),
        ({"a": pa.array([dt.timedelta(1)])}, "a: duration"),
        ({"a": pa.nulls(2)}, "only nulls in a"),
        ({}, "must have columns"),
    ],
)
def test_what_a_lake_cannot_hold_is_refused_at_once(tmp_path, table, told):
    with pytest.raises(InputError, match=told):
        Lake(tmp_path / "lake").append(pa.table(table))
    assert not Lake(tmp_path / "lake").exists()


def test_stored_types_are_stable():
    types = [
        pa.uint8(),
        pa.uint64(),
        pa.timestamp("ns"),
        pa.timestamp("s", "Asia/Shanghai"),
        pa.large_string(),
        pa.dictionary(pa.int8(), pa.large_string()),
        pa.large_list(pa.uint8()),
        pa.struct({"x": pa.timestamp("ms")}),
        pa.date64(),
        pa.float16(),
        pa.decimal128(5, 2),
    ]
    once = lake_schema(pa.schema({str(i): type for i, type in enumerate(types)}))
    assert lake_schema(once) == once and once.types[:4] == [
        pa.int16(),
        pa.int64(),
        pa.timestamp("us"),
        pa.timestamp("us", "UTC"),
    ]
    assert not schema_diff(once, pa.schema({str(i): type for i, type in enumerate(types)}))


@pytest.mark.parametrize(
    "by, told",
    [
        ("zz", "must be one of 'a', 'x'"),
        ("a", "no partition"),
        ("x", "x: double"),
        (["a", "zz"], "must be one of 'a', 'x'"),
    ],
)
def test_partitions_must_make_sense(tmp_path, by, told):
    table = pa.table({"a": [1], "x": [0.5]}) if by != "a" else pa.table({"a": [1]})
    with pytest.raises(InputError, match=told):
        Lake(tmp_path / "lake").append(table, partition_by=by)


def test_partitions_stay_as_they_are(lake):
    with pytest.raises(InputError, match="fixed by its first commit"):
        lake.append(lake.read(), partition_by="id")
    assert lake.partition_by == ["month"]
    texts = Lake(lake.root + "2")
    texts.append(pa.table({"p": [None, "a"], "i": [1, 2]}), partition_by="p")
    with pytest.raises(InputError, match="must not be empty"):
        texts.append(pa.table({"p": [""], "i": [1]}))
    assert rows(texts.read()) == [("a", 2), (None, 1)]


@pytest.mark.parametrize(
    "ask, told",
    [
        (lambda lake: lake.read(where="zz > 1"), "columns are month, id, delay"),
        (lambda lake: lake.read(where="id >"), "SQL condition"),
        (lambda lake: lake.read(where="id = 'x'"), "SQL condition"),
        (lambda lake: lake.delete("zz > 1"), "columns are month, id, delay"),
        (lambda lake: lake.delete("id >"), "SQL condition"),
        (lambda lake: lake.delete("id = 'x'"), "SQL condition"),
        (lambda lake: lake.delete(" "), "deletes every row"),
        (lambda lake: lake.read(["dely"]), "did you mean 'delay'"),
        (lambda lake: lake.read(version=9), "must have the version"),
        (lambda lake: lake.read(on_corrupt="ignore"), "'raise', 'skip'"),
        (lambda lake: lake.append([1]), "must be a data frame"),
        (lambda lake: Lake(lake.root + "x").read(), "must hold a lake"),
        (lambda lake: Lake("zzz://x").append(FRAME), "fsspec"),
        (lambda lake: Lake(lake.root + "/[x]").append(FRAME), "free of"),
        (lambda lake: Lake(""), "path or a URL"),
        (lambda lake: lake.vacuum(-1), "0 or more"),
    ],
)
def test_a_mistake_is_told_and_changes_nothing(lake, ask, told):
    with pytest.raises(InputError, match=re.escape(told)):
        ask(lake)
    assert lake.version == 1 and len(lake) == 4


# The model: a list of rows

CITIES = ["a", "北 京", "x=1%", None]
ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.integers(-3, 3)),
        st.sampled_from(CITIES),
        st.one_of(st.none(), st.floats(-2, 2, width=32)),
    ),
    max_size=5,
)
CONDITIONS = {
    "k > 0": lambda k, c, x: k is not None and k > 0,
    "c = '北 京'": lambda k, c, x: c == "北 京",
    "x is null": lambda k, c, x: x is None,
    "k = 1 or c is null": lambda k, c, x: k == 1 or c is None,
    "c <> 'a' and x <= 0.5": lambda k, c, x: c not in (None, "a") and x is not None and x <= 0.5,
    "k in (-1, 2)": lambda k, c, x: k in (-1, 2),
}
SCHEMA = pa.schema({"k": pa.int64(), "c": pa.string(), "x": pa.float64()})
STEPS = st.lists(
    st.one_of(
        *(
            st.tuples(st.just(name), values)
            for name, values in {
                "append": ROWS,
                "overwrite": ROWS,
                "delete": st.sampled_from(list(CONDITIONS)),
                "compact": st.none(),
                "vacuum": st.none(),
                "restore": st.integers(0, 9),
            }.items()
        )
    ),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize("scheme", ["folder", "memory"])
@pytest.mark.parametrize("by", [None, "c"])
@given(steps=STEPS)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_any_sequence_of_changes_is_that_of_a_list(tmp_path_factory, scheme, by, steps):
    lake = Lake(
        tmp_path_factory.mktemp("model") / "lake"
        if scheme == "folder"
        else f"memory://{uuid.uuid4().hex}/lake"
    )
    lake.append(SCHEMA.empty_table(), partition_by=by)
    model, past, kept = [], [[]], 0
    for name, value in steps:
        if name in ("append", "overwrite"):
            getattr(lake, name)(
                pa.Table.from_pylist([dict(zip("kcx", row, strict=True)) for row in value], SCHEMA)
            )
            model = (model if name == "append" else []) + value
        elif name == "delete":
            gone = [row for row in model if CONDITIONS[value](*row)]
            assert lake.delete(value) == len(gone)
            model = [row for row in model if not CONDITIONS[value](*row)]
        elif name == "vacuum":
            lake.vacuum(hours=0, dry_run=False)
            kept = lake.version
        elif name == "restore" and kept <= value < len(past):
            lake.restore(value)
            model = past[value]
        elif name == "compact":
            lake.compact()
        past += [model] * (lake.version + 1 - len(past))
        assert rows(lake.read(), *"kcx") == sorted(model, key=repr) and len(lake) == len(model)
    for condition, holds in CONDITIONS.items():
        assert rows(Lake(lake.root).read(where=condition), *"kcx") == sorted(
            (row for row in model if holds(*row)), key=repr
        )
    for version in range(kept, len(past)):
        assert rows(lake.read(version=version), *"kcx") == sorted(past[version], key=repr)
    assert lake.verify().empty


# Damage


def test_every_flipped_bit_is_found_and_named(tmp_path):
    "Parquet itself notices few of them."
    lake, draws = Lake(tmp_path / "lake"), rng(0, "flips")
    for _ in range(2):
        lake.append(pa.table({"x": draws.normal(size=2000), "k": draws.integers(0, 9, 2000)}))
    path = lake.files()["path"][0]
    sound, table = Path(lake.root, path).read_bytes(), lake.read()
    silent = 0
    for place in draws.integers(0, len(sound), 25):
        damaged = bytearray(sound)
        damaged[place] ^= 1 << int(draws.integers(8))
        Path(lake.root, path).write_bytes(damaged)
        with pytest.raises(ContentError, match=f"1 of 2 files damaged: {path}"):
            Lake(lake.root).read()
        assert list(lake.verify()["path"]) == [path]
        try:
            silent += not Lake(lake.root, check=False).read().equals(table)
        except (ContentError, LakeError):
            pass
    assert silent > 0, "else the hashes would be needless"


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(
    "harm, told",
    [
        (lambda path: path.write_bytes(b""), ""),
        (lambda path: path.write_bytes(path.read_bytes()[:200]), ""),
        (lambda path: path.unlink(), "is missing"),
        (lambda path: path.write_text("not Parquet at all"), ""),
    ],
)
def test_a_damaged_file_is_named_and_skipped_only_if_told_so(lake, check, harm, told):
    path = lake.files().loc[lambda f: f["max.id"] == 1, "path"].iloc[0]
    harm(Path(lake.root, path))
    again = Lake(lake.root, check=check)
    for ask in (again.read, lambda: again.read(where="id < 99")):
        with pytest.raises(
            ContentError, match=rf"1 of \d files damaged: {re.escape(path)}.*{told}.*on_corrupt"
        ):
            ask()
    with pytest.warns(UserWarning, match=r"skipped 1 of \d files damaged"):
        assert rows(again.read(["id"], on_corrupt="skip")) == [(2,), (3,)]
    with pytest.warns(UserWarning, match=r"skipped 1 of \d files damaged"):
        assert rows(again.read(["id"], where="id > 2 or id < 2", on_corrupt="skip")) == [(3,)]
    assert list(again.verify()["path"]) == [path] and again.verify()["rows"].tolist() == [2]


def test_damage_is_not_copied_into_sound_files(lake):
    path = Path(lake.root, lake.files().loc[lambda f: f["max.id"] == 1, "path"].iloc[0])
    content = bytearray(path.read_bytes())
    content[10] ^= 1
    path.write_bytes(content)
    again = Lake(lake.root)
    for change in (again.compact, lambda: again.delete("id = 0"), lambda: again.restore(0)):
        with pytest.raises(ContentError, match="damaged"):
            change()
    assert again.version == 1
    for ask in (again.duckdb, again.scan):
        with pytest.raises(ContentError):
            ask()
    with pytest.warns(UserWarning):
        assert again.duckdb(on_corrupt="skip").count("*").fetchall() == [(2,)]
    assert (
        again.overwrite(pa.table({"month": [1], "id": [0], "delay": [4.0]})) == 2
        and again.read().num_rows == 1
    )


def test_sound_lakes_give_no_warning(lake):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert lake.read(on_corrupt="skip").num_rows == 4 and lake.verify().empty


def test_a_torn_list_of_hashes_does_no_harm(lake):
    Path(lake.root, "_sha256", "torn.json").write_text('{"month=1/par')
    assert Lake(lake.root).read().num_rows == 4 and Lake(lake.root).append(lake.read()) == 2


# Death, other writers, full disks

KILLED = """if True:
    import os, random, signal, sys, time
    import deltalake, duckdb, numpy as np, pyarrow as pa, pyarrow.dataset
    from bigdata_ai.data.store.lake import Lake
    root, rounds, size = sys.argv[1], int(sys.argv[2]), 3000

    def write():
        lake = Lake(root)
        step = int(lake.read(["step"])["step"].to_numpy().max()) + 1 if lake.exists() else 0
        while True:
            lake.append(pa.table({"step": np.full(size, step), "side": np.arange(size) % 3, "x": np.random.default_rng(step).random(size)}),
                        partition_by="side", once=("job", step))
            if step % 2: lake.compact()
            step += 1

    def check():
        lake = Lake(root)
        if not lake.exists(): return print("nothing yet", flush=True)
        steps, counts = np.unique(lake.read(["step"])["step"].to_numpy(), return_counts=True)
        assert (counts == size).all() and (steps == np.arange(len(steps))).all(), (steps, counts)
        assert lake.verify().empty
        print(len(steps), flush=True)

    def fork(work):
        child = os.fork()
        if child: return child
        try: work()
        except BaseException as error: os.write(2, repr(error).encode()); os._exit(1)
        os._exit(0)

    for _ in range(rounds): # this process itself never opens the lake, so that its children start clean
        child = fork(write)
        time.sleep(random.uniform(0.03, 0.25))
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL, "the writer must die by the kill, not by an error"
        assert os.waitpid(fork(check), 0)[1] == 0
"""


def test_a_writer_killed_at_any_moment_leaves_whole_versions(tmp_path):
    done = python(KILLED, tmp_path / "lake", 22)
    assert done.returncode == 0, done.stderr
    lake = Lake(tmp_path / "lake")
    seen = [int(line) for line in done.stdout.split("\n") if line.isdigit()]
    assert len(done.stdout.splitlines()) == 22 and seen == sorted(seen) and seen[-1] > 5
    count = len(lake)
    lake.append(lake.read(where="step = 0"))
    lake.vacuum(hours=0, dry_run=False)
    assert len(lake.read()) == count + 3000 and lake.verify().empty
    assert len(list(Path(lake.root).rglob("*.parquet"))) - len(
        list(Path(lake.root, "_delta_log").glob("*.parquet"))
    ) == len(lake.files())


@pytest.mark.parametrize("stop", ["put_file", "_create"])
def test_a_writer_that_dies_amid_an_upload_leaves_whole_versions(monkeypatch, stop):
    root = f"memory://{uuid.uuid4().hex}/lake"
    Lake(root).append(pa.table({"i": [0]}))
    writer = Lake(root)

    def die(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            *(
                (writer._store.remote, "put_file")
                if stop == "put_file"
                else (writer._store, "_create")
            ),
            die,
        )
        with pytest.raises(KeyboardInterrupt):
            writer.append(pa.table({"i": [1]}))
    assert rows(Lake(root).read()) == [(0,)]
    writer.append(pa.table({"i": [2]}))
    assert rows(Lake(root).read()) == rows(writer.read()) == [(0,), (2,)]
    left = len(fsspec.filesystem("memory").glob(root + "/*.parquet"))
    assert (
        left == (3 if stop == "_create" else 2)
        and len(writer.vacuum(hours=0, dry_run=False)) == left - 2
    )


WRITER = """if True:
    import sys, pyarrow as pa
    from bigdata_ai.data.store.lake import Lake
    lake, name = Lake(sys.argv[1]), int(sys.argv[2])
    sys.stdin.readline()
    for i in range(15):
        lake.append(pa.table({"writer": [name] * 10, "i": [i] * 10, "side": list(range(10))}), partition_by="side")
        if i % 5 == 4: lake.compact()
    lake.delete(f"writer = {name} and i = 0")
"""


def test_two_processes_lose_no_rows(tmp_path):
    pipes = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    writers = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path / "lake"), str(k)], **pipes)
        for k in range(2)
    ]
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        assert writer.wait(60) == 0, writer.stderr.read()
    lake = Lake(tmp_path / "lake")
    counts = lake.sql("select writer, i, count(*) n from lake group by all").df()
    assert len(counts) == 2 * 14 and set(counts["n"]) == {10} and lake.verify().empty
    order = [row.writer for row in lake.sql("select writer, i from lake").df().itertuples()]
    assert set(order) == {0, 1}


@pytest.mark.parametrize("scheme", ["memory", "plain"])
def test_two_writers_through_fsspec_lose_no_rows(scheme, tmp_path):
    """`plain` is a file system without exclusive creation; its rename does not replace, as with
    sftp."""
    root = f"memory://{uuid.uuid4().hex}/lake"

    def write(name):
        lake = Lake(root)
        if scheme == "plain":
            lake._store._create = lambda path, content: renamed(lake._store.remote, path, content)
        for i in range(6):
            lake.append(pa.table({"writer": [name], "i": [i]}))
        lake.compact()

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert rows(Lake(root).read()) == [(k, i) for k in range(2) for i in range(6)]
    assert (
        len(fsspec.filesystem("memory").glob(f"{root}/*.parquet")) >= 12
        and Lake(root).verify().empty
    )


LOCK = threading.Lock()


def renamed(remote, path, content):
    with LOCK:
        if remote.exists(path):
            raise FileExistsError(path)
        remote.pipe_file(path, content)


CHANGES = {
    "append": lambda lake: lake.append(pa.table({"i": [9]})),
    "overwrite": lambda lake: lake.overwrite(pa.table({"i": [9]})),
    "delete": lambda lake: lake.delete("i = 1"),
    "compact": lambda lake: lake.compact(),
}
MODEL = {
    "append": lambda rows: [*rows, 9],
    "overwrite": lambda rows: [9],
    "delete": lambda rows: [i for i in rows if i != 1],
    "compact": lambda rows: rows,
}


@pytest.mark.parametrize("ours", CHANGES)
@pytest.mark.parametrize("theirs", CHANGES)
def test_a_change_that_another_one_overtakes_is_as_if_made_after_it(root, ours, theirs):
    "The other writer commits after we have looked at the lake and before we commit."
    lake, other = Lake(root), Lake(root)
    for i in range(3):
        lake.append(pa.table({"i": [i]}))
    step = (
        "_plan"
        if ours in ("append", "overwrite")
        else "_survivors"
        if ours == "delete"
        else "_merged"
    )
    plan, overtaken = getattr(lake, step), []

    def look(*arguments):
        seen = plan(*arguments)
        if not overtaken:
            overtaken.append(CHANGES[theirs](other))
        return seen

    setattr(lake, step, look)
    CHANGES[ours](lake)
    assert overtaken and sorted(Lake(root).read()["i"].to_pylist()) == sorted(
        MODEL[ours](MODEL[theirs]([0, 1, 2]))
    )
    if root.startswith("memory"):
        named = {
            path for version in range(lake.version + 1) for path in lake.files(version)["path"]
        }
        there = fsspec.filesystem("memory").glob(f"{root}/*.parquet")
        assert {path.rpartition("/")[2] for path in there} == named, (
            "what was withdrawn must be deleted"
        )


def test_a_second_writer_redoes_its_change_on_what_the_first_left(root):
    first, second = Lake(root), Lake(root)
    first.append(pa.table({"i": [0, 1]}))
    assert second.version == 0
    first.append(pa.table({"i": [1, 2]}))
    assert second.delete("i = 1") == 2 and rows(first.read()) == [(0,), (2,)]
    first.append(pa.table({"i": [3], "b": [1]}), evolve=True)
    second.append(pa.table({"i": [4], "b": [2]}))
    assert len(first) == 4


def test_a_full_disk_is_told_and_harms_nothing(tmp_path):
    program = """if True:
        import resource, signal, sys, numpy as np, pyarrow as pa
        from bigdata_ai.data.store.lake import Lake; from bigdata_ai.data.store.schema import LakeError
        lake = Lake(sys.argv[1])
        lake.append(pa.table({"x": [1.0]}))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try: lake.append(pa.table({"x": np.random.default_rng(0).random(1_000_000)}))
        except LakeError as error: print(error)
        assert lake.version == 0 and lake.read().num_rows == 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        assert lake.append(pa.table({"x": [2.0]})) == 1"""
    done = python(program, tmp_path / "lake")
    assert done.returncode == 0, done.stderr
    assert (
        "disk is full or a quota" in done.stdout and "must be readable and writable" in done.stdout
    )
    assert rows(Lake(tmp_path / "lake").read()) == [(1.0,), (2.0,)]


def test_a_root_that_may_not_be_written_is_told(tmp_path):
    program = """if True:
        import os, sys, deltalake, duckdb, fsspec, pyarrow as pa, pyarrow.dataset
        from bigdata_ai.data.store.lake import Lake; from bigdata_ai.data.store.schema import LakeError
        root = sys.argv[1]
        Lake(root).append(pa.table({"x": [1.0]}))
        os.chmod(root, 0o555); os.chmod(os.path.join(root, "_delta_log"), 0o555)
        if os.getuid() == 0: os.setuid(65534)
        try: Lake(root).append(pa.table({"x": [1.0]}))
        except LakeError as error: print(error)
        print(Lake(root).read().num_rows)"""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() != "root" or folder == Path("/tmp"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    done = python(program, tmp_path / "lake")
    assert "look at the permissions" in done.stdout and done.stdout.strip().endswith("\n1"), (
        done.stdout + done.stderr
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="is a file, not a folder"):
        Lake(tmp_path / "file" / "lake").append(FRAME)


# Object stores


@pytest.fixture(scope="module")
def s3():
    "A real S3 server on loopback, and delta-rs's options for it."
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"from moto.server import main; main(['-H', '127.0.0.1', '-p', '{port}'])",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    url, ready = f"http://127.0.0.1:{port}", False
    for _ in range(200):
        with contextlib.suppress(requests.ConnectionError):
            ready = requests.put(f"{url}/lakes", timeout=5).ok
        if ready:
            break
        time.sleep(0.1)
    assert ready, "the S3 server must start"
    yield {
        "AWS_ENDPOINT_URL": url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    server.terminate()
    server.wait()


def test_an_object_store_is_a_root_like_any_other(s3):
    lake = Lake("s3://lakes/flights", **s3)
    lake.append(pa.table({"p": ["a", "北 京"], "i": [0, 1]}), partition_by="p")
    lake.append(pa.table({"p": ["a"], "i": [2]}))
    assert lake.delete("i = 0") == 1 and lake.compact()["files_removed"] == 0
    assert rows(Lake("s3://lakes/flights", **s3).read(["i"], where="p = '北 京'")) == [(1,)]
    assert (
        lake.sql("select sum(i) from lake").fetchall() == [(3,)]
        and lake.read(version=0).num_rows == 2
    )
    assert (
        lake.verify().empty
        and len(lake.vacuum(hours=0, dry_run=False)) == 1
        and len(lake.history()) == 3
    )


def test_two_writers_of_an_object_store_lose_no_rows(s3):
    def write(name):
        lake = Lake("s3://lakes/race", **s3)
        for i in range(5):
            lake.append(pa.table({"writer": [name], "i": [i]}))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert rows(Lake("s3://lakes/race", **s3).read()) == [
        (k, i) for k in range(2) for i in range(5)
    ]


@pytest.mark.parametrize("root", ["hdfs://127.0.0.1:9/lake", "webhdfs://127.0.0.1:9/lake"])
def test_a_root_whose_server_does_not_answer_is_told(root):
    with pytest.raises(LakeError, match="127.0.0.1|did not answer"):
        Lake(root).append(FRAME)


def test_a_connection_gets_one_request_at_a_time(monkeypatch):
    "As sftp needs: its client hangs when two threads read."
    lake, busy, read = Lake(f"memory://{uuid.uuid4().hex}/lake"), threading.Lock(), MemoryFile.read
    for i in range(6):
        lake.append(pa.table({"i": range(1000 * i, 1000 * (i + 1)), "t": ["x"] * 1000}))

    def alone(file, *size):
        assert busy.acquire(blocking=False), "two reads at once"
        time.sleep(0.002)
        try:
            return read(file, *size)
        finally:
            busy.release()

    monkeypatch.setattr(MemoryFile, "read", alone)
    assert (
        lake.read().num_rows == 6000
        and lake.read(["i"], where="i % 2 = 0").num_rows == 3000
        and lake.compact()["files_removed"] == 6
    )
