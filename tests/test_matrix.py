"""Types of columns, names of columns and awkward files at every door: right, noted or refused.

The whole is in `nbs/pages/matrix_*.md`, which `make pages` writes; a covering part of it is made
again here, all of it by the slow tests.
"""

import re
import subprocess
import sys

import matrix
import pytest

DOORS, TYPES = list(matrix.DOORS), list(matrix.TYPES)
STEP = 11  # of the cells that are made in the quick suite


def page(name):
    "The signs of a page: row -> one sign a column."
    text = (matrix.PAGES / f"matrix_{name}.md").read_text(encoding="utf-8")
    return text, dict(re.findall(r"^\| (.+) \| `([rnxW-]+)` \|$", text, re.MULTILINE))


def covering(rows, columns):
    return [
        (i, j) for i in range(len(rows)) for j in range(len(columns)) if (i * 7 + j) % STEP == 0
    ]


def differing(name, rows, cells, made):
    "Cells that are wrong, or other than the page says."
    signs = page(name)[1]
    found = {(rows[i], DOORS[j]): made(i, j) for i, j in cells}
    return {
        cell: told
        for (cell, told), (i, j) in zip(found.items(), cells, strict=True)
        if told[0] == "wrong" or matrix.SIGNS[told[0]] != signs[rows[i].replace("|", r"\|")][j]
    }


def type_cell(i, j):
    return matrix.outcome(TYPES[i], DOORS[j])


def name_cell(i, j):
    return matrix.called(matrix.NAMES[i], matrix.PLAIN_KINDS[(i + j) % 4], DOORS[j])


def test_types_at_doors_are_right_noted_or_refused():
    cells = covering(TYPES, DOORS)
    assert {i for i, _ in cells} == set(range(len(TYPES)))
    assert {j for _, j in cells} == set(range(len(DOORS)))
    assert differing("types", TYPES, cells, type_cell) == {}


def test_names_at_doors_are_right_noted_or_refused():
    assert differing("names", matrix.NAMES, covering(matrix.NAMES, DOORS), name_cell) == {}


@pytest.mark.parametrize("what", matrix.FILES)
def test_awkward_files_are_right_noted_or_refused(what):
    word, text = matrix.file_outcome(what)
    assert word != "wrong", text
    assert f"| {what} | {word} |" in page("files")[0]


@pytest.mark.parametrize("name", ["types", "names", "files"])
def test_pages_count_what_they_show_and_nothing_is_wrong(name, capsys):
    text, rows = page(name)
    counted = text.splitlines()[2]
    with capsys.disabled():
        print(f"\n{name}: {counted}")
    assert ", 0 wrong." in counted
    if rows:
        assert counted == matrix.counts("".join(rows.values())) + "."
    else:
        words = re.findall(r"^\| .+ \| (right|noted|refused|none|wrong) \|", text, re.MULTILINE)
        assert counted == matrix.counts("".join(matrix.SIGNS[word] for word in words)) + "."


@pytest.mark.slow
def test_pages_are_up_to_date(tmp_path):
    "All cells, made anew."
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]); import matrix; from pathlib import Path;"
        "matrix.PAGES = Path(sys.argv[2]); matrix.write_pages()"
    )
    folder = matrix.PAGES.parent.parent / "tests"
    subprocess.run([sys.executable, "-c", program, folder, tmp_path], check=True)
    for made in tmp_path.iterdir():
        assert made.read_text() == (matrix.PAGES / made.name).read_text(), made.name
