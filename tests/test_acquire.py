"""Files, HTTP APIs, downloads and web pages, from sources that are sound, broken, changed or rude."""

import bz2
import datetime
import gzip
import hashlib
import io
import json
import lzma
import os
import random
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import zipfile
from dataclasses import replace
from email.utils import format_datetime
from pathlib import Path

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigdata_ai.core import ContentError, InputError
from bigdata_ai.course.ch03 import PracticeServer, pages_of
from bigdata_ai.data.acquire.files import read_files, stream_files
from bigdata_ai.data.acquire.http import cursor, download, fetch, next_link, page_number, read_api
from bigdata_ai.data.acquire.http import web_session
from bigdata_ai.data.acquire.provenance import Provenance, SchemaError, SourceError, compare
from bigdata_ai.data.acquire.provenance import load_saved, save, schema_of, strip_credentials
from bigdata_ai.data.acquire.web import Visitor, decode_page, read_page_table, read_page_texts

FAST = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture],
    "max_examples": 30,
    "deadline": None,
}
ROWS = [{"id": i, "name": f"名{i}"} for i in range(10)]


@pytest.fixture
def server():
    with PracticeServer() as running:
        yield running


def quick(**options):
    "A session that does not wait between tries."
    return web_session(**{"backoff_s": 0.0, "timeout_s": 5.0, "retries": 2} | options)


def names(folder):
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


# Files


texts = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).map(
    lambda text: "t" + text
)
days = st.none() | st.dates(datetime.date(1600, 1, 1), datetime.date(2200, 1, 1))
tables = st.lists(
    st.tuples(
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.floats(allow_nan=False, allow_infinity=False),
        texts,
        st.none() | st.booleans(),
        days,
    ),
    min_size=1,
    max_size=6,
)
KINDS = {"whole": "int64", "real": "float64", "text": "string", "truth": "bool", "day": "date"}
ARROW = {
    "whole": pa.int64(),
    "real": pa.float64(),
    "text": pa.string(),
    "truth": pa.bool_(),
    "day": pa.date32(),
}


def table_of(rows):
    return pa.table(
        {
            name: pa.array([row[i] for row in rows], kind)
            for i, (name, kind) in enumerate(ARROW.items())
        }
    )


def write_csv(table, path):
    pa.csv.write_csv(table, path)


def write_jsonl(table, path):
    rows = [json.dumps(row, ensure_ascii=False, default=str) for row in table.to_pylist()]
    Path(path).write_text("\n".join(rows) + "\n", encoding="utf-8")


def write_json(table, path):
    Path(path).write_text(json.dumps(table.to_pylist(), default=str), encoding="utf-8")


def write_parquet(table, path):
    pq.write_table(table, path)


WRITE = {"csv": write_csv, "jsonl": write_jsonl, "parquet": write_parquet}


@pytest.mark.parametrize("ending", WRITE)
@settings(**FAST)
@given(rows=tables)
def test_what_is_written_is_read_again(ending, rows, tmp_path):
    "Unicode, line breaks, quotes, nulls, extreme numbers and dates, at once and in pieces."
    table, path = table_of(rows), tmp_path / f"any.{ending}"
    WRITE[ending](table, path)
    options = {} if ending == "parquet" else {"types": KINDS}
    got = read_files(path, **options)
    assert got.table.to_pylist() == table.to_pylist()
    assert got.provenance.schema == KINDS and got.provenance.rows == len(rows)
    pieces = list(stream_files(path, rows=2, **options).tables())
    assert max(map(len, pieces)) <= 2 and pa.concat_tables(pieces).to_pylist() == table.to_pylist()


@settings(**FAST)
@given(rows=tables)
def test_what_is_saved_is_loaded_again(rows, tmp_path):
    write_parquet(table_of(rows), tmp_path / "a.parquet")
    got = read_files(tmp_path / "a.parquet")
    save(got, tmp_path / "kept.parquet")
    again = load_saved(tmp_path / "kept.parquet")
    assert again.table.equals(got.table) and again.provenance == got.provenance
    assert (
        Provenance.from_json(
            (tmp_path / "kept.parquet.provenance.json").read_text(encoding="utf-8")
        )
        == got.provenance
    )


def test_excel_is_read_as_it_is_typed(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "销售"
    moment = datetime.datetime(2024, 2, 29, 12, 30)
    for row in [
        ["id", "code", "price", "when", "NA?"],
        [1, "007", 2.5, moment, "NA"],
        [2, None, 3, None, None],
        [None] * 5,
    ]:
        sheet.append(row)
    book.create_sheet("other").append(["x"])
    book.save(tmp_path / "shop.xlsx")
    got = read_files(tmp_path / "shop.xlsx", sheet="销售")
    assert got.table.to_pylist() == [
        {"id": 1, "code": "007", "price": 2.5, "when": moment, "NA?": "NA"},
        {"id": 2, "code": None, "price": 3.0, "when": None, "NA?": None},
    ]
    assert (
        read_files(tmp_path / "shop.xlsx").table == got.table
        and len(read_files(tmp_path / "shop.xlsx", sheet=1)) == 0
    )
    with pytest.raises(InputError, match="other"):
        read_files(tmp_path / "shop.xlsx", sheet="otter")


def zipped(content, name="inner.csv"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


PACK = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zip": zipped}
LARGE = (
    "id,text\n" + "".join(f"{i},{random.Random(i).random()}\n" for i in range(30_000))
).encode()


@pytest.mark.parametrize("packing", PACK)
def test_compressed_files_are_read_and_hashed_as_they_lie(packing, tmp_path):
    path = tmp_path / f"day.csv.{packing}"
    path.write_bytes(PACK[packing](LARGE))
    got = read_files(path)
    assert len(got) == 30_000 and got.table["id"].to_pylist()[-1] == 29_999
    assert (
        got.provenance.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        and got.provenance.hashed == "bytes"
    )
    assert sum(map(len, stream_files(path, rows=1000).tables())) == 30_000


@pytest.mark.parametrize("packing", PACK)
@pytest.mark.parametrize("harm", ["cut off", "changed"])
def test_damaged_compressed_files_are_named(packing, harm, tmp_path):
    whole = PACK[packing](LARGE)
    middle = len(whole) // 2
    wrong = bytes(byte ^ 255 for byte in whole[middle : middle + 200])
    torn = whole[:middle] if harm == "cut off" else whole[:middle] + wrong + whole[middle + 200 :]
    (tmp_path / f"torn.csv.{packing}").write_bytes(torn)
    with pytest.raises(SourceError, match=f"torn.csv.{packing} must be readable"):
        read_files(tmp_path / f"torn.csv.{packing}")
    with pytest.raises(SourceError, match=f"torn.csv.{packing} must be readable"):
        save(stream_files(tmp_path / f"torn.csv.{packing}"), tmp_path / "kept.parquet")
    assert names(tmp_path) == [f"torn.csv.{packing}"], "nothing half-written stays"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_half_a_parquet_file_is_named(share, tmp_path):
    pq.write_table(table_of([(1, 0.5, "t", True, None)] * 1000), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    (tmp_path / "half.parquet").write_bytes(whole[: int(len(whole) * share)])
    for read in (read_files, load_saved):
        with pytest.raises(SourceError, match="half.parquet"):
            read(tmp_path / "half.parquet")
    with pytest.raises(SourceError, match="half.parquet"):
        read_files(str(tmp_path / "*.parquet"))


def test_a_changed_byte_in_a_saved_table_is_noticed(tmp_path):
    pq.write_table(
        pa.table({"a": [random.Random(i).random() for i in range(5000)]}), tmp_path / "a.parquet"
    )
    save(read_files(tmp_path / "a.parquet"), tmp_path / "kept.parquet")
    content = bytearray((tmp_path / "kept.parquet").read_bytes())
    content[2000] ^= 1
    (tmp_path / "kept.parquet").write_bytes(content)
    with pytest.raises(SourceError, match="kept.parquet"):
        load_saved(tmp_path / "kept.parquet")


@pytest.mark.parametrize(
    "name, content, told",
    [
        ("a.csv", b"", "Empty CSV"),
        ("a.csv", b"a,b\n1\n", "Expected 2 columns"),
        ("a.csv", b"a,a\n1,2\n", "different names"),
        ("a.csv", "a\n城\n".encode("gbk"), "gb18030"),
        ("a.jsonl", b'{"a": 1}\n{"a": ', "a.jsonl"),
        ("a.json", b'{"a": 1}', "list of objects"),
        ("a.json", b"[1]", "named values"),
        ("a.xlsx", b"PK\3\4", "a.xlsx"),
        ("a.zip", zipped(b"a\n1\n", "x/"), "0 files"),
        ("a.csv", b"\xff\xfea\0", "a.csv"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(name, content, told, tmp_path):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=told) as caught:
        read_files(tmp_path / name)
    assert (
        name in str(caught.value)
        and "Received: " in str(caught.value)
        and "Hint: " in str(caught.value)
    )


@pytest.mark.parametrize(
    "where, error, told",
    [
        ("none.csv", SourceError, "none.csv must exist"),
        ("*.csv", SourceError, "must exist"),
        (".", SourceError, "a folder"),
        ("a.doc", InputError, "format"),
    ],
)
def test_what_is_no_file_is_told(where, error, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.doc").write_text("x")
    with pytest.raises(error, match=told):
        read_files(where)


def test_many_files_have_a_part_each(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for day, rows in {1: "1,a", 2: "2,\n3,c", 3: ",d"}.items():
        (tmp_path / f"day{day}.csv").write_text(f"id,name\n{rows}\n")
    got = read_files("day*.csv")
    assert [(part["where"], part["rows"]) for part in got.provenance.parts] == [
        ("day1.csv", 1),
        ("day2.csv", 2),
        ("day3.csv", 1),
    ]
    assert (
        got.table["id"].to_pylist() == [1, 2, 3, None]
        and str(got.frame["id"].dtype) == "Int64"
        and got.provenance.where == "day*.csv"
    )
    (tmp_path / "day4.csv").write_text("id,title\n4,e\n")
    with pytest.raises(SchemaError, match="in all its parts.*title.*name"):
        read_files("day*.csv")


def test_a_file_that_is_written_meanwhile_is_refused(tmp_path):
    path = tmp_path / "live.csv"
    path.write_bytes(LARGE)
    stream = stream_files(path, rows=1000)
    pieces = iter(stream)
    next(pieces)
    path.write_bytes(LARGE + b"30000,1\n")
    with pytest.raises(SourceError, match="must not change"):
        list(pieces)


def test_gbk_files_are_read_when_told(tmp_path):
    (tmp_path / "城市.csv").write_bytes("城市,人口\n北京,2189\n".encode("gbk"))
    got = read_files(tmp_path / "城市.csv", encoding="gb18030", types={"人口": "float64"})
    assert got.table.to_pylist() == [{"城市": "北京", "人口": 2189.0}]
    assert got.provenance.details == {
        "encoding": "gb18030",
        "types": {"人口": "float64"},
    }, "it can be read again in the same way"
    assert Provenance.from_json(got.provenance.to_json()) == got.provenance


def test_a_text_that_is_missing_differs_from_an_empty_one(tmp_path):
    (tmp_path / "a.csv").write_text('a,b\n"",\n"NA",NA\n')
    assert read_files(tmp_path / "a.csv").table.to_pylist() == [
        {"a": "", "b": None},
        {"a": "NA", "b": None},
    ]
    assert read_files(tmp_path / "a.csv", quoted_nulls=True).table["a"].to_pylist() == [None, None]


def test_memory_stays_flat_over_a_long_csv(tmp_path):
    """Arrow's own count: a stream over 60 MB of rows never holds a third of them, the whole table
    does."""
    path = tmp_path / "long.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("id,text\n")
        for i in range(20):
            file.write(f"{i},{'x' * 100}\n" * 30_000)
    before, held, rows = pa.total_allocated_bytes(), 0, 0
    for table in stream_files(path).tables():
        held, rows = max(held, pa.total_allocated_bytes() - before), rows + len(table)
    del table
    whole = read_files(path)
    assert (
        rows == len(whole) == 600_000 and held < 20e6 < 60e6 < pa.total_allocated_bytes() - before
    )


# Provenance and schemas


schemas = st.dictionaries(
    st.text(min_size=1, max_size=4),
    st.sampled_from(["int64", "float64", "string", "date"]),
    max_size=6,
)


@given(schemas, schemas)
def test_a_difference_leads_from_one_schema_to_the_other(before, now):
    diff = compare(before, now)
    rebuilt = {name: kind for name, kind in before.items() if name not in diff.removed} | diff.added
    rebuilt |= {name: kind for name, (_, kind) in diff.retyped.items()}
    assert (
        rebuilt == now
        and bool(diff) == (before != now)
        and len(diff.lines()) == len(diff.added) + len(diff.removed) + len(diff.retyped)
    )


@given(
    st.text(st.characters(categories=["L", "N"]), min_size=8, max_size=12),
    st.sampled_from(
        [
            "postgresql://{u}:{s}@h:5/d",
            "https://{s}@h/x?page=2",
            "https://h/x?api_key={s}",
            "http://h/?a=1&access_token={s}&b=2",
            "s3://k:{s}@bucket/p",
            "https://h/#access_token={s}",
            "zip://a::http://u:{s}@h/a.zip",
            "http://h/?X-Amz-Signature={s}",
        ]
    ),
)
def test_no_secret_is_kept(secret, pattern):
    assert secret not in strip_credentials(pattern.format(u="user", s=secret))


def test_a_changed_schema_is_refused_with_a_readable_difference(tmp_path):
    (tmp_path / "a.csv").write_text("id,price,city\n1,2.5,x\n")
    (tmp_path / "b.csv").write_text("id,prices,city\nA1,2.5,x\n")
    before = read_files(tmp_path / "a.csv")
    save(before, tmp_path / "a.parquet")
    for expect in (
        before,
        before.provenance,
        before.provenance.schema,
        before.table.schema,
        before.frame,
        tmp_path / "a.parquet",
    ):
        with pytest.raises(SchemaError) as caught:
            read_files(tmp_path / "b.csv", expect=expect)
        told = str(caught.value)
        assert all(
            part in told
            for part in (
                "+ prices: float64",
                "- price: float64",
                "~ id: int64 → string",
                "b.csv",
                "'price' may now be called 'prices'",
                "Received: ",
                "Hint: ",
            )
        )
    taken = read_files(tmp_path / "b.csv", expect=before, on_change="accept")
    assert (
        len(taken.provenance.changes) == 3
        and read_files(tmp_path / "a.csv", expect=before).provenance.changes == ()
    )
    save(taken, tmp_path / "b.parquet")
    assert load_saved(tmp_path / "b.parquet").provenance.changes == taken.provenance.changes, (
        "an accepted change is not forgotten"
    )


def test_a_changed_schema_is_refused_before_a_row_is_handed_out(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n")
    stream = stream_files(tmp_path / "a.csv", expect={"name": "string"})
    with pytest.raises(SchemaError):
        next(iter(stream))


def test_the_order_of_columns_and_their_storage_do_not_matter(tmp_path):
    (tmp_path / "a.csv").write_text("b,a\nx,1\n")
    assert read_files(tmp_path / "a.csv", expect={"a": "int64", "b": "string"})
    assert schema_of(pa.table({"a": pa.array(["x"], pa.large_string())})) == schema_of(
        pa.table({"a": pa.array(["x"]).dictionary_encode()})
    )


def test_a_saved_table_whose_provenance_does_not_fit_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    got = read_files(tmp_path / "a.csv")
    save(replace(got, table=got.table.slice(0, 1)), tmp_path / "less.parquet")
    with pytest.raises(ContentError, match="less.parquet"):
        load_saved(tmp_path / "less.parquet")


def test_frames_and_time(tmp_path):
    (tmp_path / "a.csv").write_text("n,t,b\n1,2024-02-29 12:00:00,true\n,,\n")
    got = read_files(tmp_path / "a.csv")
    assert (
        isinstance(got.frame, pd.DataFrame)
        and got.frame["n"].tolist() == [1, pd.NA]
        and got.provenance.schema["t"] == "timestamp"
    )
    then = datetime.datetime.fromisoformat(got.provenance.when)
    assert then.utcoffset() == datetime.timedelta(0) and abs(
        datetime.datetime.now(datetime.UTC) - then
    ) < datetime.timedelta(minutes=5)


# HTTP: faults


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_errors_are_tried_again(server, status):
    server.pages["/a"] = [{"id": 1}]
    server.fail(status, times=2)
    assert len(read_api(f"{server.url}/a", session=quick())) == 1 and len(server.log) == 3
    server.fail(status, times=3)
    with pytest.raises(SourceError, match=f"/a must answer.*{status}"):
        read_api(f"{server.url}/a", session=quick())


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_lasting_errors_are_not_tried_again(server, status):
    server.fail(status)
    with pytest.raises(SourceError, match=str(status)):
        read_api(f"{server.url}/a", session=quick())
    assert len(server.log) == 1


def naps(monkeypatch):
    "Sleep is written down, not slept."
    taken = []
    monkeypatch.setattr(
        time, "sleep", lambda seconds: taken.append(seconds) if seconds > 0 else None
    )
    return taken


def test_retry_after_is_honoured(server, monkeypatch):
    server.pages["/a"] = []
    server.fail(429, retry_after=7)
    server.fail(
        503,
        retry_after=format_datetime(
            datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=40), usegmt=True
        ),
    )
    taken = naps(monkeypatch)
    fetch(f"{server.url}/a", quick())
    assert taken[0] == 7 and 30 < taken[1] <= 40


def test_a_longer_wait_than_agreed_is_not_shortened(server, monkeypatch):
    server.fail(429, retry_after=3600)
    taken = naps(monkeypatch)
    with pytest.raises(SourceError, match="Retry-After of 3600"):
        fetch(f"{server.url}/a", quick(longest_wait_s=60))
    assert taken == [] and len(server.log) == 1


def test_waits_double(server, monkeypatch):
    server.pages["/a"] = []
    server.fail(500, times=4)
    taken = naps(monkeypatch)
    fetch(f"{server.url}/a", web_session(backoff_s=0.5, retries=4))
    assert taken == [1.0, 2.0, 4.0], "the first further try comes at once"


def test_no_more_requests_a_second_than_agreed(server, monkeypatch):
    server.pages["/a"] = []
    taken, session = naps(monkeypatch), quick(per_second=4)
    for _ in range(3):
        fetch(f"{server.url}/a", session)
    assert len(taken) == 2 and all(0.2 < wait <= 0.5 for wait in taken)


def test_a_body_that_breaks_off_is_asked_for_again(server):
    server.pages["/a"] = ROWS
    server.drop(after=30, times=2)
    assert read_api(f"{server.url}/a", session=quick()).table.to_pylist() == ROWS
    server.drop(after=30, times=3)
    with pytest.raises(SourceError, match="/a must answer.*broke off|ProtocolError"):
        read_api(f"{server.url}/a", session=quick())


def test_a_server_that_says_nothing_is_given_up(server):
    server.pages["/a"] = ROWS
    server.stall(1.0)
    assert len(read_api(f"{server.url}/a", session=quick(timeout_s=0.2))) == 10, (
        "the second try is answered"
    )
    server.stall(1.0, times=2)
    with pytest.raises(SourceError, match="/a must answer.*ReadTimeout"):
        read_api(f"{server.url}/a", session=quick(timeout_s=0.2, retries=1))


def test_secrets_are_in_no_message_and_no_provenance(server, tmp_path):
    server.pages["/a"] = ROWS
    session = quick(
        headers={"Authorization": "Bearer geheim-1", "X-Own-Key": "geheim-2"},
        cache=tmp_path / "cache",
    )
    got = read_api(
        f"{server.url}/a",
        params={"api_key": "geheim-3", "page": 1},
        session=session,
        resume=tmp_path / "resume",
    )
    assert (
        server.log[0]["headers"]["X-Own-Key"] == "geheim-2" and "geheim-3" in server.log[0]["path"]
    )
    assert "geheim" not in got.provenance.to_json() and got.provenance.parts[0]["where"].endswith(
        "?api_key=***&page=1"
    )
    server.fail(404)
    with pytest.raises(SourceError) as caught:
        read_api(f"{server.url}/b", params={"token": "geheim-4"}, session=session)
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert "geheim" not in str(caught.value) and b"geheim-1" not in kept and b"geheim-2" not in kept


def test_own_headers_stay_with_the_host_that_was_named(server):
    with PracticeServer({"/b": ROWS}) as other:
        server.pages["/a"] = f"redirect:{other.url}/b"
        server.pages["/list"] = {"items": ROWS, "next": f"{other.url}/b"}
        session = quick(headers={"X-Own-Key": "geheim", "Authorization": "geheim"})
        assert len(read_api(f"{server.url}/a", session=session)) == 10
        assert (
            "geheim" in server.log[0]["headers"].values()
            and "geheim" not in other.log[0]["headers"].values()
        )
        with pytest.raises(SourceError, match="same host"):
            read_api(f"{server.url}/list", "items", next_link("next"), session=session)
        assert len(other.log) == 1


@pytest.mark.parametrize(
    "page, rows, told",
    [
        ("<html>log in</html>", None, "must answer in JSON.*log in"),
        ({"data": []}, "items", "'items'.*'data'"),
        ({"items": {}}, "items", "a list of rows"),
        ({"items": [1]}, "items", "named values"),
        ({"items": [{"a": 1}, {"a": "x"}]}, "items", "Column 'a'"),
        ([[1]], None, "named values"),
    ],
)
def test_answers_that_are_no_table_are_told(server, page, rows, told):
    server.pages["/a"] = page
    with pytest.raises(SourceError, match=told):
        read_api(f"{server.url}/a", rows, session=quick())


# HTTP: pages


def numbered(query):
    page = int(query.get("page", 1))
    return {"items": ROWS[(page - 1) * 4 : page * 4], "meta": {"pages": 3}}


def by_cursor(query):
    start = int(query.get("cursor", 0))
    return {
        "items": ROWS[start : start + 3],
        "next_cursor": str(start + 3) if start + 3 < len(ROWS) else "",
    }


@pytest.mark.parametrize(
    "page, paging, asked",
    [
        (pages_of(ROWS, 4, "/a"), next_link("next"), 3),
        (numbered, page_number(), 4),
        (numbered, page_number(last="meta.pages"), 3),
        (by_cursor, cursor(), 4),
    ],
)
def test_all_customs_of_paging(server, page, paging, asked):
    server.pages["/a"] = page
    got = read_api(f"{server.url}/a", "items", paging, {"size": 4}, session=quick())
    assert got.table.to_pylist() == ROWS and len(server.log) == asked == len(got.provenance.parts)
    assert (
        sum(part["rows"] for part in got.provenance.parts) == got.provenance.rows == 10
        and got.provenance.kind == "api"
    )


def test_pages_that_go_round_or_never_end_are_refused(server):
    server.pages["/round"] = {"items": ROWS, "next": "/round"}
    server.pages["/long"] = lambda query: {
        "items": ROWS,
        "next": f"/long?page={int(query.get('page', 1)) + 1}",
    }
    with pytest.raises(SourceError, match="new page each time"):
        read_api(f"{server.url}/round", "items", next_link("next"), session=quick())
    with pytest.raises(SourceError, match="more than 5 pages"):
        read_api(f"{server.url}/long", "items", next_link("next"), session=quick(), most_pages=5)


def test_an_api_that_changes_its_schema_is_refused(server):
    server.pages["/a"] = [{"id": 1, "price": 2.5}]
    before = read_api(f"{server.url}/a", session=quick())
    server.pages["/a"] = []
    empty = read_api(f"{server.url}/a", session=quick(), expect=before)
    assert len(empty) == 0 and empty.provenance.schema == before.provenance.schema, (
        "no rows say nothing against the schema"
    )
    server.pages["/a"] = [{"id": "1", "price": 2.5, "note": None}]
    with pytest.raises(SchemaError, match="note.*id: int64 → string"):
        read_api(f"{server.url}/a", session=quick(), expect=before)


def test_a_fetch_goes_on_at_the_page_it_had_reached(server, tmp_path):
    server.pages["/a"] = pages_of(ROWS, 3, "/a")
    server.work(2)
    server.fail(500, times=3)
    options = {"session": quick(), "resume": tmp_path / "pages"}
    with pytest.raises(SourceError):
        read_api(f"{server.url}/a", "items", next_link("next"), **options)
    assert names(tmp_path) == [
        "pages/000001.body",
        "pages/000001.json",
        "pages/000002.body",
        "pages/000002.json",
    ]
    server.log.clear()
    got = read_api(f"{server.url}/a", "items", next_link("next"), **options)
    assert server.paths() == ["/a?page=3", "/a?page=4"] and got.table.to_pylist() == ROWS
    assert (
        got.provenance.sha256
        == read_api(
            f"{server.url}/a", "items", next_link("next"), session=quick()
        ).provenance.sha256
    )
    assert names(tmp_path) == []


def test_kept_pages_of_another_request_are_not_taken(server, tmp_path):
    server.pages |= {"/a": pages_of(ROWS, 3, "/a"), "/b": pages_of(ROWS, 3, "/b")}
    server.work(1)
    server.fail(500, times=3)
    with pytest.raises(SourceError):
        read_api(f"{server.url}/a", "items", next_link("next"), session=quick(), resume=tmp_path)
    with pytest.raises(InputError, match="same request"):
        read_api(f"{server.url}/b", "items", next_link("next"), session=quick(), resume=tmp_path)
    (tmp_path / "000001.body").write_bytes(b"[]")
    with pytest.raises(ContentError):
        read_api(f"{server.url}/a", "items", next_link("next"), session=quick(), resume=tmp_path)


def killed(program, *arguments, when):
    "Run a program and kill it as soon as `when()` holds."
    running = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)]
    )
    try:
        while not when():
            assert running.poll() is None, "the program ended too early"
    finally:
        os.kill(running.pid, signal.SIGKILL)
        running.wait()


def test_a_killed_fetch_goes_on_at_the_page_it_had_reached(server, tmp_path):
    server.pages["/a"] = pages_of(ROWS, 2, "/a")
    server.work(3)
    server.stall(60)
    killed(
        """
        import sys
        from bigdata_ai.data.acquire.http import next_link, read_api
        read_api(sys.argv[1], "items", next_link("next"), resume=sys.argv[2])
    """,
        f"{server.url}/a",
        tmp_path / "pages",
        when=lambda: len(server.log) == 4,
    )
    server.log.clear()
    assert (
        read_api(
            f"{server.url}/a",
            "items",
            next_link("next"),
            session=quick(),
            resume=tmp_path / "pages",
        ).table.to_pylist()
        == ROWS
    )
    assert server.paths() == ["/a?page=4", "/a?page=5"]


def test_conditional_requests_transfer_only_what_is_new(server, tmp_path):
    server.pages["/a"] = pages_of(ROWS, 4, "/a")
    options = {"session": quick(cache=tmp_path / "cache")}
    first = read_api(f"{server.url}/a", "items", next_link("next"), **options)
    again = read_api(f"{server.url}/a", "items", next_link("next"), **options)
    assert [entry["status"] for entry in server.log] == [200] * 3 + [
        304
    ] * 3 and again.table == first.table
    assert [part["unchanged"] for part in again.provenance.parts] == [
        True
    ] * 3 and again.provenance.sha256 == first.provenance.sha256
    server.pages["/a"] = pages_of([*ROWS[:-1], {"id": 9, "name": "新"}], 4, "/a")
    third = read_api(f"{server.url}/a", "items", next_link("next"), **options)
    assert [entry["status"] for entry in server.log[6:]] == [
        304,
        304,
        200,
    ] and third.table.to_pylist()[-1]["name"] == "新"


# Downloads


def test_a_download_goes_on_by_range(server, tmp_path):
    content = random.Random(0).randbytes(300_000)
    server.pages["/big.bin"] = content
    server.drop(after=100_000)
    facts = download(f"{server.url}/big.bin", tmp_path / "big.bin", quick())
    assert (tmp_path / "big.bin").read_bytes() == content and facts["bytes"] == 300_000
    assert [entry["headers"].get("Range") for entry in server.log] == [
        None,
        "bytes=100000-",
    ] and server.log[1]["status"] == 206
    assert names(tmp_path) == ["big.bin", "big.bin.provenance.json"]


def test_a_failed_download_leaves_the_last_good_file_and_goes_on_later(server, tmp_path):
    server.pages["/a.csv"] = b"id\n1\n"
    download(f"{server.url}/a.csv", tmp_path / "a.csv", quick())
    server.pages["/a.csv"] = newer = b"id\n" + b"2\n" * 50_000
    server.drop(after=40_000)
    with pytest.raises(SourceError, match="40,000 bytes.*call again"):
        server.work(0)
        server._faults[:0] = [{}]  # the question whether there is a newer one
        download(f"{server.url}/a.csv", tmp_path / "a.csv", quick(retries=0))
    assert (tmp_path / "a.csv").read_bytes() == b"id\n1\n"
    download(f"{server.url}/a.csv", tmp_path / "a.csv", quick())
    assert (tmp_path / "a.csv").read_bytes() == newer and server.log[-1]["headers"][
        "Range"
    ] == "bytes=40000-"
    assert read_files(tmp_path / "a.csv").provenance.parts[0]["from"] == f"{server.url}/a.csv"


def test_a_killed_download_goes_on(server, tmp_path):
    server.pages["/big.bin"] = content = random.Random(1).randbytes(3_000_000)
    slow = (
        "import sys\nfrom bigdata_ai.data.acquire import http\n"
        "real = http.file_sha256\nhttp.file_sha256 = lambda path: __import__('time').sleep(60)\n"
        "http.download(sys.argv[1], sys.argv[2])"
    )
    part = tmp_path / ".big.bin.part"
    killed(
        slow,
        f"{server.url}/big.bin",
        tmp_path / "big.bin",
        when=lambda: part.exists() and part.stat().st_size == len(content),
    )
    assert not (tmp_path / "big.bin").exists()
    download(f"{server.url}/big.bin", tmp_path / "big.bin", quick())
    assert (tmp_path / "big.bin").read_bytes() == content and names(tmp_path) == [
        "big.bin",
        "big.bin.provenance.json",
    ]


@pytest.mark.parametrize("validators", [True, False])
def test_a_file_that_changed_meanwhile_is_never_glued_together(server, tmp_path, validators):
    server.validators = validators
    server.pages["/a.bin"] = b"A" * 100_000
    server.drop(after=50_000)
    with pytest.raises(SourceError):
        download(f"{server.url}/a.bin", tmp_path / "a.bin", quick(retries=0))
    server.pages["/a.bin"] = b"B" * 120_000
    download(f"{server.url}/a.bin", tmp_path / "a.bin", quick())
    assert (tmp_path / "a.bin").read_bytes() == b"B" * 120_000


def test_a_file_that_is_there_is_not_transferred_again(server, tmp_path):
    server.pages["/a.bin"] = b"A" * 1000
    first = download(f"{server.url}/a.bin", tmp_path / "a.bin", quick())
    assert (
        download(f"{server.url}/a.bin", tmp_path / "a.bin", quick()) == first
        and server.log[-1]["status"] == 304
    )
    (tmp_path / "a.bin").write_bytes(b"damaged")
    download(f"{server.url}/a.bin", tmp_path / "a.bin", quick())
    assert (tmp_path / "a.bin").read_bytes() == b"A" * 1000
    with pytest.raises(ContentError, match="sha256"):
        download(f"{server.url}/a.bin", tmp_path / "b.bin", quick(), sha256="0" * 64)
    assert not (tmp_path / "b.bin").exists()


# Web pages


PAGE = """<html><head><meta charset="{charset}"><title>气温</title></head><body><nav>菜单 菜单</nav><article><h1>气温</h1>
<p>北京的春天很短，夏天又热又潮湿。气象站每天早晨和傍晚各测一次气温，并把结果写进表中。
观测员用同一支温度计，在同一个地方，离地面一米半，不受阳光直射，所以不同日子的数字可以比较。</p>
<p>下面的表列出了两个城市在三月的平均气温。数据由气象站提供，可以自由使用，镕基。广州比北京靠南，冬天也很少下雪，
所以三月的气温高得多；到了七月，两地的差别就小了。从一九五一年起，每年的表都保存在站里，任何人都可以查阅。</p></article>
<table><tr><th>代码</th><th>城市</th><th>气温</th></tr><tr><td>007</td><td>北京</td><td>6.5</td></tr><tr><td>010</td><td>广州</td><td></td></tr></table>
<table><tr><th>x</th></tr><tr><td>1</td></tr></table></body></html>"""


def test_robots_are_honoured_on_redirects_too(server):
    server.pages |= {
        "/robots.txt": b"User-agent: *\nDisallow: /private\n\nUser-agent: evil\nDisallow: /\n",
        "/open": "<p>open</p>",
        "/private/a": "<p>secret</p>",
        "/door": "redirect:/private/a",
    }
    visitor = Visitor(delay_s=0, session=quick())
    assert visitor.visit(f"{server.url}/open").html == "<p>open</p>"
    for path in ("/private/a", "/door"):
        with pytest.raises(SourceError, match="robots.txt must allow.*/private/a"):
            visitor.visit(f"{server.url}{path}")
    assert "/private/a" not in server.paths() and server.paths().count("/robots.txt") == 1
    assert not Visitor("evil", session=quick()).allowed(f"{server.url}/open")
    assert {entry["headers"]["User-Agent"] for entry in server.log} == {"bigdata-ai", "evil"}


@pytest.mark.parametrize("status, allowed", [(404, True), (403, True), (429, False), (500, False)])
def test_a_site_without_robots_allows_and_one_that_fails_forbids(server, status, allowed):
    server.fail(status, times=3 if status in (429, 500) else 1)
    assert Visitor(session=quick()).allowed(f"{server.url}/open") is allowed


@pytest.mark.parametrize("asked, least", [("", 2.0), ("Crawl-delay: 5\n", 5.0)])
def test_visits_keep_their_distance(server, monkeypatch, asked, least):
    server.pages |= {
        "/robots.txt": f"User-agent: *\n{asked}Disallow: /x\n".encode(),
        "/a": "<p>a</p>",
    }
    taken, visitor = naps(monkeypatch), Visitor(delay_s=2.0, session=quick())
    for _ in range(3):
        visitor.visit(f"{server.url}/a")
    assert len(taken) == 2 and all(least - 0.5 < wait <= least for wait in taken)


@pytest.mark.parametrize(
    "charset, encoding",
    [("gb2312", "gb18030"), ("gbk", "gbk"), ("utf-8", "utf-8"), ("big5", "big5hkscs")],
)
@pytest.mark.parametrize("said", ["page", "header"])
def test_pages_are_decoded_right(server, charset, encoding, said):
    text = (
        PAGE.format(charset=charset)
        if said == "page"
        else PAGE.replace('<meta charset="{charset}">', "")
    )
    if charset == "big5":
        text = "<html><meta charset='big5'><p>數據</p></html>"
    server.pages |= {"/robots.txt": b"", "/a": text.encode(encoding)}
    server.types["/a"] = "text/html" if said == "page" else f"text/html; charset={charset}"
    page = Visitor(delay_s=0, session=quick()).visit(f"{server.url}/a")
    assert page.html == text


@given(st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), min_size=1, max_size=30))
def test_chinese_text_survives_gb18030(text):
    assert (
        decode_page(f"<meta charset=gb2312>{text}".encode("gb18030"))[0]
        == f"<meta charset=gb2312>{text}"
    )


def test_tables_of_a_page(server):
    server.pages |= {"/robots.txt": b"", "/w": PAGE.format(charset="gbk").encode("gbk")}
    server.types["/w"] = "text/html"
    visitor = Visitor(delay_s=0, session=quick())
    got = read_page_table(f"{server.url}/w", "广州", visitor, types={"代码": "string"})
    assert got.table.to_pylist() == [
        {"代码": "007", "城市": "北京", "气温": 6.5},
        {"代码": "010", "城市": "广州", "气温": None},
    ]
    assert (
        got.provenance.kind == "pages"
        and got.provenance.parts[0]["encoding"] == "gb18030"
        and got.provenance.rows == 2
    )
    for which, told in ((2, "2 \\("), ("上海", "table"), (-1, "2 \\(")):
        with pytest.raises(SourceError, match=told):
            read_page_table(f"{server.url}/w", which, visitor)
    server.pages["/w"] = server.pages["/w"].replace(
        "城市</th>".encode("gbk"), "城镇</th>".encode("gbk")
    )
    with pytest.raises(SchemaError, match="城镇"):
        read_page_table(f"{server.url}/w", "广州", visitor, expect=got, types={"代码": "string"})


def test_texts_of_pages(server):
    server.pages |= {
        "/robots.txt": b"",
        "/w": PAGE.format(charset="gbk").encode("gbk"),
        "/e": "<html></html>",
        "/f.pdf": b"%PDF",
    }
    server.types |= {"/w": "text/html", "/f.pdf": "application/pdf"}
    visitor = Visitor(delay_s=0, session=quick())
    got = read_page_texts([f"{server.url}/w", f"{server.url}/e"], visitor)
    first, second = got.table.to_pylist()
    assert (
        first["title"] == "气温"
        and "北京的春天很短" in first["text"]
        and "菜单" not in first["text"]
    )
    assert second["text"] is None and len(got.provenance.parts) == 2
    with pytest.raises(SourceError, match="web page.*application/pdf"):
        read_page_texts(f"{server.url}/f.pdf", visitor)


# The whole


def test_importing_the_room_loads_no_optional_package():
    program = (
        "import sys\nfrom bigdata_ai.data.acquire import files, http, provenance, sql,"
        " web\nprint({'requests', 'sqlalchemy', 'psycopg', 'trafilatura', 'openpyxl', 'fsspec',"
        " 'lxml'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=tempfile.gettempdir(),
    )
    assert done.stdout.strip() == "set()"
