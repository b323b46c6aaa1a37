"""Types of Spark at every family of doors, and names of columns that Spark reads in a way of its own."""

import matrix
import pytest
from test_matrix import page

# one session of this process; skipped where there is no Spark
spark = pytest.importorskip("matrix_spark")
TYPES, DOORS = list(spark.TYPES), list(spark.DOORS)
# cells of the quick suite: each type once, and each family
COVERING = [(i, (3 * i + 1) % len(DOORS)) for i in range(len(TYPES))]


def differing(cells):
    signs, found = page("spark")[1], {}
    for i, j in cells:
        word, text = spark.outcome(TYPES[i], DOORS[j])
        if word == "wrong" or matrix.SIGNS[word] != signs[TYPES[i]][j]:
            found[TYPES[i], DOORS[j]] = word, text
    return found


def test_types_of_spark_are_right_noted_or_refused():
    assert {j for _, j in COVERING} == set(range(len(DOORS)))
    assert differing(COVERING) == {}


@pytest.mark.slow
def test_all_types_of_spark_at_all_families():
    assert differing([(i, j) for i in range(len(TYPES)) for j in range(len(DOORS))]) == {}


def test_the_page_counts_what_it_shows_and_nothing_is_wrong():
    text, rows = page("spark")
    counted = text.splitlines()[2]
    assert ", 0 wrong." in counted and counted == matrix.counts("".join(rows.values())) + "."


@pytest.mark.parametrize("name", ["a.b", "a`b", "two words"])
@pytest.mark.parametrize("door", ["to_pandas", "summarize"])
def test_names_on_spark_are_right_or_refused(name, door):
    word, text = spark.called(name, door)
    free = door == "to_pandas" or name == "two words"
    assert word == ("right" if free else "refused"), text


@pytest.mark.slow
def test_all_names_at_all_families():
    found = {(n, d): spark.called(n, d) for n in matrix.NAMES for d in DOORS}
    assert {cell: told for cell, told in found.items() if told[0] == "wrong"} == {}


def test_so_many_rows_are_drawn_as_were_asked_for():
    "Spark's own `sample` draws about as many."
    frame = spark.TYPES["long"]()
    for seed in range(2):
        drawn = spark.frames.sample_rows(frame, 20, seed)
        assert len(drawn) == 20 and drawn["id"].is_unique
    again = spark.frames.sample_rows(frame, 20, 1)
    assert sorted(again["id"]) == sorted(drawn["id"])
