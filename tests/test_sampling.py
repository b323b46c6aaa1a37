"""Sides, folds, samples and reservoirs: disjoint, exhaustive, stable, of the right distribution;
and leaks are named."""

import itertools
import json

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.stats import chi2

from bigdata_ai.core import InputError, SealedTestError
from bigdata_ai.data import sample as sample_room
from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.tables import Dataset, from_arrays, table
from bigdata_ai.data.frames import to_pandas
from bigdata_ai.data.spark import spark_session
from bigdata_ai.data.sample import Reservoir, balanced, correct_prior, draw_counts, stratified_rows
from bigdata_ai.data.sample import stratified_sample, weighted, weighted_rows
from bigdata_ai.data.seal import HeldOut, HeldOutTable
from bigdata_ai.data.split import folds, group_side, hash_side, hold_out
from bigdata_ai.data.leakage import leakage
from bigdata_ai.data.seal import check_augmentable
from bigdata_ai.data.split import random_side, split, subset, time_side

quick = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True
)
shares = st.floats(0.05, 0.95)
groups_of = st.lists(st.integers(0, 12), min_size=4, max_size=60)
salts = st.text(max_size=5)


def rows_of(n, y=None, ids=None):
    "A data set whose single feature is its position."
    y = np.arange(n) % 3 if y is None else np.asarray(y)
    return Dataset(
        "toy",
        np.arange(n, dtype=np.float32)[:, None],
        y,
        np.arange(n) if ids is None else np.asarray(ids),
        int(y.max()) + 1,
    )


def p_value(counts, expected, within=None):
    """Of a chi-square test of counts that add up to a fixed sum; `within` corrects for draws
    without replacement."""
    counts, expected = np.asarray(counts, float), np.asarray(expected, float)
    statistic = ((counts - expected) ** 2 / expected).sum() / (1 if within is None else within)
    return chi2.sf(statistic, len(counts) - 1)


# Sides


@quick
@given(groups_of, shares, salts)
def test_a_group_is_on_one_side_and_stays_there_when_the_table_grows(groups, share, salt):
    held = group_side(groups, share, salt)
    assert not {g for g, h in zip(groups, held, strict=True) if h} & {
        g for g, h in zip(groups, held, strict=True) if not h
    }
    longer = group_side([*reversed(groups), 99, 98], share, salt)
    assert longer[: len(groups)].tolist() == held[::-1].tolist()
    assert (
        group_side([f"g{g}" for g in groups], share, salt)
        == hash_side([f"g{g}" for g in groups], share, salt)
    ).all()


@quick
@given(groups_of, shares)
def test_held_times_are_later_than_all_others_and_as_many_as_ties_allow(times, share):
    held, times = time_side(times, share), np.array(times)
    if not held.all():
        assert times[held].min() > times[~held].max()
    sizes = [(times >= value).sum() for value in np.unique(times)]
    assert abs(held.sum() - share * len(times)) == min(
        abs(size - share * len(times)) for size in sizes
    )


def test_times_may_be_dates_and_texts():
    days = pd.date_range("2024-01-01", periods=10, tz="UTC")
    assert time_side(days, 0.3).sum() == 3 and time_side(days.strftime("%Y-%m-%d"), 0.3)[-3:].all()
    for bad in ([1.0, np.nan], pd.to_datetime(["2024-01-01", None])):
        with pytest.raises(InputError, match="time"):
            time_side(bad, 0.5)


@quick
@given(st.integers(2, 200), shares, salts)
def test_random_sides_have_an_exact_size(n, share, salt):
    assert random_side(n, share, salt).sum() == round(share * n)


def test_random_sides_are_uniform():
    counts = sum(random_side(20, 0.25, f"draw {i}").astype(int) for i in range(3000))
    assert p_value(counts, np.full(20, 750), within=0.75 * 20 / 19) > 1e-3
    assert (
        p_value(counts + 150 * (np.arange(20) < 2), np.full(20, 765), within=0.75 * 20 / 19) < 1e-3
    ), "the test can fail"


@quick
@given(st.sampled_from(["hash", "random", "group", "time"]), groups_of, shares)
def test_two_sides_are_disjoint_and_exhaustive(by, values, share):
    data = rows_of(len(values))
    try:
        rest, held = hold_out(
            data, share, by=by, values=values if by in ("group", "time") else None
        )
    except InputError as error:
        assert "Both sides" in str(error)
        return
    assert sorted([*rest.ids, *held.ids]) == list(range(len(values)))
    assert (rest.X[:, 0] == rest.ids).all() and (held.X[:, 0] == held.ids).all()


def test_held_out_rows_are_marked_and_nothing_is_made_of_them():
    flights = table(
        pd.DataFrame({"plane": list("aabbccdd"), "y": [0, 1] * 4}), target="y", group="plane"
    )
    for data, kind in ((rows_of(30), HeldOut), (flights, HeldOutTable)):
        rest, held = hold_out(data, 0.4, by="random")
        assert type(held) is kind and type(held.take([0])) is kind and type(rest) is type(data)
        assert check_augmentable(rest) is rest and type(hold_out(held, 0.5, by="random")[1]) is kind
        for refused in (
            check_augmentable,
            balanced,
            folds,
            lambda rows: weighted(rows, np.ones(len(rows)), 1),
        ):
            with pytest.raises(InputError, match="held out"):
                refused(held)
            with pytest.raises(SealedTestError):
                refused(split(data, 0.4, by="random")[1])


@pytest.mark.parametrize(
    "change, told",
    [
        (dict(by="month"), "`by` must be one of 'hash', 'random', 'group', 'time'"),
        (dict(by="group"), "group of each row must be known"),
        (dict(by="time", values=[1, 2]), "one time for each"),
        (dict(by="group", values=[None] * 30), "must have a group"),
        (dict(by="time", values=[1] * 30), "Both sides"),
        (dict(by="random", stratify=True), "by='hash'"),
        (dict(by="group", values=[1.5] * 30), "whole numbers or strings"),
    ],
)
def test_splits_that_make_no_sense_are_refused(change, told):
    with pytest.raises(InputError, match=told):
        split(rows_of(30), **change)


# Folds


@quick
@given(
    st.sampled_from(["hash", "random", "group"]),
    st.booleans(),
    st.integers(2, 4),
    st.lists(st.integers(0, 12), min_size=24, max_size=60),
)
def test_folds_hold_out_each_row_once(by, stratify, k, groups):
    data = rows_of(len(groups))
    try:
        parts = folds(data, k, by, stratify=stratify, values=groups if by == "group" else None)
    except InputError as error:
        assert by in ("hash", "group") and ("Every part" in str(error) or "groups" in str(error))
        return
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(len(groups)))
    for rest, held in parts:
        assert sorted([*rest, *held]) == list(range(len(groups)))
        if by == "group":
            assert not set(np.array(groups)[rest]) & set(np.array(groups)[held])


def test_folds_by_hash_do_not_move_when_the_table_grows():
    few, many = rows_of(200), rows_of(1000)
    for (_, before), (_, after) in zip(folds(few), folds(many), strict=True):
        assert set(before) == {row for row in after if row < 200}


@pytest.mark.parametrize("by", ["hash", "random"])
def test_stratified_folds_share_each_class_evenly(by):
    y = np.repeat([0, 1, 2], [50, 7, 23])
    sizes = [
        np.bincount(y[held], minlength=3) for _, held in folds(rows_of(80, y), 5, by, stratify=True)
    ]
    assert np.ptp(sizes, axis=0).max() <= 1 and {sum(size) for size in sizes} == {16}


def test_stratified_group_folds_balance_the_classes_of_groups():
    groups = np.repeat(np.arange(40), 5)
    y = (groups % 4 == 0).astype(int)
    parts = folds(rows_of(200, y), 5, "group", stratify=True, values=groups)
    assert all(
        y[held].mean() == pytest.approx(0.25, rel=0.25)
        and not set(groups[rest]) & set(groups[held])
        for rest, held in parts
    )


@quick
@given(st.lists(st.integers(0, 30), min_size=20, max_size=80), st.integers(2, 4), st.integers(0, 2))
def test_time_folds_predict_what_comes_later(times, k, gap):
    times = np.array(times)
    try:
        parts = folds(rows_of(len(times)), k, "time", values=times, gap=gap)
    except InputError:
        return
    for rest, held in parts:
        between = set(times[(times > times[rest].max()) & (times < times[held].min())])
        assert times[rest].max() < times[held].min() and len(between) == gap
    assert np.concatenate([held for _, held in parts]).size == len(
        set(np.concatenate([held for _, held in parts]))
    )


# Stratified samples


@quick
@given(
    st.lists(st.sampled_from("aabbbbc"), min_size=1, max_size=80), shares, shares, st.integers(0, 4)
)
def test_stratified_rows_are_exact_and_nested(labels, one, other, at_least):
    labels, ids = np.array(labels), np.arange(len(labels))
    small, large = (
        set(stratified_rows(ids, labels, share, at_least=at_least))
        for share in sorted((one, other))
    )
    assert small <= large
    for label in set(labels):
        size = (labels == label).sum()
        assert (labels[sorted(large)] == label).sum() == max(
            int(max(one, other) * size + 1e-9), min(at_least, size)
        )


def test_stratified_rows_do_not_depend_on_the_order_of_the_table():
    ids, labels = np.arange(300), np.arange(300) % 7
    order = np.random.default_rng(0).permutation(300)
    assert set(ids[order][stratified_rows(ids[order], labels[order], 0.3)]) == set(
        stratified_rows(ids, labels, 0.3)
    )


NUMBERS = np.arange(600)
TOWNS = pd.DataFrame(
    {
        "key": [f"键{i}" for i in NUMBERS],
        "town": np.where(NUMBERS % 50 == 3, "远", np.where(NUMBERS % 3, "b", None)),
        "x": NUMBERS / 3,
    }
)


@pytest.mark.parametrize(
    "make",
    [
        lambda f: f,
        pl.from_pandas,
        lambda f: pl.from_pandas(f).lazy(),
        pa.Table.from_pandas,
        duckdb.from_df,
    ],
    ids=["pandas", "polars", "polars-lazy", "pyarrow", "duckdb"],
)
def test_every_engine_takes_the_same_stratified_sample(make):
    taken = stratified_sample(make(TOWNS), "town", "key", 0.29, salt="盐", at_least=5)
    assert type(taken) is type(make(TOWNS))
    rows = stratified_rows(
        TOWNS["key"].tolist(), TOWNS["town"].fillna("none"), 0.29, salt="盐", at_least=5
    )
    back = to_pandas(taken)
    assert sorted(back["key"]) == sorted(TOWNS["key"].iloc[rows]) and list(back) == list(TOWNS)
    sizes = TOWNS["town"].fillna("none").value_counts()
    assert len(back) == sum(max(int(0.29 * size), 5) for size in sizes) and sizes.min() == 12


@pytest.mark.slow
def test_spark_takes_the_same_stratified_sample():
    taken = stratified_sample(
        spark_session().createDataFrame(TOWNS), "town", "key", 0.29, salt="盐"
    )
    rows = stratified_rows(TOWNS["key"].tolist(), TOWNS["town"].fillna("none"), 0.29, salt="盐")
    assert sorted(to_pandas(taken)["key"]) == sorted(TOWNS["key"].iloc[rows])


def test_a_sample_takes_any_labels_and_keeps_the_index():
    frame = pd.DataFrame(
        {"key": NUMBERS, "town": [("a", 1, None)[i % 3] for i in NUMBERS]}, index=NUMBERS + 7
    )
    taken = stratified_sample(frame, "town", "key", 0.1)
    assert (taken.index == taken["key"] + 7).all()
    assert (
        taken["town"].value_counts(dropna=False).tolist()
        == (frame["town"].value_counts(dropna=False) // 10).tolist()
    )
    assert stratified_sample(frame.head(0), "town", "key", 0.1).empty


def test_a_sample_needs_a_share_and_known_columns():
    for bad in (
        dict(share=0),
        dict(share=1.01),
        dict(label="twon"),
        dict(key="x"),
        dict(at_least=-1),
    ):
        with pytest.raises(InputError):
            stratified_sample(TOWNS, **{"label": "town", "key": "key", "share": 0.5, **bad})


def test_a_stratified_sample_estimates_with_less_variance_than_a_random_one():
    """Within classes nothing varies here, so the stratified mean is exact, and the random one is
    not."""
    data = rows_of(1000, np.repeat([0, 1], [800, 200]))
    exact = [data.y[stratified_rows(data.ids, data.y, 0.1, salt=str(i))].mean() for i in range(50)]
    loose = [subset(data, 100, seed).y.mean() for seed in range(50)]
    assert set(exact) == {0.2} and np.var(loose) == pytest.approx(0.2 * 0.8 / 100 * 0.9, rel=0.5)


# Balanced and weighted draws


@quick
@given(
    st.dictionaries(st.integers(0, 2), st.integers(0, 30), min_size=1),
    st.booleans(),
    st.integers(0, 99),
)
def test_counts_are_drawn_exactly(counts, replace, seed):
    data = rows_of(60, np.repeat([0, 1, 2], [40, 15, 5]))
    have = {0: 40, 1: 15, 2: 5}
    if (
        not sum(counts.values())
        or not replace
        and any(count > have[label] for label, count in counts.items())
    ):
        with pytest.raises(InputError):
            draw_counts(data, counts, replace, seed)
        return
    drawn = draw_counts(data, counts, replace, seed)
    assert np.bincount(drawn.y, minlength=3).tolist() == [
        counts.get(label, 0) for label in range(3)
    ]
    assert (drawn.X[:, 0] == drawn.ids).all() and (replace or len(set(drawn.ids)) == len(drawn))
    assert (drawn.ids == draw_counts(data, counts, replace, seed).ids).all()


def test_balanced_draws_are_uniform_within_a_class():
    data = rows_of(25, np.repeat([0, 1], [20, 5]))
    counts = sum(np.bincount(balanced(data, seed=seed).ids, minlength=25) for seed in range(2000))
    assert (counts[20:] == 2000).all() and p_value(
        counts[:20], np.full(20, 500), within=0.75 * 20 / 19
    ) > 1e-3


def test_a_table_can_be_balanced_too():
    frame = pd.DataFrame({"x": np.arange(12.0), "y": ["rare"] * 3 + ["common"] * 9})
    assert balanced(table(frame, target="y")).frame["y"].value_counts().to_dict() == {
        "rare": 3,
        "common": 3,
    }


WEIGHTS = np.array([1, 2, 3, 4, 10.0])
PAIRS = list(itertools.combinations(range(5), 2))


def pair_chances(weights=WEIGHTS):
    """Exact chances of each pair when two are drawn one after the other, in proportion to the
    weights left."""
    share = weights / weights.sum()
    return np.array(
        [
            share[i] * share[j] / (1 - share[i]) + share[j] * share[i] / (1 - share[j])
            for i, j in PAIRS
        ]
    )


def count_pairs(draw, n=4000):
    found = [tuple(sorted(draw(seed))) for seed in range(n)]
    return [found.count(pair) for pair in PAIRS]


def part(seed, stream, start, end):
    return Reservoir(2, seed, stream).add(range(start, end), WEIGHTS[start:end])


DRAWS = {
    "rows": lambda seed: weighted_rows(WEIGHTS, 2, seed=seed).tolist(),
    "reservoir": lambda seed: Reservoir(2, seed).add(range(5), WEIGHTS).items,
    "in portions": lambda seed: (
        Reservoir(2, seed)
        .add([0], WEIGHTS[:1])
        .add([1, 2, 3], WEIGHTS[1:4])
        .add([4], WEIGHTS[4:])
        .items
    ),
    "merged": lambda seed: part(seed, "a", 0, 3).merge(part(seed, "b", 3, 5)).items,
    "merged, then more": lambda seed: (
        part(seed, "a", 0, 2).merge(part(seed, "b", 2, 3)).add([3, 4], WEIGHTS[3:]).items
    ),
}


@pytest.mark.parametrize("way", DRAWS)
def test_weighted_draws_have_the_exact_distribution_of_pairs(way):
    assert p_value(count_pairs(DRAWS[way]), 4000 * pair_chances()) > 1e-3


def test_the_distribution_test_can_fail(monkeypatch):
    """Chances that are proportional to the product of weights are near, and found out; so is a
    reservoir with a wrong key."""
    wrong = np.array([WEIGHTS[i] * WEIGHTS[j] for i, j in PAIRS])
    assert p_value(count_pairs(DRAWS["rows"]), 4000 * wrong / wrong.sum()) < 1e-6
    monkeypatch.setattr(sample_room, "_weight", lambda weights, i: 1.0)
    assert p_value(count_pairs(DRAWS["reservoir"]), 4000 * pair_chances()) < 1e-6


def test_draws_with_replacement_follow_the_weights():
    counts = np.bincount(weighted_rows(WEIGHTS, 20_000, replace=True, seed=3), minlength=5)
    assert p_value(counts, 20_000 * WEIGHTS / 20) > 1e-3


@pytest.mark.parametrize(
    "weights, n",
    [([0, 0], 1), ([1, -1], 1), ([np.inf, 1], 1), ([1, 0], 2), ([[1, 2]], 1), ([1], 0)],
)
def test_weights_must_be_such_that_rows_can_be_drawn(weights, n):
    with pytest.raises(InputError):
        weighted_rows(weights, n)


def test_the_prior_is_corrected_as_bayes_says():
    """Two normals one apart: after balancing, the corrected posterior is the posterior at the true
    shares."""
    x = np.linspace(-3, 3, 13)
    density = np.exp(-(np.stack([x, x - 1], axis=1) ** 2) / 2)
    at = lambda prior: density * prior / (density * prior).sum(axis=1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(
        correct_prior(at([0.5, 0.5]), [0.5, 0.5], [0.9, 0.1]), at([0.9, 0.1]), rtol=1e-12
    )
    for bad in (([0.5, 0.5], [1.0]), ([0.0, 1.0], [0.5, 0.5])):
        with pytest.raises(InputError):
            correct_prior([[0.5, 0.5]], *bad)


# Reservoirs


def test_a_reservoir_is_uniform_over_a_long_stream():
    counts = np.zeros(40)
    for seed in range(3000):
        counts[Reservoir(6, seed).add(range(40)).items] += 1
    assert p_value(counts, np.full(40, 450), within=(1 - 6 / 40) * 40 / 39) > 1e-3


def test_a_merged_reservoir_is_uniform_over_parts_of_different_lengths():
    counts = np.zeros(40)
    for seed in range(3000):
        parts = [
            Reservoir(6, seed, str(i)).add(part)
            for i, part in enumerate((range(30), range(30, 33), range(33, 40)))
        ]
        counts[parts[0].merge(parts[1]).merge(parts[2]).items] += 1
    assert p_value(counts, np.full(40, 450), within=(1 - 6 / 40) * 40 / 39) > 1e-3


@quick
@given(
    st.integers(1, 8),
    st.integers(0, 99),
    st.lists(st.integers(1, 9), max_size=80),
    st.lists(st.integers(0, 80), max_size=4),
)
def test_portions_and_a_restart_make_no_difference(size, seed, weights, cuts):
    ends = [0, *sorted(min(cut, len(weights)) for cut in cuts), len(weights)]
    for given_weights in (weights, None):
        parts = Reservoir(size, seed)
        for start, end in itertools.pairwise(ends):
            parts.add(
                list(range(start, end)),
                None if given_weights is None else np.array(given_weights[start:end]) / 7,
            )
            parts = Reservoir.from_state(json.loads(json.dumps(parts.state())))
        whole = Reservoir(size, seed).add(
            range(len(weights)), None if given_weights is None else np.array(given_weights) / 7
        )
        assert parts.items == whole.items and parts.state() == whole.state()
        assert len(whole) == min(size, len(weights)) == len(set(whole.items)) and whole.seen == len(
            weights
        )


def test_a_reservoir_takes_any_iterable_and_keeps_plain_items():
    kept = Reservoir(3).add(name for name in "ab").add(np.arange(4, dtype=np.int16))
    assert all(type(item) in (int, str) for item in kept.items) and kept.seen == 6
    assert json.loads(json.dumps(Reservoir(2).add(np.eye(2)).state()))["items"] == [[1, 0], [0, 1]]


def test_reservoirs_refuse_what_would_bias_them():
    one = Reservoir(2, 0, "a").add(range(5))
    with pytest.raises(InputError, match="different streams"):
        one.merge(Reservoir(2, 0, "a").add(range(9)))
    with pytest.raises(InputError, match="different streams"):
        one.merge(one.merge(Reservoir(2, 0, "b")))
    with pytest.raises(InputError, match="size 2"):
        one.merge(Reservoir(3))
    with pytest.raises(InputError, match="above 0"):
        one.add([1], [0])
    with pytest.raises(InputError, match="state"):
        Reservoir.from_state({"size": 2})


# Leakage


@quick
@given(
    st.lists(
        st.tuples(st.integers(0, 6), st.integers(0, 3), st.integers(0, 9)), min_size=2, max_size=30
    ),
    st.integers(1, 29),
)
def test_leakage_finds_what_a_search_by_hand_finds(rows, cut):
    cut = min(cut, len(rows) - 1)
    values, groups, times = map(np.array, zip(*rows, strict=True))
    data = from_arrays(values[:, None], np.arange(len(rows)) % 2, classes=2)
    train, other = data.take(slice(0, cut)), data.take(slice(cut, None))
    found = leakage(train, other, dict(enumerate(groups)), dict(enumerate(times)))
    by_hand = {
        "content": [i for i in range(cut, len(rows)) if values[i] in values[:cut]],
        "group": [i for i in range(cut, len(rows)) if groups[i] in groups[:cut]],
        "time": [i for i in range(cut, len(rows)) if times[i] <= times[:cut].max()],
    }
    for check, ids in by_hand.items():
        lines = found[found["check"] == check]
        assert lines["id"].tolist() == ids
        key = {"content": values, "group": groups}.get(check)
        for line in lines.itertuples():
            if key is None:
                assert (
                    times[line.train_id] == times[:cut].max()
                    and line.matches == (times[:cut] >= times[line.id]).sum()
                )
            else:
                assert (
                    key[line.train_id] == key[line.id]
                    and line.matches == (key[:cut] == key[line.id]).sum()
                )
    assert len(found) == sum(map(len, by_hand.values()))


def test_leakage_reads_the_roles_of_a_table_and_leaves_the_seal():
    frame = pd.DataFrame(
        {
            "plane": list("aabbccdd"),
            "day": pd.date_range("2024-01-01", periods=8),
            "x": [1.0, 2, 3, 4, 5, 6, 7, None],
        }
    )
    trips = table(frame, group="plane", time="day")
    train, test = split(trips, 0.25, by="time")
    assert len(leakage(train, test)) == 0 and test.openings == 0
    train, test = split(trips, 0.5, by="random", salt="b")
    found = leakage(train, test)
    assert set(found["check"]) == {"group", "time"} and test.openings == 0
    copied = table(
        pd.concat([train.frame, test._sealed.frame.assign(id=[100, 101, 102, 103])]), id="id"
    )
    assert leakage(copied, test, checks=("content",))["train_id"].tolist() == [100, 101, 102, 103]


def test_leakage_raises_on_request_and_names_a_row():
    data = rows_of(10)
    with pytest.raises(InputError, match=r"2 by id.*the first is row 3"):
        leakage(data.take(slice(0, 5)), data.take(slice(3, 8)), checks=("id",), refuse=True)
    with pytest.raises(InputError, match="check"):
        leakage(data, data, checks=("content", "colour"))
    with pytest.raises(InputError, match="one kind"):
        leakage(data, rows_of(3, ids=list("abc")))
    with pytest.raises(SealedTestError):
        leakage(split(data, 0.3, by="random")[1], data)


def test_flights_of_one_plane_leak_through_a_random_split_and_not_through_a_split_by_group():
    flights = load_table("flights")
    planes = table(flights.frame.dropna(subset=["tailnum"]).head(5000), id="id", group="tailnum")
    for by, leaks in (("hash", True), ("group", False)):
        assert (len(leakage(*split(planes, by=by), checks=("group",))) > 500) is leaks
