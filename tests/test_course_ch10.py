"""The exercises of chapter 10 judge fairly: right answers of several kinds pass, each likely
mistake is named."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch10
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch10).items() if isinstance(value, Exercise)}


def summary(x, pattern, r=0.8, mean=7.5, sd=2.0, clean=True):
    u, rest = (x - x.mean()) / x.std(), pattern - pattern.mean()
    rest = rest - (rest * u).mean() * u if clean else rest
    return mean + sd * (r * u + (1 - r**2) ** 0.5 * rest / rest.std())


def by_regression(x, pattern):
    rest = pattern - np.polyval(np.polyfit(x, pattern, 1), x)
    y = 0.8 * x / x.std() - 0.6 * rest / rest.std()
    return 7.5 + 2 * (y - y.mean()) / y.std()


def floor(
    one, other, level=0.99, replace=False, n=None, size=np.abs, shuffles=1000, pick=np.quantile
):
    generator, pooled = np.random.default_rng(0), np.concatenate([one, other])
    n = len(one) if n is None else n
    drawn = [generator.choice(pooled, len(pooled), replace=replace) for _ in range(shuffles)]
    return pick(size([row[:n].mean() - row[n:].mean() for row in drawn]), level)


def index(one, other, half=0.5, log=np.log, both=True, shares=True):
    p, q = one + half, other + half
    p, q = (p / p.sum(), q / q.sum()) if shares else (p, q)
    return ((p - q * both) * log(p / q)).sum()


ANSWERS = {
    "same_summary": {
        "right": [summary, by_regression],
        "wrong": [
            (lambda x, pattern: summary(x, pattern, clean=False), "standard deviation"),
            (lambda x, pattern: summary(x, pattern, mean=0), "mean of y"),
            (lambda x, pattern: summary(x, pattern, r=0.5), "correlation of x and y"),
            (lambda x, pattern: summary(x, x**3), "the pattern"),
            (lambda x, pattern: 7.5, "one number for each x"),
            (lambda x: x, "TypeError"),
        ],
    },
    "noise_floor": {
        "right": [
            floor,
            lambda one, other: floor(one, other, shuffles=3000),
            lambda one, other: floor(one, other, replace=True),
        ],
        "wrong": [
            (lambda one, other: abs(one.mean() - other.mean()), "not the real difference"),
            (lambda one, other: floor(one, other, level=0.5), "0.99 quantile"),
            (lambda one, other: -floor(one, other), "without its sign"),
            (lambda one, other: floor(one, other, n=5), "sizes that came in"),
            (lambda one, other: [1.0, 2.0], "one number"),
            (lambda one, other: one.average(), "AttributeError"),
        ],
    },
    "psi": {
        "right": [index, lambda one, other: index(other, one)],
        "wrong": [
            (lambda one, other: index(one, other, both=False), "one direction only"),
            (lambda one, other: index(one, other, log=np.log10), "natural logarithm"),
            (lambda one, other: index(one, other, shares=False), "shares"),
            (lambda one, other: index(one, other, half=0), "finite"),
            (lambda one, other: one - other, "one finite number"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
