"""The exercises of chapter 06 judge fairly, in whichever framework an answer is written."""

import numpy as np
from judging import Judged

from bigdata_ai.course import ch06
from bigdata_ai.course.exercise import RIGHT, Exercise
from bigdata_ai.data.augment.images import Mixup, Noise, Rotate, Shift, augment
from bigdata_ai.data.augment.text import is_negation, words
from bigdata_ai.data.catalog import load
from bigdata_ai.data.split import hold_out, split

EXERCISES = {name: value for name, value in vars(ch06).items() if isinstance(value, Exercise)}


def parts():
    "Rows to learn from, validation rows, all training rows, the sealed test."
    train, test = split(load("digits"))
    return *hold_out(train), train, test


def split_again():
    rest, held = hold_out(parts()[2], 0.3, salt="x")
    return [augment(rest, [Mixup()], copies=2), held]


def made(rows):
    return augment(rows, [Shift(1)], copies=2)


def one_for_all(x, y, z, w, share):
    return share[0] * x + (1 - share[0]) * z, share[0] * y + (1 - share[0]) * w


def blended(x, y, z, w, share):
    part = share.reshape(-1, 1)
    return z + part * (x - z), w + part * (y - w)


def tf_blended(tf):
    def blend(x, y, z, w, share):
        part = tf.expand_dims(share, 1)
        return part * x + (1 - part) * z, part * y + (1 - part) * w

    return blend


def counted(text, new):
    return [is_negation(word) for word in words(text)].count(True) == [
        is_negation(word) for word in words(new)
    ].count(True)


ANSWERS = {
    "pair": {
        "right": [
            ("numpy", lambda np: (augment(parts()[0], [Noise(0.1)], copies=2, seed=3), parts()[1])),
            ("numpy", lambda np: split_again()),
        ],
        "wrong": [
            ("numpy", lambda np: (made(parts()[2]), parts()[1]), "may be a parent"),
            (
                "numpy",
                lambda np: (augment(parts()[0], [Shift(1)], copies=1), parts()[1]),
                "two made rows",
            ),
            ("numpy", lambda np: (made(parts()[0]), parts()[3]), "stays sealed"),
            ("numpy", lambda np: (made(parts()[0]), made(parts()[2])), "must be measured rows"),
            ("numpy", lambda np: (parts()[0], parts()[1]), "must be augmented"),
            (
                "numpy",
                lambda np: (made(hold_out(load("digits"))[0]), hold_out(load("digits"))[1]),
                "from the test",
            ),
            ("numpy", lambda np: augment(parts()[0], [Rotate(9)], copies=2), "must be a pair"),
        ],
    },
    "blend": {
        "right": [
            ("numpy", lambda np: blended),
            (
                "torch",
                lambda torch: (
                    lambda x, y, z, w, share: (
                        torch.lerp(z, x, share[:, None]),
                        torch.lerp(w, y, share[:, None]),
                    )
                ),
            ),
            ("tensorflow", tf_blended),
        ],
        "wrong": [
            ("numpy", lambda np: one_for_all, "own share"),
            (
                "numpy",
                lambda np: lambda x, y, z, w, share: (blended(x, y, z, w, share)[0], y),
                "labels",
            ),
            (
                "torch",
                lambda torch: (
                    lambda x, y, z, w, share: (share * x + (1 - share) * z, share[:, None] * y)
                ),
                "own share",
            ),
            ("numpy", lambda np: lambda x, y, z, w, share: x, "pair"),
            (
                "tensorflow",
                lambda tf: lambda x, y, z, w, share: tf_blended(tf)(z, w, x, y, share),
                "blended rows",
            ),
        ],
    },
    "same_denials": {
        "right": [
            ("numpy", lambda np: counted),
            (
                "numpy",
                lambda np: (
                    lambda text, new: (
                        not sum(map(is_negation, words(text))) - sum(map(is_negation, words(new)))
                    )
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda text, new: text.count("不") == new.count("不"), "没有"),
            (
                "numpy",
                lambda np: (
                    lambda text, new: (
                        sum(map(text.count, "不没非")) == sum(map(new.count, "不没非"))
                    )
                ),
                "非常",
            ),
            ("numpy", lambda np: lambda text, new: ("not" in text) == ("not" in new), "must be"),
            ("numpy", lambda np: lambda text, new: True, "was lost"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
    VALUES = ("pair",)


def test_a_solution_works_with_the_tensors_of_each_framework(frameworks, capsys):
    for module, ask in (("torch", "module.is_tensor(x)"), ("tensorflow", "module.is_tensor(x)")):
        capsys.readouterr()
        EXERCISES["blend"].solution()
        scope = {"np": np, "module": frameworks[module]}
        exec(capsys.readouterr().out, scope)
        exec(
            f"def only(*args):\n    assert all({ask} for x in args)\n    return blend(*args)", scope
        )
        assert EXERCISES["blend"].check(scope["only"]) is RIGHT, module
