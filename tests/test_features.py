"""Features: the same numbers on every engine, fitted on training rows only, no row's own target in
its encoding."""

import json

import hypothesis.strategies as st
import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd
import polars as pl
import pytest
from engines import LOCAL, rows
from hypothesis import given, settings
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, RobustScaler, StandardScaler

from bigdata_ai.core import InputError, SealedTestError, rng
from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Missing, Text
from bigdata_ai.data.prepare.features import DateParts, Encoder, OneHot, Ordinal, Pieces, Prepared
from bigdata_ai.data.prepare.features import Scale
from bigdata_ai.data.prepare.features import TargetEncoding, dataset
from bigdata_ai.data.frames import engine_of, to_pandas
from bigdata_ai.data.split import split
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import mlp

RULES = [
    Scale("x"),
    Scale("y", "robust"),
    Scale("z", "quantile"),
    OneHot("town", top=2),
    Ordinal("town"),
    Pieces("text", size=4),
    Pieces("words", unit="word", size=3),
    DateParts("day", ("month", "weekday", "year", "hour")),
    TargetEncoding("town", target="good", key="id", folds=2, smoothing=2),
]
FRAME = pd.DataFrame(
    {
        "id": range(8),
        "x": [1.0, 2, 3, 4, 5, 6, 7, 100],
        "y": [5, 3, 8, 1, 9, 2, 2, 2],
        "z": [0.0, 0, 0, 1, 2, 3, 4, 5],
        "town": ["北京", "rome", "rome", None, "b.c", "北京", "rome", "oslo`"],
        "text": ["很好看", "好看", None, "差", "太差了", "不好", "", "好"],
        "words": ["late  flight", "flight", "on time", None, "late", "", "flight late", "time"],
        "good": [1, 1, 0, 0, 0, 0, 1, 1],
        "day": pd.to_datetime(
            [
                "2024-02-29",
                "2024-12-31 23:59",
                "1999-01-01",
                "2000-06-30",
                "2024-03-01",
                "2023-07-04",
                "2024-01-01",
                "2010-10-10",
            ],
            format="mixed",
        ),
    }
)


@pytest.mark.parametrize("engine", LOCAL)
def test_the_same_kind_and_the_same_numbers(engine):
    reference, encoder = Encoder(RULES, keep=["id"]), Encoder(RULES, keep=["id"])
    expected, made = reference.fit_transform(FRAME), encoder.fit_transform(LOCAL[engine](FRAME))
    assert engine_of(made) == engine and encoder.names_ == reference.names_
    assert rows(made, "id") == rows(expected, "id") and list(rows(made)[0]) == [
        "id",
        *encoder.names_,
    ]
    new = FRAME.assign(town="unseen", x=-1e6, text="好", id=FRAME["id"] + 100).drop(columns="good")
    assert rows(encoder.transform(LOCAL[engine](new)), "id") == rows(reference.transform(new), "id")
    again = Encoder.from_dict(json.loads(json.dumps(encoder.to_dict())))
    assert rows(again.transform(LOCAL[engine](new)), "id") == rows(reference.transform(new), "id")


columns = st.lists(st.floats(-1e4, 1e4).map(lambda x: round(x, 3)), min_size=2, max_size=40)


@pytest.mark.parametrize(
    "how, theirs",
    [
        ("standard", StandardScaler()),
        ("minmax", MinMaxScaler()),
        ("robust", RobustScaler()),
        ("quantile", QuantileTransformer(n_quantiles=33)),
    ],
)
@settings(max_examples=25, deadline=None)
@given(values=columns)
def test_scaling_is_scikit_learns(how, theirs, values):
    values = [*values, *([0.5] * (33 - len(values)))] if how == "quantile" else values
    frame = pd.DataFrame({"x": values})
    made = Encoder([Scale("x", how)]).fit_transform(frame)["x"].to_numpy()
    # at repeated knots a value stands at the upper end here and in the middle there
    if how == "quantile":
        unique = np.array([values.count(value) == 1 for value in values])
        np.testing.assert_allclose(made[unique], theirs.fit_transform(frame)[unique, 0], atol=1e-9)
        assert (
            (np.diff(made[np.argsort(values, kind="stable")]) >= -1e-12).all()
            and made.min() >= 0
            and made.max() <= 1 + 1e-12
        )
    else:
        np.testing.assert_allclose(made, theirs.fit_transform(frame)[:, 0], rtol=1e-9, atol=1e-7)


def test_a_row_of_its_own_does_not_know_its_target():
    """Every plate flies once or twice: encoding with its own row predicts a coin flip, out of fold
    it does not."""
    generator, inner, outer = rng(0, "coin"), [], []
    for seed in range(10):
        frame = pd.DataFrame(
            {
                "id": np.arange(600) + 10_000 * seed,
                "plate": [f"N{i % 400}" for i in range(600)],
                "y": generator.integers(0, 2, 600),
            }
        )
        rule = TargetEncoding("plate", target="y", smoothing=1)
        outer.append(
            np.corrcoef(Encoder([rule]).fit_transform(frame)["plate_mean"], frame["y"])[0, 1]
        )
        inner.append(
            np.corrcoef(Encoder([rule]).fit(frame).transform(frame)["plate_mean"], frame["y"])[0, 1]
        )
    assert min(inner) > 0.5 and abs(np.mean(outer)) < 0.08 and max(outer) < 0.2


def test_changing_a_rows_target_changes_only_other_folds():
    encoder = Encoder([TargetEncoding("town", target="good", key="id", folds=2, smoothing=1)])
    before = encoder.fit_transform(FRAME)["town_mean"].to_numpy()
    for row in range(len(FRAME)):
        changed = FRAME.assign(good=np.where(FRAME.index == row, 1 - FRAME["good"], FRAME["good"]))
        after = encoder.fit_transform(changed)["town_mean"].to_numpy()
        assert after[row] == before[row]


def test_the_smoothed_mean_is_the_stated_one():
    frame = pd.DataFrame({"id": range(4), "g": list("aabb"), "y": [1, 0, 1, 1]})
    made = (
        Encoder([TargetEncoding("g", target="y", smoothing=2)])
        .fit(frame)
        .transform(frame)["g_mean"]
        .tolist()
    )
    assert made == [(1 + 2 * 0.75) / 4] * 2 + [(2 + 2 * 0.75) / 4] * 2


def test_unseen_rare_and_missing_categories():
    encoder = Encoder([OneHot("town", top=1), Ordinal("town")]).fit(FRAME)
    made = encoder.transform(pl.DataFrame({"town": ["rome", "paris", None]}))
    assert made.rows() == [(1.0, 0.0, 0.0, 2.0), (0.0, 1.0, 0.0, -1.0), (0.0, 0.0, 1.0, -1.0)]
    without = Encoder([OneHot("town")]).fit(FRAME.dropna(subset="town"))
    assert not any("gap" in name for name in without.names_)


kept_kinds = st.sampled_from(
    ["str", "object", "int64", "Int64", "float64", "bool", "boolean", "category", "string"]
)


@settings(max_examples=60, deadline=None)
@given(
    kept_kinds,
    st.lists(st.sampled_from([0, 1, 2, None]), min_size=1, max_size=12).filter(
        lambda drawn: set(drawn) != {None}
    ),
)
def test_the_short_way_in_pandas_gives_what_the_rule_says(dtype, drawn):
    """One-hot columns of each of pandas' types, with gaps where the type has them, and with
    categories that training did not see."""
    holds = {
        "int64": lambda i: i or 0,
        "bool": lambda i: bool(i),
        "float64": lambda i: i,
        "Int64": lambda i: i,
        "boolean": lambda i: None if i is None else bool(i),
    }.get(dtype, lambda i: None if i is None else "abc"[i])
    frame = pd.DataFrame(
        {"x": pd.array([holds(i) for i in drawn], dtype=dtype), "y": range(len(drawn))},
        index=range(9, 9 + len(drawn)),
    )
    encoder = Encoder([OneHot("x", top=2)], keep=["y"]).fit(
        frame.iloc[:6].dropna() if frame.iloc[:6]["x"].notna().any() else frame
    )
    rule, learnt = encoder.rules[0], encoder.learnt_[0]
    said = nw.from_native(frame).select(**rule.values(learnt, {"x": ""})).to_native()
    made = encoder.transform(frame)
    assert list(made.index) == list(frame.index) and list(made.columns) == ["y", *encoder.names_]
    np.testing.assert_array_equal(made[encoder.names_].to_numpy(float), said.to_numpy(float))


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Scale("x", "z"), "`how` must be one of"),
        (lambda: OneHot("x", top=0), "top must be"),
        (lambda: TargetEncoding("x", folds=1), "folds"),
        (lambda: DateParts("x", ("weekend",)), "did you mean 'weekday'"),
        (lambda: Pieces("x", unit="token"), "unit"),
        (lambda: Encoder([Scale("town")]).fit(FRAME), "clean.Number reads text"),
        (lambda: Encoder([DateParts("town")]).fit(FRAME), "clean.Date reads text"),
        (
            lambda: Encoder([TargetEncoding("town", target="word")]).fit(FRAME),
            "column of numbers in the training rows",
        ),
        (lambda: Encoder([OneHot("town", least=9)]).fit(FRAME), "at least 9 rows"),
        (lambda: Encoder([Missing("x")]), "must be made of"),
        (
            lambda: Encoder(
                [TargetEncoding("town", "good", "id"), TargetEncoding("words", "good", "x")]
            ).fit(FRAME),
            "by the same key",
        ),
        (
            lambda: Encoder([Scale("x"), Scale("x", "robust")]).fit_transform(FRAME),
            "\\['x'\\] made twice",
        ),
        (lambda: Encoder([Scale("x")]).transform(FRAME), "must be fitted first"),
        (lambda: Prepared(None, 3), "must have transform"),
    ],
)
def test_bad_rules_are_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


def test_gaps_and_lost_rows_are_named_before_training():
    train, sealed = split(load_table("flchain"))
    encoder = Encoder([Scale("creatinine"), Scale("age")])
    with pytest.raises(InputError, match="gaps in \\['creatinine'\\].*clean.Missing"):
        dataset(train, encoder.fit_transform(train.frame))
    with pytest.raises(InputError, match="take these rows"):
        dataset(train, encoder.fit_transform(train.frame).iloc[1:])
    with pytest.raises(SealedTestError):
        encoder.transform(sealed)


@pytest.mark.parametrize("make", [lambda frame: frame, pl.from_pandas], ids=["pandas", "polars"])
def test_cleaner_encoder_and_a_network_of_either_framework_score_a_sealed_test(backend, make):
    "The path of a user: raw rows in, sealed score out, and what the model was trained on is known."
    train, sealed = split(load_table("flchain"), stratify=True)
    cleaner = Cleaner([Text("sex"), Missing("creatinine", flag=True), Missing("mgus")])
    encoder = Encoder(
        [
            Scale("age"),
            Scale("kappa", "quantile"),
            Scale("lambda", "quantile"),
            Scale("creatinine", "robust"),
            OneHot("sex"),
            Scale("creatinine_missing", "minmax"),
        ]
    )
    rows_ = dataset(train, encoder.fit_transform(cleaner.fit_clean(make(train.frame))))
    model = Prepared(
        fit(mlp(rows_.X.shape[1], 16, 2), rows_, backend=backend, epochs=4), cleaner, encoder
    )
    scores = evaluate(model, sealed, metrics=("auroc",), resamples=50)
    assert scores["auroc macro"]["value"] > 0.75 and scores.overlap == 0 and sealed.openings == 1


def test_the_same_pipeline_takes_a_model_of_scikit_learn():
    train, sealed = split(load_table("reviews").take(slice(15_000, 22_000)))
    encoder = Encoder([Pieces("text", target="sentiment", size=150)])
    rows_ = dataset(train, encoder.fit_transform(train.frame))
    model = Prepared(LogisticRegression(max_iter=300).fit(rows_.X, rows_.y), encoder)
    scores = evaluate(model, sealed, metrics=("accuracy",), resamples=100)
    assert scores["accuracy"]["low"] > scores.majority + 0.1
    assert (
        model.predict(to_pandas(train.X.head(5)))
        == model.predict_proba(train.X.head(5)).argmax(axis=1)
    ).all()
