"""The ledger tells the truth, the split is the same in every engine, and the test set stays sealed."""

import ast
import dataclasses
import re
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pytest

import bigdata_ai
from bigdata_ai.core import ContentError, InputError, SealedTestError, digest_arrays, rng
from bigdata_ai.data import catalog, tables
from bigdata_ai.data.catalog import ledger, load, load_table, names, show
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.data.split import hash_fraction, hash_side, hold_out, split, stratified_side, subset
from bigdata_ai.evaluation import evaluate

PACKAGE = Path(bigdata_ai.__file__).parent


# The hash split

KEYS = {
    "int": np.r_[np.arange(1000), -5, 2**62],
    "ascii": np.array([f"row {i}" for i in range(1000)]),
    "chinese": np.array([f"第{i}行：大数据" for i in range(1000)]),
}


@pytest.mark.parametrize("salt", ["", "test", "盐"])
@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_fraction_is_the_same_in_duckdb(keys, salt):
    with duckdb.connect() as engine:
        engine.register("ids", pd.DataFrame({"id": keys}))
        query = (
            "select ('0x' || left(md5($salt || id::varchar), 8))::bigint / 2**32 as fraction"
            " from ids"
        )
        fractions = engine.execute(query, {"salt": salt}).fetchnumpy()["fraction"]
    assert (hash_fraction(keys, salt) == fractions).all()


def test_fraction_is_pinned():
    """Written out, so that a change of the rule cannot pass: md5('s0') and md5('s大') begin with
    these digits."""
    assert hash_fraction([0], "s")[0] == 0x0B1CDC9F / 2**32
    assert hash_fraction(["大"], "s")[0] == 0xEF90EEC8 / 2**32


def test_fraction_is_uniform():
    counts = np.histogram(hash_fraction(np.arange(10_000)), bins=10, range=(0, 1))[0]
    assert counts.min() > 900 and counts.max() < 1100


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_a_row_keeps_its_side_when_the_table_grows_or_is_shuffled(keys):
    whole, order = hash_side(keys, 0.2, "test"), rng(0, "order").permutation(len(keys))
    assert (hash_side(keys[:400], 0.2, "test") == whole[:400]).all()
    assert (hash_side(keys[order], 0.2, "test") == whole[order]).all()
    assert 0.15 < whole.mean() < 0.25


def test_a_larger_share_holds_every_row_of_a_smaller_one():
    small, large = (hash_side(np.arange(1000), share) for share in (0.1, 0.3))
    assert (large | ~small).all() and large.sum() > small.sum()


def test_another_salt_is_another_split():
    both = hash_side(np.arange(10_000), 0.2, "test") & hash_side(
        np.arange(10_000), 0.2, "validation"
    )
    assert 0.03 < both.mean() < 0.05


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_stratified_split_takes_its_share_of_each_class(digits, share):
    held = stratified_side(digits.ids, digits.y, share)
    assert held.sum() == round(share * len(digits))
    for label in range(10):
        assert abs(held[digits.y == label].sum() - share * (digits.y == label).sum()) < 1


def test_stratified_split_does_not_depend_on_row_order(digits):
    order, whole = (
        rng(0, "order").permutation(len(digits)),
        stratified_side(digits.ids, digits.y, 0.2),
    )
    assert (stratified_side(digits.ids[order], digits.y[order], 0.2) == whole[order]).all()


@pytest.mark.parametrize("stratify", [False, True])
def test_split_and_hold_out_part_the_rows(digits, stratify):
    train, sealed = split(digits, 0.2, stratify=stratify)
    train, validation = hold_out(train, 0.1, stratify=stratify)
    parts = [train.ids, validation.ids, sealed.ids]
    assert sorted(np.concatenate(parts)) == list(range(1797))
    assert 0.15 < len(sealed) / 1797 < 0.25 and 0.07 < len(validation) / (1797 - len(sealed)) < 0.13


def test_split_of_string_ids():
    data = from_arrays(np.zeros((1000, 1)), np.arange(1000) % 2, ids=KEYS["chinese"])
    train, sealed = split(data)
    assert (np.isin(KEYS["chinese"], sealed.ids) == hash_side(KEYS["chinese"], 0.2, "test")).all()
    assert len(train) + len(sealed) == 1000


def test_rows_keep_their_labels_and_ids(digits):
    train, _ = split(digits)
    drawn = subset(train, 100, seed=3)
    assert (drawn.X == digits.X[drawn.ids]).all() and (drawn.y == digits.y[drawn.ids]).all()
    assert drawn.sha256 == digits.sha256 and drawn.classes == 10


def test_subsets_of_one_seed_are_nested(digits):
    small, large, other = subset(digits, 50, 1), subset(digits, 80, 1), subset(digits, 50, 2)
    assert (large.ids[:50] == small.ids).all() and len(set(large.ids)) == 80
    assert set(other.ids) != set(small.ids)


# The sealed test


class Uniform:
    def __init__(self, classes=10):
        self.classes = classes

    def predict_proba(self, X):
        return np.full((len(X), self.classes), 1 / self.classes)


def test_openings_are_counted_and_recorded(digits_split):
    _, sealed = digits_split
    seen = []
    evaluate(Uniform(), sealed, resamples=20, recorder=seen.append)
    evaluate(Uniform(), sealed, resamples=20, recorder=seen.append)
    assert (
        seen == [{"data": "digits", "rows": len(sealed), "openings": n} for n in (1, 2)]
        and sealed.openings == 2
    )


def test_an_opening_counts_without_a_recorder(digits_split):
    _, sealed = digits_split
    evaluate(Uniform(), sealed, resamples=20)
    assert sealed.openings == 1 and "opened 1×" in repr(sealed)


def test_validation_rows_are_no_opening(digits_split):
    train, _ = digits_split
    seen = []
    evaluate(Uniform(), train, resamples=20, recorder=seen.append)
    assert seen == []


def test_a_mistyped_metric_opens_nothing(digits_split):
    _, sealed = digits_split
    with pytest.raises(ValueError):
        evaluate(Uniform(), sealed, metrics=("acuracy",))
    assert sealed.openings == 0


def uses_of(tree, *attributes):
    "Attribute access and string literals by which a sealed test could be opened."
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in attributes
        or isinstance(node, ast.Constant)
        and node.value in attributes
    ]


def test_only_evaluate_opens_a_sealed_test():
    found = {
        path.relative_to(PACKAGE).as_posix(): len(
            uses_of(ast.parse(path.read_text(encoding="utf-8")), "unseal")
        )
        for path in PACKAGE.rglob("*.py")
        if path.name != "_modidx.py"
    }
    assert {name: count for name, count in found.items() if count} == {"evaluation.py": 1}


def test_nobody_reaches_behind_the_seal():
    "Nobody but the sabotage suite, one of whose mutants leaks test rows on purpose."
    found = {
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if uses_of(ast.parse(path.read_text(encoding="utf-8")), "_sealed")
    }
    assert found - {"experiment/mutants.py"} == {"data/leakage.py", "data/seal.py"}


def test_the_search_finds_what_it_looks_for():
    assert (
        len(uses_of(ast.parse("test.unseal(); getattr(test, 'unseal'); f = test.unseal"), "unseal"))
        == 3
    )


# The ledger

ARRAYS, TABLES = list(catalog._READERS), list(catalog._TABLES)


def test_every_data_set_has_a_reader_and_an_entry():
    assert set(ARRAYS) == set(catalog._FULL_SCALE) and not set(ARRAYS) & set(TABLES)
    assert set(names()) == {*ARRAYS, *TABLES} == set(ledger().index)


@pytest.mark.parametrize("name", names())
def test_ledger_is_complete(name):
    entry = show(name)
    for key in ("title", "task", "unit", "package", "source", "licence", "citation"):
        assert isinstance(entry[key], str) and len(entry[key].strip()) > 3, key
    assert entry["kind"] in ("real", "synthetic")
    assert re.fullmatch("[0-9a-f]{64}", entry["sha256"])
    assert re.fullmatch(r"https://\S+", entry["url"])


@pytest.mark.parametrize("name", ARRAYS)
def test_ledger_is_true(name):
    entry, data, (X, y) = show(name), load(name), catalog._READERS[name]()
    assert (
        data.X.shape == (entry["rows"], entry["features"]) == X.shape and len(data) == entry["rows"]
    )
    assert data.classes == entry["classes"] == len(np.unique(data.y))
    assert (
        list(data.image_shape) == entry["image_shape"]
        and np.prod(data.image_shape) == entry["features"]
    )
    assert data.sha256 == entry["sha256"] == digest_arrays(X, y)


@pytest.mark.parametrize("name", ARRAYS)
def test_loaded_data_keep_their_promises(name):
    data = load(name)
    assert data.X.dtype == np.float32 and data.y.dtype == np.int64
    assert data.X.min() == 0 and data.X.max() == 1
    assert (data.ids == np.arange(len(data))).all() and set(np.unique(data.y)) == set(
        range(data.classes)
    )


def test_a_load_gives_a_copy():
    load("digits").X[:] = 7
    assert load("digits").X.max() == 1


@pytest.mark.parametrize("name", TABLES)
def test_ledger_is_true_of_tables(name):
    entry, data = show(name), load_table(name)
    assert data.X.shape == (entry["rows"], entry["features"]) and data.target == entry["target"]
    assert not {data.target, data.id, *data.after} & set(data.X.columns) and {
        data.target,
        *data.after,
    } <= set(data.frame.columns)
    assert len(np.unique(data.ids)) == len(data) == len(data.y) and data.classes == entry["classes"]
    assert data.sha256 == entry["sha256"] and entry["form"] == "table"


@pytest.mark.parametrize(
    "change",
    [
        lambda f: f.assign(age=f["age"] + (f.index == 5)),
        lambda f: f.iloc[:-1],
        lambda f: f.iloc[::-1],
        lambda f: f.rename(columns={"sex": "gender"}),
        lambda f: f.assign(chapter=f["chapter"].fillna("nan")),
    ],
)
def test_a_changed_table_is_refused(change, monkeypatch):
    read = catalog._TABLES["flchain"]
    monkeypatch.setitem(catalog._TABLES, "flchain", lambda: change(read()))
    with pytest.raises(ContentError, match="flchain"):
        load_table("flchain")


def test_a_table_splits_seals_and_evaluates_as_arrays_do():
    data = load_table("breast_cancer")
    train, sealed = split(data, stratify=True)
    assert not set(train.ids) & set(sealed.ids) and len(train) + len(sealed) == len(data)
    with pytest.raises(SealedTestError):
        print(sealed.X)
    assert subset(train, 20).X.shape == (20, 30)
    assert evaluate(Uniform(2), sealed)["accuracy"]["value"] < 1 and sealed.openings == 1


def test_a_table_of_numbers_loads_as_arrays():
    data = load("breast_cancer")
    assert (
        data.X.shape == (569, 30)
        and data.y.dtype == np.int64
        and data.classes == 2
        and data.sha256 == show("breast_cancer")["sha256"]
    )
    with pytest.raises(InputError, match="numeric features only"):
        load("credit")
    with pytest.raises(InputError, match="must be a table"):
        load_table("digits")


@pytest.mark.parametrize(
    "roles, words",
    [
        (dict(target="heigth"), "did you mean 'height'"),
        (dict(target="height"), "no gaps"),
        (dict(id="kind"), "own value"),
        (dict(time="when"), "`time` must be one of"),
        (dict(after=("height", "x")), "must be one of"),
    ],
)
def test_roles_of_a_table_are_checked(roles, words):
    frame = pd.DataFrame({"height": [1.0, None, 2.0], "kind": ["a", "b", "a"]})
    with pytest.raises(InputError, match=words):
        tables.table(frame, **roles)


def test_a_row_without_a_known_label_is_named():
    data = tables.table(pd.DataFrame({"kind": ["a", "b", "a"], "x": [1, 2, 3]}), target="kind")
    with pytest.raises(InputError, match="first at row 1"):
        print(dataclasses.replace(data, labels=("a",)).y)
