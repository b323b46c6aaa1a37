"""The exercises of chapter 11 judge fairly: right answers of each framework pass, each likely
mistake is named."""

import numpy as np
from judging import Judged
from scipy.special import expit, softmax

from bigdata_ai.course import ch11
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch11).items() if isinstance(value, Exercise)}


def printed(z, y):
    "The article's formula as it stands."
    return -(y * np.log(expit(z)) + (1 - y) * np.log(1 - expit(z)))


def cut_off(z, y):
    p = expit(z).clip(1e-7, 1 - 1e-7)
    return -(y * np.log(p) + (1 - y) * np.log(1 - p))


def logistic(sign=1, n=None, bias=np.mean):
    def gradient(X, y, w, b):
        off = sign * (expit(X @ w + b) - y)
        return X.T @ off / (n or len(y)), bias(off)

    return gradient


def shifted(Z, y, sign=1, n=6, top=np.max):
    P = np.exp(Z - top(Z, axis=1, keepdims=True))
    return sign * (P / P.sum(axis=1, keepdims=True) - np.eye(10)[y]) / n


def differences(h=1e-5, both=True, all_at_once=False):
    def numeric_gradient(f, w):
        steps = np.full((len(w), len(w)), h) if all_at_once else h * np.eye(len(w))
        return np.array([(f(w + step) - f(w - both * step)) / (h * (1 + both)) for step in steps])

    return numeric_gradient


def torch_loss(torch):
    return lambda z, y: torch.relu(z) - y * z + torch.log1p(torch.exp(-abs(z)))


def tensorflow_loss(tf):
    return lambda z, y: tf.nn.softplus(z) - y * z


def by_autograd(torch):
    def gradient(X, y, w, b):
        w, b = w.requires_grad_(), b.requires_grad_()
        return torch.autograd.grad(
            torch.nn.functional.binary_cross_entropy_with_logits(X @ w + b, y), (w, b)
        )

    return gradient


def by_tape(tf):
    def gradient(X, y, w, b):
        w, b = tf.Variable(w), tf.Variable(b)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(y, tf.linalg.matvec(X, w) + b)
            )
        return tuple(tape.gradient(loss, (w, b)))

    return gradient


ANSWERS = {
    "stable_loss": {
        "right": [
            lambda z, y: np.logaddexp(0, z) - y * z,
            ("torch", torch_loss),
            ("tensorflow", tensorflow_loss),
            lambda z, y: y * np.logaddexp(0, -z) + (1 - y) * np.logaddexp(0, z),
        ],
        "wrong": [
            (printed, "must be finite"),
            (cut_off, "nothing may be cut off"),
            (lambda z, y: np.log(1 + np.exp(z)) - y * z, "must be finite"),
            (lambda z, y: np.logaddexp(0, z) + y * z, "log(1 + e^z) - y z"),
            (lambda z, y: (np.logaddexp(0, z) - y * z).mean(), "one loss for each row"),
            (lambda z: z, "TypeError"),
            (0.5, "must be the function stable_loss"),
        ],
    },
    "gradient": {
        "right": [logistic(), ("torch", by_autograd), ("tensorflow", by_tape)],
        "wrong": [
            (logistic(sign=-1), "downhill"),
            (logistic(n=1), "divide by n"),
            (logistic(bias=np.sum), "The gradient for b"),
            (logistic(bias=np.asarray), "one number"),
            (lambda X, y, w, b: X.T @ y, "must give back a pair"),
            (lambda X, y, w, b: (X.T @ (expit(X @ w) - y) / 7, 0.0), "the mean over the rows"),
        ],
    },
    "softmax_gradient": {
        "right": [
            shifted,
            (
                "torch",
                lambda torch: (
                    lambda Z, y: (torch.softmax(Z, 1) - torch.nn.functional.one_hot(y, 10)) / len(y)
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda Z, y: (tf.nn.softmax(Z) - tf.one_hot(y, 10, dtype=Z.dtype)) / len(y)
                ),
            ),
        ],
        "wrong": [
            (lambda Z, y: shifted(Z, y, top=lambda Z, **_: 0), "subtract each row's largest"),
            (lambda Z, y: shifted(Z, y, n=1), "divide by n"),
            (lambda Z, y: shifted(Z, y, sign=-1), "P - Y, not Y - P"),
            (lambda Z, y: softmax(Z, axis=1) / 6, "minus 1 at the true class"),
            (lambda Z, y: shifted(Z, y).mean(axis=0), "must have shape (6, 10)"),
        ],
    },
    "numeric_gradient": {
        "right": [
            differences(),
            differences(3e-5),
            lambda f, w: list(differences()(f, w)),
            (
                "torch",
                lambda torch: (
                    lambda f, w: torch.stack(
                        [
                            torch.tensor((f(w + e) - f(w - e)) / 2e-5)
                            for e in 1e-5 * torch.eye(3, dtype=w.dtype)
                        ]
                    )
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda f, w: tf.stack(
                        [
                            (f(w + e) - f(w - e)) / 2e-5
                            for e in tf.unstack(1e-5 * tf.eye(3, dtype=w.dtype))
                        ]
                    )
                ),
            ),
        ],
        "wrong": [
            (differences(both=False), "step to both sides"),
            (differences(1e-12), "lost in rounding"),
            (differences(1e-3), "a longer one is bent"),
            (differences(all_at_once=True), "one weight at a time"),
            (lambda f, w: f(w), "one number for each"),
            (lambda f, w: differences()(f, w).astype("float32"), "in 64-bit numbers"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
