"""Chapter 02: answers to its exercises, and its flow charts."""

import json
from pathlib import Path

import numpy as np
import pytest
from judging import Judged

import bigdata_ai
from bigdata_ai.core import InputError
from bigdata_ai.course import ch02
from bigdata_ai.course.ch02 import ARCHITECTURE, CONCEPTS, ENGLISH, draw_chart, read_chart
from bigdata_ai.course.exercise import Exercise

EXERCISES = {name: value for name, value in vars(ch02).items() if isinstance(value, Exercise)}
CHAPTER = Path(bigdata_ai.__file__).parent.parent / "nbs" / "course" / "02_the_whole_pipeline.ipynb"


def possible(order, arrows):
    return all(a in order and b in order and order.index(a) < order.index(b) for a, b in arrows)


ANSWERS = {
    "possible": {
        "right": [
            possible,
            lambda order, arrows: np.bool_(possible(order, arrows)),
            ("torch", lambda torch: lambda order, arrows: torch.tensor(possible(order, arrows))),
            ("tensorflow", lambda tf: lambda order, arrows: tf.constant(possible(order, arrows))),
        ],
        "wrong": [
            (
                lambda order, arrows: all(
                    pair in arrows for pair in zip(order, order[1:], strict=False)
                ),
                "store is missing",
            ),
            (lambda order, arrows: True, "points backward"),
            (
                lambda order, arrows: possible(
                    order, [(a, b) for a, b in arrows if a in order and b in order]
                ),
                "store is missing",
            ),
            (
                lambda order, arrows: all(order.index(a) < order.index(b) for a, b in arrows),
                "ValueError",
            ),
            (lambda order, arrows: order == [a for a, _ in arrows], "every arrow points forward"),
            (lambda order, arrows: "yes", "True or False"),
            (True, "must be the function possible"),
        ],
    },
    "learnable": {
        "right": [
            lambda ids, parents, sealed: (
                ~np.isin(ids, list(sealed)) & ~np.isin(parents, list(sealed))
            ),
            (
                "torch",
                lambda torch: (
                    lambda ids, parents, sealed: (
                        ~torch.isin(torch.as_tensor(parents), torch.tensor(list(sealed)))
                    )
                ),
            ),
            (
                "tensorflow",
                lambda tf: (
                    lambda ids, parents, sealed: tf.constant(
                        [int(p) not in sealed for p in parents]
                    )
                ),
            ),
        ],
        "wrong": [
            (lambda ids, parents, sealed: ~np.isin(ids, list(sealed)), "look at its parent"),
            (
                lambda ids, parents, sealed: np.isin(parents, list(sealed)),
                "must not be learnt from",
            ),
            (lambda ids, parents, sealed: ids != ids, "may be learnt from"),
            (
                lambda ids, parents, sealed: [i for i in ids if i not in sealed],
                "one True or False a row",
            ),
        ],
    },
}


class TestAnswers(Judged):
    EXERCISES, ANSWERS = EXERCISES, ANSWERS


def test_the_chapter_shows_both_charts_as_the_article_prints_them():
    cells = json.loads(CHAPTER.read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for chart in (CONCEPTS, ARCHITECTURE):
        assert f"```mermaid\n{chart}\n```" in text
    assert len(read_chart(CONCEPTS)[1]) == 10 and len(read_chart(ARCHITECTURE)[1]) == 11
    assert ENGLISH.keys() == {
        label for chart in (CONCEPTS, ARCHITECTURE) for label in read_chart(chart)[0].values()
    }


def test_a_chart_is_drawn_with_every_box_and_arrow_in_rows():
    from matplotlib import pyplot as plt
    from matplotlib.text import Annotation

    drawn = draw_chart(ARCHITECTURE, ENGLISH, "whole")
    texts = drawn.axes[0].texts
    boxes = {
        text.get_text().split("\n")[0]: text.get_position()
        for text in texts
        if not isinstance(text, Annotation)
    }
    labels, arrows = read_chart(ARCHITECTURE)
    assert boxes.keys() == set(labels.values()) and sum(
        isinstance(text, Annotation) for text in texts
    ) == len(arrows)
    assert all(boxes[labels[a]][1] > boxes[labels[b]][1] for a, b in arrows) and len(
        set(boxes.values())
    ) == len(boxes)
    plt.close(drawn)


@pytest.mark.parametrize(
    "text, message",
    [
        ("graph LR\nA --> B", "begin with graph TB"),
        ("graph TB\nA -> B", "an arrow between two boxes"),
        ("graph TB\nA --> B\nB --> A", "no circle"),
    ],
)
def test_a_chart_that_is_not_understood_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        draw_chart(text)
