"""Library notebooks tell: short cells, why before and a value after, few places, types, plain names.

One case a notebook, named by its path. The figures of the whole are recorded numbers that may only
fall: whoever makes them smaller lowers them here.
"""

import ast

import house
import pytest

CELL_LINES = 60
COLUMNS = 100
PLACES = 5
# Median, 90th percentile and most. The aim is 32 and 98 nodes a function, and cells of 60 lines.
MOST = {"nodes": (41, 114, 285), "cells": (29, 50, 60)}
# They say only that something happened.
NOT_NOUNS = {"found", "own", "held", "told", "asked", "made", "said"}


def label(path):
    return path.relative_to(house.ROOT / "nbs" / "lib").as_posix()


each_notebook = pytest.mark.parametrize("path", house.NOTEBOOKS, ids=label)


def long_cells(path):
    for source, _ in house.exported(path):
        lines = house.code_lines(source)
        if len(lines) > CELL_LINES:
            yield next((line for line in lines if line.strip()), ""), len(lines)


@each_notebook
def test_exported_cells_are_short(path):
    assert list(long_cells(path)) == []


def silent_names(cells):
    "What a cell with a public name lacks: a text before it, or a shown value before the next one."
    told_why, waiting = False, None
    for kind, source, shown in cells:
        if kind == "markdown":
            told_why = True
        elif house.is_exported(source):
            if waiting:
                yield f"no shown value after {waiting}"
            waiting = None
            names = [
                node.name
                for node in ast.parse(source).body
                if isinstance(node, house.FUNCTIONS | ast.ClassDef) and house.is_public(node)
            ]
            if names:
                if not told_why:
                    yield f"no text before {names[0]}"
                waiting, told_why = names[0], False
        elif shown and not house.is_hidden(source):
            waiting = None
    if waiting:
        yield f"no shown value after {waiting}"


@each_notebook
def test_a_public_name_has_its_why_before_and_a_shown_value_after_it(path):
    assert list(silent_names(house.cells(path))) == []


def functions(path):
    for _, tree in house.exported(path):
        yield from (node for node in ast.walk(tree) if isinstance(node, house.FUNCTIONS))


def wide(function):
    return (house.is_public(function) or function.name == "__init__") and len(
        house.positional(function)
    ) > PLACES


@each_notebook
def test_public_functions_take_few_arguments_by_place(path):
    assert [node.name for node in functions(path) if wide(node)] == []


@each_notebook
def test_everything_public_is_annotated(path):
    assert [
        f"{node.name}: {name}"
        for node in functions(path)
        if house.is_public(node)
        for name in house.unannotated(node)
    ] == []


def not_nouns(tree):
    "Local names, arguments and targets among them, that are no nouns for what a thing is."
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in NOT_NOUNS:
            yield node.id
        if isinstance(node, ast.arg) and node.arg in NOT_NOUNS:
            yield node.arg


@each_notebook
def test_local_names_are_nouns(path):
    assert [name for _, tree in house.exported(path) for name in not_nouns(tree)] == []


def long_lines(cells):
    return [
        line
        for kind, source, _ in cells
        if kind == "code" and not source.startswith("%%")
        for line in source.splitlines()
        if len(line) > COLUMNS
    ]


@each_notebook
def test_lines_of_code_are_short(path):
    assert long_lines(house.cells(path)) == []


@pytest.mark.parametrize("figure", MOST)
def test_the_figures_only_fall(figure):
    measured = house.figures()[figure]
    assert all(now <= most for now, most in zip(measured, MOST[figure], strict=True)), measured


# The gates themselves

TEXT, SHOWN = ("markdown", "Why.", False), ("code", "f(1)", True)
CODE = ("code", "#| export\ndef f(x: int) -> int:\n    return x", False)
HELPER = ("code", "#| export\ndef _g(x):\n    return x", False)
HIDDEN = ("code", "#| hide\nf(1)", True)


@pytest.mark.parametrize(
    "cells, lacks",
    [
        ([TEXT, CODE, SHOWN], []),
        ([TEXT, HELPER, CODE, SHOWN], []),
        ([HELPER], []),
        ([CODE, SHOWN], ["no text before f"]),
        ([TEXT, CODE], ["no shown value after f"]),
        ([TEXT, CODE, HIDDEN], ["no shown value after f"]),
        ([TEXT, CODE, TEXT, CODE, SHOWN], ["no shown value after f"]),
        ([TEXT, CODE, SHOWN, CODE, SHOWN], ["no text before f"]),
    ],
)
def test_the_search_for_silent_names_finds(cells, lacks):
    assert list(silent_names(cells)) == lacks


@pytest.mark.parametrize(
    "code, wrong",
    [
        ("def f(a, b, c, d, e): ...", False),
        ("def f(a, b, c, d, e, *, g): ...", False),
        ("def f(self, a, b, c, d, e): ...", False),
        ("def f(a, b, c, d, e, g): ...", True),
        ("def __init__(self, a, b, c, d, e, g): ...", True),
        ("def _f(a, b, c, d, e, g): ...", False),
    ],
)
def test_the_search_for_wide_functions_finds(code, wrong):
    assert wide(ast.parse(code).body[0]) == wrong


@pytest.mark.parametrize(
    "code, names",
    [
        ("def f(self, a: int) -> int: ...", []),
        ("def f(a, *, b) -> int: ...", ["a", "b"]),
        ("def f(*a, **b) -> int: ...", ["a", "b"]),
        ("async def f(a: int): ...", ["return"]),
    ],
)
def test_the_search_for_types_finds(code, names):
    assert house.unannotated(ast.parse(code).body[0]) == names


@pytest.mark.parametrize(
    "code, names",
    [
        ("rows = found", []),
        ("found = 1", ["found"]),
        ("def f(held): ...", ["held"]),
        ("for told, rows in pairs: ...", ["told"]),
        ("self.made = [own for own in rows]", ["own"]),
    ],
)
def test_the_search_for_names_finds(code, names):
    assert sorted(not_nouns(ast.parse(code))) == names


def test_nodes_leave_out_docstring_and_operators():
    function = ast.parse('def f(x):\n    "Doc."\n    return x + 1').body[0]
    assert house.nodes(function) == 4  # return, sum, name, number
