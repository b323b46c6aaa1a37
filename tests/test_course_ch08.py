"""Answers to the exercises of chapter 08, right and wrong ones."""
import pytest

from bigdata_ai.course import ch08
from bigdata_ai.course.exercise import NO_ANSWER, RIGHT, WRONG, Exercise

EXERCISES = {name: value for name, value in vars(ch08).items() if isinstance(value, Exercise)}


def picked(keep):
    return lambda files, month, delay: files[keep(files, month, delay)]["path"].tolist()


def replayed(take=lambda files, commit: files - set(commit["remove"]) | set(commit["add"]), end=1):
    def live(log, version):
        files = set()
        for commit in log[:version + end]:
            files = take(files, commit)
        return sorted(files)
    return live


def stored(first, last=lambda log, steps: len(steps)):
    def deliver(log, steps):
        for step in range(first(log), len(steps)):
            log.commit(steps[step], step)
        return last(log, steps)
    return deliver


def after_all(log, steps):
    "Commits every step again that is not the last one, whether it is there or not."
    for step, rows in enumerate(steps):
        if step != log.last:
            log.commit(rows, step)
    return len(steps)


ANSWERS = {
    "candidates": {
        "right": [picked(lambda f, month, delay: (f.month == month) & ~(f.high <= delay)),
                  lambda files, month, delay: [row.path for row in files.itertuples()
                                               if row.month == month and (row.high > delay or row.high != row.high)]],
        "wrong": [(picked(lambda f, month, delay: (f.month == month) & (f.high > delay)), "statistics are missing"),
                  (picked(lambda f, month, delay: (f.month == month) & ~(f.high < delay)), "File d must be skipped"),
                  (picked(lambda f, month, delay: (f.month == month) & ~(f.low <= delay)), "File f must be read"),
                  (picked(lambda f, month, delay: ~(f.high <= delay)), "another month"),
                  (picked(lambda f, month, delay: f.month == month), "File d must be skipped"),
                  (lambda files, month, delay: files["paths"], "KeyError"), (["c"], "must be the function candidates")],
    },
    "live": {
        "right": [replayed(), lambda log, version: list({f: None for k in range(version + 1) for f in log[k]["add"] if all(
            f not in later["remove"] for later in log[k + 1:version + 1])})],
        "wrong": [(replayed(end=0), "Version 1 must have"),
                  (replayed(lambda files, commit: files | set(commit["add"])), "takes files away"),
                  (replayed(lambda files, commit: set(commit["add"])), "stay in force"),
                  (lambda log, version: sorted({f for c in log[:version + 1] for f in c["add"]}
                                               - {f for c in log[:version + 1] for f in c["remove"]}), "can be added again"),
                  (lambda log, version: log[version].added, "AttributeError")],
    },
    "deliver": {
        "right": [stored(lambda log: 0 if log.last is None else log.last + 1),
                  stored(lambda log: (-1 if log.last is None else log.last) + 1)],
        "wrong": [(stored(lambda log: 0), "must hold a b c d e"), (stored(lambda log: log.last or 0), "must hold a b c d e"),
                  (stored(lambda log: (log.last or 0) + 1), "must hold a b c d e"), (after_all, "must hold a b c d e"),
                  (stored(lambda log: 0 if log.last is None else log.last + 1, lambda log, steps: log.last), "number of steps"),
                  (lambda log, steps: log.rows.extend(row for rows in steps for row in rows) or 4, "must know its last step"),
                  (4, "must be the function deliver")],
    },
}


def each(kind):
    return [pytest.param(name, answer, id=f"{name}-{i}") for name, answers in ANSWERS.items() for i, answer in enumerate(answers[kind])]


def test_every_exercise_has_answers_here():
    assert set(ANSWERS) == set(EXERCISES) and 2 <= len(EXERCISES) <= 4
    assert all(len(answers["right"]) >= 2 and len(answers["wrong"]) >= 2 for answers in ANSWERS.values())


@pytest.mark.parametrize("name", EXERCISES)
def test_no_answer_is_neither_right_nor_wrong(name, capsys):
    for answer in (..., None, lambda *arguments: None):
        assert EXERCISES[name].check(answer) is NO_ANSWER
    assert capsys.readouterr().out.startswith("No answer yet")


@pytest.mark.parametrize("name, answer", each("right"))
def test_a_right_answer_is_right(name, answer, capsys):
    assert EXERCISES[name].check(answer) is RIGHT, capsys.readouterr().out
    assert capsys.readouterr().out == f"Right: {EXERCISES[name].why}\n"


@pytest.mark.parametrize("name, answer", each("wrong"))
def test_a_wrong_answer_is_told_what_is_wrong(name, answer, capsys):
    answer, told = answer
    assert EXERCISES[name].check(answer) is WRONG
    printed = capsys.readouterr().out
    assert printed.startswith("Wrong: ") and told in printed, printed
    assert "Received: " in printed or "raised" in printed


@pytest.mark.parametrize("name", EXERCISES)
def test_the_solution_passes_its_own_check_and_hints_end(name, capsys):
    exercise, scope = EXERCISES[name], {}
    exercise.solution()
    exec(capsys.readouterr().out, scope)
    assert exercise.check(scope[name]) is RIGHT
    for _ in exercise.hints:
        exercise.hint()
    exercise.hint()
    assert len(exercise.hints) >= 2 and "last hint" in capsys.readouterr().out
