"""Shapes of own notebooks at `run` and `sweep`, beside plain papermill."""

import re

import matrix
import matrix_notebooks as notebooks
import pytest

QUICK = (
    "a plain one",
    "Chinese",
    "format 3",
    "R",
    "a raw cell tagged",
    "empty",
    "a kernel that is not there",
)
PAGE = matrix.PAGES / "matrix_notebooks.md"


def lines(text):
    return {
        tuple(cells[:2]): cells[2]
        for cells in re.findall(r"^\| (.+?) \| (.+?) \| (right|noted|refused|wrong) \|", text, re.M)
    }


@pytest.mark.parametrize(
    "shapes",
    [QUICK, pytest.param(list(notebooks.SHAPES), marks=pytest.mark.slow)],
    ids=["some", "all"],
)
def test_shapes_are_right_or_refused_as_the_page_says(shapes):
    known, made = lines(PAGE.read_text(encoding="utf-8")), lines(notebooks.page(shapes))
    assert made and made == {cell: known[cell] for cell in made}


def test_the_page_has_every_shape_and_nothing_is_wrong():
    text = PAGE.read_text(encoding="utf-8")
    assert {shape for shape, _ in lines(text)} == set(notebooks.SHAPES)
    words = "".join(matrix.SIGNS[word] for word in lines(text).values())
    assert text.splitlines()[2] == matrix.counts(words) + "." and ", 0 wrong." in text
