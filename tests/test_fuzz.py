"""Parsers of the kit's own give a value or an error of the kit, of 300 texts each; `make fuzz` tries more."""

import json

import fuzz
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["", "a", "n", "../x", "\ud800", "Missing", "WRITE", "1e-3", 2**63, [], {}]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=6), inner, max_size=4)
    ),
    max_leaves=12,
)


def paths(value, way=()):
    "All places inside a value."
    yield way
    for key in (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield from paths(value[key], (*way, key))


def put(value, way, new):
    "A value with another one at a place; nothing there where that is Ellipsis."
    if not way:
        return new
    head, rest = way[0], way[1:]
    copy = value.copy()
    if not rest and new is ...:
        del copy[head]
    else:
        copy[head] = put(value[head], rest, new)
    return copy


@st.composite
def damaged(draw, name):
    "A good text of a parser with damage in one to three places: of its bytes, or of its values where it is JSON."
    text = draw(st.sampled_from(fuzz.SEEDS[name]))
    try:
        rows = [json.loads(line) for line in text.splitlines() if line]
    except ValueError:
        rows = None
    if rows is not None and draw(st.booleans()):
        for _ in range(draw(st.integers(1, 3))):
            i = draw(st.integers(0, len(rows) - 1))
            way = draw(st.sampled_from([*paths(rows[i])]))
            rows[i] = put(rows[i], way, draw(VALUES | st.just(...)) if way else draw(VALUES))
        return "\n".join(map(json.dumps, rows)).encode() + b"\n"
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(text)))
        end = draw(st.integers(start, min(len(text), start + 12)))
        text = (
            text[:start]
            + draw(st.binary(max_size=6) | st.text(max_size=6).map(encoded))
            + text[end:]
        )
    return text


def encoded(text):
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("name", fuzz.PARSERS)
def test_a_parser_gives_a_value_or_an_error_of_the_kit(name):
    @seed(18)
    @settings(
        max_examples=300, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        damaged(name)
        | st.binary(max_size=40)
        | VALUES.map(lambda value: json.dumps(value).encode())
    )
    def ask(content):
        fuzz.PARSERS[name](content)

    ask()
    assert [fuzz.PARSERS[name](text) for text in fuzz.SEEDS[name]]
