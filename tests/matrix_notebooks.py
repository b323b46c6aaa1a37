"""Shapes of people's own notebooks at `run`, `sweep` and plain papermill, which is the reference.

*right*: what papermill gives, or an error of a cell told as one; *refused*: an error of the kit that
says what to do; *wrong*: anything else, such as a result where papermill has none.
"""

import json
import os
import re
import tempfile
from contextlib import contextmanager
from pathlib import Path

import matrix
import papermill

from bigdata_ai.core import BigDataError
from bigdata_ai.experiment.run import run
from bigdata_ai.experiment.sweep import sweep

PYTHON = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}


def cell(source, tags=(), kind="code", **more):
    made = {"cell_type": kind, "source": source, "metadata": {"tags": list(tags)} if tags else {}}
    return made | ({"outputs": [], "execution_count": None} if kind == "code" else {}) | more


def book(*cells, metadata=PYTHON, minor=5):
    "A notebook as JSON; a text is a code cell, the first of them holds the parameters."
    cells = [
        cell(one, ["parameters"] if i == 0 else []) if isinstance(one, str) else one
        for i, one in enumerate(cells)
    ]
    if minor == 5:
        cells = [one | {"id": f"c{i}"} for i, one in enumerate(cells)]
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": minor}


def old(source):
    made = cell(source, ["parameters"]) | {
        "input": source,
        "language": "python",
        "collapsed": False,
    }
    del made["source"], made["execution_count"]
    show = {**made, "input": "print(n)", "metadata": {}}
    sheet = {"cells": [made, show]}
    return {"worksheets": [sheet], "metadata": {}, "nbformat": 3, "nbformat_minor": 0}


OUTPUT = {"output_type": "stream", "name": "stdout", "text": "old"}
R = {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}}
LOST = {"kernelspec": {"name": "conda-lost", "display_name": "x", "language": "python"}}
# shape -> notebook; each is given n=4 and prints what the last cell makes of it
SHAPES = {
    "a plain one": book("n = 1", "print(n)"),
    "no parameters cell": book(cell("m = 1"), "print(n)"),
    "two parameters cells": book("n = 1", cell("n = 2", ["parameters"]), "print(n)"),
    "comments": book("# of rows\nn = 1  # one of: 1, 4", "print(n)"),
    "annotated": book("n: int = 1", "print(n)"),
    "over several lines": book("m = [\n    1,\n]\nn = (\n    1\n)", "print(n, m)"),
    "list and dict defaults": book("n = 1\na = [1, 'x']\nb = {'k': [2]}", "print(n, a, b)"),
    "an expression": book("n = 2 * 3", "print(n)"),
    "None": book("n = None", "print(n)"),
    "a cell that raises": book("n = 1", "print(n)", "1 / 0"),
    "display": book(
        "n = 1", "from IPython.display import display, HTML\ndisplay(HTML('<b>'), n)", "print(n)"
    ),
    "magics": book("n = 1", "%matplotlib inline\n!echo {n}", "print(n)"),
    "bash": book("n = 1", "%%bash\necho hello", "print(n)"),
    "Chinese": book("n = 1\n学习率 = 0.1", "print(n, 学习率, '中')"),
    "no ids": book("n = 1", "print(n)", minor=4),
    "format 3": old("n = 1"),
    "R": book("n <- 1", "print(n)", metadata=R),
    "a kernel that is not there": book("n = 1", "print(n)", metadata=LOST),
    "a raw cell tagged": book(cell("n = 1", ["parameters"], "raw"), "n = 1", "print(n)"),
    "a markdown cell tagged": book(cell("n = 1", ["parameters"], "markdown"), "n = 1", "print(n)"),
    "empty": book(),
    "no metadata": book("n = 1", "print(n)", metadata={}),
    "outputs stored": book("n = 1", cell("print(n)", outputs=[OUTPUT], execution_count=9)),
    "exit()": book("n = 1", "exit()", "print(n)"),
    "standard input": book("n = 1", "input('name? ')", "print(n)"),
    "another working directory": book("n = 1", "import os\nos.chdir('/')", "print(n, os.getcwd())"),
    "a kernel that dies": book("n = 1", "import os\nos._exit(1)", "print(n)"),
}
PATHS = {"Chinese": "笔记 一.ipynb", "comments": "my own, book (1).ipynb"}


def printed(path):
    "What the cells of an executed notebook print."
    cells = json.loads(Path(path).read_text(encoding="utf-8"))["cells"]
    outputs = [one for each in cells for one in each.get("outputs", [])]
    texts = ["".join(one["text"]) for one in outputs if one.get("name") == "stdout"]
    return "".join(texts)


def by_papermill(source, folder, kernel=None):
    target = folder / "executed.ipynb"
    which = {"kernel_name": kernel, "language": kernel and "python"}
    papermill.execute_notebook(str(source), str(target), {"n": 4}, progress_bar=False, **which)
    return target


def by_papermill_here(source, folder):
    "The same in the kernel of this Python, where the notebook names none or one that is not there."
    return by_papermill(source, folder, "python3")


def by_sweep(source, folder):
    row = sweep(source, {"n": [4]}, 1, folder / "runs", show_progress=False).iloc[0]
    if row["error"]:
        raise CellError(row["error"])
    return Path(row["folder"], "executed.ipynb")


def by_run(source, folder):
    made = run(source, {"n": 4}, ["torch"], run_id="one", show_progress=False)
    (executed,) = Path(made).glob("**/*.ipynb")
    return executed


class CellError(Exception):
    "What the table of a sweep says of a run."


DOORS = {"run": by_run, "sweep": by_sweep, "papermill": by_papermill, "here": by_papermill_here}


@contextmanager
def place(shape):
    "A folder with the notebook in it, where runs are kept too."
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "my work")
        folder.mkdir()
        source = folder / PATHS.get(shape, "own.ipynb")
        source.write_text(json.dumps(SHAPES[shape], ensure_ascii=False), encoding="utf-8")
        before = os.environ.get("BIGDATA_AI_RUNS")
        os.environ["BIGDATA_AI_RUNS"] = str(folder / "kept")
        try:
            yield source, folder
        finally:
            os.environ.pop("BIGDATA_AI_RUNS")
            if before is not None:
                os.environ["BIGDATA_AI_RUNS"] = before


def tried(shape, door):
    "(what is printed or None, what is said, whether the kit says it)."
    with place(shape) as (source, folder):
        try:
            return printed(DOORS[door](source, folder)), "", True
        except Exception as error:
            text = re.sub(r"\S*/my work/", "", " ".join(str(error).split()))
            own = isinstance(error, (BigDataError, CellError))
            return None, f"{type(error).__name__}: {text}", own


def outcome(shape, door, reference):
    "One cell, beside what papermill gave."
    got, said, own = tried(shape, door)
    if got is not None:
        return ("right" if got == reference else "wrong", got.strip())
    # what a cell raises is its own affair
    hinted = matrix.says_what_to_do(said) or said.startswith("CellError") and reference is None
    return ("refused" if own and hinted else "wrong", said)


def row(shape):
    got, said, _ = tried(shape, "papermill")
    reference = got if got is not None else tried(shape, "here")[0]
    cells = {door: outcome(shape, door, reference) for door in ("run", "sweep")}
    return cells | {"papermill": ("right" if got is not None else "refused", said or got.strip())}


def page(shapes=SHAPES):
    made = {shape: row(shape) for shape in shapes}
    signs = "".join(matrix.SIGNS[word] for cells in made.values() for word, _ in cells.values())
    body = "\n".join(
        f"| {shape} | {door} | {word} | {matrix.printable(text)[:160].replace('|', '')} |"
        for shape, cells in made.items()
        for door, (word, text) in cells.items()
    )
    return (
        f"# Shapes of own notebooks\n\n{matrix.counts(signs)}.\n\n| shape | door | outcome |"
        f" what is said or printed |\n|---|---|---|---|\n{body}\n"
    )


def write_page():
    (matrix.PAGES / "matrix_notebooks.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write_page()
