"""What the kit once computed wrong, one example a kind, by its number."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binom, binomtest

from bigdata_ai.core import InputError
from bigdata_ai.data.labels.active import compare
from bigdata_ai.data.labels.audit import RULES, audit, corrupt, flag, likeliest_f1, out_of_fold
from bigdata_ai.data.labels.consensus import consensus
from bigdata_ai.data.privacy.anonymity import anonymity, anonymize, number_ladder
from bigdata_ai.data.profile import drift, profile
from bigdata_ai.data.sample import correct_prior
from bigdata_ai.data.split import stratified_side
from bigdata_ai.data.spellings import respellings
from bigdata_ai.data.tables import from_arrays, table
from bigdata_ai.estimates import first_rows, half_width, mean_interval, rows_worth, share_interval
from bigdata_ai.evaluation import evaluate, resampled_scores
from bigdata_ai.experiment.claims import Claim, claims_hash, judge
from bigdata_ai.experiment.statistics import STATISTICS, dose_cost, effective_rows, noise_harm
from bigdata_ai.experiment.statistics import source_gain, stage_gain, strategy_gain
from bigdata_ai.value.curves import extrapolate
from bigdata_ai.value.exchange_rates import Problem, problem_of, rates
from engines import LOCAL

RANDOM = np.random.default_rng(0)


def grid(lost=(), cost=0.03, seeds=10, sd=0.002):
    "Errors over sizes and noise rates that cost the same everywhere, without the lost cells."
    random = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "framework": "torch",
            "seed": seed,
            "n": n,
            "noise": noise,
            "error": 0.4 - 0.05 * np.log10(n) + cost * (noise > 0) + sd * random.normal(),
        }
        for seed in range(seeds)
        for n in (100, 400, 1600)
        for noise in (0.0, 0.2)
        if (n, noise) not in lost
    )


# t1: a lost cell is no zero


@pytest.mark.parametrize("lost", [(), ((100, 0.2),), ((100, 0.0),), ((1600, 0.2), (400, 0.0))])
def test_t1_a_cost_is_that_of_pairs(lost):
    cost, best = dose_cost(grid(lost), ["noise"])
    assert cost.mean() == pytest.approx(0.03, abs=0.003) and (best > 0.2).all()


def test_t1_without_any_pair_there_is_no_cost():
    with pytest.raises(InputError, match="two values of each dose"):
        dose_cost(grid(((100, 0.2), (400, 0.2), (1600, 0.2))), "noise")
    with pytest.raises(InputError, match="two values of each dose"):
        dose_cost(grid(((100, 0.2),)), ["n", "noise"])
    with pytest.raises(InputError, match="must have errors"):
        dose_cost(grid().assign(error=np.nan), "noise")


def test_t1_a_verdict_on_a_grid_with_lost_cells():
    claim = Claim("a.b", "noise costs", "cost_noise", "none", above=0.0, axes=("n", "noise"))
    for lost in ((), ((100, 0.2),), ((100, 0.2), (400, 0.0))):
        rows = grid(lost).assign(claims=claims_hash([claim]), **CHECKS)
        line = judge([claim], rows).iloc[0]
        assert (line["verdict"], line["seeds"]) == ("supported", 10), line
        assert line["low"] < 0.03 < line["high"]
    none = grid(((100, 0.2), (400, 0.2), (1600, 0.2))).assign(claims=claims_hash([claim]), **CHECKS)
    line = judge([claim], none).iloc[0]
    assert line["verdict"] == "undecided" and "two values of each dose" in line["reason"]


CHECKS = {
    "checks.overlap": 0,
    "checks.start_loss": 2.0,
    "checks.end_loss": 0.5,
    "checks.predicted_classes": 2,
    "checks.majority": 0.5,
}


def test_t1_the_other_statistics_name_the_cell_they_lack():
    for statistic in (noise_harm, STATISTICS["noise_harm_shrinks"]):
        with pytest.raises(InputError, match="noise = 0.2, n = 1600"):
            statistic(grid(((1600, 0.2),)))
    with pytest.raises(InputError, match="noise = 0.2, n = 1600"):
        STATISTICS["clean_half_gain"](grid(((1600, 0.2),)).replace({"n": {400: 800}}))
    with pytest.raises(InputError, match="noise = 0.0, n = 1600"):
        effective_rows(grid(((1600, 0.0),)).assign(**{"parameters.classes": 2}))
    with pytest.raises(InputError, match="noise rate above 0"):
        effective_rows(grid(((1600, 0.2),)).assign(**{"parameters.classes": 2}))
    stages = pd.DataFrame({"seed": [0, 1], "pipeline": "raw", "error": 0.3})
    with pytest.raises(InputError, match="pipeline = whole"):
        stage_gain(stages, "whole", "raw")
    mixed = pd.DataFrame({"seed": 0, "scope": ["in", "out"], "sources": [1, 2], "error": 0.3})
    with pytest.raises(InputError, match="scope = out, sources = 1"):
        source_gain(mixed, "left out")


def test_t1_strategies_are_compared_over_the_periods_that_both_have():
    runs = pd.DataFrame(
        [(0, p, s, e) for p in (6, 7, 8) for s, e in (("static", 0.1 * p), ("sliding", 0.3))],
        columns=["seed", "period", "strategy", "error"],
    ).query("not (period == 8 and strategy == 'sliding')")
    gain, control = strategy_gain(runs, "sliding", "static")
    assert gain[0] == pytest.approx(0.35) and control[0] == pytest.approx(0.65)
    assert strategy_gain(runs, "sliding", "static", per_period=True)[0][0] == pytest.approx(0.1)


# t2: degrees of freedom


def accuracies(gain, random_seeds=10, seeds=10):
    rows = [("random", seed, n, 0.8) for seed in range(random_seeds) for n in (10, 20)]
    rows += [("margin", s, n, 0.8 + gain + 0.01 * s) for s in range(seeds) for n in (10, 20)]
    return pd.DataFrame(rows, columns=["strategy", "seed", "labels", "accuracy"])


def test_t2_one_seed_decides_nothing():
    line = compare(accuracies(-0.125, 1, 1)).loc["margin"]
    assert (line["low"], line["high"], line["verdict"]) == (-np.inf, np.inf, "undecided")
    assert line["seeds"] == 1 and line["gain"] == pytest.approx(-0.125)


def test_t2_two_pairs_of_ten_seeds_have_one_degree_of_freedom():
    table = compare(accuracies(0.05, 10, 2))
    mean, low, high = mean_interval([0.05, 0.06])
    assert table.loc["margin", ["gain", "low", "high"]].tolist() == pytest.approx([mean, low, high])
    assert table["seeds"].to_dict() == {"margin": 2, "random": 10}
    assert table.loc["margin", "verdict"] == "undecided"


def test_t2_a_run_that_broke_off_is_no_pair():
    curves = accuracies(0.05)
    broken = (curves["strategy"] == "margin") & (curves["seed"] == 3) & (curves["labels"] == 20)
    assert compare(curves[~broken]).loc["margin", "seeds"] == 9


# t3: quotients


def test_t3_bins_hold_their_own_edges():
    found = number_ladder(0.1)[0](pd.Series([0.3, 0.6, 0.7, -0.3, 0.0, 0.29999])).tolist()
    assert found == ["[0.3, 0.4)", "[0.6, 0.7)", "[0.7, 0.8)", "[-0.3, -0.2)", "[0, 0.1)"] + [
        "[0.2, 0.3)"
    ]
    single = number_ladder(0.1)[0](pd.Series([0.3, 0.6, 0.7, 1.1], dtype="float32")).tolist()
    assert single == ["[0.3, 0.4)", "[0.6, 0.7)", "[0.7, 0.8)", "[1.1, 1.2)"]
    for width in (0.01, 0.05, 0.1, 0.2, 0.7, 3, 1e-5):
        edges = pd.Series(np.arange(-500, 500) * width)
        lows = number_ladder(width)[0](edges).str.extract(r"\[(.*),")[0].astype(float)
        np.testing.assert_allclose(lows, edges, atol=1e-9 * width)


def test_t3_large_numbers_keep_their_bins_apart():
    moments = pd.Series([1_700_000_000_001.0, 1_700_000_000_002.0])
    assert number_ladder(1)[0](moments).tolist() == [
        "[1700000000001, 1700000000002)",
        "[1700000000002, 1700000000003)",
    ]


@pytest.mark.parametrize("seed", range(10))
def test_t3_steps_join_whole_bins(seed):
    values = np.random.default_rng(seed).integers(0, 100, 500) / 100
    for dtype in ("float64", "float32"):
        safe = anonymize(pd.DataFrame({"v": values.astype(dtype)}), ["v"], k=5)
        assert safe.k >= 5


# t4 and t5: intervals of shares


def scores_of(y, guess, classes=2, **options):
    proba = np.eye(classes)[np.asarray(guess)] * 0.98 + 0.02 / classes
    data = from_arrays(np.arange(len(y), dtype=float)[:, None], y, classes=classes)
    model = type("Model", (), {"predict_proba": lambda self, X: proba})()
    return evaluate(model, data, resamples=50, **options)


def test_t4_fifty_of_fifty_is_no_certainty():
    scores = scores_of([0, 1] * 25, [0, 1] * 25)
    assert scores["accuracy"].tolist() == pytest.approx([1, 0.929, 1], abs=5e-4)
    for name in ("recall class 0", "precision class 1"):
        assert scores[name]["low"] == pytest.approx(binomtest(25, 25).proportion_ci().low)
    for name in ("f1 class 0", "f1 macro", "recall macro", "precision micro"):
        assert 0.85 < scores[name]["low"] < 0.96 and scores[name]["high"] == 1


@pytest.mark.parametrize("n, p", [(50, 0.98), (20, 0.95), (100, 0.5), (1, 0.5), (357, 0.978)])
def test_t4_the_interval_of_a_share_covers_as_often_as_it_says(n, p):
    hits = np.arange(n + 1)
    low, high = share_interval(hits, np.full(n + 1, n))
    covered = binom.pmf(hits, n, p) @ ((low <= p) & (p <= high))
    print(f"{n} rows, share {p}: covers {covered:.1%} of 95 %")
    assert covered >= 0.95


def test_t5_a_resample_without_the_class_is_no_measurement():
    y, proba = np.array([1] * 3 + [0] * 997), np.eye(2)[np.array([1] * 3 + [0] * 997)]
    counts = np.ones((2, 1000), dtype=int)
    counts[1, :3] = 0
    found = resampled_scores(y, proba, counts)
    for metric in ("recall", "precision", "f1"):
        assert found[metric, "class 1"][0] == 1 and np.isnan(found[metric, "class 1"][1])
        assert found[metric, "macro"].tolist() == [1, 1]
    scores = scores_of(y, y)
    exact = binomtest(3, 3).proportion_ci()
    assert scores["recall class 1"].tolist() == pytest.approx([1, exact.low, 1])


# t6: exchange rates


class Lawful(Problem):
    """A table whose errors are those of a power law in effective rows, with some noise."""

    def error(self, train, test, y=None, seed=0):
        labels = self.y[train] if y is None else y
        wrong = (labels != self.y[train]).mean()
        rows = len(train) * max(1 - 2 * wrong, 1e-9) ** 2
        noise = np.random.default_rng([len(train), seed, int(1e6 * wrong)]).normal()
        return float(min(3 * rows**-0.5, 0.5) * np.exp(0.05 * noise))


def lawful(seed=0, n=4000):
    y = np.random.default_rng(seed).integers(0, 2, n)
    return Lawful(np.zeros((n, 1)), y, 2, None, None, n, "boosted", ())


def test_t6_a_rate_at_its_floor_is_not_measured():
    table = rates(lawful(), "label").set_index("damage")
    assert table["measured"].tolist() == [True, True, False]
    assert np.isnan(table.loc[0.4, "rate"]) and table.loc[0.4, "low"] == 0
    assert table["holds"].all() and table.loc[0.4, "high"] == pytest.approx(1 / 16, rel=0.5)
    assert table.loc[[0.1, 0.2], "rate"].tolist() == pytest.approx([0.64, 0.36], rel=0.2)


@pytest.mark.slow
@pytest.mark.parametrize("repeats", [3, 8])
def test_t6_intervals_of_rates_cover(repeats, monkeypatch):
    hits = []
    for trial in range(300):
        drawn = np.random.default_rng(trial)

        def error(self, train, test, y=None, seed=0, drawn=drawn):
            wrong = 0 if y is None else (y != self.y[train]).mean()
            expected = 0.1 if y is not None else 0  # of the asked share, not of what was drawn
            rows = len(train) * (1 - 2 * expected) ** 2
            assert wrong < 0.2
            return float(3 * rows**-0.5 * np.exp(0.05 * drawn.normal()))

        monkeypatch.setattr(Lawful, "error", error)
        hits.append(rates(lawful(), "label", (0.1,), repeats)["holds"].item())
    print(f"{repeats} repetitions: covers {np.mean(hits):.1%} of 90 %")
    assert 0.85 <= np.mean(hits) <= 0.99


# t7: ties


def test_t7_the_first_size_that_reaches_an_error():
    sizes, errors = [100, 200, 400, 800], [0.3, 0.2, 0.1, 0.1]
    assert rows_worth(sizes, errors, 0.1) == 400 and rows_worth(sizes, errors, 1 - 0.9) == 400
    assert first_rows(sizes, errors, 0.15) == pytest.approx(400 / 2**0.5)
    assert rows_worth([100, 200, 400], [0.2, 0.2, 0.1], 0.2) == 100
    assert np.isnan(rows_worth(sizes, errors, 0.09)) and np.isnan(rows_worth(sizes, errors, 0.31))
    rows = [(0, n, 0.0, e) for n, e in zip(sizes, errors, strict=True)]
    rows += [(0, n, 0.2, 0.1) for n in sizes]
    runs = pd.DataFrame(rows, columns=["seed", "n", "noise", "error"])
    assert effective_rows(runs.assign(**{"parameters.classes": 2}))["share"].item() == 0.5
    with pytest.raises(InputError, match="ascending sizes"):
        rows_worth([], [], 0.1)


# t8: classes that an annotator met


def test_t8_an_annotator_is_judged_by_the_classes_met():
    truth, draw = np.tile([0, 1], 100), np.random.default_rng(0)
    votes = [
        (row, name, label if draw.random() < 0.9 else 1 - label)
        for row, label in enumerate(truth)
        for name in "abcde"
    ]
    votes += [(row, "zero", 0) for row in np.flatnonzero(truth == 0)[:40]]
    table = pd.DataFrame(votes, columns=["row", "annotator", "label"])
    annotators = consensus(table, "dawid_skene").annotators
    assert annotators.index[0] == "zero" and annotators.loc["zero", "quality"] > 0.95
    assert annotators.loc[list("abcde"), "quality"].between(0.84, 0.96).all()


# t9: the share that was asked for


@pytest.mark.parametrize("share", [0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 0.95])
@pytest.mark.parametrize("kind", ["uniform", "pair", "instance"])
def test_t9_the_share_of_wrong_labels_is_the_one_asked_for(kind, share):
    draw = np.random.default_rng(2)
    X, y = draw.normal(size=(200_000, 3)), draw.integers(0, 3, 200_000)
    found = (corrupt(y, share, kind, X=X) != y).mean()
    assert found == pytest.approx(share, abs=4 * np.sqrt(share / 200_000))


# t10 and t11: drift


def test_t10_equal_shares_have_no_distance():
    small = pd.DataFrame({"text": list("aabbbccccc"), "flag": [True] * 3 + [False] * 7})
    small = small.assign(number=np.arange(10.0), gap=[None] * 4 + ["x"] * 6)
    table = drift(small, pd.concat([small] * 2000, ignore_index=True))
    assert (table["psi"] == 0).all() and (table["js"] == 0).all() and not table["drifted"].any()
    empty = pd.DataFrame({"a": [None, None]}, dtype="float64")
    assert (drift(empty, empty)["psi"] == 0).all()


def test_t11_so_few_shuffles_can_not_hold_the_level():
    frame = pd.DataFrame({"a": np.arange(50.0)})
    for shuffles, level in ((20, 0.99), (98, 0.99), (50, 0.999)):
        with pytest.raises(InputError, match=r"`shuffles` must be \d+ or more for a level"):
            drift(frame, frame, shuffles=shuffles, level=level)
    drift(frame, frame, shuffles=99, level=0.99)
    drift(frame, frame, shuffles=20, level=0.95)


# t12


def test_t12_two_sizes_are_enough_where_two_are_asked_for():
    claim = Claim("a.b", "it falls", "error_drop", "none", above=0.0)
    rows = grid().query("n < 1000 and noise == 0").assign(claims=claims_hash([claim]), **CHECKS)
    assert judge([claim], rows).iloc[0]["verdict"] == "supported"
    assert "1 of 2 sizes" in judge([claim], rows.query("n == 100")).iloc[0]["reason"]
    with pytest.raises(InputError, match="min_sizes"):
        Claim("a.b", "it falls", "error_drop", "none", above=0.0, min_sizes=0)


@pytest.mark.parametrize(
    "values, expected",
    [
        ([0, 100], [25, 50, 75]),
        ([0, 100, np.inf], [50, 100, np.inf]),
        ([-np.inf, 0, 100], [-np.inf, 0, 50]),
        ([-np.inf, 0, 100, np.inf], [-np.inf, 50, np.inf]),
        ([-np.inf, np.inf], [np.nan] * 3),
        ([7], [7, 7, 7]),
    ],
)
def test_t12_quartiles_beside_infinities(values, expected):
    line = profile(pd.DataFrame({"a": values}, dtype="float64")).table.loc["a"]
    found = line[["quartile_1", "median", "quartile_3"]].astype(float).to_numpy()
    np.testing.assert_array_equal(found, expected)


def test_t12_a_probability_without_a_class_can_not_be_corrected():
    with pytest.raises(InputError, match="1 row.* first at row 1"):
        correct_prior([[0.5, 0.5], [1, 0]], [0.5, 0.5], [0, 1])
    for proba in ([[np.nan, 1]], [[-0.5, 1.5]]):
        with pytest.raises(InputError, match="`proba` must be finite"):
            correct_prior(proba, [0.5, 0.5], [0.5, 0.5])


@pytest.mark.parametrize("sizes", [[2] * 100, [3] * 100, [2, 3] * 50, [1] * 30, [1, 1000], [7, 8]])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_t12_strata_hold_their_share(sizes, share):
    y = np.repeat(np.arange(len(sizes)), sizes)
    back = stratified_side(np.arange(len(y)), y, share)
    assert back.sum() == round(share * len(y))
    apart = np.bincount(y[back], minlength=len(sizes)) - share * np.array(sizes)
    assert (np.abs(apart) < 1).all()
    order = RANDOM.permutation(len(y))
    assert (stratified_side(order, y[order], share) == back[order]).all()


@pytest.mark.parametrize("engine", LOCAL)
def test_t12_a_missing_secret_is_no_secret(engine):
    frame = pd.DataFrame({"q": list("aaabbb"), "s": ["x", "x", None, "x", "y", None]})
    numbers = frame.assign(s=[1.0, 1.0, np.nan, 1.0, 2.0, np.nan])
    for rows in (frame, numbers):
        assert anonymity(LOCAL[engine](rows), ["q"], 2, "s")["l"] == 1
        assert anonymity(LOCAL[engine](rows[3:]), ["q"], 2, "s")["l"] == 2
    safe = anonymize(frame, ["q"], k=2, sensitive="s", l=2)
    assert safe.levels == {"q": 1} and safe.l == 2


def letters(values, **columns):
    draw = np.random.default_rng(0)
    return pd.DataFrame({"x": draw.normal(size=len(values)), "y": values} | columns)


def test_t12_the_numbers_of_classes_are_classes():
    draw = np.random.default_rng(0)
    for low in (0, 1):
        with pytest.warns(UserWarning, match="26 different whole numbers .* taken for classes"):
            problem = problem_of(letters(draw.integers(low, low + 26, 2000)), "y")
        assert problem.classes == 26 and "26" in problem.warnings[0]
    ordered = letters(np.arange(2000) % 26)
    with pytest.warns(UserWarning, match="classes"):
        assert problem_of(ordered, "y").y.tolist() == ordered["y"].tolist()
    with pytest.warns(UserWarning, match="taken for a quantity: turn them into text"):
        assert problem_of(letters(draw.integers(18, 90, 2000)), "y").classes == 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert problem_of(letters(draw.normal(size=2000)), "y").classes == 0
        assert problem_of(letters(draw.integers(0, 5000, 2000)), "y").classes == 0


# s1: flagging nothing


@pytest.mark.parametrize("name", ["tree", "neighbours", "forest", "linear"])
def test_s1_right_labels_are_not_flagged(name):
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.tree import DecisionTreeClassifier

    model = {
        "tree": DecisionTreeClassifier(random_state=0),
        "neighbours": KNeighborsClassifier(5),
        "forest": RandomForestClassifier(50, random_state=0),
        "linear": LogisticRegression(),
    }[name]
    draw = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], 200)
    X = draw.normal(size=(600, 2)) + 10 * np.stack([np.cos(y * 2.1), np.sin(y * 2.1)], 1)
    data = from_arrays(X, y)
    p = out_of_fold(model, data)
    for rule in RULES:
        assert not audit(data, p, rule)["flagged"].any()
    wrong = corrupt(y, 0.1, seed=1)
    given = from_arrays(X, wrong)
    table = audit(given, out_of_fold(model, given))
    flagged = table[table["flagged"]]
    assert len(flagged) and (flagged["given"] != flagged["suggested"]).all()
    if name != "tree":  # which learns wrong labels by heart
        assert (y[flagged["id"]] == flagged["suggested"]).mean() > 0.7


def test_s1_flagged_rows_have_another_suggestion_by_every_rule():
    draw = np.random.default_rng(1)
    p = draw.dirichlet(np.ones(4), 400)
    y = draw.integers(0, 4, 400)
    data = from_arrays(draw.normal(size=(400, 2)), y)
    for rule in RULES:
        table = audit(data, p, rule)
        flagged = table[table["flagged"]]
        assert (flagged["given"] != flagged["suggested"]).all()
        assert len(flagged) == flag(p, y, rule).sum()


def test_s1_nothing_is_an_answer():
    assert not likeliest_f1(np.full(600, 1e-6)).any() and not likeliest_f1([0.4]).any()
    assert likeliest_f1([0.9, 0.6, 0.3, 0.1, 0.0]).tolist() == [True, True, False, False, False]


# r8 and r10


@pytest.mark.parametrize("kind", ["class", "number"])
def test_r8_a_column_that_is_nearly_empty(kind):
    from bigdata_ai.value.advisor import advise

    draw = np.random.default_rng(0)
    x = draw.normal(size=300)
    target = (x > 0).astype(int) if kind == "class" else x + 0.1 * draw.normal(size=300)
    rare = np.full(300, np.nan)
    rare[draw.permutation(300)[:4]] = 1.0
    rare[draw.permutation(300)[:2]] = 2.0
    table = pd.DataFrame({"x": x, "rare": rare, "y": target})
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        advice = advise(table, "y", 100, {"row": 1, "label": 1}, repeats=2, time_limit_s=1)
    assert np.isfinite(advice.ranking["gain"]).all()


def test_r10_the_advice_fits_the_reason():
    for target, hint in ((50, "ask for 400 rows or more"), (40_000, "ask for 12800 rows or fewer")):
        with pytest.raises(InputError, match=hint):
            extrapolate([100, 200, 400], [0.3, 0.2, 0.15], target)
    with pytest.raises(InputError, match="measure the error at more numbers of rows"):
        extrapolate([100], [0.3], 200)


# What else the intervals refuse


def test_a_level_is_a_share():
    for wrong in (0, 1, 95, -0.5, np.nan):
        for function in (
            lambda level: half_width(0.1, 5, level),
            lambda level: mean_interval([1.0, 2.0], level),
            lambda level: share_interval(1, 2, level),
        ):
            with pytest.raises(InputError, match="level"):
                function(wrong)
    with pytest.raises(InputError, match="hits"):
        share_interval(3, 2)


# s6: classes that differ by blanks or case only


SPELT = ["yes", "yes ", "Yes", "YES", "no"] * 40 + ["yes"] * 100


def answers(**columns):
    draw = np.random.default_rng(0)
    frame = pd.DataFrame({"x": draw.normal(size=300), "answer": SPELT})
    return frame.assign(**columns)


def test_s6_spellings_of_one_class_are_found():
    assert respellings(pd.Series(SPELT)) == dict.fromkeys(["yes ", "Yes", "YES"], "yes")
    odd = [
        "是",
        "是　",
        "\ufeff是",
        "ＮＯ",
        "no",
        "Straße",
        "STRASSE",
        1,
        None,
        True,
        "e\u0301",
        "é",
    ]
    assert respellings(pd.Series([*odd, "是", "no", "é", "Straße"], dtype=object)) == {
        "是　": "是",
        "\ufeff是": "是",
        "ＮＯ": "no",
        "STRASSE": "Straße",
        "e\u0301": "é",
    }
    assert respellings(pd.Series(["a", "b"])) == {} == respellings(pd.Series([1, 2]))


@pytest.mark.parametrize("dtype", ["object", "str", "category", "string"])
def test_s6_each_door_that_takes_a_target_notes_them(dtype):
    frame = answers().astype({"answer": dtype})
    doors = {
        "table": table(frame, target="answer").notes,
        "profile": profile(frame).notes,
        "problem": problem_of(frame, "answer").warnings,
    }
    for door, notes in doors.items():
        assert "'Yes' beside 'yes'" in notes[0] and "(120 of 300 rows)" in notes[0], door
        assert "frame['answer'].replace({" in notes[0]
    assert "Yes" in repr(table(frame, target="answer")) + profile(frame)._repr_html_()
    repaired = frame.assign(
        answer=frame["answer"].astype(object).replace(respellings(frame["answer"]))
    )
    assert table(repaired, target="answer").notes == () == profile(repaired).notes
    assert sorted(repaired["answer"].unique()) == ["no", "yes"]


def test_s6_an_audit_and_advice_say_it():
    from bigdata_ai.value.advisor import Advice

    data = table(answers(), target="answer")
    p = np.full((300, 5), 0.2)
    with pytest.warns(UserWarning, match="differ by blanks, case"):
        assert "replace" in audit(data, p).attrs["notes"][0]
    votes = pd.DataFrame(
        {"row": [0, 0, 1], "annotator": list("aba"), "label": ["yes", "Yes", "no"]}
    )
    assert "Yes" in repr(consensus(votes, "majority"))
    ranking = pd.DataFrame([dict.fromkeys(["spend", "units", "gain", "low", "high", "best"], 0.0)])
    said = Advice(ranking, "row", True, "", 0.1, 0.5, 0, "share", 1.0, 2, ("classes differ",))
    assert "Note: classes differ" in str(said)


@pytest.mark.parametrize("engine", LOCAL)
def test_s6_profiles_of_every_engine_note_them(engine):
    assert profile(LOCAL[engine](answers())).notes == profile(answers()).notes != ()


def test_t12_many_whole_numbers_of_a_table_are_told_to_be_classes():
    frame = pd.DataFrame({"x": np.arange(300), "price": np.arange(300) * 7})
    notes = table(frame, target="price").notes
    assert "300 different whole numbers" in notes[0] and "float" in notes[0]
    assert table(frame.astype({"price": float}), target="price").notes == ()
    assert table(frame.assign(price=frame["price"] % 10), target="price").notes == ()


def test_votes_that_are_no_classes_are_refused():
    from bigdata_ai.data.labels.consensus import annotators_for
    from bigdata_ai.data.labels.weak import combine

    for votes in ([[0.5, 1]], [[np.nan, 1]], [["a", "b"]], [[2, 0]], [[]]):
        with pytest.raises(InputError, match=r"Votes must be classes 0 … 1"):
            combine(votes, 2)
    with pytest.raises(InputError, match="must lie in"):
        annotators_for([0, 1], [0.9, 1.2])
