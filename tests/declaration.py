"""The page of all that a `.toml` beside a notebook may say: python tests/declaration.py writes it."""

import inspect
import re
from dataclasses import MISSING, fields
from functools import partial
from pathlib import Path

from bigdata_ai.experiment.claims import PRECONDITIONS, Claim
from bigdata_ai.experiment.declared import KEYS
from bigdata_ai.experiment.run import FIGURES
from bigdata_ai.experiment.plugins import load_function
from bigdata_ai.experiment.statistics import STATISTICS

PAGE = Path(__file__).resolve().parent.parent / "nbs" / "pages" / "declaration.md"
NOT_DECLARED = ("sources", "folder")
PRECONDITION = {
    "overlap": "no test row was trained on",
    "training": "training lowered the loss",
    "classes": "more than one class was predicted",
    "error_rate": "`error` lies between 0 and 1",
    "learned": "at the largest size it beats always guessing the commonest class",
}


def table(heads, rows):
    "A table of Markdown."
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line).replace("\n", " ") + " |" for line in lines)


def first_sentence(function):
    "What a function says it does, in one sentence."
    text = " ".join(inspect.getdoc(function).split("\n\n")[0].split())
    return re.split(r"(?<=\.) (?=[A-Z])", text)[0]


def statistic(name):
    "A statistic and the numbers that it is given."
    one = STATISTICS[name]
    given = ", ".join(f"{k}={v!r}" for k, v in one.keywords.items()) if type(one) is partial else ""
    function = one.func if type(one) is partial else one
    return [f"`{name}`", first_sentence(function), f"`{given}`" if given else ""]


def claim_fields():
    "Each field of a claim, its meaning and its default."
    meanings = dict(
        re.findall(r"^(\w+) : [^\n]*\n    (.+?)(?=^\w|\Z)", inspect.getdoc(Claim), re.M | re.S)
    )
    for field in fields(Claim):
        if field.name in NOT_DECLARED:
            continue
        default = "must be given" if field.default is MISSING else f"`{field.default!r}`"
        yield [f"`{field.name}`", " ".join(meanings[field.name].split()), default]


def page():
    "The whole page."
    figures = [
        [f"`{name}`", first_sentence(load_function(where, ".", "figure"))]
        for name, where in FIGURES.items()
    ]
    parts = [
        "# What a `.toml` may say",
        "It stands beside the notebook of an experiment and has its name. Written by `make pages`; "
        "`bigdata-ai new NAME` writes one to begin with. A key that is not listed is refused.",
        "## Keys",
        table(["key", "is", "says"], [[f"`{k}`", w, m] for k, (_, w, m) in KEYS.items()]),
        "## Claims",
        "Each `[[claims]]` is a sentence with a number that decides it: supported where the whole interval over "
        "seeds lies beyond the bound, refuted where it lies short of it, else undecided.",
        table(["field", "says", "if left out"], claim_fields()),
        "## Statistics",
        "Each gives a number a seed, and the control's. One of your own is `module:function`: a function of the rows "
        "in a file beside the notebook that gives back two pandas series by seed, the number and the control's.",
        table(["name", "number", "with"], map(statistic, STATISTICS)),
        "## Preconditions",
        "All of them hold for every claim, but for those that `without` names; `preconditions` adds more, each a "
        "`module:function` of the rows that gives back a reason why they are unfit, or an empty text. Rows of other "
        "claims, or with one result twice, are never judged.",
        table(["name", "must hold"], [[f"`{name}`", PRECONDITION[name]] for name in PRECONDITIONS]),
        "## Figures",
        "One of your own is `module:function`, a function of the rows that gives back a figure of Matplotlib.",
        table(["name", "shows"], figures),
    ]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
