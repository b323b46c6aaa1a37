"""Answers to the exercises of chapter 04, right and wrong ones."""

from judging import Judged

from bigdata_ai.course import ch04
from bigdata_ai.course.exercise import Exercise
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Missing, Number, Range, Unit

EXERCISES = {name: value for name, value in vars(ch04).items() if isinstance(value, Exercise)}
NUMBERS, UNIT, POSSIBLE = (
    Number("height"),
    Unit("height", suspect=(1, 2.5), factor=100),
    Range("height", 100, 250),
)

ANSWERS = {
    "scores": {
        "right": [
            lambda found, true: (
                len(found & true) / max(len(found), 1),
                len(found & true) / len(true),
            ),
            lambda found, true: [
                len(found & true) / len(found) if found else 1.0,
                len(true & found) / len(true),
            ],
        ],
        "wrong": [
            (
                lambda found, true: (
                    len(found & true) / len(true),
                    len(found & true) / max(len(found), 1),
                ),
                "The precision",
            ),
            (lambda found, true: (len(found & true) / len(found), 1.0), "The recall"),
            (
                lambda found, true: (len(found & true) / len(found), len(found & true) / len(true)),
                "ZeroDivisionError",
            ),
            (lambda found, true: len(found & true), "must give back a pair"),
            (0.5, "must be the function scores"),
        ],
    },
    "fill": {
        "right": [
            lambda a, b: (a.fillna(a.median()), b.fillna(a.median())),
            lambda a, b: tuple(Cleaner([Missing("x")]).fit(a).transform(one) for one in (a, b)),
        ],
        "wrong": [
            (lambda a, b: (a.fillna(a.median()), b.fillna(b.median())), "The test column"),
            (lambda a, b: (a.dropna(), b.dropna()), "may be lost"),
            (lambda a, b: (a, b), "No gap may be left"),
            (lambda a, b: (a.fillna(a.mean()), b.fillna(a.mean())), "The training column"),
            (lambda a, b: a, "two frames"),
        ],
    },
    "cleaner": {
        "right": [
            Cleaner([NUMBERS, UNIT, POSSIBLE]),
            Cleaner([NUMBERS, Range("height", 1, 250), UNIT, Range("height", 99)]),
        ],
        "wrong": [
            (Cleaner([NUMBERS, POSSIBLE, UNIT]), "must not be lost"),
            (Cleaner([NUMBERS, POSSIBLE]), "must not be lost"),
            (Cleaner([NUMBERS, UNIT]), "must become a gap"),
            (Cleaner([NUMBERS, UNIT, Missing("height"), POSSIBLE]), "must become a gap"),
            (
                Cleaner(
                    [NUMBERS, Unit("height", suspect=(1, 2.5), factor=10), Range("height", 1, 250)]
                ),
                "centimetres",
            ),
            ([NUMBERS, UNIT, POSSIBLE], "must be a Cleaner"),
            (Cleaner([UNIT]), "raised"),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS
    SCOPE = {"Cleaner": Cleaner, "Number": Number, "Unit": Unit, "Range": Range}
    VALUES = ("cleaner",)
