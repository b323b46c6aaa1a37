"""Answers to the exercises of chapter 08, right and wrong ones."""

from judging import Judged

from bigdata_ai.course import ch08
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch08).items() if isinstance(value, Exercise)}


def picked(keep):
    return lambda files, month, delay: files[keep(files, month, delay)]["path"].tolist()


def replayed(take=lambda files, commit: files - set(commit["remove"]) | set(commit["add"]), end=1):
    def live(log, version):
        files = set()
        for commit in log[: version + end]:
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
        "right": [
            picked(lambda f, month, delay: (f.month == month) & ~(f.high <= delay)),
            lambda files, month, delay: [
                row.path
                for row in files.itertuples()
                if row.month == month and (row.high > delay or row.high != row.high)
            ],
        ],
        "wrong": [
            (
                picked(lambda f, month, delay: (f.month == month) & (f.high > delay)),
                "statistics are missing",
            ),
            (
                picked(lambda f, month, delay: (f.month == month) & ~(f.high < delay)),
                "File d must be skipped",
            ),
            (
                picked(lambda f, month, delay: (f.month == month) & ~(f.low <= delay)),
                "File f must be read",
            ),
            (picked(lambda f, month, delay: ~(f.high <= delay)), "another month"),
            (picked(lambda f, month, delay: f.month == month), "File d must be skipped"),
            (lambda files, month, delay: files["paths"], "KeyError"),
            (["c"], "must be the function candidates"),
        ],
    },
    "live": {
        "right": [
            replayed(),
            lambda log, version: list(
                {
                    f: None
                    for k in range(version + 1)
                    for f in log[k]["add"]
                    if all(f not in later["remove"] for later in log[k + 1 : version + 1])
                }
            ),
        ],
        "wrong": [
            (replayed(end=0), "Version 1 must have"),
            (replayed(lambda files, commit: files | set(commit["add"])), "takes files away"),
            (replayed(lambda files, commit: set(commit["add"])), "stay in force"),
            (
                lambda log, version: sorted(
                    {f for c in log[: version + 1] for f in c["add"]}
                    - {f for c in log[: version + 1] for f in c["remove"]}
                ),
                "can be added again",
            ),
            (lambda log, version: log[version].added, "AttributeError"),
        ],
    },
    "deliver": {
        "right": [
            stored(lambda log: 0 if log.last is None else log.last + 1),
            stored(lambda log: (-1 if log.last is None else log.last) + 1),
        ],
        "wrong": [
            (stored(lambda log: 0), "must hold a b c d e"),
            (stored(lambda log: log.last or 0), "must hold a b c d e"),
            (stored(lambda log: (log.last or 0) + 1), "must hold a b c d e"),
            (after_all, "must hold a b c d e"),
            (
                stored(
                    lambda log: 0 if log.last is None else log.last + 1, lambda log, steps: log.last
                ),
                "number of steps",
            ),
            (
                lambda log, steps: log.rows.extend(row for rows in steps for row in rows) or 4,
                "must know its last step",
            ),
            (4, "must be the function deliver"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
