"""Answers to the exercises of chapter 01, right and wrong ones."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch01
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch01).items() if isinstance(value, Exercise)}


def mixture(n, have, wanted):
    have, wanted = np.asarray(have), np.asarray(wanted)
    parts = [
        0 if w == h == 0 else np.inf if h == 0 else (w - h) ** 2 / h
        for h, w in zip(have, wanted, strict=True)
    ]
    return n / (1 + sum(parts))


def history(ages, half_life):
    weights = 2.0 ** (-ages / half_life)
    return float(sum(weights)) ** 2 / float(sum(weights * weights))


ANSWERS = {
    "mixture": {
        "right": [
            mixture,
            ("torch", lambda torch: lambda n, have, wanted: mixture(n, have, wanted)),
            ("tensorflow", lambda tf: lambda n, have, wanted: mixture(n, have, wanted)),
        ],
        "wrong": [
            (
                lambda n, have, wanted: n / (1 + ((wanted - have) ** 2 / wanted).sum()),
                "divide by what you have",
            ),
            (
                lambda n, have, wanted: (
                    n / (1 + np.nansum((np.asarray(wanted - have)[have > 0]) ** 2 / have[have > 0]))
                ),
                "infinite",
            ),
            (lambda n, have, wanted: n / (1 + ((wanted - have) ** 2 / have).sum()), "0 / 0"),
            (lambda n, have, wanted: n * have, "one number"),
            (lambda n, have, wanted: n, "must be 64"),
        ],
    },
    "history": {
        "right": [
            history,
            ("torch", lambda torch: lambda ages, half_life: history(torch.tensor(ages), half_life)),
            (
                "tensorflow",
                lambda tf: lambda ages, half_life: history(tf.constant(ages), half_life),
            ),
        ],
        "wrong": [
            (lambda ages, half_life: (2.0 ** (-ages / half_life)).sum(), "halved every half-life"),
            (
                lambda ages, half_life: (
                    np.exp(-ages / half_life).sum() ** 2 / np.exp(-2 * ages / half_life).sum()
                ),
                "must be 1.8",
            ),
            (lambda ages, half_life: 2.0 ** (-ages / half_life), "one number"),
            (lambda ages, half_life: len(ages), "must be 1.8"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
