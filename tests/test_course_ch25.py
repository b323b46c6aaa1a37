"""Answers to the exercises of chapter 25, right and wrong ones."""

from judging import Judged

from bigdata_ai.course import ch25
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch25).items() if isinstance(value, Exercise)}


def regret(gains, spend):
    return max(gains.values()) - gains[spend]


def worth(noise, classes):
    return (1 - noise * classes / (classes - 1)) ** 2


def cleaned(n, before, after, classes):
    return n * worth(after, classes) / worth(before, classes)


ANSWERS = {
    "regret": {
        "right": [
            regret,
            (
                "torch",
                lambda torch: lambda g, s: torch.tensor(list(g.values())).double().max() - g[s],
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda g, s: tf.reduce_max(tf.constant(list(g.values()), tf.float64)) - g[s]
                ),
            ),
        ],
        "wrong": [
            (lambda g, s: -regret(g, s), "turned round"),
            (lambda g, s: g[s], "what the purchase gained"),
            (lambda g, s: list(g.values()), "one number"),
            (0.03, "must be the function regret"),
        ],
    },
    "cleaned": {
        "right": [
            cleaned,
            ("torch", lambda torch: lambda *a: torch.tensor(cleaned(*a), dtype=torch.float64)),
            ("tensorflow", lambda tf: lambda *a: tf.constant(cleaned(*a), tf.float64)),
        ],
        "wrong": [
            (lambda n, b, a, k: n * worth(b, k) / worth(a, k), "worth more"),
            (lambda n, b, a, k: n * worth(b, k), "worth now"),
            (lambda n, b, a, k: cleaned(n, b, a, 2), "two classes only"),
            (lambda n, b, a, k: [n, n], "one number"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
