"""Figures have titles, units and intervals, and Chinese renders where a font is present."""

import io
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from bigdata_ai import viz
from bigdata_ai.core import InputError

RUNS = pd.DataFrame(
    [
        {"n": n, "error": e * n**-0.5, "framework": f}
        for n in (50, 100, 200)
        for e in (1.8, 2.0, 2.3)
        for f in ("torch", "tensorflow")
    ]
)
HISTORY = [
    {"epoch": 1, "loss": 0.5, "validation_loss": 0.6},
    {"epoch": 2, "loss": 0.3, "validation_loss": 0.5},
]
HOLES = pd.DataFrame(
    {"a": np.arange(60.0), "b": np.where(np.arange(60) % 3, np.arange(60.0) ** 2, np.nan)}
)
FIGURES = {
    "class_balance": lambda **more: viz.class_balance([0, 0, 1], **more),
    "history": lambda **more: viz.history(HISTORY, **more),
    "confusion": lambda **more: viz.confusion([[5, 1], [0, 4]], **more),
    "missing_bar": lambda **more: viz.missing_bar(HOLES.isna().mean(), **more),
    "missing_matrix": lambda **more: viz.missing_matrix(HOLES, **more),
    "distribution": lambda **more: viz.distribution(HOLES["b"], unit="mm", **more),
    "correlations": lambda **more: viz.correlations(HOLES.corr(), **more),
    "relation": lambda **more: viz.relation(HOLES["a"], HOLES["b"], **more),
    "drift": lambda **more: viz.drift(
        pd.DataFrame({"column": ["a", "b"], "js": [0.4, 0.1], "js_floor": [0.1, 0.2]}), **more
    ),
    "learning_curve": lambda **more: viz.learning_curve(
        RUNS, by="framework", fits={"torch": (2, 0.5)}, **more
    ),
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
    assert (
        axes.get_title(loc="left")
        and axes.get_xlabel()
        and axes.get_ylabel()
        and len(np.unique(pixels(axes))) > 10
    )
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
        assert (
            pixels(FIGURES["confusion"](title="数据")) != pixels(FIGURES["confusion"](title="标注"))
        ).any()


def test_the_interval_of_the_learning_curve_is_the_t_interval():
    from bigdata_ai.estimates import mean_interval

    runs = RUNS[RUNS["framework"] == "torch"]
    container = viz.learning_curve(runs).containers[0]
    drawn = container.lines[2][0].get_segments()
    for (n, errors), segment in zip(runs.groupby("n")["error"], drawn, strict=True):
        assert segment[:, 0] == pytest.approx([n, n]) and sorted(segment[:, 1]) == pytest.approx(
            mean_interval(errors)[1:]
        )


def test_the_bars_are_the_shares_and_show_the_columns_with_the_most():
    shares = pd.Series({f"c{i}": i / 40 for i in range(40)})
    ax = viz.missing_bar(shares, most=5)
    assert [bar.get_width() for bar in ax.patches] == pytest.approx(
        [97.5, 95, 92.5, 90, 87.5], rel=1e-9
    )
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "c39",
        "c38",
        "c37",
        "c36",
        "c35",
    ]
    assert "5 of 40" in ax.get_title(loc="left")
    with pytest.raises(InputError, match="0 … 1"):
        viz.missing_bar(pd.Series({"a": 40}))


def test_the_matrix_is_dark_where_values_are_missing():
    holes = pd.DataFrame({"a": np.ones(1000), "b": np.where(np.arange(1000) < 500, np.nan, 1.0)})
    cells = viz.missing_matrix(holes, blocks=10).collections[0].get_array()
    assert np.asarray(cells).tolist() == [[0, 100]] * 5 + [[0, 0]] * 5


def test_an_axis_that_is_cut_says_so_and_counts_all():
    values = np.append(np.random.default_rng(0).normal(size=1000), 1e6)
    ax = viz.distribution(values, unit="metres")
    assert (
        ax.get_xlim()[1] < 10 and "lie outside" in ax.get_xlabel() and "metres" in ax.get_xlabel()
    )
    assert "n = 1,001" in ax.get_title(loc="left")
    assert "lie outside" not in viz.distribution(values[:1000]).get_xlabel()


@pytest.mark.parametrize(
    "values, drawn",
    [
        ([], 0),
        ([None, None], 0),
        ([np.nan, np.inf], 0),
        ([5, 5, 5], 1),
        ([True, False, None], 2),
        (["甲", "乙", "甲"], 2),
        ([1, 2, 2, 4], 3),
        (list("abcdefghijkl") * 2, 9),
        (pd.date_range("2024-01-01", periods=50, tz="Asia/Shanghai"), 30),
        (pd.array([1, None], dtype="Int64"), 1),
        (["好" * i for i in range(1, 60)], 30),
        (pd.to_timedelta([1, 2], unit="h"), 2),
    ],
    ids=str,
)
def test_every_kind_of_column_has_its_picture(values, drawn):
    ax = viz.distribution(values)
    pixels(ax)
    assert len(ax.patches) == drawn


def test_distributions_stand_side_by_side():
    axes = viz.distributions(
        pd.DataFrame({f"列 {i}": np.arange(30) for i in range(14)}), most=6, across=3
    )
    assert (
        len(axes) == 6
        and axes[0].figure._suptitle.get_text().endswith("6 of 14 columns)")
        and axes[5].get_title(loc="left") == "列 5"
    )
    assert len(viz.distributions(pd.DataFrame())) == 0


def test_correlations_keep_the_strongest_and_say_how_many():
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(200, 30))).rename(
        columns=lambda i: f"c{i}"
    )
    data["c7"] = data["c19"] + 0.01 * data["c7"]
    ax = viz.correlations(data.corr(), most=2)
    assert [label.get_text() for label in ax.get_yticklabels()] == [
        "c7",
        "c19",
    ] and "2 of 30" in ax.get_title(loc="left")
    assert (
        viz.correlations(pd.DataFrame(index=["a"], columns=["a"], data=[[1.0]]))
        .texts[0]
        .get_text()
        .startswith("no two")
    )


def test_many_rows_are_counted_and_few_are_points():
    few, many = (
        viz.relation(range(50), range(50)),
        viz.relation(np.random.default_rng(0).normal(size=900), np.arange(900)),
    )
    assert (
        len(few.collections[0].get_offsets()) == 50
        and int(many.collections[0].get_array().sum()) == 900
    )


def test_drift_is_coloured_by_its_floor():
    ax = FIGURES["drift"]()
    orange, grey = (bar.get_facecolor() for bar in ax.patches[:2])
    assert orange != grey and [bar.get_width() for bar in ax.patches[:2]] == [0.4, 0.1]


@pytest.mark.parametrize(
    "name, most, shown",
    [
        ("short", 22, "short"),
        ("一二三四五六七八九十甲乙", 12, "一二三…甲乙"),
        ("column_of_numbers_17", 12, "column_…s_17"),
        ("a\n  b", 9, "a b"),
        ("$x$", 9, r"\$x\$"),
    ],
)
def test_names_are_cut_in_the_middle(name, most, shown):
    assert viz.short(name, most) == shown


@pytest.mark.parametrize(
    "draw",
    [
        lambda names: viz.class_balance(np.array(names)),
        lambda names: viz.confusion(np.eye(3, dtype=int), names),
        lambda names: viz.history(dict.fromkeys(names, [{"epoch": 1, "loss": 1.0}])),
    ],
)
def test_dollars_in_names_are_no_mathematics(draw):
    ax = draw(["$\\frac{", "a$b$c", "$"])
    ax.figure.canvas.draw()
    texts = [*ax.get_xticklabels(), *(ax.get_legend().get_texts() if ax.get_legend() else ())]
    assert any(text.get_text() == r"a\$b\$c" for text in texts)
