"""Tables with one column of every type, and the doors of the kit that take a table.

A cell of the matrix is one type at one door. It is *right* (the value that pandas, Python or the
type itself says), *noted* (the result says what was decided), *refused* (an error of the kit that
names the column and says what to do), or *wrong*: a raw error, an error that names nothing or
leaves one helpless, another value.
"""

import datetime
import decimal
import io
import json
import math
import tempfile
import uuid
import warnings
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.linear_model import LogisticRegression

from bigdata_ai.core import BigDataError
from bigdata_ai.data import frames
from bigdata_ai.data.acquire.files import read_files, stream_files
from bigdata_ai.data.columns import plain_column, read_times
from bigdata_ai.data.labels.annotate import Annotator
from bigdata_ai.data.labels.audit import audit, out_of_fold
from bigdata_ai.data.labels.consensus import consensus
from bigdata_ai.data.leakage import leakage
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import (
    Category,
    Date,
    Duplicates,
    Missing,
    NearDuplicates,
    Number,
    Outliers,
    Range,
    Text,
    Unit,
)
from bigdata_ai.data.prepare.features import (
    DateParts,
    Encoder,
    OneHot,
    Ordinal,
    Pieces,
    Scale,
    TargetEncoding,
)
from bigdata_ai.data.prepare.validate import validate
from bigdata_ai.data.privacy.anonymity import anonymity, anonymize
from bigdata_ai.data.privacy.find import find_personal
from bigdata_ai.data.privacy.pseudonyms import new_key, pseudonymize
from bigdata_ai.data.profile import drift, profile
from bigdata_ai.data.sample import stratified_sample
from bigdata_ai.data.split import folds, split
from bigdata_ai.data.store.batches import Batches
from bigdata_ai.data.store.lake import Lake
from bigdata_ai.data.tables import from_arrays, table
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.loop import fit
from bigdata_ai.train.prepared import Prepared
from bigdata_ai.train.wrappers import NetworkClassifier
from bigdata_ai.value.exchange_rates import problem_of

ROWS = 60
NAME = "some column"  # with a blank, so that names are quoted where they must be
AT = [pd.Timestamp("2024-03-04 05:06:07") + pd.Timedelta(hours=17 * i) for i in range(ROWS)]
DAYS = [moment.date() for moment in AT]


def gaps(values):
    "Every seventh value is missing."
    return [None if i % 7 == 3 else value for i, value in enumerate(values)]


def masked(values):
    "The same in NumPy's way: a mask over them."
    return np.ma.MaskedArray(values, mask=[i % 7 == 3 for i in range(len(values))])


def cycle(*values):
    return [values[i % len(values)] for i in range(ROWS)]


WHOLE = [i % 50 for i in range(ROWS)]
REAL = [i / 8 for i in range(ROWS)]
EXACT = [decimal.Decimal(i) / 8 for i in range(ROWS)]
TEXTS = cycle("a", "b", "c d")


def beside():
    "The columns beside the one that is looked at."
    return {
        "id": list(range(ROWS)),
        "y": cycle("yes", "no", "no"),
        "v": [float(i % 13) for i in range(ROWS)],
    }


def of_pandas(make):
    return lambda: pd.DataFrame(beside()).assign(**{NAME: make()})


def of_arrow(values, kind):
    return lambda: pa.table(beside()).append_column(NAME, pa.array(values, kind))


def of_polars(make):
    return lambda: pl.DataFrame(beside()).with_columns(make().alias(NAME))


def of_duckdb(sql):
    def frame():
        connection = duckdb.connect()
        table = pa.table(beside())
        connection.register("t", table)
        quoted = NAME.replace('"', '""')
        relation = connection.sql(f'select id, y, v, {sql} as "{quoted}" from t order by id')
        return relation

    return frame


def dictionary(values):
    return pa.array(values).dictionary_encode()


def pandas_arrow(values, kind):
    return of_pandas(lambda: pd.Series(pa.array(values, kind), dtype=pd.ArrowDtype(kind)))


PANDAS = {
    "int64": of_pandas(lambda: pd.Series(WHOLE, dtype="int64")),
    "int8": of_pandas(lambda: pd.Series(WHOLE, dtype="int8")),
    "uint64 above 2**63": of_pandas(lambda: pd.Series([2**63 + i for i in WHOLE], dtype="uint64")),
    "float64 with NaN": of_pandas(lambda: pd.Series(gaps(REAL), dtype="float64")),
    "float64 with inf": of_pandas(lambda: pd.Series([math.inf, *REAL[1:]])),
    "float32": of_pandas(lambda: pd.Series(REAL, dtype="float32")),
    "float16": of_pandas(lambda: pd.Series(REAL, dtype="float16")),
    "bool": of_pandas(lambda: pd.Series(cycle(True, False))),
    "Int64": of_pandas(lambda: pd.Series(gaps(WHOLE), dtype="Int64")),
    "Float64": of_pandas(lambda: pd.Series(gaps(REAL), dtype="Float64")),
    "boolean": of_pandas(lambda: pd.Series(gaps(cycle(True, False)), dtype="boolean")),
    "str": of_pandas(lambda: pd.Series(gaps(TEXTS), dtype="str")),
    "string[python]": of_pandas(lambda: pd.Series(gaps(TEXTS), dtype="string[python]")),
    "object of texts": of_pandas(lambda: pd.Series(gaps(TEXTS), dtype=object)),
    "category": of_pandas(lambda: pd.Series(gaps(TEXTS), dtype="category")),
    "category of numbers": of_pandas(lambda: pd.Series(gaps(WHOLE), dtype="category")),
    "ordered category": of_pandas(lambda: pd.Series(pd.Categorical(TEXTS, ordered=True))),
    "datetime64[ns]": of_pandas(lambda: pd.Series(AT).astype("datetime64[ns]")),
    "datetime64[s]": of_pandas(lambda: pd.Series(gaps(AT)).astype("datetime64[s]")),
    "datetime64[us, Asia/Shanghai]": of_pandas(
        lambda: (
            pd.Series(AT).dt.tz_localize("Asia/Shanghai").astype("datetime64[us, Asia/Shanghai]")
        )
    ),
    "datetime64[us, +08:00]": of_pandas(lambda: pd.Series(AT).dt.tz_localize("+08:00")),
    "timedelta64": of_pandas(lambda: pd.Series(pd.to_timedelta(WHOLE, unit="h"))),
    "period[M]": of_pandas(lambda: pd.Series(pd.period_range("2020-01", periods=ROWS, freq="M"))),
    "interval": of_pandas(lambda: pd.Series(pd.interval_range(0, ROWS))),
    "sparse": of_pandas(lambda: pd.Series(pd.arrays.SparseArray(cycle(0.0, 0.0, 1.0)))),
    "complex": of_pandas(lambda: pd.Series(np.array(REAL) + 1j)),
    "decimals": of_pandas(lambda: pd.Series(gaps(EXACT), dtype=object)),
    "dates": of_pandas(lambda: pd.Series(gaps(DAYS), dtype=object)),
    "times of day": of_pandas(lambda: pd.Series([moment.time() for moment in AT], dtype=object)),
    "mixed objects": of_pandas(lambda: pd.Series(cycle(1, "a", None, 2.5), dtype=object)),
    "numbers and gaps": of_pandas(lambda: pd.Series(gaps(WHOLE), dtype=object)),
    "lists": of_pandas(lambda: pd.Series([[i, 1] for i in WHOLE])),
    "dicts": of_pandas(lambda: pd.Series([{"a": i} for i in WHOLE])),
    "sets": of_pandas(lambda: pd.Series([{i} for i in WHOLE])),
    "bytes": of_pandas(lambda: pd.Series([b"\xff" + bytes([i]) for i in WHOLE])),
    "UUIDs": of_pandas(lambda: pd.Series([uuid.UUID(int=i) for i in WHOLE])),
    "masked whole numbers": of_pandas(lambda: pd.Series(masked(WHOLE))),
    "masked truth values": of_pandas(lambda: pd.Series(masked(cycle(True, False)))),
    "masked texts": of_pandas(lambda: pd.Series(masked(TEXTS))),
    "masked moments": of_pandas(lambda: pd.Series(masked(np.array(AT, "datetime64[us]")))),
    "all None": of_pandas(lambda: pd.Series([None] * ROWS, dtype=object)),
    "all NaN": of_pandas(lambda: pd.Series([math.nan] * ROWS)),
    "constant": of_pandas(lambda: pd.Series([7] * ROWS)),
    "constant text": of_pandas(lambda: pd.Series(["k"] * ROWS)),
    "Arrow decimal": pandas_arrow(gaps(EXACT), pa.decimal128(9, 3)),
    "Arrow dictionary": pandas_arrow(gaps(TEXTS), pa.dictionary(pa.int32(), pa.string())),
    "Arrow list": pandas_arrow([[i] for i in WHOLE], pa.list_(pa.int64())),
    "Arrow date": pandas_arrow(gaps(DAYS), pa.date32()),
    "Arrow int": pandas_arrow(gaps(WHOLE), pa.int64()),
    "Arrow string": pandas_arrow(gaps(TEXTS), pa.string()),
    "Arrow bool": pandas_arrow(gaps(cycle(True, False)), pa.bool_()),
    "Arrow timestamp": pandas_arrow(gaps(AT), pa.timestamp("us", "Asia/Shanghai")),
}
ARROW = {
    "int32": of_arrow(gaps(WHOLE), pa.int32()),
    "uint64": of_arrow([2**64 - 1 - i for i in WHOLE], pa.uint64()),
    "halffloat": of_arrow(np.array(REAL, np.float16), pa.float16()),
    "double with NaN": of_arrow([math.nan, *REAL[1:]], pa.float64()),
    "decimal128": of_arrow(gaps(EXACT), pa.decimal128(12, 3)),
    "decimal256": of_arrow(gaps(EXACT), pa.decimal256(50, 3)),
    "bool": of_arrow(gaps(cycle(True, False)), pa.bool_()),
    "string": of_arrow(gaps(TEXTS), pa.string()),
    "large_string": of_arrow(gaps(TEXTS), pa.large_string()),
    "string_view": of_arrow(gaps(TEXTS), pa.string_view()),
    "dictionary": of_arrow(dictionary(gaps(TEXTS)), None),
    "dictionary of numbers": of_arrow(dictionary(gaps(WHOLE)), None),
    "date32": of_arrow(gaps(DAYS), pa.date32()),
    "date64": of_arrow(gaps(DAYS), pa.date64()),
    "time64": of_arrow([moment.time() for moment in AT], pa.time64("us")),
    "timestamp[s]": of_arrow(gaps(AT), pa.timestamp("s")),
    "timestamp[ns, UTC]": of_arrow(gaps(AT), pa.timestamp("ns", "UTC")),
    "timestamp[us, Asia/Shanghai]": of_arrow(gaps(AT), pa.timestamp("us", "Asia/Shanghai")),
    "timestamp[us, +08:00]": of_arrow(gaps(AT), pa.timestamp("us", "+08:00")),
    "duration": of_arrow([datetime.timedelta(hours=i) for i in WHOLE], pa.duration("us")),
    "month_day_nano_interval": of_arrow([(1, i, 0) for i in WHOLE], pa.month_day_nano_interval()),
    "list": of_arrow([[i, 1] for i in WHOLE], pa.list_(pa.int64())),
    "fixed list": of_arrow([[i, 1] for i in WHOLE], pa.list_(pa.int64(), 2)),
    "struct": of_arrow([{"a": i} for i in WHOLE], pa.struct([("a", pa.int64())])),
    "map": of_arrow([[("k", i)] for i in WHOLE], pa.map_(pa.string(), pa.int64())),
    "binary": of_arrow([b"\xff" + bytes([i]) for i in WHOLE], pa.binary()),
    "fixed binary": of_arrow([bytes([i, 255]) for i in WHOLE], pa.binary(2)),
    "uuid": of_arrow([uuid.UUID(int=i).bytes for i in WHOLE], pa.uuid()),
    "null": of_arrow([None] * ROWS, pa.null()),
    "constant": of_arrow([7] * ROWS, pa.int64()),
}
POLARS = {
    "Int128": of_polars(lambda: pl.Series(WHOLE, dtype=pl.Int128)),
    "UInt8": of_polars(lambda: pl.Series(gaps(WHOLE), dtype=pl.UInt8)),
    "Float32": of_polars(lambda: pl.Series(gaps(REAL), dtype=pl.Float32)),
    "Decimal": of_polars(lambda: pl.Series(gaps(EXACT), dtype=pl.Decimal(12, 3))),
    "Boolean": of_polars(lambda: pl.Series(gaps(cycle(True, False)))),
    "String": of_polars(lambda: pl.Series(gaps(TEXTS))),
    "Categorical": of_polars(lambda: pl.Series(gaps(TEXTS), dtype=pl.Categorical)),
    "Enum": of_polars(lambda: pl.Series(gaps(TEXTS), dtype=pl.Enum(["a", "b", "c d"]))),
    "Date": of_polars(lambda: pl.Series(gaps(DAYS))),
    "Datetime[ms]": of_polars(lambda: pl.Series(gaps(AT)).cast(pl.Datetime("ms"))),
    "Datetime[ns, Europe/Berlin]": of_polars(
        lambda: pl.Series(AT).cast(pl.Datetime("ns")).dt.replace_time_zone("Europe/Berlin")
    ),
    "Duration": of_polars(lambda: pl.Series([datetime.timedelta(hours=i) for i in WHOLE])),
    "Time": of_polars(lambda: pl.Series([moment.time() for moment in AT])),
    "List": of_polars(lambda: pl.Series([[i, 1] for i in WHOLE])),
    "Array": of_polars(lambda: pl.Series([[i, 1] for i in WHOLE], dtype=pl.Array(pl.Int64, 2))),
    "Struct": of_polars(lambda: pl.Series([{"a": i} for i in WHOLE])),
    "Binary": of_polars(lambda: pl.Series([b"\xff" + bytes([i]) for i in WHOLE])),
    "Object": of_polars(lambda: pl.Series([object() for _ in WHOLE], dtype=pl.Object)),
    "Null": of_polars(lambda: pl.Series([None] * ROWS)),
    "constant": of_polars(lambda: pl.Series([7] * ROWS)),
}
GAP = "case when id % 7 = 3 then null else {} end"
DUCKDB = {
    "HUGEINT": of_duckdb(GAP.format("(id % 50)::hugeint")),
    "UBIGINT": of_duckdb("(18446744073709551615 - id)::ubigint"),
    "DECIMAL": of_duckdb(GAP.format("(id / 8)::decimal(12, 3)")),
    "REAL": of_duckdb(GAP.format("(id / 8)::real")),
    "BOOLEAN": of_duckdb(GAP.format("id % 2 = 0")),
    "VARCHAR": of_duckdb(GAP.format("['a', 'b', 'c d'][id % 3 + 1]")),
    "ENUM": of_duckdb(GAP.format("['a', 'b', 'c d'][id % 3 + 1]") + "::enum('a', 'b', 'c d')"),
    "DATE": of_duckdb(GAP.format("date '2024-03-04' + id::int")),
    "TIME": of_duckdb("time '05:06:07' + to_minutes(id::int)"),
    "TIMESTAMP_NS": of_duckdb(
        "(timestamp '2024-03-04 05:06:07' + to_hours(id::int))::timestamp_ns"
    ),
    "TIMESTAMPTZ": of_duckdb("(timestamp '2024-03-04 05:06:07' + to_hours(id::int))::timestamptz"),
    "INTERVAL": of_duckdb("to_hours(id::int)"),
    "UUID": of_duckdb("('00000000-0000-0000-0000-0000000000' || (10 + id % 50))::uuid"),
    "BLOB": of_duckdb("'\\xFF\\x01'::blob"),
    "LIST": of_duckdb("[id, 1]"),
    "STRUCT": of_duckdb("{a: id}"),
    "MAP": of_duckdb("map {'k': id}"),
    "BIT": of_duckdb("'0101'::bit"),
    "all NULL": of_duckdb("null"),
    "constant": of_duckdb("7"),
}
TYPES = {
    f"{engine} {name}": make
    for engine, kinds in (
        ("pandas", PANDAS),
        ("Arrow", ARROW),
        ("polars", POLARS),
        ("DuckDB", DUCKDB),
    )
    for name, make in kinds.items()
}


# Doors


def values_of(frame, name=None):
    "The values of a column as plain Python, to compare."
    name = NAME if name is None else name
    if isinstance(frame, pd.DataFrame):
        return [
            None if value is pd.NA or value is pd.NaT else plain(value) for value in frame[name]
        ]
    return [plain(value) for value in frames.to_arrow(frame)[name].to_pylist()]


def plain(value):
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        moment = pd.Timestamp(value)
        return str(moment.tz_convert("UTC").tz_localize(None) if moment.tz else moment)
    if isinstance(value, int) and abs(value) >= 2**53:
        return value
    if isinstance(value, (int, float, decimal.Decimal, np.number)) and not isinstance(value, bool):
        return float(value)
    return value


def fitted(rules, frame, kind=Cleaner):
    "Fit, apply, save as JSON, load, apply again: the same."
    if kind is Cleaner:
        rules = kind(rules)
        out = rules.fit_clean(frame)
    else:
        rules = kind(rules, keep=["id"])
        out = rules.fit_transform(frame)
    again = kind.from_dict(json.loads(json.dumps(rules.to_dict())))
    other = again.clean(frame) if kind is Cleaner else again.transform(frame)
    target = any(isinstance(rule, TargetEncoding) for rule in rules.rules)
    assert target or rows_of(out) == rows_of(other), "a saved rule gives other values"
    for name, kind in frames.columns(out).items():
        if name not in ("id", "y", "v", NAME) and not target:
            assert kind == "Float64", (name, kind)
    return Result(out, rules.notes)


def rows_of(frame):
    if frames.engine_of(frame) in ("duckdb", "spark"):
        # a relation is asked anew for each column, and its rows have no order
        frame = frames.to_arrow(frame)
    columns = [map(repr, values_of(frame, name)) for name in frames.columns(frame)]
    return sorted(zip(*columns, strict=True))


class Result:
    "What a door gave, and what it noted."

    def __init__(self, value=None, notes=()):
        self.value, self.notes = value, tuple(notes)


def cleaned(rule):
    return lambda frame: fitted([rule(NAME)], frame)


def encoded(rule):
    return lambda frame: fitted([rule(NAME)], frame, Encoder)


def passed(frame):
    "A column that no rule is about comes out as it went in."
    before = values_of(frame)
    out = Cleaner([Range("v", 0, 5)]).fit_clean(frame)
    assert len(values_of(out)) == len(before)
    assert list(map(repr, values_of(out))) == list(map(repr, before)), "an untouched column changed"
    return Result(out)


def reported(frame):
    return Result(Cleaner([Missing(NAME, "mode")]).fit(frame).report(frame))


def distinct(frame):
    out = frames.drop_duplicates(frame, [NAME], order_by="id")
    expected = len({repr(value) for value in values_of(frame)})
    assert frames.count(out) == expected, (frames.count(out), expected)
    return Result(out)


def as_pandas(frame):
    return frames.to_pandas(frame)


def as_target(frame):
    data = table(as_pandas(frame), target=NAME, id="id")
    values = plain_column(data.frame[NAME])
    if values.dtype.kind == "f":
        assert data.labels == () and data.y.dtype == np.float64
    return Result(data.y, data.notes)


def as_time(frame):
    data = table(as_pandas(frame), target="y", id="id", time=NAME)
    train, test = split(data, by="time")
    order = read_times(data.frame[NAME]).values
    assert order.iloc[: len(train)].notna().all()
    assert len(leakage(train, test, checks=("time",))) == 0, "later rows in training"
    return Result(train, data.notes)


def as_group(frame):
    data = table(as_pandas(frame), target="y", id="id", group=NAME)
    train, test = split(data, by="group")
    assert len(leakage(train, test, checks=("group",))) == 0, "a group on both sides"
    return Result(folds(data, 3, by="group"), data.notes)


def as_feature(frame):
    data = table(as_pandas(frame), target="y", id="id")
    twice = data.take(list(range(10)))
    found = leakage(data, twice, checks=("content",))
    assert len(found) == 10, "the same rows are not found"
    return Result(found, data.notes)


def as_array(frame):
    X = as_pandas(frame)[[NAME, "v"]]
    data = from_arrays(X, np.arange(ROWS) % 2)
    assert data.X.dtype.kind == "f"
    return Result(data)


def drifted(frame):
    moved = drift(frame, frame, shuffles=200).set_index("column")
    assert moved.loc[NAME, "js"] < 1e-9, "a table differs from itself"
    return Result(moved)


def profiled(frame):
    page = profile(frame)
    assert NAME in page.table.index
    return Result(repr(page))


def searched(frame):
    return Result(find_personal(frame))


def counted(frame):
    return Result(anonymity(frame, [NAME], 2))


def hidden(frame):
    return Result(anonymize(frame, [NAME], 2))


def named_anew(frame):
    out = pseudonymize(frame, [NAME], new_key())
    before, after = values_of(frame), values_of(out)
    pairs = {(repr(a), b) for a, b in zip(before, after, strict=True)}
    assert len(pairs) == len({repr(a) for a in before}), "two values share a pseudonym"
    return Result(out)


def sampled(frame):
    return Result(stratified_sample(frame, NAME, "id", 0.5))


def drawn(frame):
    out = frames.sample_rows(frame, 20)
    assert len(out) == 20
    return Result(out)


def hashed(frame):
    return Result(frames.hash_column(frame, NAME))


def stored(frame):
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder))
        lake.append(frame)
        back = lake.read()
        got = pa.table(frames.to_arrow(back)).sort_by("id")
        expected = frames.to_arrow(frame).sort_by("id")
        a, b = ([repr(plain(v)) for v in t[NAME].to_pylist()] for t in (got, expected))
        assert a == b, f"the lake gives other values: {a[:2]} for {b[:2]}"
    return Result(back)


def batched(frame):
    features = frames.to_arrow(frame).select(["id", NAME, "v"])
    features = features.append_column("label", pa.array(np.arange(ROWS) % 2))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet")
        try:
            pq.write_table(features, path)
        except pa.ArrowNotImplementedError as error:
            raise Unwritable from error
        rows = Batches(path, [NAME, "v"], "label", ids="id", batch_size=20)
        first = next(iter(rows))
        assert first.X.dtype.kind == "f"
    return Result(first)


class Unwritable(Exception):
    "What no engine can write can't be read."


def write(frame, path):
    "Parquet by the frame's own engine."
    try:
        match frames.engine_of(frame):
            case "pandas":
                frame.to_parquet(path)
            case "polars":
                frame.write_parquet(path)
            case "duckdb":
                frame.write_parquet(str(path))
            case _:
                pq.write_table(frame, path)
    except Exception as error:
        raise Unwritable from error


def written(frame):
    "Parquet that the frame's own engine writes, read back."
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "t.parquet")
        write(frame, path)
        acquired = read_files(path)
        acquired.frame  # noqa: B018
        return Result(acquired, acquired.notes)


def checked(frame):
    return Result(validate(frame, {NAME: {"nullable": True}}))


def advised(frame):
    problem = problem_of(frame, "y")
    return Result(problem, problem.warnings)


def advised_on(frame):
    problem = problem_of(frame, NAME)
    return Result(problem, problem.warnings)


def advised_by_time(frame):
    problem = problem_of(frame, "y", time=NAME)
    return Result(problem, problem.warnings)


def masked_array(frame):
    "The column as NumPy keeps it, its gaps under a mask; (array, mask)."
    column = as_pandas(frame)[NAME]
    gaps = column.isna().to_numpy()
    return np.ma.MaskedArray(column.to_numpy(), mask=gaps), gaps


def as_masked_array(frame):
    values, gaps = masked_array(frame)
    data = from_arrays(values[:, None], np.arange(ROWS) % 2)
    assert not gaps.any(), "gaps become data"
    assert list(data.X[:, 0]) == [float(value) for value in values.data]
    return Result(data)


def as_masked_labels(frame):
    values, gaps = masked_array(frame)
    data = from_arrays(np.arange(ROWS)[:, None], values)
    assert not gaps.any(), "gaps become labels"
    assert list(data.y) == [int(value) for value in values.data]
    return Result(data)


def rule_for(frame):
    "What a user takes first for a column of this type."
    kind = frames.columns(frame)[NAME]
    if kind.startswith(("Int", "UInt", "Float", "Decimal")):
        return Scale(NAME)
    return DateParts(NAME, ("weekday",)) if kind.startswith("Date") else OneHot(NAME)


def learned(frame):
    "A fitted model with its steps, and the probabilities that one of the encoded rows gives."
    rule = rule_for(frame)
    wanted = frames.to_pandas(Encoder([rule, Scale("v")]).fit_transform(frame)).to_numpy(float)
    data = table(as_pandas(frame), target="y", id="id")
    model = Prepared(LogisticRegression(), [Encoder([rule, Scale("v")])]).fit(data)
    alone = LogisticRegression().fit(wanted, data.y)
    return model, data, alone.predict_proba(wanted)


def fits(frame):
    model, data, wanted = learned(frame)
    rows = frame if frames.engine_of(frame) != "duckdb" else data.frame
    assert np.allclose(model.predict_proba(rows), wanted, atol=1e-4), "other probabilities"
    return Result(model, (*data.notes, *model.notes))


def fits_rows(frame):
    "Raw rows and their targets beside them, as scikit-learn takes them."
    rule = rule_for(frame)
    wanted = frames.to_pandas(Encoder([rule, Scale("v")]).fit_transform(frame)).to_numpy(float)
    y = np.array(beside()["y"])
    model = Prepared(LogisticRegression(), [Encoder([rule, Scale("v")])]).fit(frame, y)
    alone = LogisticRegression().fit(wanted, y)
    same = (model.predict(frame) == alone.predict(wanted)).all()
    assert same or frames.engine_of(frame) == "duckdb", "other predictions"
    return Result(model)


def fits_without_steps(frame):
    "A table whose columns go to the learner as they are."
    data = table(as_pandas(frame), target="y", id="id")
    model = Prepared(LogisticRegression()).fit(data)
    values = np.column_stack([values_of(data.frame), values_of(data.frame, "v")]).astype(float)
    alone = LogisticRegression().fit(values, data.y)
    assert np.allclose(model.predict_proba(data.X), alone.predict_proba(values), atol=1e-4)
    other = fit(LogisticRegression(), data)
    assert np.allclose(other.predict_proba(data.X), alone.predict_proba(values), atol=1e-4)
    return Result(model, data.notes)


def evaluated(frame):
    model, data, wanted = learned(frame)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "60 of 60 evaluated rows")
        scores = evaluate(model, data, "accuracy", averages=("",))
    assert scores.table["value"][0] == (wanted.argmax(axis=1) == data.y).mean()
    return Result(scores, data.notes)


def trained(frame):
    rows = as_pandas(frame)[[NAME, "v"]] if frames.engine_of(frame) == "duckdb" else frame
    rows = frames.nw.from_native(rows).select(NAME, "v").to_native()
    y = np.array(beside()["y"])
    model = NetworkClassifier(epochs=1).fit(rows, y)
    values = np.column_stack([values_of(rows), values_of(rows, "v")]).astype(float)
    wanted = NetworkClassifier(epochs=1).fit(values, y).predict_proba(values)
    assert np.allclose(model.predict_proba(rows), wanted, atol=1e-6), "other probabilities"
    return Result(model, model.notes)


def voted(frame):
    "Three votes on each of twenty rows: labels that two give are the consensus."
    labels = as_pandas(frame)[[NAME]].set_axis(["label"], axis=1).iloc[:20]
    votes = pd.concat([labels.assign(row=range(20), annotator=who) for who in "abc"])
    agreed = consensus(votes, "majority")
    got = [plain(value) for value in agreed.labels["label"]]
    assert got == [plain(value) for value in plain_column(labels["label"])], got[:3]
    assert (agreed.labels["confidence"] == 1).all() and (agreed.labels["votes"] == 3).all()
    return Result(agreed, agreed.notes)


def audited(frame):
    data = table(as_pandas(frame).assign(y=0), target=NAME, id="id")
    learner = Prepared(LogisticRegression(), [Encoder([Scale("v")])])
    found = audit(data, out_of_fold(learner.fit, data, 2))
    assert sorted(found["id"]) == list(range(ROWS))
    assert (found.set_index("id").sort_index()["given"].to_numpy() == data.y).all()
    return Result(found, data.notes)


def annotated(frame):
    "The values are shown, and are ids of what is labelled."
    column = as_pandas(frame)[NAME]
    with tempfile.TemporaryDirectory() as folder:
        one = Annotator(column, ["good", "bad"], Path(folder, "a"))
        one.label("good")
        assert one.current == 1 and one.table()["id"][0] == 0
        names = column.head(2)
        two = Annotator(["x", "y"], ["good", "bad"], Path(folder, "b"), ids=names)
        two.label("good")
        again = Annotator(["x", "y"], ["good", "bad"], Path(folder, "b"), ids=names)
        assert again.progress == (1, 2), "a label is not found again"
    return Result(one)


def summed(frame):
    return Result(frames.summarize(frame, {"rows": frames.nw.col(NAME).count()}))


DOORS = {
    "read": written,
    "validate": checked,
    "untouched": passed,
    "report": reported,
    "Text": cleaned(lambda name: Text(name, case="upper")),
    "Number": cleaned(lambda name: Number(name)),
    "Range": cleaned(lambda name: Range(name, 0, 20)),
    "Category": cleaned(lambda name: Category(name, same={"a": "b"})),
    "Unit": cleaned(lambda name: Unit(name, suspect=(1, 3), factor=10.0)),
    "Date": cleaned(lambda name: Date(name)),
    "Outliers": cleaned(lambda name: Outliers(name)),
    "Missing median": cleaned(lambda name: Missing(name, "median")),
    "Missing mode": cleaned(lambda name: Missing(name, "mode")),
    "Missing text": cleaned(lambda name: Missing(name, "constant", value="none")),
    "Missing number": cleaned(lambda name: Missing(name, "constant", value=0)),
    "Missing drop": cleaned(lambda name: Missing(name, "drop")),
    "Missing by": cleaned(lambda name: Missing("v", "median", by=name)),
    "Duplicates": cleaned(lambda name: Duplicates("id", (name,))),
    "NearDuplicates": cleaned(lambda name: NearDuplicates(name)),
    "Scale": encoded(lambda name: Scale(name)),
    "OneHot": encoded(lambda name: OneHot(name, top=3)),
    "Ordinal": encoded(lambda name: Ordinal(name)),
    "TargetEncoding": encoded(lambda name: TargetEncoding(name, target="v")),
    "DateParts": encoded(lambda name: DateParts(name, ("year", "weekday"), circle=False)),
    "Pieces": encoded(lambda name: Pieces(name, size=5)),
    "drop_duplicates": distinct,
    "hash": hashed,
    "sample_rows": drawn,
    "stratified_sample": sampled,
    "target": as_target,
    "split by time": as_time,
    "split by group": as_group,
    "leakage": as_feature,
    "from_arrays": as_array,
    "masked X": as_masked_array,
    "masked y": as_masked_labels,
    "fit": fits,
    "fit rows": fits_rows,
    "fit plain": fits_without_steps,
    "fit network": trained,
    "evaluate": evaluated,
    "votes": voted,
    "audit": audited,
    "annotate": annotated,
    "profile": profiled,
    "drift": drifted,
    "find_personal": searched,
    "anonymity": counted,
    "anonymize": hidden,
    "pseudonymize": named_anew,
    "lake": stored,
    "batches": batched,
    "advise feature": advised,
    "advise target": advised_on,
    "advise time": advised_by_time,
}


# how a door calls what comes without a name of its own
CALLED = {"masked X": "`X`", "masked y": "`y`", "votes": "'label'", "annotate": "`ids`"}


def says_what_to_do(text):
    "Whether a refusal ends in a hint, or lists what may be asked for."
    return "Hint: " in text or " must be one of " in text


def outcome(kind, door, types=None, doors=None):
    "One cell: (right, noted, refused, none or wrong; what was said)."
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = (doors or DOORS)[door]((types or TYPES)[kind]())
        except BigDataError as error:
            text = str(error)
            called = (NAME, repr(NAME)[1:-1], "t.parquet", "`frame`", CALLED.get(door, NAME))
            told = any(name in text for name in called)
            return ("refused" if told and says_what_to_do(text) else "wrong", text)
        except AssertionError as error:
            return "wrong", f"value: {str(error)[:200]}"
        except Unwritable:
            return "none", "no engine writes it"
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # every other error is a finding, a panic of polars too
            return "wrong", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    notes = [*result.notes, *(str(one.message) for one in caught if one.category is UserWarning)]
    about = [note for note in notes if NAME in note]
    return ("noted", about[0]) if about else ("right", "")


def called(name, kind, door):
    "The same, where the column has another name."
    global NAME
    usual, NAME = NAME, name
    try:
        return outcome(kind, door)
    finally:
        NAME = usual


NAMES = (
    "a.b",
    'say "hi"',
    "it's",
    "two words",
    " blank before",
    "城市",
    "😀",
    "select",
    "a`b",
    "a\\b",
    "{x}",
    "%s",
    "a=b",
    "a;b",
    "a/b",
    "index",
    "rows",
    "value",
    "Größe",
    "<b>",
)
PLAIN_KINDS = ("pandas str", "Arrow int32", "polars Float32", "DuckDB VARCHAR")


# Files


def excel(rows, formulas=()):
    "The bytes of a book of one sheet."
    import openpyxl

    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(list(row))
    for place, formula in formulas:
        book.active[place] = formula
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


MIXED = [{"x": 1}, {"x": "Total"}, {"x": 2.5}]
LONG = [{"x": 12345678901234567890}, {"x": 7}]
DEEP = b'{"x": ' * 10_000 + b"1" + b"}" * 10_000
WIDE = [{f"c{i}": i for i in range(3_000)}]
# name of the file, content, what must come: the values of `x`, or None for a refusal; how to read
FILES = {
    "CSV, texts and numbers": ("a.csv", b"x\n1\nTotal\n2.5\n", ["1", "Total", "2.5"], {}),
    "CSV, numbers of 20 digits": (
        "a.csv",
        b"x\n12345678901234567890\n7\n",
        ["12345678901234567890", "7"],
        {},
    ),
    "CSV, numbers of 20 digits, in pieces": (
        "a.csv",
        b"x\n1.5\n12345678901234567890\n",
        None,
        {"pieces": 1},
    ),
    "CSV, GBK header over numbers": ("a.csv", "城市,x\n1,2\n".encode("gbk"), None, {}),
    "CSV, GBK, said": ("a.csv", "城市,x\n1,2\n".encode("gbk"), [2], {"encoding": "gb18030"}),
    "CSV, GBK values": ("a.csv", "x,y\n北京,2\n".encode("gbk"), None, {}),
    "CSV, UTF-16": ("a.csv", "x,y\n北京,2\n".encode("utf-16"), None, {}),
    "CSV, UTF-16, said": (
        "a.csv",
        "x,y\n北京,2\n".encode("utf-16"),
        ["北京"],
        {"encoding": "utf-16"},
    ),
    "CSV, mark of UTF-8": ("a.csv", b"\xef\xbb\xbfx,y\n1,2\n", [1], {}),
    "CSV, semicolons": ("a.csv", b"x;y\n1;2\n", None, {}),
    "CSV, semicolons, said": ("a.csv", b"x;y\n1,5;2\n", [1.5], {"delimiter": ";", "decimal": ","}),
    "CSV, lines above the header": ("a.csv", b"Report\n\nx,y\n1,2\n", None, {}),
    "CSV, lines above the header, said": ("a.csv", b"Report\n\nx,y\n1,2\n", [1], {"skip_rows": 2}),
    "CSV, ragged": ("a.csv", b"x,y\n1,2\n3,4,5\n", None, {}),
    "CSV, no row": ("a.csv", b"x,y\n", [], {}),
    "CSV, empty": ("a.csv", b"", None, {}),
    "CSV, a name twice": ("a.csv", b"x,x\n1,2\n", None, {}),
    "CSV, a cell of 3 MiB": ("a.csv", b"x,y\n" + b"k" * 3 * 2**20 + b",1\n", ["k" * 3 * 2**20], {}),
    "CSV, codes with zeros": ("a.csv", b"x\n007\n123\n", [7, 123], {}),
    "CSV, codes with zeros, as text": ("a.csv", b"x\n007\n", ["007"], {"types": "string"}),
    "CSV, row numbers": ("a.csv", b",x\n3,1\n0,2\n", [1, 2], {}),
    "CSV, line ends of Windows": ("a.csv", b"x,y\r\n1,2\r\n", [1], {}),
    "CSV, a line end in a cell": ("a.csv", b'x,y\n"a\nb",2\n', ["a\nb"], {}),
    "CSV, a type for no column": ("a.csv", b"x\n1\n", None, {"types": {"z": "string"}}),
    "JSON lines, texts and numbers": ("a.jsonl", lines(MIXED), ["1", "Total", "2.5"], {}),
    "JSON lines, as text": ("a.jsonl", lines(MIXED), ["1", "Total", "2.5"], {"types": "string"}),
    "JSON lines, one as text": (
        "a.jsonl",
        lines(MIXED),
        ["1", "Total", "2.5"],
        {"types": {"x": "string"}},
    ),
    "JSON lines, numbers of 20 digits": ("a.jsonl", lines(LONG), ["12345678901234567890", "7"], {}),
    "JSON lines, 10,000 deep": ("a.jsonl", DEEP, None, {}),
    "JSON lines, cut off": ("a.jsonl", b'{"x": 1}\n{"x": ', None, {}),
    "JSON lines, lists": ("a.jsonl", b"[1]\n", None, {}),
    "JSON lines, a cell of 20 MiB": (
        "a.jsonl",
        lines([{"x": "k" * 20 * 2**20}]),
        ["k" * 20 * 2**20],
        {},
    ),
    "JSON, texts and numbers": ("a.json", json.dumps(MIXED).encode(), ["1", "Total", "2.5"], {}),
    "JSON, as text": (
        "a.json",
        json.dumps(MIXED).encode(),
        ["1", "Total", "2.5"],
        {"types": "string"},
    ),
    "JSON, numbers of 20 digits": (
        "a.json",
        json.dumps(LONG).encode(),
        ["12345678901234567890", "7"],
        {},
    ),
    "JSON, 100,000 deep": ("a.json", b"[" * 100_000, None, {}),
    "JSON, one object": ("a.json", b'{"x": 1}', None, {}),
    "Excel, texts and numbers": ("a.xlsx", excel([["x"], [1], ["Total"]]), ["1", "Total"], {}),
    "Excel, as text": ("a.xlsx", excel([["x"], [1], ["01"]]), ["1", "01"], {"types": "string"}),
    "Excel, n/a and #DIV/0!": (
        "a.xlsx",
        excel([["x"], [1], ["n/a"], ["#DIV/0!"]]),
        [1, None, None],
        {},
    ),
    "Excel, formulas never calculated": (
        "a.xlsx",
        excel([["x", "y"], [1, None]], [("B2", "=A2*2")]),
        [1],
        {},
    ),
    "Excel, row numbers": ("a.xlsx", excel([[None, "x"], [3, 1], [0, 2]]), [1, 2], {}),
    "Excel, a title above": ("a.xlsx", excel([["Report", None], ["x", "y"], [1, 2]]), None, {}),
    "Excel, a title above, said": (
        "a.xlsx",
        excel([["Report", None], ["x", "y"], [1, 2]]),
        [1],
        {"skip_rows": 1},
    ),
    "Excel, no book": ("a.xlsx", b"PK\3\4", None, {}),
    "Excel, no such sheet": ("a.xlsx", excel([["x"], [1]]), None, {"sheet": "May"}),
    "Parquet, cut off": ("a.parquet", b"PAR1xx", None, {}),
    "another format": ("a.csv", excel([["x"], [1]]), None, {}),
    "no ending": ("a", b"x\n1\n", None, {}),
}


def file_outcome(what):
    "One file: the values that must come, with a note or without, or a refusal that names the file."
    name, content, expected, how = FILES[what]
    how = dict(how)
    pieces = how.pop("pieces", None)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        try:
            stream = stream_files(path, pieces, **how)
            acquired = stream.read()
        except BigDataError as error:
            text = str(error).replace(folder, "")
            refused = expected is None and says_what_to_do(text)
            return ("refused" if refused else "wrong", text)
        except Exception as error:
            return "wrong", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    values = acquired.table["x"].to_pylist() if "x" in acquired.table.column_names else None
    if values != expected:
        return "wrong", f"{str(values)[:80]} for {str(expected)[:80]}"
    return ("noted", acquired.notes[0]) if acquired.notes else ("right", "")


# Pages


SIGNS = {"right": "r", "noted": "n", "refused": "x", "none": "-", "wrong": "W"}
PAGES = Path(__file__).resolve().parent.parent / "nbs" / "pages"
_LEGEND = (
    "r right, n noted (the result carries a note), x refused (an error names the column or the"
    " file and what to do), - no engine can make it, W wrong."
)


def counts(signs):
    named = {sign: word for word, sign in SIGNS.items()}
    return ", ".join(f"{signs.count(sign):,} {named[sign]}" for sign in "rnx-W")


def grid(title, heads, rows):
    "A page: counts first, then a line of signs for each row."
    signs = "".join("".join(cells) for cells in rows.values())
    numbered = "\n".join(f"{i}. {head}" for i, head in enumerate(heads, 1))
    body = "\n".join(
        f"| {name.replace('|', chr(92) + '|')} | `{''.join(cells)}` |"
        for name, cells in rows.items()
    )
    return (
        f"# {title}\n\n{counts(signs)}.\n\n{_LEGEND} Written by `make pages`.\n\n"
        f"Each sign stands for one of these, in this order:\n\n{numbered}\n\n| | |\n|---|---|\n{body}\n"
    )


def types_page():
    rows = {kind: [SIGNS[outcome(kind, door)[0]] for door in DOORS] for kind in TYPES}
    return grid("Types of columns at every door", list(DOORS), rows)


def names_page():
    rows = {
        name: [
            SIGNS[called(name, PLAIN_KINDS[(i + j) % 4], door)[0]] for j, door in enumerate(DOORS)
        ]
        for i, name in enumerate(NAMES)
    }
    return grid("Names of columns at every door", list(DOORS), rows)


def printable(text):
    "On one line, what is no sign as a dot."
    return "".join(c if c.isprintable() else "·" for c in " ".join(text.split()))


def files_page():
    told = {what: file_outcome(what) for what in FILES}
    signs = "".join(SIGNS[word] for word, _ in told.values())
    body = "\n".join(
        f"| {what} | {word} | {printable(text)[:160].replace('|', '')} |"
        for what, (word, text) in told.items()
    )
    return f"# Awkward files\n\n{counts(signs)}.\n\n| file | outcome | what is said |\n|---|---|---|\n{body}\n"


def write_pages():
    PAGES.mkdir(exist_ok=True)
    for name, page in (("types", types_page), ("names", names_page), ("files", files_page)):
        (PAGES / f"matrix_{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
