"""The exercises of chapter 07 judge fairly, in whichever framework an answer is written."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch07
from bigdata_ai.course.exercise import RIGHT, Exercise
from bigdata_ai.data.sample import Reservoir, correct_prior
from bigdata_ai.data.split import hold_out, split

EXERCISES = {name: value for name, value in vars(ch07).items() if isinstance(value, Exercise)}


def by_key(stream, size, generator):
    "The items with the smallest random keys: uniform too."
    order = np.argsort(generator.random(len(stream)))
    return [stream[i] for i in order[:size]]


def replacing(chance):
    "A reservoir whose i-th item comes in with a wrong chance."

    def reservoir(stream, size, generator):
        held = list(stream[:size])
        for i, item in enumerate(stream[size:], start=size + 1):
            if generator.random() < chance(size, i):
                held[generator.integers(size)] = item
        return held

    return reservoir


def some_patients():
    visits = ch07.visits()
    held = np.isin(visits.frame["patient"], np.unique(visits.frame["patient"])[:15])
    return visits.take(~held), visits.take(held)


ANSWERS = {
    "sides": {
        "right": [
            ("numpy", lambda np: hold_out(ch07.visits(), 0.25, by="group", salt="z")),
            ("numpy", lambda np: some_patients()),
        ],
        "wrong": [
            ("numpy", lambda np: hold_out(ch07.visits(), 0.25), "on both sides"),
            ("numpy", lambda np: hold_out(ch07.visits(), 0.25, by="random"), "on both sides"),
            ("numpy", lambda np: split(ch07.visits(), 0.25, by="group"), "may be sealed"),
            ("numpy", lambda np: (some_patients()[0], some_patients()[0]), "exactly one side"),
            ("numpy", lambda np: some_patients()[::-1], "quarter"),
            ("numpy", lambda np: (1, 2), "must be a Table"),
            ("numpy", lambda np: ch07.visits(), "must be a pair"),
        ],
    },
    "reservoir": {
        "right": [
            ("numpy", lambda np: by_key),
            (
                "numpy",
                lambda np: (
                    lambda stream, size, generator: (
                        Reservoir(size, int(generator.integers(2**40))).add(stream).items
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda stream, size, generator: stream[:size], "900 of 3000"),
            ("numpy", lambda np: replacing(lambda size, i: 1.0), "chance size / i"),
            ("numpy", lambda np: replacing(lambda size, i: size / (i + 2)), "chance size / i"),
            (
                "numpy",
                lambda np: lambda stream, size, generator: list(generator.choice(stream, size)),
                "hold both",
            ),
            ("numpy", lambda np: lambda stream, size, generator: stream[-size:], "900 of 3000"),
            (
                "numpy",
                lambda np: (
                    lambda stream, size, generator: generator.choice(stream, size, replace=False)
                ),
                "raised",
            ),
        ],
    },
    "natural": {
        "right": [
            (
                "numpy",
                lambda np: (
                    lambda p, learned, true: correct_prior(
                        np.stack([1 - p, p], axis=1), [1 - learned, learned], [1 - true, true]
                    )[:, 1]
                ),
            ),
            (
                "torch",
                lambda torch: (
                    lambda p, learned, true: torch.sigmoid(
                        torch.logit(p) + np.log(true / (1 - true) / learned * (1 - learned))
                    )
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda p, learned, true: tf.sigmoid(
                        tf.math.log(p / (1 - p))
                        + np.log(true / (1 - true) / learned * (1 - learned))
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda p, learned, true: p * true / learned, "0.0121951"),
            ("torch", lambda torch: lambda p, learned, true: p, "For shares"),
            ("tensorflow", lambda tf: lambda p, learned, true: tf.reduce_mean(p), "shape"),
            (
                "numpy",
                lambda np: lambda p, learned, true: p * learned / (p * learned + (1 - p) * true),
                "For shares",
            ),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
    VALUES = ("sides",)


def test_a_solution_works_with_the_tensors_of_each_framework(frameworks, capsys):
    for module, ask in (("torch", "module.is_tensor(x)"), ("tensorflow", "module.is_tensor(x)")):
        capsys.readouterr()
        EXERCISES["natural"].solution()
        scope = {"np": np, "module": frameworks[module]}
        exec(capsys.readouterr().out, scope)
        exec(
            f"def only(p, *shares):\n    assert all({ask} for x in [p])\n    return natural(p,"
            " *shares)",
            scope,
        )
        assert EXERCISES["natural"].check(scope["only"]) is RIGHT, module
