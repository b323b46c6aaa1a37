"""What every chapter's exercises must do with answers; a test class of a chapter inherits it and
names its answers."""

import numpy as np
import pytest

from bigdata_ai.course.exercise import NO_ANSWER, RIGHT, WRONG

FRAMEWORKS = ("numpy", "torch", "tensorflow")


def given(answer, frameworks):
    "An answer as it is, or that which a function makes of the framework that is named before it."
    if not (
        isinstance(answer, tuple)
        and len(answer) == 2
        and answer[0] in FRAMEWORKS
        and callable(answer[1])
    ):
        return answer
    framework, make = answer
    assert framework == "numpy" or framework in frameworks, (
        f"{framework} must be installed for the tests"
    )
    return make(frameworks.get(framework, np))


class Judged:
    """Subclasses set EXERCISES (key -> exercise) and ANSWERS (key -> {"right": [answer], "wrong": [(answer, told)]}).

    An answer may be a pair (framework, function that makes it of the framework's module); then a wrong one is (framework, function, told).
    SCOPE is what solutions may use; VALUES are the exercises whose answer is no function, to which an unfinished one does not apply.
    """

    EXERCISES, ANSWERS, SCOPE, VALUES = {}, {}, {}, ()

    def pytest_generate_tests(self, metafunc):
        def named(kind):
            return [
                pytest.param(key, answer, id=f"{'-'.join(np.atleast_1d(key))}-{i}")
                for key, answers in self.ANSWERS.items()
                for i, answer in enumerate(answers[kind])
            ]

        names = metafunc.fixturenames
        if "right" in names:
            metafunc.parametrize("key, right", named("right"))
        elif "wrong" in names:
            metafunc.parametrize("key, wrong", named("wrong"))
        elif "key" in names:
            metafunc.parametrize(
                "key", list(self.ANSWERS), ids=lambda key: "-".join(np.atleast_1d(key))
            )

    def test_every_exercise_has_answers(self):
        assert set(self.ANSWERS) == set(self.EXERCISES) and len(self.EXERCISES) >= 2
        assert all(
            len(answers["right"]) >= 2 and len(answers["wrong"]) >= 2
            for answers in self.ANSWERS.values()
        )

    def test_no_answer_is_neither_right_nor_wrong(self, key, capsys):
        unfinished = () if key in self.VALUES else (lambda *args: None, lambda *args: ...)
        assert self.EXERCISES[key].check() == NO_ANSWER == "no answer"
        for blank in (None, ..., [...], (None, ...), {"torch": ...}, *unfinished):
            assert self.EXERCISES[key].check(blank) is NO_ANSWER
        assert capsys.readouterr().out.count("No answer yet: ") == 6 + len(unfinished)

    def test_a_right_answer_is_right(self, key, right, frameworks, capsys):
        assert self.EXERCISES[key].check(given(right, frameworks)) is RIGHT, capsys.readouterr().out
        assert capsys.readouterr().out == f"Right: {self.EXERCISES[key].why}\n"

    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_a_wrong_answer_is_told_what_is_wrong(self, key, wrong, frameworks, capsys):
        *answer, told = wrong
        assert (
            self.EXERCISES[key].check(
                given(tuple(answer) if len(answer) == 2 else answer[0], frameworks)
            )
            is WRONG
        )
        printed = capsys.readouterr().out
        assert (
            printed.startswith("Wrong: ")
            and told in printed
            and ("Received: " in printed or "raised" in printed)
        ), printed

    def test_hints_come_one_at_a_time(self, key, capsys):
        exercise = self.EXERCISES[key]
        exercise._given = 0
        for i, hint in enumerate(exercise.hints, start=1):
            exercise.hint()
            assert capsys.readouterr().out == f"Hint {i} of {len(exercise.hints)}: {hint}\n"
        exercise.hint()
        assert "last hint" in capsys.readouterr().out and exercise.hints

    def test_the_solution_passes_its_own_check(self, key, capsys):
        exercise, scope = self.EXERCISES[key], {"np": np, **self.SCOPE}
        exercise.solution()
        exec(capsys.readouterr().out, scope)
        assert exercise.check(scope[exercise.name]) is RIGHT
