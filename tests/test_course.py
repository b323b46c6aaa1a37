"""Exercises judge fairly in both frameworks, and chapters keep their form. Chapters are executed
elsewhere."""

import ast
import importlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
from judging import Judged

import bigdata_ai
from bigdata_ai.course import ch00, ch12
from bigdata_ai.course.exercise import RIGHT, WRONG, Exercise, makers, to_numpy
from bigdata_ai.data.catalog import load
from bigdata_ai.data.split import hold_out, split
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import mlp

COURSE = Path(bigdata_ai.__file__).parent.parent / "nbs" / "course"
CHAPTERS = sorted(COURSE.glob("[0-9]*.ipynb"))
EXERCISES = {
    (module.__name__.split(".")[-1], name): value
    for module in (ch00, ch12)
    for name, value in vars(module).items()
    if isinstance(value, Exercise)
}


# Answers. Each is (framework, function of the framework's module that gives the answer, for a wrong
# one part of what it is told).


def adam(square_root, early=False, corrected=True):
    "One step of Adam in any framework; the two flags make two likely mistakes."

    def adam_step(w, g, m, v, t):
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        c1, c2 = (1 - 0.9**t, 1 - 0.999**t) if corrected else (1, 1)
        step = (
            m / c1 * c2**0.5 / (square_root(v) + 1e-8)
            if early
            else m / c1 / (square_root(v / c2) + 1e-8)
        )
        return w - 0.001 * step, m, v

    return adam_step


def train_rows():
    return split(load("digits"))[0]


def twins(seed=7, rows=None, backends=("torch", "tensorflow"), epochs=3, sizes=(64, 32, 10)):
    rows = train_rows() if rows is None else rows
    return [
        fit(mlp(*sizes), rows, backend=backend, epochs=epochs, seed=seed) for backend in backends
    ]


def verdict_in_words(low, high, bound, seeds):
    if seeds < 5 or low <= bound <= high:
        return "undecided"
    return "supported" if low > bound else "refuted"


ANSWERS = {
    ("ch00", "majority"): {
        "right": [
            ("numpy", lambda np: lambda y: np.bincount(y).max() / len(y)),
            ("torch", lambda torch: lambda y: torch.bincount(y).max() / len(y)),
            (
                "tensorflow",
                lambda tf: (
                    lambda y: tf.reduce_max(tf.math.bincount(tf.cast(y, tf.int32))) / tf.size(y)
                ),
            ),
        ],
        "wrong": [
            ("numpy", lambda np: lambda y: 1 / len(np.unique(y)), "must be 0.6"),
            ("torch", lambda torch: lambda y: (y == 0).float().mean(), "must be 0.6"),
            (
                "tensorflow",
                lambda tf: lambda y: tf.reduce_max(tf.math.bincount(tf.cast(y, tf.int32))),
                "not a count",
            ),
            ("numpy", lambda np: lambda y: y.commonest(), "AttributeError"),
            ("numpy", lambda np: 0.25, "must be the function majority"),
        ],
    },
    ("ch00", "validation"): {
        "right": [
            ("numpy", lambda np: hold_out(train_rows(), 0.25)),
            ("numpy", lambda np: list(hold_out(train_rows(), 0.25, salt="another", stratify=True))),
        ],
        "wrong": [
            ("numpy", lambda np: hold_out(train_rows()), "about a quarter"),
            ("numpy", lambda np: hold_out(load("digits"), 0.25), "no row from the test"),
            ("numpy", lambda np: split(load("digits")), "must come from the training rows"),
            ("numpy", lambda np: hold_out(train_rows(), 0.25)[::-1], "about a quarter"),
            (
                "numpy",
                lambda np: (train_rows(), hold_out(train_rows(), 0.25)[1]),
                "no row on both sides",
            ),
            ("numpy", lambda np: hold_out(hold_out(train_rows())[0], 0.25), "on neither"),
            ("numpy", lambda np: (0.75, 0.25), "must be a Dataset"),
            ("numpy", lambda np: train_rows(), "must be a pair"),
        ],
    },
    ("ch00", "twins"): {
        "right": [
            ("torch", lambda torch: twins()),
            (
                "tensorflow",
                lambda tf: dict(
                    zip(
                        ("tensorflow", "torch"),
                        twins(backends=("tensorflow", "torch")),
                        strict=True,
                    )
                ),
            ),
        ],
        "wrong": [
            ("torch", lambda torch: twins(seed=0), "loss by epoch"),
            ("torch", lambda torch: twins(backends=("torch",)), "one model for each"),
            ("torch", lambda torch: twins(rows=load("digits")), "test rows among its rows"),
            ("tensorflow", lambda tf: twins(epochs=2), "for 3 epochs"),
            ("torch", lambda torch: twins(sizes=(64, 10)), "must be mlp(64, 32, 10)"),
            ("torch", lambda torch: [1, 2], "a model that `fit` gave back"),
        ],
    },
    ("ch00", "verdict"): {
        "right": [
            ("numpy", lambda np: verdict_in_words),
            (
                "numpy",
                lambda np: (
                    lambda low, high, bound, seeds: {(1, 0): "supported", (0, 1): "refuted"}.get(
                        (seeds >= 5 and low > bound, seeds >= 5 and high < bound), "undecided"
                    )
                ),
            ),
        ],
        "wrong": [
            (
                "numpy",
                lambda np: (
                    lambda low, high, bound, seeds: (
                        "supported" if (low + high) / 2 > bound else "refuted"
                    )
                ),
                "inside",
            ),
            (
                "numpy",
                lambda np: lambda low, high, bound, seeds: verdict_in_words(low, high, bound, 5),
                "fewer than five seeds",
            ),
            (
                "numpy",
                lambda np: lambda low, high, bound, seeds: low > bound,
                "must be 'supported'",
            ),
        ],
    },
    ("ch12", "collapse"): {
        "right": [
            (
                "numpy",
                lambda np: lambda W1, b1, W2, b2, W3, b3: (W1 @ W2 @ W3, (b1 @ W2 + b2) @ W3 + b3),
            ),
            (
                "torch",
                lambda torch: (
                    lambda W1, b1, W2, b2, W3, b3: (
                        torch.linalg.multi_dot([W1, W2, W3]).requires_grad_(),
                        b1 @ W2 @ W3 + b2 @ W3 + b3,
                    )
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda W1, b1, W2, b2, W3, b3: (
                        W1 @ W2 @ W3,
                        tf.Variable(
                            tf.linalg.matvec(
                                W3,
                                tf.linalg.matvec(W2, b1, transpose_a=True) + b2,
                                transpose_a=True,
                            )
                            + b3
                        ),
                    )
                ),
            ),
        ],
        "wrong": [
            (
                "torch",
                lambda torch: (
                    lambda W1, b1, W2, b2, W3, b3: (
                        torch.linalg.multi_dot([W1, W2, W3]),
                        b1 @ W2 @ W3 + b3,
                    )
                ),
                "The bias",
            ),
            (
                "tensorflow",
                lambda tf: lambda W1, b1, W2, b2, W3, b3: (tf.matmul(W1, W2), b3),
                "The weight must have shape",
            ),
            (
                "torch",
                lambda torch: lambda W1, b1, W2, b2, W3, b3: torch.linalg.multi_dot([W3, W2, W1]),
                "RuntimeError",
            ),
            (
                "numpy",
                lambda np: lambda W1, b1, W2, b2, W3, b3: W1 @ W2 @ W3,
                "must give back a pair",
            ),
            ("numpy", lambda np: lambda weights: weights, "TypeError"),
        ],
    },
    ("ch12", "targets"): {
        "right": [
            ("numpy", lambda np: lambda y: (y == 8).reshape(-1, 1).astype("float32")),
            ("torch", lambda torch: lambda y: (y == 8).float().unsqueeze(1)),
            ("tensorflow", lambda tf: lambda y: tf.cast(y[:, None] == 8, tf.float32)),
        ],
        "wrong": [
            ("torch", lambda torch: lambda y: (y == 8).float(), "must have shape (9, 1)"),
            ("torch", lambda torch: lambda y: (y == 8).long().view(-1, 1), "must be float32"),
            ("torch", lambda torch: lambda y: y.view(-1, 1).float(), "must lie in 0 … 1"),
            (
                "tensorflow",
                lambda tf: lambda y: tf.cast(y[:, None] == 3, tf.float32),
                "of an 8 must be 1",
            ),
            (
                "tensorflow",
                lambda tf: lambda y: tf.cast(tf.reshape(y, (-1, 2)) == 8, tf.float32),
                "InvalidArgumentError",
            ),
        ],
    },
    ("ch12", "decide"): {
        "right": [
            ("numpy", lambda np: lambda z: z[:, 0] > 0 if z.shape[1] == 1 else z.argmax(axis=1)),
            (
                "torch",
                lambda torch: lambda z: (z[:, 0] > 0).long() if z.shape[1] == 1 else z.max(1)[1],
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda z: (
                        tf.cast(z[:, 0] > 0, tf.int64) if z.shape[1] == 1 else tf.argmax(z, axis=1)
                    )
                ),
            ),
        ],
        "wrong": [
            ("torch", lambda torch: lambda z: torch.max(z.data, 1)[1], "must give both classes"),
            ("torch", lambda torch: lambda z: torch.max(z.data, 1), "the class"),
            ("tensorflow", lambda tf: lambda z: tf.cast(z[:, 0] > 0, tf.int64), "For ten logits"),
            (
                "numpy",
                lambda np: lambda z: z[:, 0] > 0.5 if z.shape[1] == 1 else z.argmax(axis=1),
                "positive means 1",
            ),
            ("tensorflow", lambda tf: lambda z: tf.argmax(z, axis=2), "raised"),
        ],
    },
    ("ch12", "adam_step"): {
        "right": [
            ("numpy", lambda np: adam(np.sqrt)),
            ("torch", lambda torch: adam(torch.sqrt)),
            ("tensorflow", lambda tf: adam(tf.sqrt)),
        ],
        "wrong": [
            ("torch", lambda torch: adam(torch.sqrt, early=True), "Keras's rule"),
            ("tensorflow", lambda tf: adam(tf.sqrt, corrected=False), "divide m by"),
            ("numpy", lambda np: lambda w, g, m, v, t: (w - 0.001 * g, m, v), "The new m"),
            ("numpy", lambda np: lambda w, g, m, v, t: w, "three vectors"),
        ],
    },
}
KEYS = list(ANSWERS)


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
    VALUES = (("ch00", "validation"), ("ch00", "twins"))


@pytest.mark.parametrize("framework", ["torch", "tensorflow"])
def test_a_solution_works_with_the_tensors_of_each_framework(framework, frameworks, capsys):
    assert framework in frameworks, f"{framework} must be installed for the tests"
    ask = {"torch": "torch.is_tensor(x)", "tensorflow": "tf.is_tensor(x)"}[framework]
    for key in [key for key in KEYS if key[0] == "ch12"]:
        capsys.readouterr()
        EXERCISES[key].solution()
        scope = {"np": np, "torch": frameworks.get("torch"), "tf": frameworks.get("tensorflow")}
        exec(capsys.readouterr().out, scope)
        name, narrow = EXERCISES[key].name, {**scope}
        exec(
            f"def only(*args):\n    assert all({ask} for x in args if not isinstance(x, int))\n   "
            f" return {name}(*args)",
            narrow,
        )
        assert EXERCISES[key].check(narrow["only"]) is RIGHT, key


def test_an_answer_is_tried_in_its_own_framework_first(frameworks):
    for name, module in frameworks.items():
        scope = {"module": module}
        exec("def f(x): return module.constant(x)", scope)
        assert next(iter(makers(scope["f"]))) == name
    assert list(makers(lambda x: x)) == ["NumPy", *frameworks]


def test_tensors_become_arrays(frameworks):
    if "torch" in frameworks:
        tensor = frameworks["torch"].ones(2, requires_grad=True)
        assert (
            isinstance(to_numpy(tensor), np.ndarray)
            and [type(part) for part in to_numpy([tensor, tensor])] == [np.ndarray] * 2
        )
    if "tensorflow" in frameworks:
        assert to_numpy(frameworks["tensorflow"].constant([1, 2])).tolist() == [1, 2]


def test_a_status_shows_nothing_of_its_own():
    assert RIGHT._ipython_display_() is None and RIGHT == "right" and WRONG != "right"


# Chapters


def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def code(path):
    return [source(cell) for cell in cells(path) if cell["cell_type"] == "code"]


def prose(path):
    return "\n\n".join(source(cell) for cell in cells(path) if cell["cell_type"] == "markdown")


each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem[:2])


def test_the_chapters_are_here():
    assert {"00", "12"} <= {path.name[:2] for path in CHAPTERS}


@each_chapter
def test_code_cells_are_short(path):
    assert [text for text in code(path) if len(text.splitlines()) > 12] == []


@each_chapter
def test_prose_stands_before_each_code_cell(path):
    kinds = [cell["cell_type"] for cell in cells(path)]
    assert kinds[0] == "markdown" and ("code", "code") not in set(
        zip(kinds, kinds[1:], strict=False)
    )


@each_chapter
def test_imports_stand_alone(path):
    for text in code(path):
        kinds = {isinstance(node, ast.Import | ast.ImportFrom) for node in ast.parse(text).body}
        assert len(kinds) <= 1, text


@each_chapter
def test_torch_is_imported_before_tensorflow(path):
    imports = [
        node
        for text in code(path)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import)
    ]
    names = [alias.name for node in imports for alias in node.names]
    assert (
        "torch" not in names
        or "tensorflow" not in names
        or names.index("torch") < names.index("tensorflow")
    )


@each_chapter
def test_parameters_are_plain(path):
    tagged = [
        source(cell) for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])
    ]
    assert len(tagged) == 1
    values = {
        node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(tagged[0]).body
    }
    assert values["smoke"] is False


@each_chapter
def test_a_chapter_says_what_it_needs_and_ends_in_a_recap(path):
    text = prose(path)
    for part in (
        "(section ",
        "**What you need.**",
        "**What you will be able to do.**",
        "licence",
        "## Exercises",
        "## Recap",
    ):
        assert part in text, part
    assert re.search("[\u4e00-\u9fff]{6}", text), "no sentence of the article"


@each_chapter
def test_outputs_are_saved_and_sound(path):
    outputs = [
        output for cell in cells(path) if cell["cell_type"] == "code" for output in cell["outputs"]
    ]
    assert not [
        output
        for output in outputs
        if output["output_type"] == "error" or output.get("name") == "stderr"
    ]
    assert sum("image/png" in output.get("data", {}) for output in outputs) >= 4
    text = json.dumps(
        [
            {
                **output,
                "data": {k: v for k, v in output.get("data", {}).items() if k != "image/png"},
            }
            for output in outputs
        ]
    )
    assert re.findall(r"/(?:tmp|home|root|work|Users)/|0x[0-9a-f]{6,}", text) == []


@each_chapter
def test_every_exercise_of_a_chapter_is_in_it(path):
    chapter, text = f"ch{path.name[:2]}", code(path)
    module = importlib.import_module(f"bigdata_ai.course.{chapter}")
    exercises = [name for name, value in vars(module).items() if isinstance(value, Exercise)]
    assert len(exercises) >= 2
    for name in exercises:
        assert f"{chapter}.{name}" in text, "the question is shown"
        calls = [
            f"\n{chapter}.{name}.check(",
            f"# {chapter}.{name}.hint()",
            f"# {chapter}.{name}.solution()",
        ]
        assert any(all(call in cell for call in calls) for cell in text), name


def test_only_chapter_00_has_a_generated_block():
    pattern = re.compile(
        r"^<!-- generated: (\w+) -->\n(?:.*\n)*?<!-- /generated -->$", re.MULTILINE
    )
    blocks = {path.name[:2]: pattern.findall(prose(path)) for path in CHAPTERS}
    assert {name for name, found in blocks.items() if found} == {"00"} and blocks["00"] == [
        "volume"
    ]
