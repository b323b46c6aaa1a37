"""scikit-learn's interface: its own checks over everything of ours that fits, and its tools on real
data."""

import importlib
import inspect
import pickle
import pkgutil

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import bigdata_ai
from bigdata_ai.core import InputError
from bigdata_ai.data.catalog import load_table
from bigdata_ai.data.labels.active import DistanceSVC
from bigdata_ai.data.prepare.cleaning_rules import Cleaner, Duplicates, Missing, Outliers, Range
from bigdata_ai.data.prepare.features import Encoder, OneHot, Scale
from bigdata_ai.data.prepare.rules import Rules
from bigdata_ai.data.split import split
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.loop import fit
from bigdata_ai.train.prepared import Prepared
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.spec.optimizers import Adam
from bigdata_ai.train.wrappers import NetworkClassifier, NetworkRegressor

CLEANER = Cleaner([Outliers("x0", "quantile"), Missing("x0", flag=True)])
ENCODER = Encoder([Scale("x0"), OneHot("x0", top=3)])
STEPS = [Cleaner([Range("x0", low=-1e9)]), StandardScaler()]
# 64 bits, so that a row's prediction does not depend on its batch beyond scikit-learn's tolerance
NETWORK = {"epochs": 30, "batch_size": 32, "dtype": "float64", "optimizer": Adam(0.02)}
BY_WEIGHT = "SVC itself: scikit-learn lists both among its known failures"
BY_NAME = "rules take columns by name: their order does not matter, nor do others"

CHECKED = {
    "cleaner": (CLEANER, {"check_dataframe_column_names_consistency": BY_NAME}),
    "encoder": (ENCODER, {"check_dataframe_column_names_consistency": BY_NAME}),
    "prepared": (
        Prepared(LogisticRegression(), STEPS),
        {"check_dataframe_column_names_consistency": BY_NAME},
    ),
    "prepared regressor": (
        Prepared(LinearRegression(), STEPS),
        {"check_dataframe_column_names_consistency": BY_NAME},
    ),
    "classifier": (NetworkClassifier(**NETWORK), {}),
    "regressor": (NetworkRegressor(**NETWORK), {}),
    "distance svc": (
        DistanceSVC(),
        {
            "check_sample_weight_equivalence_on_dense_data": BY_WEIGHT,
            "check_sample_weight_equivalence_on_sparse_data": BY_WEIGHT,
        },
    ),
}


def test_h17_every_estimator_of_the_package_is_checked():
    kinds = set()
    for module in pkgutil.walk_packages(bigdata_ai.__path__, "bigdata_ai."):
        if "_backend" in module.name:
            continue
        found = vars(importlib.import_module(module.name))
        kinds |= {
            kind
            for name, kind in found.items()
            if inspect.isclass(kind) and kind.__module__ == module.name and name[0] != "_"
            if hasattr(kind, "get_params") and hasattr(kind, "fit")
        }
    assert DistanceSVC in kinds and NetworkClassifier in kinds
    assert kinds - {Rules} == {type(estimator) for estimator, _ in CHECKED.values()}


@pytest.mark.parametrize("shape", ["ovr", "ovo"])
def test_h17_distances_of_three_classes_are_probabilities(shape):
    X = np.random.default_rng(0).normal(size=(90, 2))
    y = np.digitize(X[:, 0], [-0.4, 0.4])
    model = DistanceSVC(decision_function_shape=shape).fit(X, np.array(["a", "b", "c"])[y])
    proba = model.predict_proba(X)
    assert proba.shape == (90, 3) and np.allclose(proba.sum(axis=1), 1)
    assert (model.classes_[proba.argmax(axis=1)] == model.predict(X)).all()
    assert (proba.argmax(axis=1) == y).mean() > 0.9
    assert model.decision_function(X).shape == (90, 3)
    data = from_arrays(X, y)
    assert evaluate(fit(DistanceSVC(), data), data, resamples=20)["accuracy"]["value"] > 0.9
    two = DistanceSVC().fit(X, y > 1)
    assert np.allclose(two.predict_proba(X)[:, 1], 1 / (1 + np.exp(-two.decision_function(X))))


def test_h17_wrapped_networks_of_four_classes_predict_four():
    X = np.random.default_rng(0).normal(size=(200, 2))
    y = np.array(list("dbca"))[np.digitize(X[:, 0], [-0.6, 0.0, 0.6])]
    for model in (NetworkClassifier(**NETWORK), Prepared(NetworkClassifier(**NETWORK))):
        model.fit(X, y)
        assert model.predict_proba(X).shape == (200, 4) and list(model.classes_) == list("abcd")
        assert model.score(X, y) > 0.8


@pytest.mark.parametrize("name", CHECKED)
def test_scikit_learns_checks_pass(name):
    estimator, known = CHECKED[name]
    results = check_estimator(estimator, expected_failed_checks=known, on_fail=None)
    failed = {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"}
    assert failed == {} and len(known) <= 5
    assert sum(r["status"] == "passed" for r in results) >= 30


@pytest.mark.parametrize("kind", [NetworkClassifier, NetworkRegressor])
def test_a_few_of_scikit_learns_checks_pass_in_either_framework(kind, backend):
    from sklearn.utils import estimator_checks as checks

    estimator = kind(backend=backend, epochs=2, dtype="float64")
    for check in (
        checks.check_estimator_cloneable,
        checks.check_fit2d_1feature,
        checks.check_n_features_in_after_fitting,
        checks.check_estimators_pickle,
    ):
        check(kind.__name__, clone(estimator))


# scikit-learn's tools on real data


def flchain(rows=1500):
    "Blood values with gaps, and who died."
    train, sealed = split(load_table("flchain"), stratify=True)
    return train.take(slice(0, rows)), sealed


RULES = [Missing("creatinine"), Missing("mgus")]
FEATURES = [Scale("age"), Scale("kappa", "quantile"), Scale("creatinine"), OneHot("sex")]


def test_a_pipeline_of_ours_is_searched_and_cross_validated():
    rows, _ = flchain()
    steps = [("clean", Cleaner(RULES)), ("encode", Encoder(FEATURES))]
    model = Pipeline([*steps, ("learn", LogisticRegression())])
    less = {"encode__rules": [FEATURES[:1], FEATURES], "learn__C": [0.1, 1.0]}
    search = GridSearchCV(model, less, cv=3, scoring="roc_auc").fit(rows.X, rows.y)
    scores = search.cv_results_["mean_test_score"]
    assert len(scores) == 4 and scores.min() > 0.6 and search.best_score_ > 0.75
    again = cross_val_score(clone(search.best_estimator_), rows.X, rows.y, cv=3, scoring="roc_auc")
    assert again.mean() == pytest.approx(search.best_score_)


def test_prepared_is_the_pipeline_and_scores_a_sealed_test():
    rows, sealed = flchain()
    learner = LogisticRegression()
    model = Prepared(learner, [Cleaner(RULES), Encoder(FEATURES)]).fit(rows.X, rows.y)
    assert not hasattr(learner, "coef_") and list(model.classes_) == [0, 1]
    pipe = make_pipeline(Cleaner(RULES), Encoder(FEATURES), clone(learner)).fit(rows.X, rows.y)
    np.testing.assert_allclose(model.predict_proba(rows.X), pipe.predict_proba(rows.X))
    assert model.score(rows.X, rows.y) == pytest.approx(pipe.score(rows.X, rows.y))
    several = {"learner__C": [0.01, 1.0]}
    search = GridSearchCV(model, several, cv=2, scoring="roc_auc").fit(rows.X, rows.y)
    assert search.best_score_ > 0.6
    of_table = clone(model).fit(rows)
    assert len(of_table.origin) == len(rows) and of_table.origin.overlap(rows) == len(rows)
    scores = evaluate(of_table, sealed, metrics=("auroc",), resamples=50)
    assert scores["auroc macro"]["value"] > 0.75 and scores.overlap == 0


def test_prepared_trains_a_network_on_a_table_and_drops_repeats():
    rows, _ = flchain(300)
    twice = pd.concat(
        [rows.frame, rows.frame.head(50).assign(**{rows.id: range(10**6, 10**6 + 50)})]
    )
    both = type(rows)(**vars(rows) | {"frame": twice})
    cleaner = Cleaner([*RULES, Duplicates(rows.id)])
    model = Prepared(
        mlp(len(Encoder(FEATURES).fit(rows.X).names_), 4, 2), [cleaner, Encoder(FEATURES)]
    )
    model.fit(both)
    assert len(model.origin) == 350 and len(model.learner_.origin) == 300
    assert len(model.history) == 10 and model.start_loss > model.history[-1]["loss"]
    assert is_classifier(model) and model.predict(rows.X).shape == (300,)
    with pytest.raises(InputError, match="must be fitted on a Table"):
        clone(model).fit(twice, both.y)


def test_networks_in_searches_and_pipelines():
    rows, _ = flchain(600)
    labels = np.where(rows.y == 1, "died", "lived")
    network = NetworkClassifier(lambda inputs, outputs: mlp(inputs, 8, outputs), epochs=8)
    model = make_pipeline(Cleaner(RULES), Encoder(FEATURES), network)
    settings = {"networkclassifier__optimizer": [Adam(1e-5), Adam(0.02)]}
    search = GridSearchCV(model, settings, cv=2, scoring="roc_auc").fit(rows.X, labels)
    assert search.best_params_["networkclassifier__optimizer"] == Adam(0.02)
    assert set(search.predict(rows.X)) <= {"died", "lived"}
    assert search.predict_proba(rows.X).shape == (600, 2)
    fitted = search.best_estimator_[-1]
    again = pickle.loads(pickle.dumps(fitted.set_params(network=None)))
    X = search.best_estimator_[:-1].transform(rows.X)
    np.testing.assert_array_equal(again.predict_proba(X), fitted.predict_proba(X))
    assert is_classifier(network) and is_regressor(NetworkRegressor())


def test_a_spec_of_one_output_tells_two_labels_apart():
    X = np.linspace(-1, 1, 64)[:, None]
    y = np.where(X[:, 0] > 0, "up", "down")
    model = NetworkClassifier(mlp(1, 8, 1), epochs=40, optimizer=Adam(0.05)).fit(X, y)
    assert model.score(X, y) > 0.9 and model.predict_proba(X).shape == (64, 2)


def test_arrays_have_numbered_columns_and_set_output_names_them():
    X = np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 8.0]])
    cleaner = Cleaner([Missing("x1", "mean", flag=True)]).fit(X)
    assert cleaner.transform(X).tolist() == [[1, 6, 1], [3, 4, 0], [5, 8, 0]]
    assert list(cleaner.feature_names_in_) == ["x0", "x1"] and cleaner.n_features_in_ == 2
    assert list(cleaner.get_feature_names_out()) == ["x0", "x1", "x1_missing"]
    for kind in ("pandas", "polars"):
        rows = clone(cleaner).set_output(transform=kind).fit_transform(X)
        assert type(rows).__module__.startswith(kind)
        assert list(rows.columns) == ["x0", "x1", "x1_missing"]
    assert isinstance(cleaner.fit_transform(pd.DataFrame(X, columns=["a", "x1"])), pd.DataFrame)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Cleaner(["x"]).fit([[1.0]]), "must be made of"),
        (lambda: Cleaner([Range("x5", 0)]).fit([[1.0]]), "column of Range"),
        (lambda: Cleaner().set_params(rule=[]), "did you mean 'rules'"),
        (lambda: Cleaner([Range("x0", 0)]).fit([[1.0]]).transform([[1.0, 2.0]]), "expecting 1"),
        (lambda: Prepared(LogisticRegression(), [3]).fit([[1.0]], [0]), "must have transform"),
        (lambda: NetworkClassifier(epochs=0).fit([[1.0], [2.0]], [0, 1]), "epochs"),
        (lambda: NetworkClassifier(backend="jax").fit([[1.0], [2.0]], [0, 1]), "backend"),
        (
            lambda: NetworkClassifier(mlp(1, 4, 3)).fit([[1.0], [2.0]], [0, 1]),
            "one output for each",
        ),
        (lambda: NetworkClassifier(3).fit([[1.0], [2.0]], [0, 1]), "a Spec or a function"),
        (lambda: NetworkClassifier().fit([[1.0], [2.0]], [1, 1]), "two classes"),
    ],
)
def test_mistakes_are_named_at_fit(make, words):
    with pytest.raises(InputError, match=words):
        make()


@pytest.mark.parametrize(
    "estimator",
    [CLEANER, ENCODER, Prepared(LogisticRegression()), *[NetworkClassifier(), NetworkRegressor()]],
    ids=lambda one: type(one).__name__,
)
def test_what_is_not_fitted_says_so_to_scikit_learn_and_to_us(estimator):
    use = getattr(estimator, "transform", None) or estimator.predict
    for kind in (NotFittedError, InputError):
        with pytest.raises(kind, match="must be fitted first"):
            use(np.ones((2, 2)))
