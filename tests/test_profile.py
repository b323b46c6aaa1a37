"""A profile says what is in the table, on every kind of frame; drift is told apart from noise."""

import datetime
import decimal
import re

import duckdb
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon
from scipy.stats import ks_2samp

from bigdata_ai.core import InputError
from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.profile import PSI_STABLE, drift, profile

ENGINES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars-lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "duckdb": lambda frame: duckdb.connect().from_arrow(
        pa.Table.from_pandas(frame, preserve_index=False)
    ),
}


@pytest.fixture(autouse=True)
def close_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def some(n=400, seed=0):
    generator = np.random.default_rng(seed)
    days = pd.to_timedelta(generator.integers(0, 90, n), unit="D")
    return pd.DataFrame(
        {
            "steady": generator.normal(size=n),
            "count": generator.poisson(2, n),
            "yes": generator.random(n) < 0.3,
            "城市": generator.choice(["北京", "上海", "广州"], n),
            "day": pd.Timestamp("2024-01-01") + days,
        }
    )


# The table


ROWS = st.lists(
    st.tuples(
        st.one_of(st.none(), st.floats(-1e6, 1e6)),
        st.one_of(st.none(), st.integers(-99, 99)),
        st.one_of(st.none(), st.sampled_from(["甲", "b", ""])),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=12, deadline=None)
@given(ROWS)
def test_the_table_says_what_counting_gives_in_every_engine(rows):
    frame = pd.DataFrame(
        {
            "x": pd.array([row[0] for row in rows], dtype="Float64").to_numpy(
                float, na_value=np.nan
            ),
            "i": pd.array([row[1] for row in rows], dtype="Int64"),
            "t": pd.Series([row[2] for row in rows], dtype="str"),
        }
    )
    for engine, make in ENGINES.items():
        found = profile(make(frame))
        assert found.rows == len(rows) == len(found.sample) and found.duplicates == len(rows) - len(
            set(map(str, rows))
        ), engine
        for i, name in enumerate("xit"):
            known, line = [row[i] for row in rows if row[i] is not None], found.table.loc[name]
            assert (line["missing"], line["distinct"]) == (
                len(rows) - len(known),
                len(set(known)),
            ), (engine, name)
            assert line["missing_share"] == pytest.approx(1 - len(known) / len(rows), abs=1e-12)
            if known and name != "t":
                assert [line["lowest"], line["highest"]] == [min(known), max(known)]
                assert line["mean"] == pytest.approx(np.mean(known), rel=1e-9, abs=1e-9)


def test_a_profile_of_a_long_table_counts_all_rows_and_samples_the_rest():
    found = profile(some(30_000), sample=500)
    assert (
        found.rows == 30_000
        and len(found.sample) == 500
        and found.table["distinct"]["steady"] == 30_000
    )
    assert "500 rows drawn at random" in found.summary() and "30,000 rows" in found.summary()
    assert "all from all rows" in profile(some(50)).summary()


def test_correlations_are_spearmans():
    frame = some().assign(
        double=lambda t: 2 * t["steady"],
        cube=lambda t: t["steady"] ** 3,
        other=lambda t: -t["steady"],
    )
    found = profile(frame).correlations
    assert found.loc["steady", ["double", "cube", "other"]].tolist() == pytest.approx(
        [1, 1, -1], rel=1e-9
    )
    assert "城市" not in found and {"day", "yes"} <= set(found)


ODD = {
    "nothing": pd.DataFrame(),
    "no rows": pd.DataFrame({"a": pd.Series([], dtype="float64"), "b": pd.Series([], dtype="str")}),
    "one row": pd.DataFrame(
        {"a": [1], "b": ["x"], "c": [pd.Timestamp("2020-01-01", tz="Asia/Shanghai")]}
    ),
    "all missing": pd.DataFrame(
        {"a": [None, None], "b": [np.nan, np.nan], "c": pd.to_datetime([None, None])}
    ),
    "constant": pd.DataFrame({"a": [5] * 9, "b": ["x"] * 9, "c": [True] * 9}),
    "mixed": pd.DataFrame(
        {
            "decimal": [decimal.Decimal("1.10"), None, decimal.Decimal("2.2")],
            "list": [[1], [2], None],
            "any": [1, "a", None],
            "infinite": [np.inf, 1, 2],
            5: [1, 2, 3],
            "span": pd.to_timedelta([1, 2, 3], unit="h"),
            "bytes": [b"a", b"b", None],
            "kind": pd.Categorical(["a", None, "b"]),
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "day": [datetime.date(2020, 1, 1)] * 3,
            "$x$_{": ["a$b$", "^", "_"],
        }
    ),
    "zones": pd.DataFrame(
        {
            "t": pd.date_range("2024-03-30", periods=30, freq="h", tz="Europe/Berlin"),
            "u": [pd.NaT] * 30,
        }
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_tables_have_a_page(name):
    found = profile(ODD[name], name=name)
    page = found.page()
    page.canvas.draw()
    assert (
        len(found.table) == ODD[name].shape[1]
        and found.rows == len(ODD[name])
        and "<table" in found._repr_html_()
    )
    assert name in page._suptitle.get_text() and page.get_size_inches()[1] < 12


@pytest.mark.parametrize("engine", list(ENGINES)[1:])
@pytest.mark.parametrize("name", ["no rows", "one row", "all missing", "constant", "zones"])
def test_odd_tables_of_other_engines(name, engine):
    want, got = profile(ODD[name]), profile(ENGINES[engine](ODD[name]))
    assert (got.rows, got.duplicates) == (want.rows, want.duplicates)
    assert (
        got.table[["missing", "distinct"]].values.tolist()
        == want.table[["missing", "distinct"]].values.tolist()
    )


def test_a_page_has_everything_and_stays_a_page():
    wide = pd.DataFrame(
        np.random.default_rng(0).normal(size=(200, 100)),
        columns=[f"很长的列名 number {i}" for i in range(100)],
    )
    page = profile(wide, wide + 0.5, name="wide", other_name="before").page()
    titles = [ax.get_title(loc="left") for figure in page.subfigs for ax in figure.axes]
    assert any("25 of 100" in title for title in titles) and any(
        "12 of 100" in title for title in titles
    )
    assert any(title.startswith("Drift from before") for title in titles)
    assert (
        page.get_size_inches()[0] * page.dpi <= 900 and page.get_size_inches()[1] * page.dpi <= 1000
    )


# Drift


def test_the_measures_are_those_of_the_books():
    one, other = some(3000, 1)["steady"], some(2000, 2)["steady"] + 0.2
    line = drift(pd.DataFrame({"x": one}), pd.DataFrame({"x": other}), bins=10).iloc[0]
    edges = np.quantile(np.concatenate([one, other]), np.linspace(0, 1, 11)[1:-1])
    p, q = (
        np.bincount(np.searchsorted(edges, part, side="right"), minlength=10) / len(part)
        for part in (one, other)
    )
    assert line["js"] == pytest.approx(jensenshannon(p, q, base=2), rel=1e-9)
    assert line["psi"] == pytest.approx(((p - q) * np.log(p / q)).sum(), rel=0.02)
    # the cumulative distributions have 100 steps
    assert line["ks"] == pytest.approx(ks_2samp(one, other).statistic, abs=0.011)
    assert 0 < line["js_floor"] < line["js"] and line["drifted"]


def test_what_did_not_move_passes_its_floor_about_once_in_a_hundred():
    generator, passed = np.random.default_rng(3), 0
    for seed in range(5):
        one, other = (
            pd.DataFrame(generator.normal(size=(300, 40))).rename(columns=str) for _ in range(2)
        )
        passed += drift(one, other, seed=seed)["drifted"].sum()
    assert passed <= 8, "200 columns at 1 %: more than 8 has a probability of 0.0002"


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t.assign(steady=t["steady"] + 0.5),
        lambda t: t.assign(steady=t["steady"] * 2),
        lambda t: t.assign(steady=t["steady"].where(np.arange(len(t)) % 5 > 0)),
    ],
    ids=["moved", "wider", "gaps"],
)
def test_a_change_is_seen_and_only_where_it_is(change):
    found = drift(some(2000, 1), change(some(2000, 2))).set_index("column")
    assert found.index[0] == "steady" and found["drifted"]["steady"] and found["drifted"].sum() <= 1


def test_more_rows_lower_the_floor_but_not_the_distance():
    floors, values = [], []
    for n in (300, 3000, 20_000):
        line = drift(
            some(n, 1)[["steady"]], some(n, 2)[["steady"]].assign(steady=lambda t: t["steady"] + 1)
        ).iloc[0]
        floors.append(line["js_floor"])
        values.append(line["js"])
    assert floors[0] > 2 * floors[1] > 2 * floors[2] and max(values) < 1.3 * min(values)


def test_rows_that_belong_together_raise_the_floor():
    """Each day has a level of its own. Rows shuffled alone call any two sets of days different;
    days shuffled whole do not."""
    generator, alone, whole = np.random.default_rng(0), 0, 0
    for seed in range(10):
        day = np.repeat(np.arange(40), 200)
        frame = pd.DataFrame(
            {"day": day, "x": generator.normal(size=40)[day] + generator.normal(size=8000)}
        )
        halves = frame[day < 20], frame[day >= 20]
        alone += drift(*halves, only=["x"], seed=seed)["drifted"].sum()
        whole += drift(*halves, only=["x"], groups="day", seed=seed)["drifted"].sum()
    assert alone >= 8 and whole <= 1


def test_drift_is_the_same_in_every_engine_and_by_seed():
    one, other = some(200, 1), some(150, 2)
    want = drift(one, other)
    for engine, make in ENGINES.items():
        pd.testing.assert_frame_equal(drift(make(one), make(other)), want), engine
    pd.testing.assert_frame_equal(drift(one, other, seed=0), want)
    assert not drift(one, other, seed=1)["js_floor"].equals(want["js_floor"])


def test_months_of_flights():
    "Published reading of PSI: below 0.1 is stable. The hour planned moves less than the delay."
    flights = load_table("flights").frame
    january, july = (flights[flights["month"] == month] for month in (1, 7))
    found = drift(january, july, only=["dep_delay", "origin", "air_time"], rows=5000).set_index(
        "column"
    )
    assert found["drifted"][["dep_delay", "air_time"]].all() and found["psi"]["origin"] < PSI_STABLE


@pytest.mark.parametrize(
    "wrong, told",
    [
        (lambda: drift(some(5), some(5), only=["stedy"]), "did you mean 'steady'"),
        (lambda: drift(some(5).head(0), some(5)), "must have rows"),
        (lambda: drift(some(5), some(5), bins=1), "bins"),
        (lambda: drift(some(5), some(5), level=1), "level"),
        (lambda: drift(some(5), some(5), groups="nothing"), "column of both tables"),
        (lambda: drift(some(50), some(50), groups="城市"), "in one of the two"),
        (lambda: profile([1, 2]), "data frame"),
        (lambda: profile(pd.DataFrame([[1, 2]], columns=["a", "a"])), "unique"),
        (lambda: profile(some(5), sample=0), "rows"),
    ],
)
def test_bad_input_is_told(wrong, told):
    with pytest.raises(InputError, match=re.escape(told)):
        wrong()
