"""The exercises of chapter 13 judge fairly: right answers of each framework pass, each likely
mistake is named."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch13
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch13).items() if isinstance(value, Exercise)}


def best(scores, k, order=np.sort):
    return order(scores) @ np.diff((np.arange(len(scores) + 1) / len(scores)) ** k)


def best_without_replacement(scores, k):
    "Right for k = 1 and for very large k only."
    from scipy.special import comb

    if k >= len(scores):
        return scores.max()
    return np.sort(scores) @ comb(np.arange(len(scores)), k - 1) / comb(len(scores), k)


def scaled(top, axis=0, power=0.5):
    return lambda z: z * (top / z.shape[axis]) ** power


ANSWERS = {
    "dropout": {
        "right": [
            lambda x, u, rate: np.where(u < rate, 0, x / (1 - rate)),
            ("torch", lambda torch: lambda x, u, rate: x * (u >= rate) / (1 - rate)),
            (
                "tensorflow",
                lambda tf: lambda x, u, rate: tf.where(u < rate, tf.zeros_like(x), x / (1 - rate)),
            ),
        ],
        "wrong": [
            (lambda x, u, rate: x * (u >= rate), "scaled up"),
            (lambda x, u, rate: x * (u >= rate) * (1 - rate), "divide by the share that stays"),
            (lambda x, u, rate: x * (u < rate) / max(rate, 0.1), "the share that goes"),
            (lambda x, u, rate: x * (u >= 0.5) / 0.5, "u < rate"),
            (lambda x, u, rate: x / (1 - rate), "u < rate"),
            (lambda x, u, rate: x.mean(), "as many values"),
            (0.5, "must be the function dropout"),
        ],
    },
    "he": {
        "right": [
            scaled(2),
            ("torch", lambda torch: lambda z: z * torch.sqrt(torch.tensor(2.0 / z.shape[0]))),
            (
                "tensorflow",
                lambda tf: lambda z: z * tf.sqrt(tf.constant(2.0 / z.shape[0], z.dtype)),
            ),
        ],
        "wrong": [
            (scaled(1), "without a ReLU"),
            (scaled(2, axis=1), "their number counts"),
            (scaled(2, power=1), "by its root"),
            (lambda z: z * (2 / sum(z.shape)) ** 0.5, "Glorot"),
            (lambda z: 0.1 * z, "depend on the number of inputs"),
            (lambda z: 0.03 * z, "standard deviation"),
            (lambda z: z[0], "shape of z"),
        ],
    },
    "expected_best": {
        "right": [
            best,
            (
                "torch",
                lambda torch: (
                    lambda scores, k: (
                        torch.sort(scores).values
                        * torch.diff((torch.arange(len(scores) + 1).double() / len(scores)) ** k)
                    ).sum()
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda scores, k: best(
                        scores.numpy() if hasattr(scores, "numpy") else scores, k
                    )
                ),
            ),
        ],
        "wrong": [
            (lambda scores, k: np.sort(scores)[-k:].mean(), "mean of all"),
            (best_without_replacement, "with replacement"),
            (lambda scores, k: best(scores, k, order=np.asarray), "the expectation must be"),
            (lambda scores, k: scores.mean(), "with replacement"),
            (lambda scores, k: scores, "one number"),
            (lambda scores, k: best(abs(scores), k), "both signs"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
