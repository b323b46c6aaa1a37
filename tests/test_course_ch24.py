"""Answers to the exercises of chapter 24, right and wrong ones."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch24
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch24).items() if isinstance(value, Exercise)}


def law(n, errors):
    return np.polyfit(np.log(np.asarray(n)), np.log(np.asarray(errors)), 1)


def rows_for(n, errors, target):
    slope, start = law(n, errors)
    return np.inf if slope >= 0 else np.exp((np.log(target) - start) / slope)


def by_hand(n, errors, target, framework):
    x, y = framework.log(n), framework.log(errors)
    x_mean, y_mean = sum(x) / len(x), sum(y) / len(y)
    slope = sum((x - x_mean) * (y - y_mean)) / sum((x - x_mean) ** 2)
    return (
        float("inf")
        if slope >= 0
        else np.exp((np.log(target) - float(y_mean)) / float(slope) + float(x_mean))
    )


def trusting(n, errors, target):
    slope, start = law(n, errors)
    return np.exp((np.log(target) - start) / slope)


def last_two(n, errors, target):
    return rows_for(n[-2:], errors[-2:], target)


def straight(n, errors, target):
    slope, start = np.polyfit(n, errors, 1)
    return (target - start) / slope


def effective(sizes, clean, noisy):
    return np.exp(np.interp(-noisy, -np.minimum.accumulate(clean), np.log(sizes)))


def searched(sizes, clean, noisy):
    "By bisection, so that no interpolation need be turned round."
    falling, low, high = np.minimum.accumulate(clean), np.log(sizes[0]), np.log(sizes[-1])
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if np.interp(middle, np.log(sizes), falling) > noisy else (low, middle)
        )
    return np.exp(high)


def kept(low, high, truth):
    told = ~np.isnan(low)
    return ((low <= truth) & (truth <= high))[told].mean(), (high - low)[told].mean()


ANSWERS = {
    "rows_for": {
        "right": [
            rows_for,
            ("torch", lambda torch: lambda n, e, t: by_hand(n, e, t, torch)),
            ("tensorflow", lambda tf: lambda n, e, t: by_hand(n, e, t, tf.math)),
        ],
        "wrong": [
            (trusting, "never reaches"),
            (last_two, "the last two points"),
            (straight, "in the logarithms of both"),
            (lambda n, e, t: 1 / rows_for(n, e, t), "turned round"),
            (lambda n, e, t: np.log(rows_for(n, e, t)), "the logarithm of the rows"),
            (lambda n, e, t: law(n, e), "one number"),
            (1600, "must be the function rows_for"),
        ],
    },
    "effective": {
        "right": [
            effective,
            searched,
            (
                "torch",
                lambda torch: lambda s, c, e: torch.tensor(effective(s.numpy(), c.numpy(), e)),
            ),
            (
                "tensorflow",
                lambda tf: lambda s, c, e: tf.constant(effective(s.numpy(), c.numpy(), e)),
            ),
        ],
        "wrong": [
            (lambda s, c, e: np.exp(np.interp(e, c, np.log(s))), "values that grow"),
            (
                lambda s, c, e: np.interp(-e, -np.minimum.accumulate(c), s),
                "the logarithm of the rows",
            ),
            (lambda s, c, e: np.exp(np.interp(e, c[::-1], np.log(s[::-1]))), "has a bump"),
            (lambda s, c, e: np.exp(np.interp(-e, -c, np.log(s))), "has a bump"),
            (lambda s, c, e: effective(s, c, e) / s[-1], "a share of the rows"),
            (
                lambda s, c, e: np.exp(
                    np.interp(-e, -np.minimum.accumulate(c), np.log(s), left=-np.inf)
                ),
                "must be 100",
            ),
            (lambda s, c, e: s, "one number"),
        ],
    },
    "kept": {
        "right": [
            kept,
            lambda low, high, truth: list(kept(low, high, truth)),
            ("torch", lambda torch: lambda *a: torch.tensor(kept(*(x.numpy() for x in a)))),
            ("tensorflow", lambda tf: lambda *a: tf.constant(kept(*(x.numpy() for x in a)))),
        ],
        "wrong": [
            (
                lambda low, high, t: (np.mean((low <= t) & (t <= high)), np.nanmean(high - low)),
                "no miss",
            ),
            (
                lambda low, high, t: (
                    np.mean(((low < t) & (t < high))[~np.isnan(low)]),
                    np.nanmean(high - low),
                ),
                "lies inside",
            ),
            (lambda low, high, t: (kept(low, high, t)[0], np.mean(high - low)), "no width"),
            (
                lambda low, high, t: (1 - kept(low, high, t)[0], np.nanmean(high - low)),
                "lies outside",
            ),
            (lambda low, high, t: kept(low, high, t)[0], "a pair"),
            (0.9, "must be the function kept"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
