"""Figures have titles, units and intervals, and Chinese renders where a font is present."""
import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bigdata_ai import viz

RUNS = pd.DataFrame([{"n": n, "error": e * n**-0.5, "framework": f}
                     for n in (50, 100, 200) for e in (1.8, 2.0, 2.3) for f in ("torch", "tensorflow")])
HISTORY = [{"epoch": 1, "loss": 0.5, "validation_loss": 0.6}, {"epoch": 2, "loss": 0.3, "validation_loss": 0.5}]
FIGURES = {
    "class_balance": lambda **more: viz.class_balance([0, 0, 1], **more),
    "history": lambda **more: viz.history(HISTORY, **more),
    "confusion": lambda **more: viz.confusion([[5, 1], [0, 4]], **more),
    "learning_curve": lambda **more: viz.learning_curve(RUNS, by="framework", fits={"torch": (2, 0.5)}, **more),
}


@pytest.fixture(autouse=True)
def close_figures():
    plt.switch_backend("agg")
    yield
    plt.close("all")


def pixels(axes):
    buffer = io.BytesIO()
    axes.figure.savefig(buffer, format="raw")
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_a_figure_has_a_title_and_named_axes_and_leaves_settings_alone(draw):
    before = dict(plt.rcParams)
    axes = draw()
    assert axes.get_title(loc="left") and axes.get_xlabel() and axes.get_ylabel() and len(np.unique(pixels(axes))) > 10
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize("draw", FIGURES.values(), ids=FIGURES)
def test_chinese_renders_with_a_font_and_is_warned_of_without(draw):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pixels(draw(title="数据量与误差"))
    texts = [str(warning.message) for warning in caught]
    if viz.cjk_font() is None:
        assert any("fonts-noto-cjk" in text for text in texts)
    else:
        assert not any("missing from font" in text for text in texts), texts


def test_two_chinese_titles_are_two_pictures():
    "A font without the glyphs would draw the same boxes for both."
    if viz.cjk_font() is not None:
        assert (pixels(FIGURES["confusion"](title="数据")) != pixels(FIGURES["confusion"](title="标注"))).any()


def test_the_interval_of_the_learning_curve_is_the_t_interval():
    from bigdata_ai.experiment.claims import mean_interval
    runs = RUNS[RUNS["framework"] == "torch"]
    container = viz.learning_curve(runs).containers[0]
    drawn = container.lines[2][0].get_segments()
    for (n, errors), segment in zip(runs.groupby("n")["error"], drawn, strict=True):
        assert segment[:, 0] == pytest.approx([n, n]) and sorted(segment[:, 1]) == pytest.approx(mean_interval(errors)[1:])
