"""Answers to the exercises of chapter 05, right and wrong, in NumPy and both frameworks."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch05
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch05).items() if isinstance(value, Exercise)}


def left(n, noise, classes):
    return n * max(0.0, 1 - noise * classes / (classes - 1)) ** 2


def by_counting(votes):
    for_1, for_0 = (votes == 1).sum(1), (votes == 0).sum(1)
    return np.where(for_1 == for_0, -1, for_1 > for_0)


ANSWERS = {
    "rows_left": {
        "right": [
            ("numpy", lambda np: left),
            (
                "numpy",
                lambda np: (
                    lambda n, noise, k: (
                        0 if noise >= (k - 1) / k else n * (1 - noise * k / (k - 1)) ** 2
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda n, noise, k: n * (1 - noise), "is it squared"),
            (
                "numpy",
                lambda np: lambda n, noise, k: n * (1 - 2 * noise) ** 2,
                "for two classes only",
            ),
            (
                "numpy",
                lambda np: lambda n, noise, k: n * (1 - noise * k / (k - 1)) ** 2,
                "Beyond chance level",
            ),
        ],
    },
    "disagree": {
        "right": [
            ("numpy", lambda np: lambda p, y: p.argmax(1) != y),
            ("torch", lambda torch: lambda p, y: p.argmax(dim=1) != y),
            ("tensorflow", lambda tf: lambda p, y: tf.argmax(p, axis=1) != tf.cast(y, tf.int64)),
        ],
        "wrong": [
            ("numpy", lambda np: lambda p, y: p.argmax(1) == y, "says the same"),
            ("torch", lambda torch: lambda p, y: torch.max(p, 1)[0] < 0.5, "The flag"),
            ("tensorflow", lambda tf: lambda p, y: tf.argmax(p, axis=0), "one answer a row"),
        ],
    },
    "majority": {
        "right": [
            ("numpy", lambda np: by_counting),
            (
                "torch",
                lambda torch: (
                    lambda v: (
                        ((v == 1).sum(1) - (v == 0).sum(1))
                        .sign()
                        .apply_(lambda d: {1: 1, -1: 0, 0: -1}[d])
                    )
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda v: (lambda d: tf.where(d > 0, 1, tf.where(d < 0, 0, -1)))(
                        tf.math.count_nonzero(v == 1, axis=1)
                        - tf.math.count_nonzero(v == 0, axis=1)
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda v: (v.mean(1) > 0).astype(int), "no rule votes"),
            ("numpy", lambda np: lambda v: np.round(v.mean(1)), "two abstentions"),
            (
                "torch",
                lambda torch: lambda v: ((v == 1).sum(1) >= (v == 0).sum(1)).long(),
                "no rule votes",
            ),
            (
                "numpy",
                lambda np: (
                    lambda v: np.where((v == -1).all(1), -1, (v == 1).sum(1) > (v == 0).sum(1))
                ),
                "votes are equal",
            ),
        ],
    },
    "next_row": {
        "right": [
            ("numpy", lambda np: lambda p: (np.sort(p)[:, -1] - np.sort(p)[:, -2]).argmin()),
            (
                "torch",
                lambda torch: lambda p: (p.topk(2).values[:, 0] - p.topk(2).values[:, 1]).argmin(),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda p: tf.argmin(
                        tf.math.top_k(p, 2).values[:, 0] - tf.math.top_k(p, 2).values[:, 1]
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda p: p.max(1).argmin(), "smallest margin"),
            ("torch", lambda torch: lambda p: p.max(1).values.argmax(), "surest"),
            ("numpy", lambda np: lambda p: p.max(1), "one position"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
