"""What real tables bring: dates, decimals, row numbers, categories, codes, and commands on them.

Each test carries the number of a situation from the reports of neighbouring tools.
"""

import datetime
import decimal
import http.server
import json
import subprocess
import sys
import threading

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from engines import LOCAL, rows
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from bigdata_ai.core import InputError
from bigdata_ai.data.acquire.files import read_files, stream_files
from bigdata_ai.data.acquire.provenance import SourceError
from bigdata_ai.data.acquire.web import Visitor, read_page_table
from bigdata_ai.data.columns import content_keys, plain_column, read_times
from bigdata_ai.data.frames import drop_duplicates, sample_rows, to_arrow
from bigdata_ai.data.labels.annotate import Annotator
from bigdata_ai.data.labels.consensus import consensus
from bigdata_ai.data.leakage import leakage
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Category, Missing, Number, Text
from bigdata_ai.data.prepare.features import DateParts, Encoder, OneHot, Pieces
from bigdata_ai.data.profile import drift, profile
from bigdata_ai.data.split import folds, hash_fraction, split, stratified_side, time_side
from bigdata_ai.data.tables import from_arrays, table
from bigdata_ai.train.prepared import Prepared
from bigdata_ai.value.exchange_rates import problem_of

DAYS = pd.date_range("2023-01-01", periods=200, freq="D")


# Times


@pytest.mark.parametrize("unit", ["s", "ms", "ns"])
def test_s2_the_same_days_do_not_drift(unit):
    reference = pd.DataFrame({"day": DAYS.astype("datetime64[us]")})
    same = pd.DataFrame({"day": DAYS.astype(f"datetime64[{unit}]")})
    moved = drift(reference, same).iloc[0]
    assert moved["js"] == 0 and not moved["drifted"]


def test_s2_days_and_moments_are_the_same_content():
    days = pa.table({"day": pa.array(DAYS.date, pa.date32())})
    moments = pa.table({"day": pa.array(DAYS, pa.timestamp("ns"))})
    assert drift(days, moments).iloc[0]["js"] == 0
    frames = [
        pd.DataFrame({"d": DAYS.astype(kind)}) for kind in ("datetime64[ns]", "datetime64[s]")
    ]
    assert (content_keys(frames[0]) == content_keys(frames[1])).all()
    tables = [
        table(frame.assign(id=np.arange(200) + 1000 * i), id="id") for i, frame in enumerate(frames)
    ]
    assert len(leakage(*tables, checks=("content",))) == 200


SPELLINGS = {
    "3/15/2023": "%-m/%-d/%Y",
    "15.03.2023": "%d.%m.%Y",
    "2023-3-5": "%Y-%-m-%-d",
    "2023年3月5日": "%Y年%-m月%-d日",
    "5 Mar 2023": "%-d %b %Y",
    "Mar 5, 2023 5:06 PM": "%b %-d, %Y %-I:%M %p",
    "2023-03-05T05:06:07+0800": "%Y-%m-%dT%H:%M:%S+0800",
    "Wednesday, 15 March 2023": "%A, %d %B %Y",
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_s3_one_date_format_for_a_column(spelling):
    order = np.random.default_rng(0).permutation(200)
    texts = [moment.strftime(SPELLINGS[spelling]) for moment in DAYS[order]]
    back = time_side(texts, 0.2)
    assert set(order[back]) == set(range(160, 200))
    frame = pd.DataFrame({"id": order, "when": texts, "y": order % 2})
    train, test = split(table(frame, target="y", id="id", time="when"), by="time")
    assert train.ids.max() < test.ids.min()
    assert len(leakage(train, test, checks=("time",))) == 0
    assert len(leakage(table(frame, id="id", time="when"), test, checks=("time",))) == len(test)
    problem = problem_of(frame.assign(v=1.0 * order), "y", time="when")
    assert (np.argsort(-problem.age) == np.argsort(order)).all()
    later = folds(train, 3, by="time")
    assert all(train.ids[rest].max() < train.ids[out].min() for rest, out in later)


def test_s3_numbers_in_texts_are_compared_as_numbers():
    texts = [str(i) for i in range(200)]
    assert time_side(texts, 0.2).nonzero()[0].tolist() == list(range(160, 200))
    assert "'year' were compared as numbers" in read_times(["9", "10"], "year").notes[0]


@pytest.mark.parametrize(
    "texts, told",
    [
        (["03/02/2023", "04/05/2023"], "day first or month first"),
        (["03.02.2023", "04.05.2023"], "day first or month first"),
        (["03/02/23", "04/05/06"], "day first or month first or year first"),
        (["16/04/23", "25/04/23"], "write years with four digits"),
        (["13/02/2023", "02/13/2023"], "in no calendar"),
        (["2023-02-30", "2023-02-01"], "in no calendar"),
        (["2023-02-03", "03.02.2023"], "written one way"),
        (["2023-02-03 10:00", "2023-02-03T10:00Z"], "one with a time zone"),
        (["soon", "later"], "no dates and no numbers"),
    ],
)
def test_s3_what_may_be_read_two_ways_is_refused(texts, told):
    frame = pd.DataFrame({"when": texts * 100, "y": [0, 1] * 100})
    for door in (
        lambda: table(frame, target="y", time="when"),
        lambda: problem_of(frame, "y", time="when"),
        lambda: read_times(frame["when"], "when"),
    ):
        with pytest.raises(InputError, match=told) as caught:
            door()
        assert "'when'" in str(caught.value)


def test_s3_the_order_that_was_concluded_is_noted():
    frame = pd.DataFrame({"when": ["13/02/2023", "03/02/2023"] * 50, "y": [0, 1] * 50})
    data = table(frame, target="y", time="when")
    assert "read day first" in data.notes[0] and "day first" in repr(data)
    with pytest.warns(UserWarning, match="day first"):
        problem = problem_of(frame, "y", time="when")
    assert any("day first" in note for note in problem.warnings)


# Numbers


@pytest.fixture(scope="module")
def site():
    html = (
        "<table><tr><th>price</th><th>people</th><th>code</th><th>mixed</th></tr>"
        "<tr><td>5,5</td><td>1,234,567</td><td>007</td><td>n/a</td></tr>"
        "<tr><td>7,04</td><td>980</td><td>123</td><td>3</td></tr></table>"
    )

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = html.encode()
            self.send_response(200 if self.path == "/t" else 404)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/t"
    server.shutdown()
    server.server_close()


def test_s4_a_decimal_comma_is_read_when_it_is_said(site):
    visitor = Visitor(delay_s=0)
    plain = read_page_table(site, visitor=visitor)
    assert plain.table["price"].to_pylist() == ["5,5", "7,04"]
    assert plain.table["people"].to_pylist() == [1234567, 980]
    assert plain.table["code"].to_pylist() == ["007", "123"]
    assert any("'price'" in note and "decimal=','" in note for note in plain.notes)
    assert any("'people' has commas between thousands" in note for note in plain.notes)
    comma = read_page_table(site, visitor=visitor, decimal=",")
    assert comma.table["price"].to_pylist() == [5.5, 7.04]
    for types in ("string", {"price": "string", "people": "string"}):
        texts = read_page_table(site, visitor=visitor, types=types)
        assert texts.table["price"].to_pylist() == ["5,5", "7,04"]
        assert texts.table["people"].to_pylist() == ["1,234,567", "980"]


DECIMALS = [decimal.Decimal(i) / 4 for i in range(400)]


@pytest.mark.parametrize("kind", ["objects", "Arrow", "polars", "duckdb"])
def test_s5_decimals_are_numbers(kind):
    arrow = pa.table({"price": DECIMALS, "x": [float(i % 7) for i in range(400)]})
    frame = {
        "objects": lambda: arrow.to_pandas(),
        "Arrow": lambda: arrow.to_pandas(types_mapper=pd.ArrowDtype),
        "polars": lambda: pl.from_arrow(arrow),
        "duckdb": lambda: duckdb.from_arrow(arrow),
    }[kind]()
    problem = problem_of(frame, "price")
    assert problem.classes == 0 and problem.y.tolist() == [float(value) for value in DECIMALS]
    assert problem_of(frame, "x").X[:, 0].tolist() == [float(value) for value in DECIMALS]
    if isinstance(frame, pd.DataFrame):
        data = table(frame, target="price")
        assert data.labels == () and data.y.tolist() == [float(value) for value in DECIMALS]
        assert plain_column(frame["price"]).dtype == "float64"
        assert from_arrays(frame, np.arange(400) % 2).X[:, 0].tolist() == problem.y.tolist()


def test_s7_row_numbers_are_no_features(tmp_path):
    frame = pd.DataFrame({"x": np.arange(200) % 5, "y": np.arange(200) // 100})
    frame = frame.sample(frac=1, random_state=0)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv")
    frame.to_excel(tmp_path / "a.xlsx")
    for name in ("a.parquet", "a.csv", "a.xlsx"):
        acquired = read_files(tmp_path / name)
        assert acquired.table.column_names == ["x", "y"], name
        assert "row numbers" in acquired.notes[0] and "row numbers" in repr(acquired)
    kept = read_files(tmp_path / "a.parquet", columns=["x", "__index_level_0__"])
    assert kept.table.column_names == ["x", "__index_level_0__"]
    for raw in (pl.read_parquet(tmp_path / "a.parquet"), pd.read_csv(tmp_path / "a.csv")):
        with pytest.warns(UserWarning, match="row numbers"):
            assert problem_of(raw, "y").X.shape == (200, 1)
    data = table(pd.read_csv(tmp_path / "a.csv"), target="y")
    assert data.features == ["x"] and "row numbers" in data.notes[0]
    with pytest.raises(InputError, match="Unnamed: 0"):
        from_arrays(pd.read_csv(tmp_path / "a.csv"), frame["y"])


MOMENTS = pa.table(
    {
        "id": [0, 1, 2],
        "t": pa.array(
            [
                pd.Timestamp("2024-01-01 00:30", tz="Asia/Shanghai"),
                pd.Timestamp("2024-01-07 12:00", tz="Asia/Shanghai"),
                None,
            ],
            pa.timestamp("us", "Asia/Shanghai"),
        ),
        "x": ["红色\u3000衬衫", "红色 裤子", "蓝\u3000\u3000色"],
    }
)
PARTS = [DateParts("t", ("year", "hour", "weekday"), circle=False)]
SHANGHAI = [DateParts("t", ("year", "hour", "weekday"), circle=False, zone="Asia/Shanghai")]


@pytest.mark.parametrize("kind", LOCAL)
def test_s9_one_clock_and_the_same_blanks_on_every_engine(kind):
    frame = {
        "pandas": MOMENTS.to_pandas,
        "polars": lambda: pl.from_arrow(MOMENTS),
        "polars-lazy": lambda: pl.from_arrow(MOMENTS).lazy(),
        "pyarrow": lambda: MOMENTS,
        "duckdb": lambda: duckdb.from_arrow(MOMENTS),
    }[kind]()
    words = Pieces("x", unit="word", size=3)
    for rules, year, hour, weekday in ((PARTS, 2023, 16, 7), (SHANGHAI, 2024, 0, 1)):
        fitted = Encoder([*rules, words], keep=["id"]).fit(pl.from_arrow(MOMENTS))
        for out in (
            fitted.transform(frame),
            Encoder([*rules, words], keep=["id"]).fit_transform(frame),
        ):
            first, sunday, gap = rows(out, by="id")
            assert (first["t_year"], first["t_hour"], first["t_weekday"]) == (year, hour, weekday)
            assert sunday["t_weekday"] == 7 and gap["t_year"] is None
            assert [row["x~红色"] for row in (first, sunday, gap)] == [1, 1, 0]


def test_s9_another_clock_than_the_columns_own_is_noted():
    fitted = Encoder(PARTS).fit(MOMENTS)
    assert "Asia/Shanghai" in fitted.notes[0] and "note: " in repr(fitted)
    assert Encoder(SHANGHAI).fit(MOMENTS).notes == ()
    with pytest.raises(InputError, match="zone"):
        DateParts("t", zone="Peking")


LONG = "12345678901234567890"


def test_s12_twenty_digits_stay(tmp_path):
    (tmp_path / "a.csv").write_text(f"order\n{LONG}\n7\n")
    (tmp_path / "a.jsonl").write_text(f'{{"order": {LONG}}}\n{{"order": 7}}\n')
    (tmp_path / "a.json").write_text(f'[{{"order": {LONG}}}, {{"order": 7}}]')
    for name in ("a.csv", "a.jsonl", "a.json"):
        acquired = read_files(tmp_path / name)
        assert acquired.table["order"].to_pylist() == [LONG, "7"], name
        assert "'order' holds numbers of too many digits" in acquired.notes[0]
    (tmp_path / "late.csv").write_text("order\n" + "1.5\n" * 400_000 + LONG + "\n")
    with pytest.raises(SourceError, match="'order'.*types="):
        list(stream_files(tmp_path / "late.csv").tables())
    (tmp_path / "real.csv").write_text("x\n6.02214076e23\n1e300\n")
    assert read_files(tmp_path / "real.csv").table["x"].to_pylist() == [6.02214076e23, 1e300]


# Categories and mixtures


TOWNS = pd.DataFrame({"id": range(4), "s": ["a", "b", None, "a"], "v": [1.0, 2.0, 3.0, None]})


def coded():
    arrow = pa.Table.from_pandas(TOWNS, preserve_index=False)
    codes = arrow.set_column(1, "s", arrow["s"].dictionary_encode())
    polars = pl.from_arrow(arrow)
    return {
        "category": TOWNS.assign(s=TOWNS["s"].astype("category")),
        "Arrow-backed": codes.to_pandas(types_mapper=pd.ArrowDtype),
        "dictionary": codes,
        "Enum": polars.with_columns(pl.col("s").cast(pl.Enum(["a", "b"]))),
        "Categorical": polars.with_columns(pl.col("s").cast(pl.Categorical)),
        "ENUM": duckdb.from_arrow(arrow).project("id, s::enum('a', 'b') as s, v"),
    }


@pytest.mark.parametrize("kind", coded())
def test_r6_s13_rules_read_categories(kind):
    frame = coded()[kind]

    def out(*rules):
        return [row["s"] for row in rows(Cleaner(rules).fit_clean(frame), by="id")]

    assert out(Text("s", case="upper")) == ["A", "B", None, "A"]
    assert out(Missing("s", "constant", value="none")) == ["a", "b", "none", "a"]
    assert out(Missing("s", "mode")) == ["a", "b", "a", "a"]
    assert out(Category("s", allowed=("a",), other="rest")) == ["a", "rest", None, "a"]
    hot = to_arrow(Encoder([OneHot("s")], keep=["id"]).fit_transform(frame)).sort_by("id")
    assert hot["s=a"].to_pylist() == [1, 0, 0, 1]


@pytest.mark.parametrize("door", ["advise", "duplicates", "leakage"])
def test_r5_lists_are_compared_or_refused(door):
    frame = pd.DataFrame({"tags": [["a"], ["a"], ["b", "c"]] * 30, "y": [0, 1, 1] * 30})
    match door:
        case "advise":
            with pytest.raises(InputError, match="'tags'"):
                problem_of(frame, "y")
        case "duplicates":
            for one in (frame, pa.Table.from_pandas(frame), pl.from_pandas(frame)):
                assert len(to_arrow(drop_duplicates(one, ["tags"]))) == 2
        case "leakage":
            data = table(frame, target="y")
            assert len(leakage(data, data.take([0, 1]), checks=("content",))) == 2


def test_r1_mixed_columns_become_texts_with_a_note(tmp_path):
    mixed = [{"zip": 1234}, {"zip": "01234"}, {"zip": None}]
    (tmp_path / "a.json").write_text(json.dumps(mixed))
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in mixed))
    pd.DataFrame(mixed).to_excel(tmp_path / "a.xlsx", index=False)
    for name in ("a.json", "a.jsonl", "a.xlsx"):
        acquired = read_files(tmp_path / name)
        assert acquired.table["zip"].to_pylist()[:2] == ["1234", "01234"], name
        assert "'zip' mixes texts, such as '01234', with numbers" in acquired.notes[0]
        for types in ("string", {"zip": "string"}):
            wanted = read_files(tmp_path / name, types=types)
            assert wanted.table["zip"].to_pylist()[:2] == ["1234", "01234"] and not wanted.notes
    gaps = [{"share": 0.5}, {"share": "n/a"}, {"share": "#DIV/0!"}]
    pd.DataFrame(gaps).to_excel(tmp_path / "b.xlsx", index=False)
    acquired = read_files(tmp_path / "b.xlsx")
    assert acquired.table["share"].to_pylist() == [0.5, None, None]
    assert "'share' holds '#DIV/0!', 'n/a' among other values: gaps" in acquired.notes[0]


# Commands, formulas, hostile files


def advise(*words):
    command = [sys.executable, "-c", "from bigdata_ai.cli import main; main()", "advise", *words]
    return subprocess.run(command, capture_output=True, text=True)


def test_r4_advise_reads_files_as_they_are(tmp_path):
    frame = pd.DataFrame(
        {"城市": ["北京", "上海"] * 50, "价": np.arange(100) / 2, "y": [0, 1] * 50}
    )
    text = "五月\n\n" + frame.to_csv(index=False, sep=";", decimal=",")
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode("gb18030"))
    money = ["--target", "y", "--budget", "50", "--cost", "row=1", "--minutes", "0.01"]
    for how, told in (
        ([], "gb18030"),
        (["--encoding", "gb18030"], "delimiter=';', skip_rows=2"),
        (["--encoding", "gbkk"], "encoding"),
    ):
        answer = advise(str(path), *money, *how)
        assert answer.returncode == 2 and told in answer.stderr, answer.stderr
        assert "Traceback" not in answer.stderr
    how = ["--encoding", "gb18030", "--delimiter", ";", "--skip-rows", "2", "--decimal", ","]
    answer = advise(str(path), *money, *how)
    assert answer.returncode == 0 and "Expected" in answer.stdout, answer.stderr


@pytest.mark.parametrize("kind", LOCAL)
def test_r12_a_comma_that_ends_no_thousands_is_no_mark_of_them(kind):
    texts = ["12,5", "1,234", "1,234.5", "12,34,567", "1,23", "7", "-1,000", None]
    frame = LOCAL[kind](pd.DataFrame({"id": range(8), "p": texts}))
    cleaner = Cleaner([Number("p")]).fit(frame)
    values = [row["p"] for row in rows(cleaner.transform(frame), by="id")]
    assert values == [None, 1234, 1234.5, 1234567, None, 7, -1000, None]
    report = cleaner.report(frame)
    assert "2 values of 'p' hold ','" in report.notes[0] and "decimal=','" in repr(report)
    comma = Cleaner([Number("p", decimal=",")]).fit_clean(frame)
    assert [row["p"] for row in rows(comma, by="id")][:2] == [12.5, 1.234]
    dotted = LOCAL[kind](pd.DataFrame({"id": [0, 1], "p": ["1.234,5", "12.5"]}))
    german = Cleaner([Number("p", decimal=",", thousands=".")]).fit_clean(dotted)
    assert [row["p"] for row in rows(german, by="id")] == [1234.5, None]


def test_r12_formulas_that_were_never_calculated_are_noted(tmp_path):
    import openpyxl

    book = openpyxl.Workbook()
    for row in (["a", "b"], [1, "=A2*2"], [2, "=A3*2"]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    acquired = read_files(tmp_path / "a.xlsx")
    assert acquired.table["b"].to_pylist() == [None, None]
    assert "'b' has 2 formulas that were never calculated" in acquired.notes[0]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
@pytest.mark.parametrize("pieces", [None, 10])
def test_h12_deep_json_is_refused_before_the_parser(name, pieces, tmp_path):
    for text in ('{"a":' * 10_000 + "1" + "}" * 10_000, "[" * 100_000, '{"a":\n[' * 5_000):
        (tmp_path / name).write_text(text)
        with pytest.raises(SourceError, match=name):
            stream_files(tmp_path / name, pieces).read()


def test_h15_many_columns_and_large_cells(tmp_path):
    names = [f"c{i}" for i in range(100_000)]
    (tmp_path / "wide.csv").write_text(",".join(names) + "\n" + ",".join(["1"] * 100_000) + "\n")
    assert read_files(tmp_path / "wide.csv").table.num_columns == 100_000
    (tmp_path / "big.csv").write_text("a,b\n1,2\n" + "x" * 5_000_000 + ",3\n")
    for pieces in (None, 100):
        read = stream_files(tmp_path / "big.csv", pieces, types={"a": "string"}).read()
        assert read.table["b"].to_pylist() == [2, 3]


def test_a_view_of_the_users_connection_is_not_taken_for_the_frame():
    connection = duckdb.connect()
    connection.sql("create table t as select 7 as other")
    relation = connection.sql("select range as id from range(1000)")
    assert sample_rows(relation, 10).columns.tolist() == ["id"]


def test_a_day_and_a_moment_stay_apart_from_numbers():
    day = datetime.date(2024, 1, 2)
    assert read_times([day, day + datetime.timedelta(1)]).values.is_monotonic_increasing
    with pytest.raises(InputError, match="'when'"):
        read_times([day, 3], "when")


def test_pandas_metadata_names_an_index_that_is_a_column(tmp_path):
    frame = pd.DataFrame({"x": [1, 2]}, index=pd.Index(["a", "b"], name="town"))
    pq.write_table(pa.Table.from_pandas(frame), tmp_path / "a.parquet")
    assert read_files(tmp_path / "a.parquet").table.column_names == ["x", "town"]


IRIS = "5.1,3.5,1.4,0.2,Iris-setosa\n4.9,3.0,1.4,0.2,Iris-setosa\n7.0,3.2,4.7,1.4,Iris-versicolor\n"


@pytest.mark.parametrize("pieces", [None, 2])
def test_a_file_without_a_header_is_noted_and_can_be_said(pieces, tmp_path):
    "As the iris of UCI's archive is published."
    (tmp_path / "iris.csv").write_text(IRIS)
    (note,) = stream_files(tmp_path / "iris.csv", pieces).read().notes
    assert "'5.1'" in note and "header=False" in note
    read = stream_files(tmp_path / "iris.csv", pieces, header=False).read()
    assert read.notes == () and read.table["f0"].to_pylist() == [5.1, 4.9, 7.0]
    assert read.provenance.details["header"] is False


@pytest.mark.parametrize(
    "header", ["country,2019,2020", "hour,0,1", "country,2019-01,2020-01", "a,b,c"]
)
def test_years_and_hours_are_names_of_columns(header, tmp_path):
    (tmp_path / "wide.csv").write_text(f"{header}\nFrance,1.5,2\nChad,3.5,4\n")
    assert read_files(tmp_path / "wide.csv").notes == ()


def test_a_name_twice_may_be_a_row(tmp_path):
    (tmp_path / "a.csv").write_text("3,3,0\n4,5,1\n")
    with pytest.raises(SourceError, match="header=False"):
        read_files(tmp_path / "a.csv")
    assert len(read_files(tmp_path / "a.csv", header=False).table) == 2


COUNTRIES = "code,name\nDE,Germany\nNA,Namibia\nFR,France\nZA,South Africa\nUS,NA\n"


@pytest.mark.parametrize("pieces", [None, 2])
def test_namibia_is_noted_and_can_be_kept(pieces, tmp_path):
    (tmp_path / "countries.csv").write_text(COUNTRIES)
    read = stream_files(tmp_path / "countries.csv", pieces).read()
    (note,) = read.notes
    assert read.table["code"].null_count == 1 and "'code'" in note and "'NA'" in note
    kept = stream_files(tmp_path / "countries.csv", pieces, nulls=("",)).read()
    assert kept.table["code"].to_pylist()[1] == "NA" and kept.notes == ()


@pytest.mark.parametrize(
    ("text", "divided"),
    [
        ("day n m\n1 2 3\n4 5 6\n", True),
        ("18.0   8   307.0\n15.0   8   350.0\n18.0   8   318.0\n", True),  # as UCI's auto-mpg
        ("full name\nJane Roe\nJohn Doe\n", False),
        ("a title\nof any\nnumber of words\n", False),
    ],
)
def test_a_file_divided_by_blanks_is_no_column(text, divided, tmp_path):
    (tmp_path / "a.csv").write_text(text)
    if divided:
        with pytest.raises(SourceError, match="blanks divide it"):
            read_files(tmp_path / "a.csv")
    assert divided or read_files(tmp_path / "a.csv").table.num_columns == 1
    assert read_files(tmp_path / "a.csv", delimiter=";").table.num_columns == 1


@pytest.mark.parametrize("door", [profile, lambda frame: table(frame), Cleaner([]).fit])
def test_levels_of_column_names_are_refused(door):
    sales = pd.DataFrame({"shop": ["a", "a", "b"], "year": [1, 2, 1], "sum": [3.0, 4.0, 5.0]})
    with pytest.raises(InputError, match="names of one level.*joins them"):
        door(sales.pivot_table(index="shop", columns="year", values=["sum"]))


def test_days_in_texts_drift_as_days():
    days = pd.date_range("2024-01-01", periods=300)
    texts = pd.DataFrame({"day": days.strftime("%Y-%m-%d")})
    (line,) = drift(pd.DataFrame({"day": days}), texts).to_dict("records")
    assert line["type"] == "number" and line["js"] == 0 and not line["drifted"]
    late = pd.DataFrame({"day": (days + pd.Timedelta(days=200)).strftime("%Y-%m-%d")})
    assert drift(pd.DataFrame({"day": days}), late)["drifted"].all()
    with pytest.raises(InputError, match="'day'"):
        drift(pd.DataFrame({"day": days}), texts.assign(day="soon"))


# Masks, moments and gaps at the doors of arrays and raw rows


def test_what_lies_under_a_mask_is_no_data():
    mask = np.arange(60) == 3
    whole = np.ma.MaskedArray(np.arange(60), mask=mask)
    assert read_times(whole, "t").values.isna().tolist() == mask.tolist()
    data = from_arrays(np.ones((60, 1)), np.arange(60) % 2)
    for ask in (
        lambda: hash_fraction(whole),
        lambda: stratified_side(whole % 2, np.arange(60), 0.5),
        lambda: data.take(whole),
        lambda: Cleaner([Missing("x0")]).fit(whole[:, None]),
    ):
        with pytest.raises(InputError, match="must have no masked values"):
            ask()


def test_moments_in_a_table_without_steps_are_no_numbers():
    "They were, in nanoseconds."
    frame = pd.DataFrame({"id": range(4), "t": pd.date_range("2024", periods=4), "y": [0, 1, 0, 1]})
    with pytest.raises(InputError, match="column 't' of datetime64"):
        Prepared(LogisticRegression()).fit(table(frame, target="y", id="id"))


def test_gaps_of_raw_rows_are_named_unless_the_learner_bears_them():
    frame = pd.DataFrame({"a": [1.0, np.nan, 3.0, 4.0], "b": [1.0, 2.0, 3.0, 4.0]})
    y = np.array([0, 1, 0, 1])
    with pytest.raises(InputError, match="column 'a'"):
        Prepared(LogisticRegression()).fit(frame, y)
    model = Prepared(HistGradientBoostingClassifier()).fit(frame, y)
    assert model.predict(frame).shape == (4,)


def test_votes_are_counted_whatever_keeps_them():
    labels = pd.Series(["a", "b", "a", "a"], dtype=pd.ArrowDtype(pa.string()))
    votes = pd.DataFrame({"row": [0, 0, 0, 1], "annotator": list("xyzx"), "label": labels})
    found = consensus(votes, "majority").labels
    assert found["label"].tolist() == ["a", "a"] and found["votes"].tolist() == [3, 1]
    with pytest.raises(InputError, match="'label' of `votes` must have no gaps"):
        consensus(votes.assign(label=["a", None, "a", "b"]), "majority")


@pytest.mark.parametrize("ids", [pd.date_range("2024", periods=2), [1.5, 2.5], [None, 1]])
def test_ids_of_items_are_whole_numbers_or_texts(tmp_path, ids):
    with pytest.raises(InputError, match="`ids` must be whole numbers or texts"):
        Annotator(["a", "b"], ["good", "bad"], tmp_path / "log", ids=ids)
