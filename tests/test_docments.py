"""What stands behind an argument gets into `__doc__`: the processor of the export, piece by piece."""

import ast
import importlib.util
import textwrap
from pathlib import Path

import pytest

FILE = Path(__file__).parent.parent / "nbs" / "docments.py"
SPEC = importlib.util.spec_from_file_location("docments", FILE)
docments = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(docments)


def documented(source):
    return docments.document(textwrap.dedent(source).strip())


def doc_of(source, *path):
    "The docstring of a definition after the processor, found by the names that lead to it."
    node = ast.parse(documented(source))
    for name in path:
        node = next(child for child in node.body if getattr(child, "name", "") == name)
    return ast.get_docstring(node)


FIT = '''
def fit(
    # a Spec, or
    # an estimator
    spec,
    rows: "Dataset | None",  # to learn from
    *rest: int,  # more
    # "torch" or "tensorflow"
    backend: str = "torch",
    callbacks: Callable[
        [dict], bool
    ] = print,  # each gets a row
    epochs=3,  # passes
    **words,  # others
) -> Model:  # it predicts
    """Train; raises `InputError` for
    bad input."""
    # why
    return spec  # not documentation
'''


def test_arguments_come_in_order_with_type_default_and_comment():
    assert (
        doc_of(FIT, "fit")
        == textwrap.dedent(
            """
        Train; raises `InputError` for
        bad input.

        Parameters
        ----------
        spec
            a Spec, or an estimator
        rows : Dataset | None
            to learn from
        *rest : int
            more
        backend : str, default 'torch'
            "torch" or "tensorflow"
        callbacks : Callable[[dict], bool], default print
            each gets a row
        epochs : default 3
            passes
        **words
            others

        Returns
        -------
        Model
            it predicts
        """
        ).strip()
    )


def test_the_code_and_its_comments_stay():
    lines, longer = FIT.strip().splitlines(), documented(FIT).splitlines()
    assert longer[:15] == lines[:15] and longer[-2:] == lines[-2:]


@pytest.mark.parametrize(
    "source, text",
    [
        ('def f(x, y):  # (n,), (n,) -> scalar\n    "Do."', "x, y\n    (n,), (n,) -> scalar"),
        ('# (n,) -> (n,)\ndef f(x):\n    "Do."', "x\n    (n,) -> (n,)"),
        ("def f(x) -> int: return 1  # rows", "Rows.\n\nParameters\n----------\nx"),
        ("def f() -> int: ...  # rows", "Rows.\n\nReturns\n-------\nint"),
        ('def f(x): return 1  # "a" or "b"', '"a" or "b".'),
        (
            'async def f(\n    a, b,  # both\n) -> None:\n    "Do."',
            "Do.\n\nParameters\n----------\na, b\n    both",
        ),
        (r"def f(x):  # a \d" + '\n    r"Find \\d."', "Find \\d.\n\nParameters"),
        (
            '@cache\n@other(1)\ndef f(\n    x,  # it\n):\n    "Do."\n    return 1',
            "Do.\n\nParameters\n----------\nx\n    it",
        ),
        ('def f(\n    x,  # one "word"\n):\n    "Do it"', 'one "word"'),
        ('def f(\n    x,  # noqa: E501\n    y,  # it\n):\n    "Do."', "x\ny\n    it"),
        (f'def f(\n    x,  # {"long " * 40}\n):\n    "Do."', "long long\n    long long"),
    ],
)
def test_signatures_of_every_shape(source, text):
    assert text in doc_of(source, "f")


@pytest.mark.parametrize(
    "source",
    [
        'def _private(\n    x,  # it\n):\n    "Do."',
        "def bare(x): return x",
        'class C:\n    def _private(\n        self,\n        x,  # it\n    ):\n        "Do."',
        'class _C:\n    def method(self, x):\n        "Do."',
        "class C(Base):\n    def override(self, x):\n        return x",
        '@app.command("run")\ndef run(\n    x,  # it\n):\n    "Run."',
        "@overload\ndef f(x: int) -> int: ...  # one\n",
        'class C(Error):\n    "A failure."',
        "# a comment\nX = 3  # rows",
    ],
)
def test_what_has_nothing_to_say_is_left_as_it_is(source):
    assert docments.document(source) == source


CLASSES = """
class Shape:
    "A shape."

    def __init__(
        self,
        size: int,  # in rows
    ):
        "Make one."

    def __call__(self, x: int) -> int:  # n
        "Ask."
        return x

    @property
    def area(self) -> float:  # rows squared
        return 1.0

    @property
    def name(self) -> str:  # a word
        "Give the name."
        return ""

    @classmethod
    def read(
        cls,
        path: str,  # of a file
    ) -> "Shape":  # as it was
        "Read one."

    @staticmethod
    def join(
        first,  # a shape
    ):
        "Join."

    def forward(
        self,
        x,  # (n,)
    ):
        "Override with words of its own."


@dataclass(frozen=True)
class _Base:
    "Base."

    rows: int  # one or more


@dataclass(frozen=True)
class Value(_Base):
    "A value."

    # of the text,
    # in characters
    width: int = 3
    cells: list = field(default_factory=list)  # in order
    seen: bool = field(default=False, init=False)  # not an argument
    LIMIT: ClassVar[int] = 3


class Heir(Value):
    "Nothing of its own."


class _Part:
    "A part of a public class."

    def total(
        self,
        scale: float,  # of the sum
    ) -> float:  # the sum
        "Add up."
"""


@pytest.mark.parametrize(
    "path, text",
    [
        (("Shape",), "A shape."),
        (("Shape", "__init__"), "Parameters\n----------\nsize : int\n    in rows"),
        (("Shape", "__call__"), "Parameters\n----------\nx : int\n    n\n\nReturns\n-------\nint"),
        (("Shape", "area"), "Rows squared."),
        (("Shape", "name"), "Give the name.\n\nReturns\n-------\nstr\n    a word"),
        (("Shape", "read"), "path : str\n    of a file\n\nReturns\n-------\nShape\n    as it was"),
        (("Shape", "join"), "first\n    a shape"),
        (("Shape", "forward"), "x\n    (n,)"),
        (("_Part", "total"), "scale : float\n    of the sum"),
        (("_Base",), "Base."),
    ],
)
def test_methods_and_properties(path, text):
    assert doc_of(CLASSES, *path).endswith(text) or text in doc_of(CLASSES, *path)


def test_a_dataclass_tells_its_fields_and_those_of_its_base():
    class Cell(dict):
        cell_type, directives_ = "code", {"export": ""}

    cell = Cell()
    cell.source = CLASSES
    notebook = type("Notebook", (), {"cells": [cell]})
    docments.Docments(notebook)(cell)
    docs = {node.name: ast.get_docstring(node) for node in ast.parse(cell.source).body}
    fields = """Parameters
----------
rows : int
    one or more
width : int, default 3
    of the text, in characters
cells : list
    in order"""
    assert docs["Value"] == f"A value.\n\n{fields}"
    assert docs["Heir"] == f"Nothing of its own.\n\n{fields}"


def test_nothing_but_docstrings_may_change():
    source = docments.Source("def f(x):  # it\n    return x")
    assert docments._bare(documented(FIT)) == docments._bare(FIT)
    assert docments._bare(source.with_edits([(2, 2, ["    return 2"])])) != docments._bare(
        source.text
    )


def test_a_second_pass_finds_the_same_code():
    once = documented(CLASSES)
    assert docments.document(CLASSES.strip()) == once and ast.parse(once)
