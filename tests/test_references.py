"""Every statistic, interval, index and loss beside a kept library or a brute-force twin, on random
inputs and at their edges; and how often intervals cover."""

import math
from collections import Counter
from fractions import Fraction
from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats
from scipy.spatial.distance import jensenshannon
from sklearn import metrics as sk

from bigdata_ai.data import profile as profiles
from bigdata_ai.data.labels import active, audit, consensus, weak
from bigdata_ai.data.privacy import anonymity as private
from bigdata_ai.data.profile import drift, profile
from bigdata_ai.data.sample import correct_prior, weighted_rows
from bigdata_ai.data.split import hash_fraction, hash_side, random_side, time_side
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.estimates import auroc_interval, effective_share, first_rows, half_width
from bigdata_ai.estimates import mean_interval, rows_worth, share_interval
from bigdata_ai.evaluation import evaluate, point_scores, resampled_scores
from bigdata_ai.experiment import statistics
from bigdata_ai.experiment.claims import Claim, claims_hash, judge
from bigdata_ai.train.spec.losses import LOSSES
from bigdata_ai.value import advisor, curves, exchange_rates, prior, valuation

SEEDS = range(5)


def draws(seed):
    return np.random.default_rng(seed)


# estimates


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [2, 3, 30])
@pytest.mark.parametrize("shift, scale", [(0, 1), (1e9, 1), (-1e6, 1e-3), (0, 1e150), (5, 0)])
def test_mean_interval_is_scipys(n, level, shift, scale):
    values = shift + scale * draws(n).normal(size=n)
    exact = stats.t.interval(level, n - 1, values.mean(), stats.sem(values)) if scale else [5, 5]
    assert mean_interval(values, level) == pytest.approx((values.mean(), *exact), rel=1e-9)
    single = np.float32(values) if abs(scale) < 1e30 else values
    wide = stats.t.interval(level, n - 1, *(f(np.float64(single)) for f in (np.mean, stats.sem)))
    if scale and n > 2 and shift == 0:
        assert mean_interval(single, level)[1:] == pytest.approx(wide, rel=1e-9)


def test_mean_interval_at_its_edges():
    assert mean_interval([3]) == (3, -np.inf, np.inf) and math.isnan(mean_interval([])[0])
    assert half_width(np.array([1, 1.0]), np.array([1, 2])).tolist() == [
        np.inf,
        pytest.approx(stats.t.ppf(0.975, 1)),
    ]
    assert all(map(math.isnan, mean_interval([1, 2, np.nan])))


@pytest.mark.parametrize("seed", SEEDS)
def test_share_interval_is_scipys(seed):
    of = int(draws(seed).integers(1, 10**6))
    for hits, level in product((0, 1, of // 3, of - 1, of), (0.5, 0.95, 0.999)):
        exact = stats.binomtest(hits, of).proportion_ci(level, "exact")
        assert share_interval(hits, of, level) == pytest.approx((exact.low, exact.high), abs=1e-12)
    assert np.isnan(share_interval(0, 0)).all()


@pytest.mark.parametrize("noise, k", [(0, 2), (0.3, 2), (0.5, 2), (0.9, 2), (0.9, 10), (1, 26)])
def test_effective_share_is_the_law(noise, k):
    exact = max(0, 1 - Fraction(str(noise)) * k / (k - 1)) ** 2
    assert effective_share(noise, k) == pytest.approx(float(exact), abs=1e-15)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_of_an_error_are_the_fewest_of_a_fine_search(seed):
    draw = draws(seed)
    sizes = np.sort(draw.choice(np.arange(10, 5000), 8, replace=False)).astype(float)
    errors = draw.integers(5, 60, 8) / 100  # ties, and rises
    falling = [min(errors[: i + 1]) for i in range(8)]
    fine = np.geomspace(sizes[0], sizes[-1], 40_001)
    for logs in (False, True):
        level = np.log(falling) if logs else np.array(falling)
        line = np.interp(np.log(fine), np.log(sizes), level)
        for error in (*errors, 0.33, 0.07):
            wanted = np.log(error) if logs else error
            reached = fine[line <= wanted + 1e-12]
            found = rows_worth(sizes, errors, error) if logs else first_rows(sizes, errors, error)
            if logs and not falling[-1] <= error <= falling[0]:
                assert math.isnan(found)
            else:
                first = reached[0] if len(reached) else sizes[-1]
                assert found == pytest.approx(first, rel=3e-4)


# evaluation


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("k, n", [(2, 1), (2, 40), (5, 40), (3, 2)])
def test_point_scores_are_scikit_learns(k, n, dtype):
    draw = draws(n)
    y = draw.integers(0, k, n)
    proba = draw.dirichlet(np.ones(k), n).round(1).astype(dtype) + dtype(0.01)
    proba /= proba.sum(axis=1, keepdims=True)
    found, guess = point_scores(y, proba), proba.argmax(axis=1)
    assert found["accuracy", ""] == sk.accuracy_score(y, guess)
    assert found["log_loss", ""] == pytest.approx(
        sk.log_loss(y, np.float64(proba) / np.float64(proba).sum(1)[:, None], labels=range(k)),
        rel=1e-6,
    )
    for c in range(k):
        for name in ("precision", "recall", "f1"):
            score = getattr(sk, f"{name}_score")(y == c, guess == c, zero_division=0)
            assert found[name, f"class {c}"] == pytest.approx(score)
        if 0 < (y == c).sum() < n:
            area = pair_area(y == c, proba[:, c])
            assert found["auroc", f"class {c}"] == pytest.approx(area, abs=1e-12)
        else:
            assert ("auroc", f"class {c}") not in found


def pair_area(positive, score, weight=None):
    "Share of pairs in the right order; ties count one half."
    weight = np.ones(len(score)) if weight is None else weight
    gap = score[positive][:, None] - score[~positive][None]
    pairs = weight[positive][:, None] * weight[~positive][None]
    return ((gap > 0) + (gap == 0) / 2).ravel() @ pairs.ravel() / pairs.sum()


@pytest.mark.parametrize("seed", SEEDS)
def test_resampled_scores_are_those_of_the_rows_written_out(seed):
    draw, k, n = draws(seed), 4, 12  # so few rows that classes are absent from many a resample
    y = draw.integers(0, k, n)
    proba = draw.dirichlet(np.ones(k), n).round(1) + 0.01
    proba /= proba.sum(axis=1, keepdims=True)
    counts = draw.multinomial(n, np.full(n, 1 / n), size=20)
    found = resampled_scores(y, proba, counts)
    for i, count in enumerate(counts):
        rows = np.repeat(np.arange(n), count)
        labels, guess = y[rows], proba[rows].argmax(axis=1)
        assert found["accuracy", ""][i] == pytest.approx((labels == guess).mean())
        losses = -np.log(proba[rows, labels])
        assert found["log_loss", ""][i] == pytest.approx(losses.mean())
        for name in ("precision", "recall", "f1"):
            score = getattr(sk, f"{name}_score")
            by = {"labels": range(k), "zero_division": np.nan}
            expected = score(labels, guess, average=None, **by)
            one = [found[name, f"class {c}"][i] for c in range(k)]
            np.testing.assert_allclose(one, expected, equal_nan=True)
            assert found[name, "macro"][i] == pytest.approx(np.nanmean(expected))
        for c in range(k):
            if ("auroc", f"class {c}") in found and 0 < (labels == c).sum() < n:
                area = pair_area(labels == c, proba[rows, c])
                assert found["auroc", f"class {c}"][i] == pytest.approx(area)


@pytest.mark.parametrize("area, m, n", [(1, 3, 997), (0.8, 50, 50), (0, 7, 2), (0.5, 1, 1)])
def test_auroc_interval_solves_its_equation(area, m, n):
    low, high = auroc_interval(area, m, n, 0.9)
    for end in {low, high} - {0.0, 1.0}:
        q1, q2 = end / (2 - end), 2 * end**2 / (1 + end)  # Hanley and McNeil 1982
        middle = (m + n) / 2
        variance = end * (1 - end) + (middle - 1) * (q1 - end**2) + (middle - 1) * (q2 - end**2)
        assert abs(area - end) == pytest.approx(1.6448536 * math.sqrt(variance / (m * n)), rel=1e-6)
    assert low <= area <= high and high - low > 0.01
    mirrored = auroc_interval(1 - area, m, n, 0.9)
    assert (1 - mirrored[1], 1 - mirrored[0]) == pytest.approx((low, high), abs=1e-9)


def classified(draw, n, distance, k=2):
    "Labels, guesses and probabilities of the best classifier of k bells on a ring."
    y = draw.integers(0, k, n)
    centres = distance * np.stack([np.cos(2 * np.pi * np.arange(k) / k), np.arange(k) % 2], 1)
    x = centres[y] + draw.normal(size=(n, 2))
    return y, special.softmax(-((x[:, None] - centres) ** 2).sum(axis=2) / 2, axis=1)


NAMES = ("accuracy", "recall class 1", "precision class 1", "f1 class 1", "f1 macro")
NAMES = (*NAMES, "recall macro", "precision macro", "auroc macro", "log_loss")


@pytest.mark.slow
@pytest.mark.parametrize("n, distance, k", [(30, 1.5, 2), (60, 2.5, 3), (200, 1, 3)])
def test_intervals_of_scores_cover(n, distance, k):
    y, proba = classified(draws(99), 400_000, distance, k)
    truth = {" ".join(key).strip(): value for key, value in point_scores(y, proba).items()}
    hits, trials = Counter(), 300
    for trial in range(trials):
        y, proba = classified(draws(trial), n, distance, k)
        model = type("Model", (), {"predict_proba": lambda self, X, p=proba: p})()
        data = from_arrays(np.arange(n)[:, None], y, classes=k)
        scores = evaluate(model, data, resamples=200)
        for name in NAMES:
            value, low, high = scores[name]
            # of a class that nobody was taken for nothing is measured
            hits[name] += bool(np.isnan(low) or low <= truth[name] <= high)
    print(f"{n} rows, {k} classes:", {name: f"{hits[name] / trials:.1%}" for name in NAMES})
    assert all(hits[name] / trials >= 0.92 for name in NAMES if name != "log_loss"), hits
    assert hits["log_loss"] / trials >= 0.75  # of few rows a rare large loss is not among them


@pytest.mark.slow
@pytest.mark.parametrize(
    "m, n, distance", [(25, 25, 1.8), (25, 25, 2.9), (5, 95, 1.8), (3, 300, 2.9)]
)
def test_intervals_of_auroc_cover(m, n, distance):
    draw, hits, truth = draws(0), 0, stats.norm.cdf(distance / np.sqrt(2))
    positive = np.repeat([True, False], [m, n])
    for _ in range(600):
        area = sk.roc_auc_score(positive, draw.normal(size=m + n) + distance * positive)
        low, high = auroc_interval(area, m, n)
        hits += low <= truth <= high
    print(f"{m} and {n} rows, area {truth:.3f}: covers {hits / 600:.1%} of 95 %")
    assert hits / 600 >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind, least, most",
    [("normal", 0.93, 0.97), ("uniform", 0.92, 0.97), ("lognormal", 0.78, 0.86)],
)
def test_mean_intervals_cover_what_their_docs_say(kind, least, most):
    draw = draws(0)
    truth = {"normal": 0, "uniform": 0.5, "lognormal": math.exp(0.5)}[kind]
    values = getattr(draw, kind)(size=(4000, 5))
    covered = np.mean([low <= truth <= high for _, low, high in map(mean_interval, values)])
    print(f"five {kind} values: covers {covered:.1%} of 95 %")
    assert least <= covered <= most


# experiment


@pytest.mark.parametrize("seed", SEEDS)
def test_power_laws_are_a_regression_of_logarithms(seed):
    draw = draws(seed)
    n = np.geomspace(50, 5000, 6).round()
    error = np.clip(2 * n**-0.4 * np.exp(0.2 * draw.normal(size=6)), 0, 1)
    error[-1] = 0  # no logarithm: lifted to the floor
    line = stats.linregress(np.log(n), np.log(np.maximum(error, 1e-3)))
    a, b = statistics.fit_power_law(n, error, 1e-3)
    assert (math.log(a), -b) == pytest.approx((line.intercept, line.slope))


@pytest.mark.parametrize("seed", SEEDS)
def test_costs_are_the_coefficients_of_a_factorial_regression(seed):
    draw = draws(seed)
    cells = list(product((100, 400), (0.0, 0.3), (1, 3), (1, 6)))
    table = pd.DataFrame(cells, columns=["n", "noise", "coverage", "age"])
    table = table.assign(seed=0, error=draw.random(len(cells)))
    coded = {
        name: np.where(table[name] == table[name].max(), 1, -1) * worse
        for name, worse in statistics.DOSES.items()
    }
    factors = [*combinations(coded, 1), *combinations(coded, 2)]
    design = np.column_stack(
        [np.ones(len(cells)), *(np.prod([coded[name] for name in of], axis=0) for of in factors)]
    )
    effects = np.linalg.lstsq(design, table["error"], rcond=None)[0][1:]
    for of, effect in zip(factors, effects, strict=True):
        cost = statistics.dose_cost(table, of)[0].item()
        assert cost == pytest.approx(effect * 2 ** len(of))
    # a cell is lost: the mean of the pairs that are left, one by one
    kept = table.drop(index=draw.integers(len(cells)))
    pairs = [
        group["error"].to_numpy() @ np.where(group["noise"] == 0.3, 1, -1)
        for _, group in kept.groupby(["n", "coverage", "age"])
        if len(group) == 2
    ]
    assert statistics.dose_cost(kept, ["noise"])[0].item() == pytest.approx(np.mean(pairs))


@pytest.mark.parametrize("seed", SEEDS)
def test_gains_by_age_are_slopes(seed):
    draw, periods = draws(seed), np.arange(6, 11)
    errors = draw.random((2, 5))
    runs = pd.DataFrame(
        [
            {"seed": 0, "strategy": name, "period": period, "error": errors[i, j]}
            for i, name in enumerate(("static", "sliding"))
            for j, period in enumerate(periods)
        ]
    )
    slope = stats.linregress(periods, errors[0] - errors[1]).slope
    found = statistics.strategy_gain(runs, "sliding", "static", per_period=True)[0].item()
    assert found == pytest.approx(slope)


@pytest.mark.parametrize("family", [1, 7])
def test_verdicts_are_those_of_students_interval_widened_by_bonferroni(family):
    draw = draws(family)
    claim = Claim("a.b", "falls", "error_drop", "none", above=0.05, family=family)
    rows = pd.DataFrame(
        {
            "framework": "torch",
            "seed": seed,
            "n": n,
            "error": 0.3 - 0.06 * (n > 100) + 0.01 * draw.normal(),
            "checks.overlap": 0,
            "checks.start_loss": 1.0,
            "checks.end_loss": 0.1,
            "checks.predicted_classes": 2,
            "checks.majority": 0.5,
            "claims": claims_hash([claim]),
        }
        for seed in range(8)
        for n in (100, 1000)
    )
    drops = statistics.error_drop(rows)[0]
    test = stats.ttest_1samp(drops, 0).confidence_interval(1 - 0.05 / family)
    line = judge([claim], rows).iloc[0]
    assert (line["low"], line["high"]) == pytest.approx((test.low, test.high))
    side = "supported" if test.low > 0.05 else "refuted" if test.high < 0.05 else "undecided"
    assert line["verdict"] == side


# value


@pytest.mark.parametrize("form", curves.FORMS)
@pytest.mark.parametrize("seed", SEEDS)
def test_fits_are_non_negative_least_squares_at_the_best_of_the_grid(form, seed):
    draw, anchors = draws(seed), np.geomspace(16, 4096, 9)
    errors = 0.1 + 0.9 * anchors**-0.3 + 0.03 * draw.normal(size=9)
    weights = draw.random(9)
    found = curves.fit(anchors, errors[None], form, weights[None])
    root = np.sqrt(weights)
    best = np.inf
    for b, d in curves.FORMS[form].grid:
        falling = curves.FORMS[form].falling(anchors, b, d)
        columns = [falling / falling.max()] + [np.ones(9)] * (form != "pow2")
        if falling.max() > 1e-150:
            best = min(
                best, optimize.nnls(np.column_stack(columns) * root[:, None], errors * root)[1]
            )
    assert found.rmse[0] == pytest.approx(best / np.sqrt(weights.sum()), rel=1e-5)


@pytest.mark.parametrize("seed", SEEDS)
def test_rises_and_bulges_are_the_largest_violations(seed):
    draw = draws(seed)
    m, s = np.sort(draw.random(8)) * 100 + 1, draw.random(8)
    chords = [
        s[j] - (s[i] + (s[k] - s[i]) * (m[j] - m[i]) / (m[k] - m[i]))
        for i, j, k in combinations(range(8), 3)
    ]
    assert curves._bulge(m, s) == pytest.approx(max([0, *chords]))


@pytest.mark.parametrize("seed", SEEDS)
def test_weighted_lines_are_numpys(seed):
    draw = draws(seed)
    u, E, W = draw.normal(size=(3, 2, 9))
    W = np.abs(W)
    value, slope, scatter, mean = curves._line(u, E, W)
    for i in range(2):
        exact = np.polyfit(u[i], E[i], 1, w=np.sqrt(W[i]))
        assert (slope[i], value[i]) == pytest.approx(tuple(exact))
        left = E[i] - np.polyval(exact, u[i])
        assert scatter[i] == pytest.approx(np.sqrt(np.average(left**2, weights=W[i])))
        assert mean[i] == pytest.approx(np.average(E[i], weights=W[i]))


@pytest.mark.slow
def test_intervals_of_extended_curves_cover_at_their_level():
    "On curves that the network has seen; on those that it has not, 90 % is what was fitted."
    anchors, errors, _, _ = prior.lcdb()
    for factor in (2, 8):
        some, seen, target, truth = prior.questions(anchors, errors[::20], factor)
        covered = {}
        for level in (0.5, 0.9, 0.99):
            _, low, high = curves.extrapolate(anchors, seen, target, level)
            covered[level] = np.mean((low <= truth) & (truth <= high))
        print(f"{factor} times the rows:", {k: f"{v:.1%}" for k, v in covered.items()})
        assert covered[0.9] >= 0.85 and covered[0.5] < covered[0.9] <= covered[0.99]


def test_a_step_of_the_prior_is_adamw(frameworks):
    torch = frameworks["torch"]
    draw = draws(0)
    start, gradients = draw.normal(size=(4, 3)), draw.normal(size=(5, 4, 3))
    weight = torch.nn.Parameter(torch.tensor(start))
    optimizer = torch.optim.AdamW([weight], lr=0.01, weight_decay=0.01)
    ours, moments = [start.copy()], [(np.zeros((4, 3)), np.zeros((4, 3)))]
    for step, gradient in enumerate(gradients, 1):
        weight.grad = torch.tensor(gradient)
        optimizer.step()
        prior._step(ours, moments, [gradient], 0.01, step)
    # the decay is taken off before the step there and with it here: apart by rate² x decay
    np.testing.assert_allclose(ours[0], weight.detach().numpy(), atol=1e-5)


def test_odds_are_scipys():
    error = np.array([1e-3, 0.1, 0.25, 0.49])
    np.testing.assert_allclose(advisor._logit(error, 0.5), special.logit(error / 0.5))
    np.testing.assert_allclose(advisor._error(advisor._logit(error, 0.5), 0.5), error)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_slope_is_a_ridge_regression_towards_the_usual_one(seed):
    draw, sizes = draws(seed), np.array([60, 120, 240, 480])
    curve = -0.4 * np.arange(4) + 0.1 * draw.normal(size=4)
    weight, x = sizes / 480, np.log2(sizes / 480)
    centred = [value - np.average(value, weights=weight) for value in (x, curve)]
    rows = np.r_[centred[0] * np.sqrt(weight), np.sqrt(advisor.USUAL_SLOPE_WEIGHT)]
    target = np.r_[
        centred[1] * np.sqrt(weight), np.sqrt(advisor.USUAL_SLOPE_WEIGHT) * advisor.USUAL_SLOPE
    ]
    exact = np.linalg.lstsq(rows[:, None], target, rcond=None)[0].item()
    assert advisor._slope(sizes, curve) == pytest.approx(min(exact, -1e-3))


def test_rates_are_those_of_a_fine_search_and_a_written_out_jackknife():
    draw = draws(0)
    runs = [
        exchange_rates._Runs(
            [20, 50, 100, 200, 400],
            list(np.sort(draw.integers(5, 40, 5) / 100)[::-1]),
            list(draw.integers(10, 30, 2) / 100),
            400,
        )
        for _ in range(6)
    ]

    def log_rate(some):
        curve = np.mean([run.curve for run in some], axis=0)
        errors = np.mean([run.damaged for run in some], axis=0)
        return np.log([first_rows(runs[0].sizes, curve, error) / 400 for error in errors])

    rate, low, high, measured = exchange_rates._rate_intervals(runs, 0.9)
    left_out = np.array([log_rate([r for r in runs if r is not run]) for run in runs])
    error = np.sqrt(5 / 6 * ((left_out - left_out.mean(axis=0)) ** 2).sum(axis=0))
    assert measured.all() and rate == pytest.approx(np.exp(log_rate(runs)))
    ends = np.exp(log_rate(runs) + stats.t.ppf(0.95, 5) * np.stack([-error, error]))
    assert high == pytest.approx(np.minimum(ends[1], 1))
    assert low == pytest.approx(np.where(ends[0] > 20 / 400, ends[0], 0))


@pytest.mark.parametrize("shift", [0.0, 1e9])
def test_neighbours_of_uncentred_and_huge_values(shift):
    draw = draws(0)
    X, valid_X = draw.normal(size=(60, 3)), draw.normal(size=(20, 3))
    y, valid_y = draw.integers(0, 2, 60), draw.integers(0, 2, 20)
    plain = valuation.knn_shapley(X, y, valid_X, valid_y, 3)
    far = valuation.knn_shapley(X + shift, y, valid_X + shift, valid_y, 3)
    assert far == pytest.approx(plain, abs=0.05 if shift else 0)
    huge = valuation.knn_shapley(X * 1e200, y, valid_X * 1e200, valid_y, 3)
    assert huge == pytest.approx(plain)
    near = np.argsort(((valid_X[:, None] - X) ** 2).sum(axis=2), axis=1)[:, :3]
    assert plain.sum() == pytest.approx((y[near] == valid_y[:, None]).mean())


def test_out_of_bag_shares_are_counted_tree_by_tree():
    from sklearn.ensemble import BaggingClassifier
    from sklearn.tree import DecisionTreeClassifier

    draw = draws(1)
    X, y = draw.normal(size=(50, 3)), draw.integers(0, 3, 50)
    forest = BaggingClassifier(DecisionTreeClassifier(), n_estimators=20, random_state=4).fit(X, y)
    votes = [[] for _ in y]
    for tree, seen in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        for row in set(range(50)) - set(seen.tolist()):
            votes[row].append(tree.predict(X[[row]])[0] == y[row])
    expected = [np.mean(one) if one else np.nan for one in votes]
    np.testing.assert_allclose(valuation.data_oob(X, y, 20, 4), expected)


def test_differences_of_rankings_are_paired_t_intervals():
    draw = draws(2)
    table = pd.DataFrame(
        [
            {"data": "a", "seed": s, "ranking": r}
            | dict.fromkeys(valuation.MEASURES, draw.random())
            for s in range(6)
            for r in valuation.RANKINGS
        ]
    )
    found = valuation.intervals(table).set_index(["ranking", "measure"])
    wide = table.pivot(index="seed", columns="ranking", values="f1")
    for ranking in valuation.RANKINGS[:3]:
        test = stats.ttest_rel(wide[ranking], wide["random"]).confidence_interval()
        ends = found.loc[(ranking, "f1"), ["over_random_low", "over_random_high"]]
        assert ends.tolist() == pytest.approx([test.low, test.high])


@pytest.mark.parametrize("seed", SEEDS)
def test_scores_of_flags_are_scikit_learns(seed):
    flagged, wrong = draws(seed).random((2, 30)) < 0.3
    if seed == 0:
        flagged[:] = False
    exact = sk.precision_recall_fscore_support(wrong, flagged, average="binary", zero_division=0)
    found = audit.score_flags(flagged, wrong)
    assert [found[name] for name in ("precision", "recall", "f1")] == pytest.approx(exact[:3])
    assert valuation._f1(flagged, wrong) == pytest.approx(exact[2])


# labels


@pytest.mark.parametrize("seed", SEEDS)
def test_noise_matrix_is_counted_by_hand(seed):
    draw, k = draws(seed), 4
    p = draw.dirichlet(np.ones(k), 40)
    y = draw.integers(0, k - 1, 40)
    p[p.argmax(axis=1) == 2] = np.roll(p[p.argmax(axis=1) == 2], 1, axis=1)  # 2 is never guessed
    expected = np.zeros((k, k))
    for true in range(k):
        rows = [i for i in range(40) if p[i].argmax() == true]
        counts = [1 / k] * k
        middle = np.median([p[i].max() for i in rows]) if rows else 0
        for i in rows:
            counts[y[i]] += p[i].max() >= middle
        counts[true] += not rows
        expected[true] = np.array(counts) / sum(counts)
    np.testing.assert_allclose(audit.noise_matrix(p, y), expected)


def test_the_gradient_of_the_posteriors_likelihood():
    draw, k = draws(3), 3
    logp = np.log(draw.dirichlet(np.ones(k), 30))
    logp -= logp.mean(axis=1, keepdims=True)
    noise, y = draw.dirichlet(np.ones(k), k), draw.integers(0, k, 30)
    given = np.log(noise)[:, y].T
    v = draw.normal(size=k + 1)
    found = audit._given_loss(v, logp, given)
    assert optimize.approx_fprime(v, lambda v: audit._given_loss(v, logp, given)[0]) == (
        pytest.approx(found[1], abs=1e-6)
    )
    clean = special.softmax(np.exp(v[0]) * logp + v[1:], axis=1)
    assert found[0] == pytest.approx(-np.log((clean * noise[:, y].T).sum(axis=1)).mean())


@pytest.mark.parametrize("seed", SEEDS)
def test_the_cut_of_the_flags_is_the_best_of_all(seed):
    likely = draws(seed).beta(0.3, 2, 12).round(2)  # ties
    ranked = np.sort(likely)[::-1]
    expected = [np.prod(1 - ranked)]
    expected += [2 * ranked[:k].sum() / (k + ranked.sum()) for k in range(1, 13)]
    flagged = audit.likeliest_f1(likely)
    best = int(np.argmax(expected))
    assert flagged.sum() == (likely >= ranked[best - 1]).sum() * (best > 0)
    assert not best or set(likely[flagged]) <= set(ranked[:best])


def test_majorities_are_modes():
    draw = draws(4)
    votes = pd.DataFrame(
        {"row": draw.integers(0, 20, 200), "annotator": "a", "label": draw.integers(0, 3, 200)}
    ).assign(annotator=draw.integers(0, 5, 200))
    found = consensus.consensus(votes, "majority").labels
    for row, group in votes.groupby("row"):
        mode = stats.mode(group["label"])
        assert found.loc[row, "label"] == mode.mode
        assert found.loc[row, "confidence"] == pytest.approx(mode.count / len(group))


def test_dawid_skene_is_expectation_maximisation_written_out():
    draw = draws(5)
    truth = draw.integers(0, 2, 300)
    votes = consensus.annotators_for(truth, [0.95, 0.9, 0.85, 0.7, 0.6], 1.0, 2)
    wide = votes.pivot(index="row", columns="annotator", values="label").to_numpy()
    belief = np.stack([(wide == c).mean(axis=1) for c in (0, 1)], axis=1)
    for _ in range(200):
        share = belief.mean(axis=0)
        said = np.array(
            [[[belief[wide[:, a] == s, t].sum() for s in (0, 1)] for t in (0, 1)] for a in range(5)]
        )
        said /= said.sum(axis=2, keepdims=True)
        joint = share * np.prod([said[a][:, wide[:, a]].T for a in range(5)], axis=0)
        belief = joint / joint.sum(axis=1, keepdims=True)
    found = consensus.consensus(votes, "dawid_skene")
    assert found.labels["label"].tolist() == belief.argmax(axis=1).tolist()
    quality = [belief[np.arange(300), wide[:, a]].mean() for a in range(5)]
    assert found.annotators["quality"].sort_index().tolist() == pytest.approx(quality, abs=0.01)


@pytest.mark.parametrize("seed", SEEDS)
def test_rule_tables_are_counted_by_hand(seed):
    draw = draws(seed)
    V, y = draw.integers(-1, 3, (30, 4)), draw.integers(0, 3, 30)
    V[:, 3] = -1  # a rule that never votes
    table = weak.rule_table(V, 3, y)
    for j in range(4):
        cast = [i for i in range(30) if V[i, j] >= 0]
        others = {i: {V[i, m] for m in range(4) if m != j and V[i, m] >= 0} for i in cast}
        line = table.iloc[j]
        assert line["coverage"] == pytest.approx(len(cast) / 30)
        assert line["overlap"] == pytest.approx(sum(map(bool, others.values())) / 30)
        clash = sum(bool(others[i] - {V[i, j]}) for i in cast)
        assert line["conflict"] == pytest.approx(clash / 30)
        right = [V[i, j] == y[i] for i in cast]
        np.testing.assert_allclose(line["accuracy"], np.mean(right) if right else np.nan)


@pytest.mark.parametrize("seed", SEEDS)
def test_areas_under_learning_curves_and_their_gains(seed):
    draw, labels = draws(seed), [10, 11, 15, 30]
    curves_ = pd.DataFrame(
        [
            (name, s, n, draw.random())
            for name in ("random", "margin")
            for s in range(6)
            for n in labels
        ],
        columns=["strategy", "seed", "labels", "accuracy"],
    ).sample(frac=1, random_state=seed)
    areas = active.aubc(curves_)
    for (name, s), area in areas.items():  # noqa: B007 the query below reads them
        run = curves_.query("strategy == @name and seed == @s").sort_values("labels")
        assert area == pytest.approx(sk.auc(run["labels"], run["accuracy"]) / 20)
    test = stats.ttest_rel(areas["margin"], areas["random"]).confidence_interval(0.9)
    line = active.compare(curves_, 0.9).loc["margin"]
    assert (line["low"], line["high"]) == pytest.approx((test.low, test.high))


# profile and drift


@pytest.mark.parametrize("shift", [0.0, 1e12])
@pytest.mark.parametrize("n, m", [(1, 1), (1, 50), (60, 40)])
def test_distances_of_drift_are_scipys(n, m, shift):
    draw = draws(n)
    one, other = shift + draw.integers(0, 8, n) / 1, shift + draw.integers(2, 9, m) / 1
    line = drift(pd.DataFrame({"a": one}), pd.DataFrame({"a": other})).iloc[0]
    values = np.unique(np.r_[one, other])
    p, q = (np.array([(part == v).mean() for v in values]) for part in (one, other))
    assert line["js"] == pytest.approx(jensenshannon(p, q, base=2), abs=1e-9)
    assert line["ks"] == pytest.approx(stats.ks_2samp(one, other).statistic)
    mean, half = (p + q) / 2, len(values) / 2
    p, q = ((k * r + half * mean) / (k + half) for k, r in ((n, p), (m, q)))
    assert line["psi"] == pytest.approx(special.rel_entr(p, q).sum() + special.rel_entr(q, p).sum())


def test_the_index_of_many_rows_is_the_textbooks():
    draw = draws(0)
    one, other = (
        draw.choice(list("abc"), 20_000),
        draw.choice(list("abc"), 20_000, p=[0.5, 0.3, 0.2]),
    )
    line = drift(pd.DataFrame({"a": one}), pd.DataFrame({"a": other})).iloc[0]
    p, q = ([(part == v).mean() for v in "abc"] for part in (one, other))
    textbook = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert line["psi"] == pytest.approx(textbook, rel=1e-3)


@pytest.mark.parametrize("shuffles, level", [(99, 0.99), (150, 0.99), (20, 0.9), (200, 0.99)])
def test_the_floor_is_passed_no_more_often_than_the_level_says(shuffles, level):
    values = draws(0).random((20_000, shuffles + 1))
    floors = np.array([profiles._floor(row[1:], level) for row in values])
    passed = (values[:, 0] > floors).mean()
    print(f"{shuffles} shuffles: passed by {passed:.2%} of {1 - level:.0%}")
    assert passed <= 1 - level + 4 * np.sqrt((1 - level) / 20_000)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["number", "text"])
def test_drift_raises_false_alarms_as_often_as_it_says(kind):
    alarms, trials = 0, 500
    for trial in range(trials):
        draw = draws(trial)
        if kind == "number":
            parts = [pd.DataFrame({"a": draw.lognormal(size=n)}) for n in (300, 120)]
        else:
            parts = [pd.DataFrame({"a": draw.choice(list("abcdefg"), n)}) for n in (300, 120)]
        alarms += drift(*parts, shuffles=99, seed=trial)["drifted"].item()
    print(f"{kind}: {alarms / trials:.1%} false alarms of 1 %")
    assert alarms / trials <= 0.025


@pytest.mark.parametrize("n", [1, 2, 5, 1000])
@pytest.mark.parametrize("shift", [0.0, 1e9])
def test_a_profile_says_what_pandas_and_scipy_say(n, shift):
    draw = draws(n)
    frame = pd.DataFrame(
        {"a": shift + draw.normal(size=n), "b": draw.integers(0, 5, n).astype(float)}
    )
    frame.loc[frame.index[1::7], "b"] = np.nan
    found = profile(frame)
    for name in frame:
        line, column = found.table.loc[name], frame[name]
        quartiles = column.quantile([0.25, 0.5, 0.75]).tolist()
        for key, value in zip(("quartile_1", "median", "quartile_3"), quartiles, strict=True):
            np.testing.assert_allclose(float(line[key]), value)
        for key in ("mean", "std"):
            value = getattr(column, key)()
            np.testing.assert_allclose(float(line[key] if line[key] is not None else np.nan), value)
        assert (line["missing"], line["distinct"]) == (column.isna().sum(), column.nunique())
    known = frame.dropna()
    if len(known) > 5:
        rank = stats.spearmanr(known["a"], known["b"]).statistic
        assert found.correlations.loc["a", "b"] == pytest.approx(rank)


# splits and samples


def test_hash_fractions_are_uniform_and_their_sides_hold_their_share():
    assert stats.kstest(hash_fraction(np.arange(20_000), "s"), "uniform").pvalue > 0.001
    for share in (0.01, 0.2, 0.5):
        low, high = share_interval(hash_side(np.arange(20_000), share).sum(), 20_000, 0.9999)
        assert low <= share <= high
    assert random_side(7, 0.5).sum() == round(3.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_latest_rows_are_as_near_the_share_as_times_allow(seed):
    times = draws(seed).integers(0, 6, 40)
    back = time_side(times, 0.3)
    sizes = [(times >= t).sum() for t in np.unique(times)]
    assert abs(back.sum() - 12) == min(abs(size - 12) for size in sizes)
    assert not back.any() or times[back].min() > times[~back].max(initial=-1)


@pytest.mark.parametrize("seed", SEEDS)
def test_corrected_priors_are_bayes_rule(seed):
    draw = draws(seed)
    likelihood = draw.random((5, 3))  # of the row, given the class
    learned, true = draw.dirichlet(np.ones(3), 2)
    posterior, wanted = (
        likelihood * prior / (likelihood @ prior)[:, None] for prior in (learned, true)
    )
    np.testing.assert_allclose(correct_prior(posterior, learned, true), wanted)


def test_weighted_rows_are_drawn_in_proportion():
    weights = np.array([0, 1, 2, 5, 1e-300])
    first = [weighted_rows(weights, 1, seed=seed)[0] for seed in range(4000)]
    counts = np.bincount(first, minlength=5)
    assert counts[0] == counts[4] == 0
    assert stats.chisquare(counts[1:4], 4000 * weights[1:4] / 8).pvalue > 0.001
    for replace in (True, False):
        huge = weighted_rows([1e308, 1e308, 0], 2, replace)
        assert set(huge) <= {0, 1}


# privacy


@pytest.mark.parametrize("seed", SEEDS)
def test_k_and_l_are_counted_by_hand(seed):
    draw = draws(seed)
    frame = pd.DataFrame({"a": draw.integers(0, 3, 40), "b": draw.choice(["x", None], 40)})
    frame["s"] = draw.choice(["p", "q", None], 40)
    groups = {}
    for a, b, s in frame.itertuples(index=False):
        groups.setdefault((a, b if isinstance(b, str) else None), []).append(s)
    found = private.anonymity(frame, ["a", "b"], 5, "s")
    assert found["k"] == min(map(len, groups.values())) and found["groups"] == len(groups)
    assert found["l"] == min(len({s for s in g if isinstance(s, str)}) for g in groups.values())
    assert found["rows_below"] == sum(len(g) for g in groups.values() if len(g) < 5)


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_lost_is_conditional_entropy(seed):
    draw = draws(seed)
    fine = pd.factorize(draw.integers(0, 12, 60))[0]
    coarse = fine // 4
    entropy = stats.entropy(np.bincount(fine))
    known = sk.mutual_info_score(fine, coarse)
    assert private._lost(fine, coarse) == pytest.approx((entropy - known) / entropy)
    assert private._lost(fine, fine) == pytest.approx(0, abs=1e-12)
    assert private._lost(np.zeros(5, int), np.zeros(5, int)) == 0


@pytest.mark.parametrize("width", ["0.1", "0.05", "0.001", "3", "0.7", "250"])
def test_bins_are_those_of_exact_arithmetic(width):
    texts = [f"{i / 1000:.3f}" for i in draws(0).integers(-5000, 5000, 300)] + [
        "0.3",
        "0.7",
        "-0.1",
    ]
    found = private.number_ladder(float(width))[0](pd.Series(map(float, texts)))
    for text, bin_ in zip(texts, found, strict=True):
        low = Fraction(text) // Fraction(width) * Fraction(width)
        ends = [Fraction(end) for end in bin_.strip("[)").split(", ")]
        assert ends == [low, low + Fraction(width)], (text, bin_)


# losses


@pytest.mark.parametrize("scale", [1.0, 1e3])
@pytest.mark.parametrize("weighted", [False, True], ids=["plain", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_losses_are_scipys_and_scikit_learns(backend, scale, weighted, smoothing):
    if backend == "torch":
        import torch

        from bigdata_ai.train.torch_backend.losses import LOSS

        tensor = torch.tensor
    else:
        import tensorflow as tf

        from bigdata_ai.train.tensorflow_backend.losses import LOSS

        tensor = tf.constant
    assert set(LOSS) == set(LOSSES)
    draw, k = draws(0), 3
    for n in (1, 9):
        for name, outputs in (("bce", 1), ("cross_entropy", k)):
            logits = scale * draw.normal(size=(n, outputs))
            y = draw.integers(0, max(outputs, 2), n)
            classes = max(outputs, 2)
            weights = [0.5, 2.0, 1.0][:classes] if weighted else None
            both = np.column_stack([np.zeros(n), logits]) if outputs == 1 else logits
            target = np.eye(classes)[y] * (1 - smoothing) + smoothing / classes
            losses = -(target * special.log_softmax(both, axis=1)).sum(axis=1)
            mass = np.array(weights)[y] if weights else np.ones(n)
            found = LOSS[name](tensor(logits), tensor(y), smoothing, weights)
            assert float(found) == pytest.approx(losses @ mass / mass.sum(), rel=1e-9)
            single = LOSS[name](tensor(np.float32(logits)), tensor(y), smoothing, weights)
            assert float(single) == pytest.approx(float(found), rel=1e-4, abs=1e-6)
        outputs, y = scale * draw.normal(size=(2, n, 2)) + 1e4
        found = LOSS["mse"](tensor(outputs), tensor(y))
        assert float(found) == pytest.approx(sk.mean_squared_error(y, outputs))
