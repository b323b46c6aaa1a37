"""Answers to the exercises of chapter 16, right and wrong ones."""

from judging import Judged

from bigdata_ai.course import ch16
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch16).items() if isinstance(value, Exercise)}


def beside(e):
    return e[1, 1] - e[0, 1] - e[1, 0] + e[0, 0]


ANSWERS = {
    "beside": {
        "right": [
            beside,
            ("torch", lambda torch: lambda e: torch.det(torch.ones(2, 2)) + beside(e)),
            ("tensorflow", lambda tf: beside),
        ],
        "wrong": [
            (lambda e: e[1, 1] - e[0, 0], "both together"),
            (lambda e: -beside(e), "turned round"),
            (lambda e: e[1, 1] - e[0, 1], "must be 0"),
            (lambda e: e[1] - e[0], "one number"),
            (0.15, "must be the function beside"),
        ],
    },
    "more_rows": {
        "right": [
            lambda n, b, factor: n * factor ** (-1 / b) - n,
            (
                "torch",
                lambda torch: (
                    lambda n, b, factor: n * torch.tensor(factor).double() ** (-1 / b) - n
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda n, b, factor: n * tf.pow(tf.constant(factor, tf.float64), -1 / b) - n
                ),
            ),
        ],
        "wrong": [
            (lambda n, b, factor: n * factor ** (-1 / b), "need not be bought"),
            (lambda n, b, factor: n * factor ** (1 / b) - n, "solve"),
            (lambda n, b, factor: n / factor - n, "must be 3000"),
            (lambda n, b, factor: [n, b], "one number"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
