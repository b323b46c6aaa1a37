"""Answers to the exercises of chapter 05, right and wrong, in NumPy and both frameworks."""
import json
from pathlib import Path

import numpy as np
import pytest

import bigdata_ai
from bigdata_ai.course import ch05
from bigdata_ai.course.exercise import NO_ANSWER, RIGHT, WRONG, Exercise

EXERCISES = {name: value for name, value in vars(ch05).items() if isinstance(value, Exercise)}


def left(n, noise, classes):
    return n * max(0.0, 1 - noise * classes / (classes - 1)) ** 2


def by_counting(votes):
    for_1, for_0 = (votes == 1).sum(1), (votes == 0).sum(1)
    return np.where(for_1 == for_0, -1, for_1 > for_0)


ANSWERS = {
    "rows_left": {
        "right": [("numpy", lambda np: left),
                  ("numpy", lambda np: lambda n, noise, k: 0 if noise >= (k - 1) / k else n * (1 - noise * k / (k - 1)) ** 2)],
        "wrong": [("numpy", lambda np: lambda n, noise, k: n * (1 - noise), "is it squared"),
                  ("numpy", lambda np: lambda n, noise, k: n * (1 - 2 * noise) ** 2, "for two classes only"),
                  ("numpy", lambda np: lambda n, noise, k: n * (1 - noise * k / (k - 1)) ** 2, "Beyond chance level")],
    },
    "disagree": {
        "right": [("numpy", lambda np: lambda p, y: p.argmax(1) != y), ("torch", lambda torch: lambda p, y: p.argmax(dim=1) != y),
                  ("tensorflow", lambda tf: lambda p, y: tf.argmax(p, axis=1) != tf.cast(y, tf.int64))],
        "wrong": [("numpy", lambda np: lambda p, y: p.argmax(1) == y, "says the same"),
                  ("torch", lambda torch: lambda p, y: torch.max(p, 1)[0] < 0.5, "The flag"),
                  ("tensorflow", lambda tf: lambda p, y: tf.argmax(p, axis=0), "one answer a row")],
    },
    "majority": {
        "right": [("numpy", lambda np: by_counting),
                  ("torch", lambda torch: lambda v: ((v == 1).sum(1) - (v == 0).sum(1)).sign().apply_(lambda d: {1: 1, -1: 0, 0: -1}[d])),
                  ("tensorflow", lambda tf: lambda v: (lambda d: tf.where(d > 0, 1, tf.where(d < 0, 0, -1)))(
                      tf.math.count_nonzero(v == 1, axis=1) - tf.math.count_nonzero(v == 0, axis=1)))],
        "wrong": [("numpy", lambda np: lambda v: (v.mean(1) > 0).astype(int), "no rule votes"),
                  ("numpy", lambda np: lambda v: np.round(v.mean(1)), "two abstentions"),
                  ("torch", lambda torch: lambda v: ((v == 1).sum(1) >= (v == 0).sum(1)).long(), "no rule votes"),
                  ("numpy", lambda np: lambda v: np.where((v == -1).all(1), -1, (v == 1).sum(1) > (v == 0).sum(1)), "votes are equal")],
    },
    "next_row": {
        "right": [("numpy", lambda np: lambda p: (np.sort(p)[:, -1] - np.sort(p)[:, -2]).argmin()),
                  ("torch", lambda torch: lambda p: (p.topk(2).values[:, 0] - p.topk(2).values[:, 1]).argmin()),
                  ("tensorflow", lambda tf: lambda p: tf.argmin(tf.math.top_k(p, 2).values[:, 0] - tf.math.top_k(p, 2).values[:, 1]))],
        "wrong": [("numpy", lambda np: lambda p: p.max(1).argmin(), "smallest margin"),
                  ("torch", lambda torch: lambda p: p.max(1).values.argmax(), "surest"),
                  ("numpy", lambda np: lambda p: p.max(1), "one position")],
    },
}


def each(kind):
    return [pytest.param(name, *answer, id=f"{name}-{answer[0]}-{i}")
            for name, answers in ANSWERS.items() for i, answer in enumerate(answers[kind])]


def given(framework, make, frameworks):
    assert framework == "numpy" or framework in frameworks, f"{framework} must be installed for the tests"
    return make(frameworks.get(framework, np))


def test_every_exercise_has_answers_here():
    assert set(ANSWERS) == set(EXERCISES) and 2 <= len(ANSWERS) <= 4


@pytest.mark.parametrize("name", ANSWERS)
def test_no_answer_is_neither_right_nor_wrong(name, capsys):
    for blank in (None, ..., [...], lambda *args: None):
        assert EXERCISES[name].check(blank) is NO_ANSWER
    assert capsys.readouterr().out.count("No answer yet: ") == 4


@pytest.mark.parametrize("name, framework, make", each("right"))
def test_a_right_answer_is_right(name, framework, make, frameworks, capsys):
    assert EXERCISES[name].check(given(framework, make, frameworks)) is RIGHT
    assert capsys.readouterr().out == f"Right: {EXERCISES[name].why}\n"


@pytest.mark.parametrize("name, framework, make, told", each("wrong"))
def test_a_wrong_answer_is_told_what_is_wrong(name, framework, make, told, frameworks, capsys):
    assert EXERCISES[name].check(given(framework, make, frameworks)) is WRONG
    printed = capsys.readouterr().out
    assert printed.startswith("Wrong: ") and told in printed and "Received: " in printed


@pytest.mark.parametrize("name", ANSWERS)
def test_hints_come_one_at_a_time(name, capsys):
    exercise = EXERCISES[name]
    exercise._given = 0
    for i, hint in enumerate(exercise.hints, start=1):
        exercise.hint()
        assert capsys.readouterr().out == f"Hint {i} of {len(exercise.hints)}: {hint}\n"
    exercise.hint()
    assert "last hint" in capsys.readouterr().out and exercise.hints


@pytest.mark.parametrize("name", ANSWERS)
def test_the_solution_passes_its_own_check(name, frameworks, capsys):
    exercise, scope = EXERCISES[name], {"np": np}
    exercise.solution()
    exec(capsys.readouterr().out, scope)
    assert exercise.check(scope[name]) is RIGHT


def test_every_exercise_is_in_the_chapter():
    path = next((Path(bigdata_ai.__file__).parent.parent / "nbs" / "course").glob("05_*.ipynb"))
    text = ["".join(cell["source"]) for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    for name in EXERCISES:
        calls = [f"\nch05.{name}.check(", f"# ch05.{name}.hint()", f"# ch05.{name}.solution()"]
        assert f"ch05.{name}" in text and any(all(call in cell for call in calls) for cell in text), name
