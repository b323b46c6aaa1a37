"""The figures of the house: how dense functions are, how long cells and lines, how much is annotated.

`python tests/house.py` prints them; `test_house.py` holds them. Nodes are those of a function's syntax
tree without its docstring, operators and contexts, so that no layout changes them.
"""

import ast
import json
import re
from functools import cache
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(
    path
    for path in (ROOT / "nbs" / "lib").rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
MODULES = sorted(path for path in (ROOT / "bigdata_ai").rglob("*.py") if path.name != "_modidx.py")
MARKS = ast.expr_context | ast.operator | ast.cmpop | ast.boolop | ast.unaryop
FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def cells(path):
    "Type, source and whether something is shown, of each cell."
    return [
        (cell["cell_type"], "".join(cell["source"]), bool(cell.get("outputs")))
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]
    ]


def is_exported(source):
    return bool(re.search(r"^#\|\s*export[si]?\b", source, re.MULTILINE))


def is_hidden(source):
    return bool(re.search(r"^#\|\s*hide\b", source, re.MULTILINE))


@cache
def exported(path):
    "Source and tree of each exported cell."
    return [
        (source, ast.parse(source))
        for kind, source, _ in cells(path)
        if kind == "code" and is_exported(source)
    ]


def code_lines(source):
    "The lines of a cell without nbdev's directives."
    return [line for line in source.splitlines() if not line.startswith("#|")]


def positional(function):
    "Names of the arguments that may be given by their place."
    arguments = [*function.args.posonlyargs, *function.args.args]
    return [argument.arg for argument in arguments if argument.arg not in ("self", "cls")]


def unannotated(function):
    "Names of arguments without a type; `return` where the result has none."
    arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    arguments += filter(None, [function.args.vararg, function.args.kwarg])
    names = [argument.arg for argument in arguments if argument.annotation is None]
    return [name for name in names if name not in ("self", "cls")] + (
        ["return"] if function.returns is None else []
    )


def is_public(function):
    return not function.name.startswith("_")


def nodes(function):
    "Syntax nodes of a function's body."
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return sum(not isinstance(node, MARKS) for line in body for node in ast.walk(line))


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def figures():
    "Median, 90th percentile and most, of nodes a function and of lines an exported cell."
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in MODULES]
    functions = [node for tree in trees for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]
    counts = [count for count in map(nodes, functions) if count]
    lines = [len(code_lines(source)) for path in NOTEBOOKS for source, _ in exported(path)]
    return {
        "nodes": (median(counts), quantile(counts, 0.9), max(counts)),
        "cells": (median(lines), quantile(lines, 0.9), max(lines)),
    }


if __name__ == "__main__":
    print(json.dumps(figures()))
