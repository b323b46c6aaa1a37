"""Which labels are wrong, what annotators and rules agree on, and which rows to ask about."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import SVC

from bigdata_ai.core import InputError, SealedTestError, data_path
from bigdata_ai.data.labels import active, weak
from bigdata_ai.data.labels.annotate import AnnotationLog, Annotator, widget
from bigdata_ai.data.catalog import load, load_table
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.data.labels.consensus import METHODS, annotators_for, consensus
from bigdata_ai.data.labels.audit import KINDS, RULES, audit, clean_posterior, corrupt
from bigdata_ai.estimates import effective_share
from bigdata_ai.data.labels.audit import flag, likeliest_f1, noise_matrix, out_of_fold
from bigdata_ai.estimates import rows_worth
from bigdata_ai.data.labels.audit import score_flags, wrong_probability
from bigdata_ai.data.split import subset
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.spec.optimizers import Adam


def f1s(p, y, wrong):
    return {rule: score_flags(flag(p, y, rule), wrong)["f1"] for rule in RULES}


@pytest.fixture(scope="module")
def noisy():
    "Digits with every fifth label wrong, and probabilities out of fold."
    digits = load("digits")
    y = corrupt(digits.y, 0.2, "pair", 10)
    data = from_arrays(digits.X, y, classes=10)
    return data, y != digits.y, out_of_fold(RandomForestClassifier(40, random_state=0), data)


# Noise


@pytest.mark.parametrize("kind", KINDS)
def test_noise_has_its_share_and_leaves_the_labels_alone(kind, digits):
    before = digits.y.copy()
    shares = [
        (corrupt(digits.y, 0.3, kind, 10, digits.X, seed=seed) != digits.y).mean()
        for seed in range(12)
    ]
    assert abs(np.mean(shares) - 0.3) < 4 * np.sqrt(0.21 / len(digits) / 12) + (
        0.01 if kind == "instance" else 0
    )
    assert (digits.y == before).all() and len(set(shares)) > 6


def test_pair_noise_goes_to_the_next_class(digits):
    y = corrupt(digits.y, 0.4, "pair", 10)
    changed = y != digits.y
    assert (y[changed] == (digits.y[changed] + 1) % 10).all()


@pytest.mark.parametrize(
    "bad",
    [
        dict(share=1.0),
        dict(share=-0.1),
        dict(share=0.1, kind="other"),
        dict(share=0.1, kind="instance"),
        dict(share=np.nan),
    ],
)
def test_bad_noise_is_refused(bad):
    with pytest.raises(InputError):
        corrupt([0, 1, 1, 0], **bad)


# Out of fold


class Memory:
    "Knows by heart the ids it was trained on, which stand in the first column."

    def __init__(self):
        self.seen = None

    def fit(self, X, y):
        self.seen = set(X[:, 0].tolist())
        return self

    def predict_proba(self, X):
        seen = np.array([x in self.seen for x in X[:, 0].tolist()])
        return np.column_stack([seen, ~seen]).astype(float)


def numbered(n=60, classes=3):
    return from_arrays(
        np.column_stack([np.arange(n), np.ones(n)]), np.arange(n) % classes, classes=classes
    )


def test_each_row_is_predicted_by_a_model_that_did_not_see_it():
    data = from_arrays(np.column_stack([np.arange(60), np.ones(60)]), np.arange(60) % 2, classes=2)
    for model in (Memory(), lambda rows: Memory().fit(rows.X, rows.y)):
        assert (out_of_fold(model, data)[:, 1] == 1).all()


def test_folds_hold_the_same_share_of_every_class_and_follow_the_seed():
    sizes = []

    def learn(rows):
        sizes.append(np.bincount(rows.y).tolist())
        return GaussianNB().fit(rows.X, rows.y)

    first = out_of_fold(learn, numbered(), folds=4)
    assert sizes == [[15, 15, 15]] * 4
    assert (out_of_fold(learn, numbered(), folds=4) == first).all()
    assert (out_of_fold(learn, numbered(), folds=4, seed=1) != first).any()


def test_a_class_without_rows_keeps_its_column():
    data = from_arrays(
        np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2 * 2, classes=4
    )
    p = out_of_fold(LogisticRegression(), data)
    assert p.shape == (40, 4) and (p[:, [1, 3]] == 0).all() and np.allclose(p.sum(axis=1), 1)


def test_both_frameworks_give_probabilities_out_of_fold(backend, digits):
    rows = subset(digits, 500)
    y = corrupt(rows.y, 0.2, "pair", 10)
    data = from_arrays(rows.X, y, classes=10)
    p = out_of_fold(
        lambda part: fit(mlp(64, 32, 10), part, backend=backend, optimizer=Adam(0.01), epochs=15),
        data,
        folds=3,
    )
    assert (p.argmax(axis=1) == rows.y).mean() > 0.7 and np.allclose(p.sum(axis=1), 1)
    found = f1s(p, y, y != rows.y)
    assert found["posterior"] > found["disagree"]


def test_a_sealed_test_is_refused_everywhere(digits_split, tmp_path):
    _, test = digits_split
    for call in (
        lambda: out_of_fold(LogisticRegression(), test),
        lambda: audit(test, np.ones((len(test), 10)) / 10),
        lambda: active.learning_curves(test),
        lambda: weak.apply_rules({"a": len}, test, 2),
        lambda: consensus(test),
        lambda: Annotator(test, "ab", tmp_path / "a.jsonl"),
    ):
        with pytest.raises(SealedTestError):
            call()
    assert test.openings == 0 and not (tmp_path / "a.jsonl").exists()


@pytest.mark.parametrize(
    "model, folds, told",
    [
        (GaussianNB, 5, "classifier with fit"),
        (SVC(), 5, "classifier with fit"),
        (3, 5, "classifier with fit"),
        (GaussianNB(), 1, "whole number"),
        (GaussianNB(), 21, "at least 21 rows"),
        (lambda rows: None, 3, "predict_proba"),
    ],
)
def test_bad_models_and_folds_are_refused(model, folds, told):
    with pytest.raises(InputError, match=told):
        out_of_fold(model, numbered(), folds)


# The audit


def test_published_figures_come_out_and_the_rule_beats_both_controls():
    held = np.load(data_path() / "reference" / "confident_learning_cifar10.npz")
    published = {"n2": (0.65, 0.93, 0.77, 0.71), "n4": (0.82, 0.88, 0.85, 0.84)}
    for name, (precision, recall, f1, trivial) in published.items():
        p, y = held[f"pyx_{name}_s0"].astype(np.float64), held[f"noisy_{name}_s0"].astype(np.int64)
        wrong = y != held["true"]
        cleanlab = score_flags(flag(p, y, "cleanlab"), wrong)
        assert np.allclose(
            [cleanlab["precision"], cleanlab["recall"], cleanlab["f1"]],
            [precision, recall, f1],
            atol=0.0051,
        )
        found = f1s(p, y, wrong)
        assert abs(found["disagree"] - trivial) < 0.0051
        assert found["posterior"] > max(found["cleanlab"], found["disagree"])


def test_the_rule_beats_both_controls_where_labels_err_in_pairs(noisy):
    data, wrong, p = noisy
    found = f1s(p, data.y, wrong)
    assert found["posterior"] > max(found["cleanlab"], found["disagree"])
    assert roc_auc_score(wrong, wrong_probability(p, data.y)) > 0.97


def test_the_noise_matrix_is_found(noisy):
    data, wrong, p = noisy
    truth = 0.8 * np.eye(10) + 0.2 * np.roll(np.eye(10), 1, axis=1)
    assert np.abs(noise_matrix(p, data.y) - truth).max() < 0.15
    assert abs(wrong_probability(p, data.y).mean() - wrong.mean()) < 0.05


def test_the_order_of_rows_does_not_matter(noisy):
    data, wrong, p = noisy
    order = np.random.default_rng(0).permutation(len(data))
    assert np.allclose(
        wrong_probability(p[order], data.y[order]), wrong_probability(p, data.y)[order], atol=1e-3
    )


def test_clean_labels_get_few_flags(digits):
    p = out_of_fold(RandomForestClassifier(40, random_state=0), digits)
    assert flag(p, digits.y).mean() < 0.02 and wrong_probability(p, digits.y).mean() < 0.02


def test_posterior_is_bayes_rule_where_everything_is_known():
    """Two classes drawn from their own probabilities, labels that err by a known matrix: the
    posterior is calibrated."""
    generator = np.random.default_rng(0)
    clean = 1 / (1 + np.exp(-4 * generator.normal(size=40_000)))
    true = (generator.random(40_000) < clean).astype(int)
    T = np.array([[0.9, 0.1], [0.3, 0.7]])
    y = (generator.random(40_000) < T[true, 1]).astype(int)
    q = 1 - clean_posterior(np.column_stack([1 - clean, clean]), y, T)[np.arange(40_000), y]
    for low, high in ((0.05, 0.3), (0.3, 0.7), (0.7, 0.95)):
        inside = (q > low) & (q < high)
        assert abs(q[inside].mean() - (y != true)[inside].mean()) < 0.04, (low, high)


@pytest.mark.parametrize("scale", [0.3, 3.0])
def test_flags_do_not_depend_on_the_temperature_of_the_model(noisy, scale):
    data, wrong, p = noisy
    logits = np.log(np.clip(p, 1e-4, 1))
    tempered = np.exp(scale * logits)
    tempered /= tempered.sum(axis=1, keepdims=True)
    smooth = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert (flag(smooth, data.y) == flag(tempered, data.y)).mean() > 0.97


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 1000).map(lambda x: x / 1000), min_size=1, max_size=9))
def test_the_cut_makes_expected_f1_largest(likely):
    likely = np.array(likely)
    flagged = likeliest_f1(likely)

    def expected(mask):
        if not mask.any():  # perfect if no label is wrong
            return np.prod(1 - likely)
        return 2 * likely[mask].sum() / max(mask.sum() + likely.sum(), 1e-12)

    best = max(
        expected(np.array([i >> k & 1 for k in range(len(likely))], dtype=bool))
        for i in range(2 ** len(likely))
    )
    assert expected(flagged) >= best - 1e-9 and not flagged[likely == 0].any()


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 5), st.integers(6, 30), st.integers(0, 99))
def test_any_probabilities_give_flags(classes, n, seed):
    generator = np.random.default_rng(seed)
    p, y = generator.dirichlet(np.ones(classes) * 0.2, n), generator.integers(0, classes, n)
    q = wrong_probability(p, y)
    assert q.shape == (n,) and (q >= 0).all() and (q <= 1).all() and flag(p, y).dtype == bool


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_scores_are_those_of_scikit_learn(pairs):
    flagged, wrong = np.array(pairs).T
    assert (
        abs(score_flags(flagged, wrong)["f1"] - f1_score(wrong, flagged, zero_division=0)) < 1e-12
    )


@pytest.mark.parametrize(
    "p, y",
    [
        (np.ones((3, 2)), [0, 1, 0]),
        (np.full((3, 2), 0.5), [0, 1]),
        (np.full((2, 2), 0.5), [0, 2]),
        (np.array([[1.5, -0.5]]), [0]),
        (np.array([[np.nan, 1.0]]), [0]),
        (np.ones((2, 1)), [0, 0]),
        (np.full((2, 2), 0.5), [0.5, 1]),
    ],
)
def test_bad_probabilities_and_labels_are_refused(p, y):
    for rule in RULES:
        with pytest.raises(InputError):
            flag(p, y, rule)


def test_the_audit_lists_every_row_once_and_changes_nothing(noisy):
    data, wrong, p = noisy
    before = data.y.copy()
    table = audit(data, p)
    assert (
        sorted(table["id"]) == sorted(data.ids)
        and table["likely"].is_monotonic_decreasing
        and (data.y == before).all()
    )
    assert set(table["id"][table["flagged"]]) == set(data.ids[flag(p, data.y)])
    top = table.head(100)
    assert (
        wrong[top["id"]].mean() > 0.95
        and (top["suggested"].to_numpy() == load("digits").y[top["id"]]).mean() > 0.9
    )
    assert table["quality"].corr(table["likely"], method="spearman") < -0.5
    assert audit(data, p, "disagree")["flagged"].sum() == (p.argmax(axis=1) != data.y).sum()


def test_effective_rows_follow_the_law():
    assert [round(effective_share(noise, 10), 3) for noise in (0.1, 0.2, 0.4)] == [
        0.79,
        0.605,
        0.309,
    ]
    assert effective_share(0.25) == 0.25 and effective_share(0.9, 10) == 0 == effective_share(
        0.95, 10
    )
    with pytest.raises(InputError):
        effective_share(1.2)
    sizes = np.array([50, 100, 200, 400])
    assert np.isclose(rows_worth(sizes, 3 * sizes**-0.5, 3 * 137**-0.5), 137) and np.isnan(
        rows_worth(sizes, 3 * sizes**-0.5, 0.9)
    )


@pytest.mark.slow
def test_the_rule_against_both_controls_over_seeds_models_and_kinds_of_noise():
    "Means over four seeds; 'instance' at 40 % is where it may lose, and is printed only."
    digits, rows = load("digits"), []
    for seed in range(4):
        for model in (LogisticRegression(max_iter=200), RandomForestClassifier(60, random_state=0)):
            for kind in KINDS:
                for share in (0.1, 0.2, 0.4):
                    y = corrupt(digits.y, share, kind, 10, digits.X, seed=seed)
                    p = out_of_fold(model, from_arrays(digits.X, y, classes=10), seed=seed)
                    rows.append({"kind": kind, "share": share, **f1s(p, y, y != digits.y)})
    mean = pd.DataFrame(rows).groupby(["kind", "share"]).mean()
    print(mean.round(3))
    mean = mean.drop(("instance", 0.4))
    assert (mean["posterior"] > mean[["cleanlab", "disagree"]].max(axis=1) - 0.005).all()
    assert mean["posterior"].mean() > mean[["cleanlab", "disagree"]].mean().max() + 0.02


# Consensus


def published_votes():
    return pd.read_csv(data_path() / "reference" / "dawid_skene_1979.csv")


def test_dawid_skene_gives_what_was_published():
    found = consensus(published_votes())
    priors = found.labels["label"].value_counts(normalize=True).sort_index()
    assert len(published_votes()) == 315 and np.allclose(
        priors, [0.40, 0.42, 0.11, 0.07], atol=0.012
    )
    assert (found.labels["confidence"] > 0.9).mean() > 0.9


def test_good_annotators_are_told_from_poor_ones():
    truth, gains = np.arange(400) % 3, []
    for seed in range(2):
        votes = annotators_for(truth, [0.95, 0.9, 0.45, 0.4, 0.4, 0.45], share=0.8, seed=seed)
        found = {method: consensus(votes, method) for method in METHODS[:2]}
        right = {
            method: (one.labels["label"] == truth[one.labels.index]).mean()
            for method, one in found.items()
        }
        gains.append(right["dawid_skene"] - right["majority"])
        quality = found["dawid_skene"].annotators["quality"]
        assert (
            set(quality.index[:2]) == {"a0", "a1"}
            and abs(quality["a0"] - 0.95) < 0.06
            and abs(quality["a2"] - 0.45) < 0.1
        )
    assert min(gains) > 0.05


def test_crowdlab_uses_the_model_where_votes_are_few(digits):
    rows = subset(digits, 600)
    votes = annotators_for(rows.y, [0.6] * 5, share=0.3, classes=10)
    seen = np.sort(votes["row"].unique())
    p = out_of_fold(RandomForestClassifier(40, random_state=0), rows)[seen]
    right = {m: (consensus(votes, m, p).labels["label"] == rows.y[seen]).mean() for m in METHODS}
    assert right["crowdlab"] > right["majority"] + 0.1
    found = consensus(votes, "crowdlab", p)
    assert found.labels.index.tolist() == seen.tolist() and set(found.annotators.index) == {
        f"a{i}" for i in range(5)
    }


def test_labels_may_be_texts_and_one_vote_is_enough():
    votes = pd.DataFrame(
        {
            "row": ["r1", "r1", "r1", "r2"],
            "annotator": ["x", "y", "z", "x"],
            "label": ["猫", "猫", "dog", "dog"],
        }
    )
    for method in METHODS[:2]:
        assert consensus(votes, method).labels["label"].to_dict() == {"r1": "猫", "r2": "dog"}
    majority = consensus(votes, "majority")
    assert majority.labels["votes"].tolist() == [3, 1] and majority.annotators[
        "agreement"
    ].to_dict() == {"x": 1.0, "y": 1.0, "z": 0.0}


@pytest.mark.parametrize(
    "votes",
    [
        [1, 2],
        pd.DataFrame({"row": [1]}),
        pd.DataFrame(columns=["row", "annotator", "label"]),
        pd.DataFrame({"row": [1], "annotator": ["a"], "label": [None]}),
    ],
)
def test_bad_votes_are_refused(votes):
    with pytest.raises(InputError):
        consensus(votes)


def test_crowdlab_needs_fitting_probabilities():
    for p in (None, np.full((3, 4), 0.25), np.full((45, 2), 0.5)):
        with pytest.raises(InputError):
            consensus(published_votes(), "crowdlab", p)


# Rules


def made_rules(seed, n=4000, accuracy=(0.95, 0.6, 0.6, 0.55, 0.9), coverage=0.6):
    generator = np.random.default_rng(seed)
    y = generator.integers(0, 2, n)
    right = generator.random((n, len(accuracy))) < accuracy
    votes = np.where(right, y[:, None], 1 - y[:, None])
    return np.where(generator.random(votes.shape) < coverage, votes, weak.ABSTAIN), y


def test_the_label_model_weighs_good_rules_more():
    gains = []
    for seed in range(4):
        votes, y = made_rules(seed)
        tables = {m: weak.combine(votes, 2, m) for m in ("label_model", "majority")}
        on = (tables["majority"]["label"] != weak.ABSTAIN).to_numpy()
        score = {m: (t["label"].to_numpy() == y)[on].mean() for m, t in tables.items()}
        gains.append(score["label_model"] - score["majority"])
    assert min(gains) > 0.03


def test_the_label_model_learns_from_silence():
    "Rules that vote for one class only: their votes alone show no error."
    generator = np.random.default_rng(0)
    y = generator.integers(0, 2, 6000)
    # P(vote | class): good rules for 1, poor ones for 0
    speak = np.array([[0.05, 0.6], [0.05, 0.5], [0.7, 0.3], [0.6, 0.3]])[:, y].T
    votes = np.where(generator.random((6000, 4)) < speak, [1, 1, 0, 0], weak.ABSTAIN)
    table = weak.combine(votes, 2)
    # one against one: the better rule decides
    both = (votes == [1, weak.ABSTAIN, 0, weak.ABSTAIN]).all(axis=1)
    assert (
        both.sum() > 100 and (table["label"].to_numpy()[both] == 1).all() and y[both].mean() > 0.7
    )


def test_the_rule_table_counts_right():
    votes = [[0, 0, -1], [0, 1, -1], [-1, 1, -1], [-1, -1, -1]]
    table = weak.rule_table(votes, 2, [0, 0, 1, 1])
    assert table["coverage"].tolist() == [0.5, 0.75, 0.0] and table["overlap"].tolist() == [
        0.5,
        0.5,
        0.0,
    ]
    assert table["conflict"].tolist() == [0.25, 0.25, 0.0] and table["votes_for"].tolist() == [
        [0],
        [0, 1],
        [],
    ]
    assert table["accuracy"].tolist()[:2] == [1.0, 2 / 3] and np.isnan(table["accuracy"].iloc[2])


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 4), st.integers(1, 20), st.integers(1, 5), st.integers(0, 99))
def test_any_votes_add_up(classes, n, rules, seed):
    votes = np.random.default_rng(seed).integers(-1, classes, (n, rules))
    votes[0, 0] = 0
    silent = (votes == -1).all(axis=1)
    for method in ("label_model", "majority"):
        table = weak.combine(votes, classes, method)
        assert (table["label"][silent] == -1).all() and table[
            "confidence"
        ].isna().tolist() == silent.tolist()
        assert table["label"].between(-1, classes - 1).all()
        agreed = [
            (row[row >= 0] == row[row >= 0][0]).all() if (row >= 0).any() else False
            for row in votes
        ]
        if method == "majority":
            assert (table["confidence"][agreed] == 1).all()
    assert (
        weak.rule_table(votes, classes)["conflict"] <= weak.rule_table(votes, classes)["overlap"]
    ).all()


@pytest.mark.parametrize(
    "call",
    [
        lambda: weak.combine([[2]], 2),
        lambda: weak.combine([[-2]], 2),
        lambda: weak.combine([[-1]], 2),
        lambda: weak.combine([[0]], 1),
        lambda: weak.apply_rules({}, ["a"], 2),
        lambda: weak.apply_rules({"a": len}, "text", 2),
        lambda: weak.keyword(0),
        lambda: weak.apply_rules({"a": len}, [], 2),
        lambda: weak.combine([[0]], 2, "vote"),
    ],
)
def test_bad_rules_are_refused(call):
    with pytest.raises(InputError):
        call()


def test_chinese_reviews_get_labels_from_words():
    rows = load_table("reviews").take(np.arange(0, 35_000, 7))
    words = {
        "bad": weak.keyword(0, "太差", "很差"),
        "sad": weak.keyword(0, "失望"),
        "good": weak.keyword(1, "很好", "不错"),
    }
    votes = weak.apply_rules(words, rows.X.iloc[:, 0].tolist(), 2)
    assert (weak.rule_table(votes, 2, rows.y)["accuracy"] > 0.7).all()
    table = weak.combine(votes, 2, "majority")
    on = (table["label"] != -1).to_numpy()
    assert on.mean() > 0.15 and (table["label"].to_numpy() == rows.y)[on].mean() > 0.75


# Active learning


@pytest.fixture(scope="module")
def curves():
    return active.learning_curves(load("breast_cancer"), seeds=range(3), budget=60, step=10)


def test_strategies_of_one_seed_start_alike(curves):
    start = curves[curves["labels"] == 20]
    assert (
        start.groupby("seed")["accuracy"].nunique().eq(1).all()
        and start.groupby("strategy")["accuracy"].nunique().gt(1).all()
    )
    assert sorted(curves["labels"].unique()) == [20, 30, 40, 50, 60] and len(curves) == 30


def test_runs_repeat_exactly(curves):
    again = active.learning_curves(load("breast_cancer"), seeds=[1], budget=60, step=10)
    assert again.equals(curves[curves["seed"] == 1].reset_index(drop=True))


def test_the_comparison_is_paired():
    made = pd.DataFrame(
        [
            (name, seed, labels, 0.5 + seed / 20 + gain)
            for seed in range(8)
            for labels in (10, 20)
            for name, gain in (("random", 0.0), ("margin", 0.01 + seed / 1000))
        ],
        columns=["strategy", "seed", "labels", "accuracy"],
    )
    table = active.compare(made)
    assert (
        np.isclose(table.loc["margin", "gain"], 0.0135) and table.loc["margin", "verdict"] == "wins"
    )
    assert (
        active.compare(made.assign(accuracy=1 - made["accuracy"])).loc["margin", "verdict"]
        == "loses"
    )
    assert active.compare(made[made["seed"] == 0]).loc["margin", "verdict"] == "undecided"


def test_every_strategy_runs(curves):
    rows = subset(load("digits"), 150)
    found = active.learning_curves(
        rows, active.STRATEGIES, seeds=[0], model=GaussianNB(), budget=40, step=10
    )
    assert found.groupby("strategy")["labels"].max().to_dict() == dict.fromkeys(
        active.STRATEGIES, 40
    )
    assert active.draw_curves(found).get_ylabel().startswith("accuracy (mean, 95%")


@pytest.mark.parametrize(
    "bad",
    [
        dict(strategies=["margin"]),
        dict(strategies=["random", "magic"]),
        dict(start=1),
        dict(budget=10),
        dict(budget=10_000),
        dict(step=0),
    ],
)
def test_bad_comparisons_are_refused(bad):
    with pytest.raises(InputError):
        active.learning_curves(load("breast_cancer"), **bad)


# Annotation


def test_work_goes_on_where_it_stopped_and_undo_is_a_line(tmp_path):
    path = tmp_path / "work" / "log.jsonl"
    first = Annotator(["a", "b", "c"], ["yes", "no"], path, annotator="li")
    first.key("1")
    first.key("s")
    first.undo()
    first.label("no")
    again = Annotator(["a", "b", "c"], ["yes", "no"], path)
    assert (
        again.current == 2
        and again.progress == (2, 3)
        and again.table()["label"].tolist() == ["yes", "no"]
    )
    assert [json.loads(line)["act"] for line in path.read_text(encoding="utf-8").splitlines()] == [
        "label",
        "skip",
        "undo",
        "label",
    ]
    for _ in range(2):
        assert again.undo()
    assert not again.undo() and again.current == 0 and len(again.log.acts()) == 6
    assert again.table().empty


ACTS = st.lists(st.sampled_from(["yes", "no", "skip", "undo"]), max_size=25)


@settings(max_examples=40, deadline=None)
@given(ACTS, st.integers(0, 200))
def test_a_torn_line_loses_at_most_itself(tmp_path_factory, acts, cut):
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    work = Annotator(list("abcdefgh"), ["yes", "no"], path)
    for act in acts:
        if act == "undo":
            work.undo()
        elif work.current is not None:
            work.skip() if act == "skip" else work.label(act)
    whole = path.read_bytes() if path.exists() else b""
    kept = whole[: max(len(whole) - cut, 0)]
    path.write_bytes(kept)
    lines = kept.count(b"\n")
    again = Annotator(list("abcdefgh"), ["yes", "no"], path)
    assert len(again.log.acts()) == lines and again.log.acts() == work.log.acts()[:lines]
    before = again.table()
    if again.current is not None:
        again.label("yes")
        assert path.read_bytes().startswith(
            kept[: kept.rfind(b"\n") + 1]
        ) and path.read_bytes().endswith(b"\n")
        assert len(Annotator(list("abcdefgh"), ["yes", "no"], path).table()) == len(before) + 1


KILLED = """
import sys
from bigdata_ai.data.labels.annotate import Annotator
work = Annotator(range(100_000), ["yes", "no"], sys.argv[1])
while True:
    work.label("yes")
    print(work._done[-1]["id"], flush=True)
"""


def test_a_killed_annotator_loses_nothing_that_counted(tmp_path):
    path = tmp_path / "log.jsonl"
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        )
        told = [int(process.stdout.readline()) for _ in range(5)]
        time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        told += [
            int(line)
            for line in process.stdout.read().splitlines(keepends=True)
            if line.endswith("\n")
        ]
        process.wait()
        ids = [act["id"] for act in AnnotationLog(path).acts()]
        assert ids == list(range(len(ids))) and told[-1] < len(ids)


def test_a_failed_write_does_not_count(tmp_path, monkeypatch):
    work = Annotator(["a", "b"], ["yes", "no"], tmp_path / "log.jsonl")
    work.label("yes")
    before = work.log.path.read_bytes()

    def full(file, line):
        file.write(line[:7])
        file.flush()
        raise OSError("No space left on device")

    monkeypatch.setattr("bigdata_ai.data.labels.annotate._write", full)
    box = widget(work)
    box.children[2].children[1].click()
    assert (
        "Not written" in box.children[4].value
        and work.current == 1
        and work.log.path.read_bytes() == before
    )


def test_the_widget_works_for_texts_images_and_rows(tmp_path, digits):
    for number, items in enumerate(
        (["文本", "two"], subset(digits, 3), load_table("credit").take([0, 1]).X)
    ):
        work = Annotator(items, ["yes", "no"], tmp_path / f"{number}.jsonl")
        box = widget(work)
        bar, _, choices, (skip, undo, keys) = *box.children[:3], box.children[3].children
        choices.children[0].click()
        keys.value = "2"
        assert (
            work.table()["label"].tolist() == ["yes", "no"] and bar.value == 2 and keys.value == ""
        )
        undo.click()
        skip.click()
        assert bar.value == 2 and work.progress[0] == 2 and len(work.log.acts()) == 4


def test_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text(
        '{"act": "label", "id": 0, "label": "yes"}\n{"act": "la\n{"act": "undo", "id": 0}\n'
    )
    with pytest.raises(InputError, match="Line 2 of log.jsonl"):
        Annotator(["a"], ["yes", "no"], path)


@pytest.mark.parametrize(
    "bad",
    [
        dict(labels=["a"]),
        dict(labels=["a", "a"]),
        dict(items=[]),
        dict(items="text"),
        dict(ids=[1, 1]),
        dict(order=[0, 0]),
        dict(order=[5]),
        dict(order=[]),
    ],
)
def test_bad_tasks_are_refused(tmp_path, bad):
    with pytest.raises(InputError):
        Annotator(
            **{"items": ["a", "b"], "labels": ["yes", "no"], "path": tmp_path / "log.jsonl", **bad}
        )


def test_the_audit_gives_the_order_of_work(tmp_path, noisy):
    data, wrong, p = noisy
    order = np.argsort(-wrong_probability(p, data.y))[:20]
    work = Annotator(data, "0123456789", tmp_path / "log.jsonl", order=order)
    assert work.current == order[0] and work.progress == (0, 20)
    work.key("7")
    assert (
        work.table()["id"].tolist() == [data.ids[order[0]]]
        and work.table()["label"].tolist() == ["7"]
        and work.current == order[1]
    )
