"""Values of rows: Shapley by its definition, out-of-bag agreement, and rankings that beat chance."""

from itertools import combinations
from math import comb

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings, strategies

from bigdata_ai.core import InputError, data_path
from bigdata_ai.data.catalog import load
from bigdata_ai.data.labels.audit import corrupt
from bigdata_ai.value.valuation import RANKINGS, compare, data_oob, intervals, knn_shapley
from bigdata_ai.value.valuation import draw_rankings


def by_definition(X, y, valid_X, valid_y, k):
    def vote(rows):
        rows = np.array(rows, int)
        near = [
            rows[np.argsort(((X[rows] - x) ** 2).sum(axis=1), kind="stable")][:k] for x in valid_X
        ]
        return np.mean([(y[n] == label).sum() / k for n, label in zip(near, valid_y, strict=True)])

    n = len(y)
    return np.array(
        [
            sum(
                (vote([*some, i]) - vote(some)) / n / comb(n - 1, size)
                for size in range(n)
                for some in combinations([j for j in range(n) if j != i], size)
            )
            for i in range(n)
        ]
    )


@settings(max_examples=15, deadline=None)
@given(seed=strategies.integers(0, 10**6), n=strategies.integers(2, 6), k=strategies.integers(1, 8))
def test_shapley_is_what_its_definition_says(seed, n, k):
    random = np.random.default_rng(seed)
    X, y = random.standard_normal((n, 2)), random.integers(0, 3, n)
    valid_X, valid_y = random.standard_normal((3, 2)), random.integers(0, 3, 3)
    assert (
        np.abs(
            knn_shapley(X, y, valid_X, valid_y, k) - by_definition(X, y, valid_X, valid_y, k)
        ).max()
        < 1e-12
    )


def test_values_sum_to_the_score_and_parts_do_not_matter(digits):
    X, y = digits.X[:1200], digits.y[:1200]
    values = knn_shapley(X, y, digits.X[1200:], digits.y[1200:], 5)
    distance = ((digits.X[1200:, None] - X[None]) ** 2).sum(axis=2)
    near = np.argsort(distance, axis=1, kind="stable")[:, :5]
    assert values.sum() == pytest.approx((y[near] == digits.y[1200:, None]).mean(), rel=1e-9)
    parts = [
        knn_shapley(X, y, digits.X[part], digits.y[part], 5)
        for part in (slice(1200, 1500), slice(1500, None))
    ]
    assert (300 * parts[0] + 297 * parts[1]) / 597 == pytest.approx(values, rel=1e-6, abs=1e-12)


def test_wrong_labels_have_low_values(digits):
    X, y = digits.X[:800], digits.y[:800]
    wrong_y = corrupt(y, 0.2, seed=0)
    wrong = wrong_y != y
    for values in (
        knn_shapley(X, wrong_y, digits.X[800:], digits.y[800:]),
        data_oob(X, wrong_y, 40),
    ):
        assert np.nanmean(values[wrong]) < np.nanmean(values[~wrong]) - 2 * np.nanstd(
            values[~wrong]
        ) / np.sqrt(wrong.sum())
        assert wrong[np.argsort(values)[:100]].mean() > 0.6


def test_out_of_bag_values_are_shares_and_repeat(digits):
    one, other = (data_oob(digits.X[:200], digits.y[:200], 20, seed=3) for _ in range(2))
    assert (
        np.array_equal(one, other, equal_nan=True) and np.nanmin(one) >= 0 and np.nanmax(one) <= 1
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: knn_shapley(np.ones((3, 2)), [0, 1, 0], np.ones((3, 3)), [0, 1, 0]),
            "as many columns",
        ),
        (
            lambda: knn_shapley(np.ones((3, 2)), [0, 1, 0], np.ones((3, 2)), [0, 1, 0], 0),
            "`k` must be",
        ),
        (
            lambda: knn_shapley(np.full((3, 2), np.nan), [0, 1, 0], np.ones((3, 2)), [0, 1, 0]),
            "finite",
        ),
        (lambda: data_oob(np.ones((3, 2)), [0, 1, 0], 3), "`trees` must be"),
        (lambda: compare(load("breast_cancer"), 1), "`repeats` must be"),
        (lambda: compare(load("breast_cancer"), 2, share=0.6), "`share` must be"),
    ],
)
def test_bad_input_is_told(call, words):
    with pytest.raises(InputError, match=words):
        call()


def test_a_comparison_is_paired_and_drawn():
    table = compare(load("breast_cancer"), 3, trees=20)
    assert (
        len(table) == 3 * len(RANKINGS)
        and table.groupby("seed")["error_before"].nunique().eq(1).all()
    )
    found = intervals(table).set_index(["ranking", "measure"])
    assert found.loc[("KNN-Shapley", "f1"), "mean"] > found.loc[("random", "f1"), "mean"] + 0.2
    ax = draw_rankings(intervals(table))
    assert ax.get_title() and ax.get_ylabel()


def test_the_recorded_comparison_holds_twenty_seeds():
    table = pd.read_csv(data_path() / "evidence" / "valuation.csv")
    assert table.groupby(["data", "ranking"])["seed"].nunique().ge(20).all() and set(
        table["ranking"]
    ) == set(RANKINGS)
    found = intervals(table)
    assert (
        found[(found["measure"] == "f1") & (found["ranking"] != "random")]["over_random_low"] > 0
    ).all()
