"""Columns of every type of Spark, and the families of doors that take a frame of Spark.

Cells are what `matrix.py` says. One session serves all; each type is seen by some door and each
door by some type in the quick suite.
"""

import datetime
import tempfile
from functools import cache
from pathlib import Path

import matrix
import numpy as np
import pandas as pd
from matrix import ROWS, Result, cleaned, encoded, grid, plain, values_of

from bigdata_ai.data import frames
from bigdata_ai.data.acquire.files import read_files
from bigdata_ai.data.prepare.cleaning_rules import Missing, Text
from bigdata_ai.data.prepare.features import DateParts, OneHot, Scale
from bigdata_ai.data.spark import spark_session

GAP = "case when id % 7 = 3 then null else {} end"
WORDS = GAP.format("element_at(array('a', 'b', 'c d'), cast(id % 3 + 1 as int))")
MOMENT = "timestamp'2024-03-04 05:06:07' + make_dt_interval(0, id * 17)"
SQL = {
    "boolean": GAP.format("id % 2 = 0"),
    "byte": GAP.format("cast(id % 50 as byte)"),
    "short": GAP.format("cast(id % 50 as short)"),
    "int": GAP.format("cast(id % 50 as int)"),
    "long": GAP.format("id % 50"),
    "long beyond 2**53": "9007199254740993 + id",
    "float": GAP.format("cast(id / 8 as float)"),
    "double": GAP.format("id / 8"),
    "double with NaN": "case when id % 7 = 3 then double('NaN') else id / 8 end",
    "decimal": GAP.format("cast(id / 8 as decimal(12, 3))"),
    "string": WORDS,
    "char": f"cast({WORDS} as char(3))",
    "varchar": f"cast({WORDS} as varchar(3))",
    "binary": "encode(concat('k', id % 50), 'UTF-8')",
    "date": GAP.format("date'2024-03-04' + cast(id as int)"),
    "timestamp": GAP.format(MOMENT),
    "timestamp_ntz": GAP.format(MOMENT.replace("timestamp", "timestamp_ntz")),
    "time": "time'05:06:07'",
    "day-time interval": "make_dt_interval(0, id % 50)",
    "year-month interval": "make_ym_interval(1, cast(id % 50 as int))",
    "array": "array(id % 50, 1)",
    "map": "map('k', id % 50)",
    "struct": "named_struct('a', id % 50)",
    "variant": "parse_json(concat('{\"a\": ', id % 50, '}'))",
    "void": "null",
    "constant": "7",
}


@cache
def session():
    return spark_session("local[2]", memory="1g")


def of_spark(sql):
    "Rows as those of the other engines, the column under a name that has to be quoted."
    beside = "case when id % 3 = 0 then 'yes' else 'no' end as y, cast(id % 13 as double) as v"
    select = f"select id, {beside}, {sql} as `{{}}` from range({ROWS})"
    return lambda: session().sql(select.replace("{}", matrix.NAME.replace("`", "``")))


def collected(frame):
    "The values as Spark gives them to Python, by id."
    rows = sorted(frame.collect(), key=lambda row: row["id"])
    return [plain(value.asDict() if hasattr(value, "asDict") else value) for *_, value in rows]


def as_pandas(frame):
    out = frames.to_pandas(frame)
    got = values_of(out.sort_values("id"))
    pairs = [
        (repr(a), repr(b)) for a, b in zip(got, map(comparable, collected(frame)), strict=True)
    ]
    assert all(a == b for a, b in pairs), next(pair for pair in pairs if pair[0] != pair[1])
    return Result(out)


def comparable(value):
    "Maps as Arrow gives them: pairs; durations as pandas has them."
    if isinstance(value, datetime.timedelta):
        return pd.Timedelta(value)
    return list(value.items()) if isinstance(value, dict) and "k" in value else value


# Spark alone knows in a file that these whole numbers and structs are intervals and variants
OF_SPARK_ALONE = {"DayTimeIntervalType", "YearMonthIntervalType", "VariantType"}


def read(frame):
    "A Parquet file that Spark writes, read back."
    with tempfile.TemporaryDirectory() as folder:
        if set(str(frame.schema[matrix.NAME].dataType).split("(")) & OF_SPARK_ALONE:
            raise matrix.Unwritable
        try:
            frame.coalesce(1).write.mode("overwrite").parquet(folder)
        except Exception as error:
            raise matrix.Unwritable from error
        (path,) = Path(folder).glob("*.parquet")
        acquired = read_files(path)
        wanted = [repr(comparable(value)) for value in collected(frame)]
        got = values_of(acquired.table.select([matrix.NAME]))
        assert [repr(comparable(value)) for value in got] == wanted, (got[:2], wanted[:2])
        return Result(acquired, acquired.notes)


def summed(frame):
    out = frames.summarize(frame, {"rows": frames.nw.col(matrix.NAME).count()})
    known = frame.toDF("id", "y", "v", "x").filter("x is not null and string(x) != 'NaN'").count()
    assert out["rows"] == known, (out, known)
    return Result(out)


def hashed(frame):
    out = frames.hash_column(frame, matrix.NAME)
    fractions = values_of(out, "fraction")
    known = [one for one in fractions if one is not None]
    assert all(0 <= one < 1 for one in known)
    arrow = frames.to_arrow(frame)
    whole = [one for one in arrow[matrix.NAME].to_pylist() if one is not None]
    other = frames.hash_column(arrow.filter(arrow[matrix.NAME].is_valid()), matrix.NAME)
    assert np.allclose(known, other["fraction"].to_pylist()), (whole[:2], known[:2])
    return Result(out)


DOORS = {
    "to_pandas": as_pandas,
    "read": read,
    "untouched": matrix.passed,
    "Missing mode": cleaned(lambda name: Missing(name, "mode")),
    "Text": cleaned(lambda name: Text(name, case="upper")),
    "Scale": encoded(lambda name: Scale(name)),
    "OneHot": encoded(lambda name: OneHot(name, top=3)),
    "DateParts": encoded(lambda name: DateParts(name, ("year", "weekday"), circle=False)),
    "drop_duplicates": matrix.distinct,
    "hash": hashed,
    "sample_rows": matrix.drawn,
    "stratified_sample": matrix.sampled,
    "profile": matrix.profiled,
    "drift": matrix.drifted,
    "find_personal": matrix.searched,
    "anonymity": matrix.counted,
    "pseudonymize": matrix.named_anew,
    "lake": matrix.stored,
    "summarize": summed,
}
TYPES = {kind: of_spark(sql) for kind, sql in SQL.items()}


def outcome(kind, door):
    return matrix.outcome(kind, door, TYPES, DOORS)


def called(name, door):
    "The same of a plain column that has another name."
    usual, matrix.NAME = matrix.NAME, name
    try:
        return outcome(PLAIN.get(door, "string"), door)
    finally:
        matrix.NAME = usual


# a kind that the door takes, where it takes no texts
PLAIN = {"Scale": "double", "DateParts": "date"}


def page():
    signs = {kind: [matrix.SIGNS[outcome(kind, door)[0]] for door in DOORS] for kind in TYPES}
    return grid("Types of Spark at every family of doors", list(DOORS), signs)


def write_page():
    (matrix.PAGES / "matrix_spark.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_page()
