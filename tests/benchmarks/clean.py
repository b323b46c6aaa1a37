"""How fast cleaning is, side by side with the same steps written by hand in polars, pandas and DuckDB, and how it grows with rows.

python tests/benchmarks/clean.py [--quick]. The last line is JSON: {"ratios": {name: value}, "goals": {name: [">=", bound]}}.
A ratio is theirs over ours, so that 1 is as fast and 2 is twice as fast; each is the median over pairs taken in turn.
A small table (20,000 rows) shows what a pass costs whatever the size, a large one (10⁶, --quick 200,000) what a row costs; from both
follows a line for each way. Where ours takes twice as long as by hand at 20,000 rows, that cost is what the work of these rows is.
The table is drawn with replacement from the flights of 2013, with dirt added: 12 columns of text, numbers, numbers as text
and dates as text. Steps: strip and upper-case two texts, read numbers and dates from text, two ranges, two outlier fences, fill five
gaps (median, mean, commonest, median by group), drop repeats. By hand means: as its users write it, lazily in polars, vectorised in
pandas, as one statement in DuckDB; all with their own lenient casts, which ours can't use since other engines lack them.
"""

import argparse
import json
import subprocess
import sys
import time

import duckdb
import numpy as np
import pandas as pd
import polars as pl

from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Date, Duplicates, Missing, Number, Outliers
from bigdata_ai.data.prepare.cleaning_rules import Range, Text

KEYS = ["carrier", "origin", "dest", "tailnum", "day", "dep_time", "dep_delay", "arr_delay"]
RULES = [
    Text("carrier", case="upper"),
    Text("origin", case="upper"),
    Number("price"),
    Date("day"),
    Range("distance", 0, 6000),
    Range("dep_time", 0, 2400),
    Outliers("dep_delay", "quantile"),
    Outliers("arr_delay", "iqr"),
    Missing("dep_delay", flag=True),
    Missing("arr_delay"),
    Missing("air_time", by="dest"),
    Missing("tailnum", "mode"),
    Missing("price", "mean"),
    Duplicates("id", tuple(KEYS)),
]
SMALL, LARGE, QUICK = 20_000, 1_000_000, 200_000
# rows -> ratio -> bound
GOALS = {
    SMALL: {"polars by hand / ours on polars": 0.5, "DuckDB by hand / ours on DuckDB": 0.5},
    QUICK: {
        "polars by hand / ours on polars": 0.75,
        "DuckDB by hand / ours on DuckDB": 0.75,
        "pandas by hand / ours on polars": 1.5,
    },
    LARGE: {
        "polars by hand / ours on polars": 0.95,
        "DuckDB by hand / ours on DuckDB": 0.85,
        "pandas by hand / ours on polars": 2,
        "pandas by hand / ours on DuckDB": 2,
    },
}


def table(n, seed=0):
    "n rows as pandas."
    flights, draw = load_table("flights").frame, np.random.default_rng(seed)
    frame = flights.iloc[draw.integers(0, len(flights), n)].reset_index(drop=True)
    frame["day"] = pd.Series(frame["time_hour"].dt.strftime("%Y-%m-%d"), dtype="str")
    frame = frame[
        [
            "carrier",
            "origin",
            "dest",
            "tailnum",
            "day",
            "distance",
            "dep_time",
            "dep_delay",
            "arr_delay",
            "air_time",
        ]
    ]
    frame = frame.assign(id=np.arange(n), price=frame["distance"].astype("str"))
    frame.loc[draw.random(n) < 0.1, "carrier"] = " " + frame["carrier"].str.lower()
    frame.loc[draw.random(n) < 0.05, "price"] = "n/a"
    frame.loc[draw.random(n) < 0.02, "day"] = "2013-02-30"
    return frame


def ours(frame):
    return Cleaner(RULES).fit_clean(frame)


def ours_duckdb(frame):
    return ours(frame).to_arrow_table()


def by_hand_polars(frame):
    c = pl.col
    texts = [
        pl.when(c(x).str.strip_chars() != "")
        .then(c(x).str.strip_chars().str.to_uppercase())
        .alias(x)
        for x in ("carrier", "origin")
    ]
    tidy = (
        frame.lazy()
        .with_columns(
            *texts,
            c("price")
            .str.strip_chars()
            .str.replace_all(",", "", literal=True)
            .cast(pl.Float64, strict=False),
            c("day").str.strip_chars().str.to_datetime("%Y-%m-%d", strict=False),
            pl.when(c("distance").is_between(0, 6000)).then(c("distance")).alias("distance"),
            pl.when(c("dep_time").is_between(0, 2400)).then(c("dep_time")).alias("dep_time"),
        )
        .collect()
    )
    q = tidy.select(
        low=c("dep_delay").quantile(0.01, "linear"),
        high=c("dep_delay").quantile(0.99, "linear"),
        q1=c("arr_delay").quantile(0.25, "linear"),
        q3=c("arr_delay").quantile(0.75, "linear"),
        air=c("air_time").median(),
        price=c("price").mean(),
        tail=c("tailnum").drop_nulls().mode().min(),
    ).row(0, named=True)
    reach = 1.5 * (q["q3"] - q["q1"])
    clipped = tidy.lazy().with_columns(
        c("dep_delay").clip(q["low"], q["high"]),
        c("arr_delay").clip(q["q1"] - reach, q["q3"] + reach),
        c("price").fill_null(q["price"]),
        c("tailnum").fill_null(q["tail"]),
        c("air_time").fill_null(c("air_time").median().over("dest")).fill_null(q["air"]),
    )
    filled = clipped.with_columns(
        c("dep_delay").is_null().cast(pl.Int64).alias("dep_delay_missing"),
        c("dep_delay").fill_null(c("dep_delay").median()),
        c("arr_delay").fill_null(c("arr_delay").median()),
    )
    return filled.unique(KEYS, keep="first", maintain_order=True).collect()


def by_hand_duckdb(frame):
    rest = ", ".join(
        f"{name} := {name}" for name in ("distance", "air_time", "id", "price", "dep_delay_missing")
    )
    return frame.query(
        "rows",
        f"""
        with tidy as materialized (select * replace (nullif(upper(trim(carrier)), '') as carrier, nullif(upper(trim(origin)), '') as origin,
                try_cast(replace(trim(price), ',', '') as double) as price, try_strptime(trim(day), '%Y-%m-%d') as day,
                case when distance between 0 and 6000 then distance end as distance,
                case when dep_time between 0 and 2400 then dep_time end as dep_time) from rows),
            q as (select quantile_cont(dep_delay, [0.01, 0.99]) as d, quantile_cont(arr_delay, [0.25, 0.75]) as a, median(air_time) as air,
                avg(price) as price, mode(tailnum order by tailnum) as tail from tidy),
            groups as (select dest, median(air_time) as usual from tidy group by dest),
            clipped as (select tidy.* replace (case when dep_delay is not null then least(greatest(dep_delay, d[1]), d[2]) end as dep_delay,
                case when arr_delay is not null then least(greatest(arr_delay, a[1] - 1.5 * (a[2] - a[1])), a[2] + 1.5 * (a[2] - a[1])) end
                as arr_delay, coalesce(tidy.price, q.price) as price, coalesce(tailnum, tail) as tailnum,
                coalesce(air_time, usual, air) as air_time) from tidy cross join q left join groups using (dest)),
            medians as (select median(dep_delay) as dep, median(arr_delay) as arr from clipped),
            filled as (select * replace (coalesce(dep_delay, dep) as dep_delay, coalesce(arr_delay, arr) as arr_delay),
                cast(dep_delay is null as bigint) as dep_delay_missing from clipped cross join medians)
        select * exclude (other), unnest(other) from (
            select {", ".join(KEYS)}, arg_min(struct_pack({rest}), id) as other from filled group by {", ".join(KEYS)})""",
    ).to_arrow_table()


def by_hand_pandas(frame):
    df = frame.copy()
    for x in ("carrier", "origin"):
        df[x] = df[x].str.strip().str.upper().replace("", np.nan)
    df["price"] = pd.to_numeric(df["price"].str.strip().str.replace(",", ""), errors="coerce")
    df["day"] = pd.to_datetime(df["day"].str.strip(), format="%Y-%m-%d", errors="coerce")
    df["distance"] = df["distance"].where(df["distance"].between(0, 6000))
    df["dep_time"] = df["dep_time"].where(df["dep_time"].between(0, 2400))
    df["dep_delay_missing"] = df["dep_delay"].isna().astype("int64")
    df["dep_delay"] = df["dep_delay"].clip(*df["dep_delay"].quantile([0.01, 0.99]))
    q1, q3 = df["arr_delay"].quantile([0.25, 0.75])
    df["arr_delay"] = df["arr_delay"].clip(q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1))
    df["air_time"] = (
        df["air_time"]
        .fillna(df.groupby("dest")["air_time"].transform("median"))
        .fillna(df["air_time"].median())
    )
    df["tailnum"], df["price"] = (
        df["tailnum"].fillna(df["tailnum"].mode()[0]),
        df["price"].fillna(df["price"].mean()),
    )
    for x in ("dep_delay", "arr_delay"):
        df[x] = df[x].fillna(df[x].median())
    return df.drop_duplicates(KEYS)


WAYS = {
    "ours on polars": ours,
    "ours on DuckDB": ours_duckdb,
    "ours on pandas": ours,
    "polars by hand": by_hand_polars,
    "pandas by hand": by_hand_pandas,
    "DuckDB by hand": by_hand_duckdb,
}


def kinds(frame):
    "The same rows for each way; DuckDB holds them in a table of its own."
    polars, engine = pl.from_pandas(frame), duckdb.connect()
    engine.register("arrow", polars.to_arrow())
    engine.execute("create table rows as select * from arrow; set enable_progress_bar = false")
    return {
        "ours on polars": polars,
        "ours on DuckDB": engine.table("rows"),
        "ours on pandas": frame,
        "polars by hand": polars,
        "pandas by hand": frame,
        "DuckDB by hand": engine.table("rows"),
    }


def seconds(way, frame):
    start = time.perf_counter()
    result = WAYS[way](frame)
    return time.perf_counter() - start, result


def same(a, b):
    "The numbers of two ways agree, to a part in 10⁹."
    a, b = (frame if isinstance(frame, pd.DataFrame) else frame.to_pandas() for frame in (a, b))
    a, b = (frame.sort_values("id").reset_index(drop=True) for frame in (a, b))
    assert a["id"].tolist() == b["id"].tolist(), (len(a), len(b))
    for name in (
        "dep_delay",
        "arr_delay",
        "air_time",
        "price",
        "distance",
        "dep_time",
        "dep_delay_missing",
    ):
        np.testing.assert_allclose(
            a[name].to_numpy(float), b[name].to_numpy(float), rtol=1e-9, err_msg=name
        )
    for name in ("carrier", "origin", "tailnum"):
        assert a[name].fillna("").tolist() == b[name].fillna("").tolist(), name
    assert (a["day"].isna() == b["day"].isna()).all() and (
        a["day"].dropna().astype("M8[us]") == b["day"].dropna().astype("M8[us]")
    ).all()


def compare(rows, pairs, timed):
    "Ratios at one size between the ways to be timed; all ways must agree first."
    frames = kinds(table(rows))
    results = {way: seconds(way, frames[way])[1] for way in WAYS}
    for way in WAYS:
        same(results[way], results["pandas by hand"])
    results.clear()
    times = {way: [] for way in timed}
    for _ in range(pairs):
        for way in timed:
            times[way].append(seconds(way, frames[way])[0])
    ratio = {
        f"{theirs} / {mine}": float(np.median(np.array(times[theirs]) / np.array(times[mine])))
        for theirs in ("polars by hand", "pandas by hand", "DuckDB by hand")
        for mine in times
        if mine.startswith("ours")
    }
    return ratio, {way: float(np.median(found)) for way, found in times.items()}


CHILD = """
import resource, sys, time
sys.path.insert(0, {folder!r})
import clean
way, rows = sys.argv[1], int(sys.argv[2])
frame = clean.table(rows)
kept = clean.kinds(frame)[way]
del frame
open("/proc/self/clear_refs", "w").write("5")  # the peak so far does not count
now = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
start = time.perf_counter()
clean.WAYS[way](kept)
took = time.perf_counter() - start
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
print(took, (peak - now) / 1024)
"""


def grow(sizes, ways):
    "Seconds and MiB above the input, each in a process of its own."
    from pathlib import Path

    child = CHILD.format(folder=str(Path(__file__).parent))
    for way in ways:
        for rows in sizes:
            done = subprocess.run(
                [sys.executable, "-W", "ignore", "-c", child, way, str(rows)],
                capture_output=True,
                text=True,
                check=True,
            )
            # DuckDB shows its progress before
            took, peak = map(float, done.stdout.splitlines()[-1].split())
            yield {
                "way": way,
                "rows": rows,
                "seconds": round(took, 2),
                "MiB above input": round(peak),
            }


def growth(small, large, rows):
    "What a pass costs whatever the size, and what a million rows add, by the times of two sizes."
    for way, took in large.items():
        slope = (took - small[way]) / (rows - SMALL)
        yield {
            "way": way,
            "ms whatever the size": round(1e3 * (small[way] - slope * SMALL), 1),
            "ms a million rows": round(1e9 * slope),
        }


def run(quick=False):
    "Ratios, goals and lines to print; processes of their own are left to the full way."
    # pandas takes long and has no goal
    timed = [way for way in WAYS if not quick or way != "ours on pandas"]
    ratios, goals, lines, times = {}, {}, [], {}
    for rows, pairs in ((SMALL, 15), (QUICK, 5) if quick else (LARGE, 9)):
        found, times[rows] = compare(rows, pairs, timed)
        ratios |= {f"{name}, {rows:,} rows": value for name, value in found.items()}
        goals |= {f"{name}, {rows:,} rows": [">=", x] for name, x in GOALS[rows].items()}
        lines.append(f"cleaning, {rows:,} rows, 12 columns, median of {pairs}")
        lines += [f"  {way:16s} {1e3 * took:8.1f} ms" for way, took in times[rows].items()]
    lines.append(pd.DataFrame(growth(times[SMALL], times[rows], rows)).to_string(index=False))
    if not quick:
        ways = [*WAYS][:2] + ["polars by hand"]
        lines.append(pd.DataFrame(grow((10**5, 10**6, 10**7), ways)).to_string(index=False))
    return ratios, goals, lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    ratios, goals, lines = run(parser.parse_args().quick)
    print("\n".join(lines))
    print(
        json.dumps(
            {"ratios": {name: round(value, 3) for name, value in ratios.items()}, "goals": goals}
        )
    )
