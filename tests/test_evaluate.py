"""Scores are scikit-learn's, intervals cover, and a leak is seen."""

import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.special import expit, softmax
from scipy.stats import binomtest, norm
from sklearn import metrics as sk

from bigdata_ai.core import rng
from bigdata_ai.data.origin import Origin
from bigdata_ai.data.tables import Dataset, from_arrays
from bigdata_ai.estimates import auroc_interval
from bigdata_ai.evaluation import METRICS, evaluate, point_scores, resampled_scores


def table(k, n=120, seed=0, ties=False):
    "Labels and probabilities of a classifier that is right more often than not."
    draw = rng(seed, "table")
    y = np.r_[np.arange(k), draw.integers(0, k, n - k)]
    logits = draw.normal(size=(n, k)) + 1.5 * np.eye(k)[y]
    return y, softmax(np.round(logits) if ties else logits, axis=1)


def model_of(proba):
    return SimpleNamespace(predict_proba=lambda X: proba)


def evaluated(y, proba, **options):
    data = from_arrays(np.arange(len(y), dtype=float)[:, None], y, classes=proba.shape[1])
    return evaluate(model_of(proba), data, **options)


# Against scikit-learn


def reference(y, proba, weight=None):
    "Every number by another call of scikit-learn than the library's."
    k, guess = proba.shape[1], proba.argmax(axis=1)
    by = {"sample_weight": weight}
    found = {
        ("accuracy", ""): sk.accuracy_score(y, guess, **by),
        ("log_loss", ""): sk.log_loss(y, proba, labels=range(k), **by),
    }
    functions = {"precision": sk.precision_score, "recall": sk.recall_score, "f1": sk.f1_score}
    for metric, function in functions.items():
        for average in ("macro", "micro"):
            found[metric, average] = function(
                y, guess, labels=range(k), average=average, zero_division=0, **by
            )
        for c in range(k):
            found[metric, f"class {c}"] = function(y == c, guess == c, zero_division=0, **by)
    for c in range(k):
        found["auroc", f"class {c}"] = sk.roc_auc_score(y == c, proba[:, c], **by)
    found["auroc", "macro"] = (
        sk.roc_auc_score(y, proba[:, 1], **by)
        if k == 2
        else sk.roc_auc_score(y, proba, multi_class="ovr", average="macro", labels=range(k), **by)
    )
    return found


@pytest.mark.parametrize("ties", [False, True], ids=["smooth", "ties"])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_every_score_is_scikit_learns(k, ties):
    y, proba = table(k, ties=ties)
    rows, expected = evaluated(y, proba, resamples=20).table, reference(y, proba)
    found = {(row.metric, row.average): row.value for row in rows.itertuples()}
    assert found.keys() == expected.keys() and {metric for metric, _ in found} == set(METRICS)
    assert [found[key] for key in expected] == pytest.approx(list(expected.values()), rel=1e-12)


@pytest.mark.parametrize("ties", [False, True], ids=["smooth", "ties"])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_every_resampled_score_is_scikit_learns_with_weights(k, ties):
    y, proba = table(k, ties=ties)
    counts = rng(1, "counts").multinomial(len(y), np.full(len(y), 1 / len(y)), size=3)
    counts[:, :k] += 1  # every class is drawn, so that scikit-learn defines every number
    found = resampled_scores(y, proba, counts)
    for i, weight in enumerate(counts):
        expected = reference(y, proba, weight)
        assert found.keys() == expected.keys()
        assert [found[key][i] for key in expected] == pytest.approx(
            list(expected.values()), rel=1e-12
        )


def test_a_resample_of_every_row_once_is_the_point_score():
    y, proba = table(4)
    found = resampled_scores(y, proba, np.ones((1, len(y)), dtype=int))
    assert {key: value[0] for key, value in found.items()} == pytest.approx(
        point_scores(y, proba), rel=1e-12
    )


def test_confusion_is_scikit_learns():
    y, proba = table(3)
    scores = evaluated(y, proba, resamples=20)
    assert (scores.confusion == sk.confusion_matrix(y, proba.argmax(axis=1))).all()
    assert scores.n == scores.confusion.sum() == 120
    assert scores.majority == np.bincount(y).max() / 120 and scores.predicted_classes == 3


def test_a_class_that_the_test_lacks():
    "Its AUROC is undefined and left out, and the macro average is over the classes at hand."
    y, proba = (
        np.array([0, 1, 0, 1]),
        np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.4, 0.3], [0.1, 0.7, 0.2]]),
    )
    scores = evaluated(y, proba, resamples=20)
    names = set(scores.table.loc[scores.table["metric"] == "auroc", "average"])
    assert names == {"macro", "class 0", "class 1"} and scores.confusion.shape == (3, 3)
    assert scores["auroc macro"]["value"] == np.mean(
        [scores[f"auroc class {c}"]["value"] for c in (0, 1)]
    )
    assert scores["recall class 2"]["value"] == 0


def test_a_sure_and_wrong_guess_has_a_finite_log_loss():
    y, proba = np.array([0, 1]), np.array([[0.0, 1.0], [0.0, 1.0]])
    scores = evaluated(y, proba, resamples=20)
    assert scores["log_loss"]["value"] == pytest.approx(sk.log_loss(y, proba), rel=1e-12)
    assert scores["log_loss"]["high"] == pytest.approx(-np.log(np.finfo(float).eps), rel=1e-12)


# Which numbers, and again the same


def test_metrics_and_averages_pick_rows():
    y, proba = table(3)
    few = evaluated(
        y, proba, metrics=("f1", "accuracy"), averages=("", "class"), resamples=20
    ).table
    assert list(few["metric"] + " " + few["average"]) == [
        "accuracy ",
        "f1 class 0",
        "f1 class 1",
        "f1 class 2",
    ]
    assert list(evaluated(y, proba, metrics="accuracy", resamples=20).table["metric"]) == [
        "accuracy"
    ]


def test_intervals_hold_their_value_and_repeat_with_their_seed():
    y, proba = table(3)
    one, again, other = (evaluated(y, proba, seed=seed).table for seed in (0, 0, 1))
    assert one.equals(again) and not one.equals(other)
    assert one["value"].between(one["low"], one["high"]).all() and (one["low"] < one["high"]).all()


def test_a_higher_level_is_a_wider_interval():
    y, proba = table(3)
    widths = [evaluated(y, proba, level=level)["accuracy"] for level in (0.5, 0.9, 0.99)]
    assert np.all(np.diff([w["high"] - w["low"] for w in widths]) > 0)


def test_four_times_the_rows_halve_the_interval():
    widths = [
        np.subtract(*evaluated(*table(3, n))["accuracy"][["high", "low"]]) for n in (500, 2000)
    ]
    assert 0.4 < widths[1] / widths[0] < 0.6


def test_intervals_drawn_in_blocks_are_intervals_too():
    "With 30,000 rows the resamples no longer fit into one block."
    y, proba = table(2, 30_000)
    row = evaluated(y, proba, metrics="accuracy", resamples=100)["accuracy"]
    half = 1.96 * np.sqrt(row["value"] * (1 - row["value"]) / 30_000)
    assert (
        row["low"] < row["value"] < row["high"]
        and 0.7 < (row["high"] - row["low"]) / (2 * half) < 1.3
    )


# Coverage


def two_bells(seed, n=200, distance=1.5):
    """One feature, normal around 0 or `distance`; the best classifier of it, whose accuracy and
    AUROC are known."""
    draw = rng(seed, "coverage")
    y = draw.integers(0, 2, n)
    p = expit(distance * (draw.normal(distance * y) - distance / 2))
    return y, np.column_stack([1 - p, p])


def test_intervals_cover_the_truth_in_95_of_100_tables():
    truth = {"accuracy": norm.cdf(1.5 / 2), "auroc macro": norm.cdf(1.5 / np.sqrt(2))}
    hits = dict.fromkeys(truth, 0)
    for seed in range(200):
        scores = evaluated(
            *two_bells(seed), metrics=("accuracy", "auroc"), resamples=400, seed=seed
        )
        for name, value in truth.items():
            hits[name] += scores[name]["low"] <= value <= scores[name]["high"]
    print({name: f"{count / 200:.1%}" for name, count in hits.items()})
    assert all(0.90 <= count / 200 <= 0.99 for count in hits.values()), hits


# A constant predictor


def test_scores_of_a_constant_predictor():
    y = np.repeat([0, 1, 2], [50, 30, 20])
    scores = evaluated(y, np.tile([0.6, 0.3, 0.1], (100, 1)))
    assert scores["accuracy"]["value"] == scores.majority == 0.5 and scores.predicted_classes == 1
    assert scores["recall class 0"]["value"] == 1 and scores["recall macro"][
        "value"
    ] == pytest.approx(1 / 3, rel=1e-12)
    # never called so: nothing was measured
    assert scores["precision class 1"]["value"] == 0
    assert scores["precision class 1"][["low", "high"]].isna().all()
    for name, of in (("recall class 2", 20), ("f1 class 1", 30)):
        value, low, high = scores[name]
        share = binomtest(0, of).proportion_ci(0.95).high
        assert value == low == 0 and high == pytest.approx(
            share if name.startswith("recall") else 2 * share / (1 + share)
        )
    for name, others in (("auroc class 1", 70), ("auroc class 2", 80)):
        ends = auroc_interval(0.5, 100 - others, others)
        assert tuple(scores[name]) == pytest.approx((0.5, *ends))
    assert (scores.confusion[:, 0] == [50, 30, 20]).all()


def test_scores_of_a_perfect_predictor():
    y = np.repeat([0, 1, 2], 20)
    rows = evaluated(y, np.eye(3)[y]).table.set_index("metric")
    shares = rows.loc[["accuracy", "precision", "recall", "f1"]]
    assert (shares[["value", "high"]] == 1).all(axis=None) and (shares["low"] < 0.97).all()
    assert (rows.loc["auroc", ["value", "high"]] == 1).all(axis=None)
    assert rows.loc["auroc", "low"].between(0.8, 0.95).all()
    assert (rows.loc["log_loss", ["value", "low", "high"]].abs() < 1e-12).all()


# Overlap


def trained_model(data):
    return SimpleNamespace(
        predict_proba=lambda X: np.full((len(X), 2), 0.5),
        origin=Origin.of(data),
    )


def rows(values, ids, name="table"):
    return Dataset(
        name, np.array(values, dtype=np.float32)[:, None], np.arange(len(ids)) % 2, np.array(ids), 2
    )


TRAINED = rows([1, 2, 3, 4], ids=[10, 11, 12, 13])


@pytest.mark.parametrize(
    "test, overlap",
    [
        (rows([5, 6, 7], [20, 21, 22]), 0),
        (rows([5, 6, 7], [10, 11, 22]), 2),
        (rows([5, 6, 7], [10, 11, 22], "another table"), 0),
        (rows([1, 6, 3], [20, 21, 22]), 2),
        (rows([1, 6, 3], [20, 21, 22], "another table"), 2),
        (rows([1, 2, 7], [10, 21, 12]), 3),
    ],
    ids=[
        "none",
        "by id",
        "same ids of another table",
        "by content",
        "by content from another table",
        "by either",
    ],
)
def test_overlap(test, overlap):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert evaluate(trained_model(TRAINED), test, resamples=20).overlap == overlap
    said = [str(w.message) for w in caught if w.category is UserWarning]
    assert said == (
        [f"{overlap} of 3 evaluated rows were trained on: the scores say little."]
        if overlap
        else []
    )


def test_overlap_is_unknown_where_the_model_does_not_tell():
    assert evaluated(*table(2), resamples=20).overlap is None


def test_a_fitted_model_tells(backend, digits_split):
    from bigdata_ai.train.loop import fit
    from bigdata_ai.train.spec.network import mlp

    train, sealed = digits_split
    model = fit(mlp(64, 10), train, backend=backend, epochs=1)
    assert evaluate(model, sealed, resamples=20).overlap == 0
    with pytest.warns(UserWarning, match=f"{len(train)} of {len(train)} evaluated rows"):
        assert evaluate(model, train, resamples=20).overlap == len(train)
