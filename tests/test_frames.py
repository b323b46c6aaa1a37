"""One door: what comes in goes out as the same kind, with the same numbers, whatever the engine."""

import datetime
import decimal
import hashlib

import hypothesis.strategies as st
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from engines import LOCAL, rows
from hypothesis import given, settings

from bigdata_ai.core import InputError
from bigdata_ai.data.frames import columns, count, to_narwhals, drop_duplicates, hash_column
from bigdata_ai.data.frames import engine_of
from bigdata_ai.data.frames import quantiles, summarize, to_arrow, to_pandas
from bigdata_ai.data.split import hash_fraction

EVERY = pytest.mark.parametrize("engine", LOCAL)
EDGES = pd.DataFrame(
    {
        "id": [1, 2, 3, 4],
        "x": [1.5, np.nan, -0.0, 1e300],
        "text": ["大数据", None, "", "naïve 🙂\t"],
        "flag": [True, False, True, False],
        "when": pd.to_datetime(
            ["2024-02-29 23:30", None, "1969-12-31 00:00", "2038-01-19 00:00"]
        ).tz_localize("Asia/Shanghai"),
        "price": pd.array(
            [decimal.Decimal("1.10"), None, decimal.Decimal("-3.00"), decimal.Decimal("7.25")],
            dtype=pd.ArrowDtype(pa.decimal128(10, 2)),
        ),
    }
)


def make(engine, frame=EDGES):
    return LOCAL[engine](frame)


@EVERY
@pytest.mark.parametrize("n", [0, 1, 4])
def test_the_same_kind_and_rows_come_out(engine, n):
    frame = make(engine, EDGES.iloc[:n])
    back = to_narwhals(frame).filter(nw.col("id") > 0).to_native()
    assert engine_of(frame) == engine_of(back) == engine and count(frame) == n
    assert (
        rows(back) == rows(EDGES.iloc[:n]) and len(to_pandas(back)) == n == to_arrow(back).num_rows
    )
    assert list(columns(frame)) == list(EDGES)


@EVERY
def test_nan_is_a_gap_everywhere(engine):
    frame = make(engine) if engine == "pandas" else LOCAL[engine](EDGES[["id"]])
    frame = {
        "polars": lambda: pl.DataFrame({"x": [1.0, float("nan"), None]}),
        "pandas": lambda: pd.DataFrame({"x": [1.0, np.nan, None]}),
        "polars-lazy": lambda: pl.LazyFrame({"x": [1.0, float("nan"), None]}),
        "pyarrow": lambda: pa.table({"x": [1.0, float("nan"), None]}),
        "duckdb": lambda: LOCAL["duckdb"](pd.DataFrame({"x": [1.0, np.nan, None]})),
    }[engine]()
    found = summarize(
        frame, {"gaps": nw.col("x").is_null().cast(nw.Int64).sum(), "mean": nw.col("x").mean()}
    )
    assert found == {"gaps": 2, "mean": 1.0}


@pytest.mark.parametrize("thing", [[[1]], {"a": [1]}, np.eye(2), "table", None, pl.Series([1])])
def test_what_is_no_frame_is_refused(thing):
    with pytest.raises(
        InputError, match="must be a data frame of pandas, polars, pyarrow, DuckDB or Spark"
    ):
        engine_of(thing)


def test_a_subclass_is_of_its_kind():
    class Mine(pd.DataFrame):
        pass

    assert engine_of(Mine({"a": [1]})) == "pandas"


numbers = st.lists(
    st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False)), min_size=0, max_size=30
)


@EVERY
@settings(max_examples=15, deadline=None)
@given(values=numbers, level=st.floats(0, 1))
def test_quantiles_are_numpys(engine, values, level):
    frame = pd.DataFrame({"x": pd.Series(values, dtype=float)})
    found = quantiles(make(engine, frame), {"x": [level, 0.5]})["x"]
    known = [value for value in values if value is not None]
    if not known:
        assert found == [None, None]
    else:
        np.testing.assert_allclose(found, np.quantile(known, [level, 0.5]), rtol=1e-9, atol=1e-9)


@EVERY
@settings(max_examples=15, deadline=None)
@given(
    keys=st.lists(
        st.one_of(
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
        ),
        max_size=12,
    ),
    salt=st.sampled_from(["", "s", "盐'\""]),
)
def test_hashes_are_those_of_python(engine, keys, salt):
    frame = pd.DataFrame({"key": pd.Series(keys, dtype="str"), "n": range(len(keys))})
    made = hash_column(make(engine, frame), "key", salt, "f")
    assert engine_of(made) == engine
    assert [row["f"] for row in rows(made, "n", 17)] == [
        int(hashlib.md5(f"{salt}{key}".encode()).hexdigest()[:8], 16) / 2**32 for key in keys
    ]


@EVERY
def test_hashes_of_numbers_are_those_of_the_split(engine):
    ids = pd.DataFrame({"id": [0, 1, -5, 2**62]})
    assert (
        to_pandas(hash_column(make(engine, ids), "id", "test"))["fraction"].tolist()
        == hash_fraction(ids["id"], "test").tolist()
    )


@EVERY
def test_a_float_has_no_hash(engine):
    with pytest.raises(InputError, match="whole numbers or text"):
        hash_column(make(engine), "x")
    with pytest.raises(InputError, match="none called 'id'"):
        hash_column(make(engine), "id", name="id")


@EVERY
@settings(max_examples=15, deadline=None)
@given(
    pairs=st.lists(
        st.tuples(st.sampled_from(["a", "b", None, "大"]), st.sampled_from([1.0, 2.0, None])),
        max_size=20,
    )
)
def test_the_first_of_equal_rows_stays(engine, pairs):
    frame = pd.DataFrame(
        {
            "id": range(len(pairs)),
            "k": pd.Series([k for k, _ in pairs], dtype="str"),
            "x": pd.Series([x for _, x in pairs], dtype=float),
        }
    )
    first = {}
    for i, pair in enumerate(pairs):
        first.setdefault(pair, i)
    # the order is that of the column, not that of the rows
    backwards = frame.iloc[::-1].reset_index(drop=True)
    for order in (frame, backwards):
        made = drop_duplicates(make(engine, order), ["k", "x"], order_by="id")
        assert engine_of(made) == engine and sorted(row["id"] for row in rows(made)) == sorted(
            first.values()
        )
    made = drop_duplicates(make(engine, frame), ignore=["id"], order_by="id")
    assert sorted(row["id"] for row in rows(made)) == sorted(first.values())


def test_duckdb_must_be_told_which_row_stays():
    with pytest.raises(InputError, match="chosen by order_by"):
        drop_duplicates(make("duckdb"), ["flag"])
    with pytest.raises(InputError, match="must have the columns"):
        drop_duplicates(make("pandas"), ["flags"])


@EVERY
def test_summaries_are_plain_values(engine):
    found = summarize(
        make(engine),
        {
            "sum": nw.col("id").sum(),
            "most": nw.col("text").max(),
            "none": nw.when(nw.col("id") > 9).then(nw.col("x")).max(),
        },
    )
    assert found == {"sum": 10, "most": "大数据", "none": None} and type(found["sum"]) is int
    when = summarize(make(engine), {"when": nw.col("when").min()})["when"]
    assert (
        isinstance(when, datetime.datetime)
        and when.timestamp() == pd.Timestamp("1969-12-31", tz="Asia/Shanghai").timestamp()
    )
