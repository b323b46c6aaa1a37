"""Bad input meets an error of ours that says what must hold, what was received and, where it can,
what to do."""

import importlib.util
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bigdata_ai
from bigdata_ai import core, viz
from bigdata_ai.core import BigDataError, ContentError, InputError, MissingExtraError
from bigdata_ai.core import SealedTestError
from bigdata_ai.data import catalog
from bigdata_ai.data.catalog import load, show
from bigdata_ai.data.tables import Dataset, from_arrays
from bigdata_ai.data.split import hash_fraction, hash_side, hold_out, split, stratified_side, subset
from bigdata_ai.data.seal import check_trainable
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.spec import losses, network
from bigdata_ai.train.loop import early_stopping, fit, open_session
from bigdata_ai.train.spec.layers import Dense, Dropout, ReLU
from bigdata_ai.train.spec.network import Spec, mlp
from bigdata_ai.train.spec.optimizers import SGD, Adam
from bigdata_ai.train.training import Training


def refused(action, *says, error=InputError):
    "Do what must be refused, and check the message."
    with pytest.raises(error) as caught:
        action()
    message = str(caught.value)
    assert isinstance(caught.value, BigDataError) and "Received: " in message, message
    assert all(part in message for part in says), message


class Uniform:
    "A model that knows nothing."

    def __init__(self, classes):
        self.classes = classes

    def predict_proba(self, X):
        return np.full((len(X), self.classes), 1 / self.classes)


def data(X=None, y=None, classes=2):
    "A `Dataset` made without the checks of `from_arrays`: what a careless reader could hand over."
    X = np.array([[0.0], [1.0], [2.0], [3.0]]) if X is None else np.asarray(X)
    y = np.array([0, 1, 0, 1]) if y is None else np.asarray(y)
    return Dataset("careless", X, y, np.arange(len(y)), classes)


# Names


@pytest.mark.parametrize(
    "action, hint",
    [
        (lambda: load("digit"), "did you mean 'digits'?"),
        (lambda: show("minst_5k"), "did you mean 'mnist_5k'?"),
        (lambda: load("zzz"), "one of 'digits', 'mnist_5k'"),
        (lambda: fit(mlp(1, 2), data(), backend="tensorfow"), "did you mean 'tensorflow'?"),
        (
            lambda: open_session(
                mlp(1, 2),
                [],
                Training(
                    backend="jax",
                    optimizer=SGD(),
                    loss="cross_entropy",
                    batch_size=1,
                    dtype="float32",
                    seed=0,
                ),
            ),
            "one of 'torch', 'tensorflow'.",
        ),
        (lambda: Training(backend=None), "one of 'torch', 'tensorflow'."),
        (lambda: fit(mlp(1, 2), data(), loss="crossentropy"), "did you mean 'cross_entropy'?"),
        (lambda: fit(mlp(1, 2), data(), dtype="float16"), "did you mean 'float"),
        (lambda: evaluate(Uniform(2), data(), metrics=("acuracy",)), "did you mean 'accuracy'?"),
        (lambda: evaluate(Uniform(2), data(), metrics="F1"), "did you mean 'f1'?"),
        (lambda: evaluate(Uniform(2), data())["f1 makro"], "did you mean 'f1 macro'?"),
        (
            lambda: early_stopping(monitor="val_loss")({"loss": 1, "validation_loss": 1}, None),
            "did you mean 'validation_loss'?",
        ),
    ],
    ids=[
        "data set",
        "data set to show",
        "data set like no other",
        "backend",
        "backend of session",
        "no backend",
        "loss",
        "dtype",
        "metric",
        "one metric",
        "metric of scores",
        "history column",
    ],
)
def test_unknown_names(action, hint):
    refused(action, "` must be one of '", hint)


# Features


BAD_FEATURES = {
    "nan": (
        [[0.0], [np.nan], [2.0], [3.0]],
        "1 row(s) with NaN or inf, the first at row 1. Hint: drop or fill",
    ),
    "inf": ([[0.0], [1.0], [np.inf], [-np.inf]], "2 row(s) with NaN or inf, the first at row 2"),
    "whole numbers of any size": (
        np.array([[0], [1], [2], [10**60]], dtype=object),
        "must be numeric",
    ),
    "text": ([["a"], ["b"], ["c"], ["d"]], "encode text and categories as numbers first"),
    "one dimension": ([0.0, 1.0, 2.0, 3.0], "must have two dimensions"),
    "three dimensions": (np.zeros((4, 2, 2)), "Hint: X.reshape(len(X), -1)"),
    "no features": (np.zeros((4, 0)), "at least one row and one feature"),
}


@pytest.mark.parametrize("X, says", BAD_FEATURES.values(), ids=BAD_FEATURES)
def test_features(X, says):
    refused(lambda: from_arrays(X, [0, 1, 0, 1]), says)
    refused(lambda: fit(mlp(1, 2), data(X)), says)
    refused(lambda: fit(mlp(1, 2), data(), validation=data(X)), says)


def test_features_of_another_width():
    refused(lambda: fit(mlp(3, 2), data()), "the 3 features of the network", "shape (4, 1)")


def test_missing_values_of_a_data_frame():
    refused(lambda: from_arrays(pd.DataFrame({"a": [1.0, None]}), [0, 1]), "the first at row 1")


def test_features_to_predict(backend):
    model = fit(mlp(1, 2), data(), backend=backend, epochs=1)
    for ask in (model.predict, model.predict_proba, model.outputs):
        refused(lambda ask=ask: ask([[np.nan]]), "must be finite")
        refused(lambda ask=ask: ask([[1.0, 2.0]]), "the 1 features")
        refused(lambda ask=ask: ask([["a"]]), "must be numeric")


# Labels


BAD_LABELS = {
    "one-hot": (np.eye(2)[[0, 1, 0, 1]], "class numbers, not one-hot columns: y.argmax(axis=1)"),
    "strings": (["a", "b", "a", "b"], "pandas.factorize(y)[0] gives class numbers"),
    "fractions": ([0.5, 1.0, 0.0, 1.0], "for real-valued targets use loss='mse'"),
    "nan": ([0, 1, np.nan, 1], "1 label(s) NaN or inf, the first at row 2"),
    "inf": ([0, 1, 0, np.inf], "the first at row 3"),
    "negative": ([0, -1, 0, 1], "labels from -1 to 1"),
    "out of range": ([0, 1, 2, 1], "labels from 0 to 2"),
    "too few": ([0, 1, 0], "one label a row: 4."),
    "a scalar": (1, "must have one dimension"),
    "missing": ([0, 1, None, 1], "must be numeric"),
}


@pytest.mark.parametrize("y, says", BAD_LABELS.values(), ids=BAD_LABELS)
def test_labels(y, says):
    careless = Dataset("careless", np.zeros((4, 1)), np.asarray(y), np.arange(4), 2)
    refused(lambda: from_arrays(np.zeros((4, 1)), y, classes=2), says)
    refused(lambda: fit(mlp(1, 2), careless), says)
    refused(lambda: fit(mlp(1, 1), careless), says)
    refused(lambda: fit(mlp(1, 2), data(), validation=careless), says)


@pytest.mark.parametrize(
    "y",
    [[0.0, np.nan, 1.0, 2.0], np.zeros((4, 2)), np.zeros(3), ["a", "b", "c", "d"]],
    ids=["nan", "two columns for one output", "too few", "strings"],
)
def test_real_valued_targets(y):
    refused(lambda: fit(mlp(1, 1), data(y=y, classes=0), loss="mse"))


def test_one_class_cannot_be_learned():
    refused(
        lambda: fit(mlp(1, 2), data(y=[1, 1, 1, 1])),
        "at least two classes",
        "4 rows, all of class 1",
    )
    refused(lambda: fit(mlp(1, 1), data(y=[0, 0, 0, 0])), "at least two classes")


def test_auroc_of_one_class():
    refused(
        lambda: evaluate(Uniform(2), data(y=[1, 1, 1, 1])),
        "at least two classes",
        "Hint: leave it out",
    )
    assert (
        evaluate(Uniform(2), data(y=[1, 1, 1, 1]), metrics=("accuracy",))["accuracy"]["value"] == 0
    )


def test_ids():
    refused(lambda: from_arrays([[1.0], [2.0]], [0, 1], ids=[7, 7]), "no two equal")
    refused(lambda: from_arrays([[1.0], [2.0]], [0, 1], ids=[7]), "one for each row")
    refused(
        lambda: hash_fraction([0.5, 1.5]), "whole numbers or strings", "the text of a float differs"
    )
    refused(lambda: hash_fraction([[1, 2]]), "one dimension")


@pytest.mark.parametrize("ids", [[1.5, "a"], [None, "a"]], ids=["float", "None"])
def test_ids_of_mixed_types(ids):
    refused(lambda: hash_fraction(np.array(ids, dtype=object)), "whole numbers or strings")


# Sizes


@pytest.mark.parametrize(
    "action, says",
    [
        (lambda d: split(d, test=1e-9), "0 of 4 rows held back"),
        (lambda d: hold_out(d, share=1 - 1e-9), "4 of 4 rows held back"),
        (lambda d: split(d.take([0]), test=0.5), "Both sides of a split must have rows"),
        (lambda d: hold_out(d, 0.1, stratify=True), "0 of 4 rows held back"),
        (lambda d: split(d, test=0), "must lie between 0 and 1"),
        (lambda d: split(d, test=1), "must lie between 0 and 1"),
        (lambda d: hold_out(d, share=-0.2), "0.2 holds back a fifth"),
        (lambda d: hash_side(d.ids, np.nan), "must be a finite number"),
        (lambda d: stratified_side(d.ids, d.y[:2], 0.5), "one label for each id"),
        (lambda d: subset(d, 5), "must be a whole number from 1 to 4. Received: 5"),
        (lambda d: subset(d, 0), "Received: 0"),
        (lambda d: subset(d, -1), "Received: -1"),
        (lambda d: subset(d, 2.0), "whole number"),
        (lambda d: subset(d, 2, seed=-1), "seed must be a whole number"),
        (lambda d: fit(mlp(1, 2), d.take([])), "at least one row"),
        (lambda d: fit(mlp(1, 2), d, validation=d.take([])), "at least one row"),
        (lambda d: from_arrays(np.zeros((0, 1)), []), "at least one row"),
        (lambda d: evaluate(Uniform(2), d.take([])), "at least one row"),
    ],
    ids=[
        "no test rows",
        "no rows left",
        "one row",
        "share under half a row",
        "share 0",
        "share 1",
        "share below 0",
        "share nan",
        "labels missing",
        "n above the rows",
        "n 0",
        "n below 0",
        "n not whole",
        "seed below 0",
        "no rows to learn from",
        "no rows to watch",
        "no rows at all",
        "no rows to evaluate",
    ],
)
def test_sizes(action, says):
    refused(lambda: action(data()), says)


# Numbers of the training


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("rate", [-0.1, 0, np.nan, np.inf], ids=["negative", "zero", "nan", "inf"])
def test_learning_rate(kind, rate):
    refused(lambda: kind(rate), "learning_rate must be ")
    if np.isfinite(rate):
        refused(lambda: kind(rate), "Hint: 0.001 is a common start for Adam, 0.01 for SGD.")


@pytest.mark.parametrize("kind", [SGD, Adam])
@pytest.mark.parametrize("rate", ["0.1", None, [0.1]], ids=["string", "None", "list"])
def test_learning_rate_that_is_no_number(kind, rate):
    refused(lambda: kind(rate), "learning_rate must be ")


@pytest.mark.parametrize(
    "layers",
    [(), (ReLU(),), (Dense(1, 3), ReLU()), (Dense(1, 3), Dense(4, 2))],
    ids=["none", "relu alone", "relu at the end", "sizes that do not meet"],
)
def test_layers_that_do_not_fit(layers):
    refused(lambda: fit(Spec(layers), data()))


def test_unknown_average():
    refused(lambda: evaluate(Uniform(2), data(), averages=("micr",)), "did you mean 'micro'?")


@pytest.mark.parametrize(
    "action, says",
    [
        (lambda: SGD(momentum=1), "momentum must lie in [0, 1)."),
        (lambda: SGD(l2=-1), "l2 must be 0 or greater."),
        (lambda: Adam(beta_1=-0.1), "beta_1 must lie in [0, 1)."),
        (lambda: Adam(beta_2=1.0), "beta_2 must lie in [0, 1)."),
        (lambda: Adam(epsilon=0), "epsilon must be greater than 0."),
        (lambda: Adam(l2=np.nan), "l2 must be a finite number."),
        (lambda: mlp(3), "at least two sizes"),
        (lambda: mlp(3, 0), "must be a whole number, 1 or more."),
        (lambda: Dense(2.5, 1), "A layer's inputs must be a whole number, 1 or more."),
        (lambda: Dropout(1.0), "The dropout rate must lie in [0, 1)."),
        (lambda: mlp(2, 2, 2, dropout=np.nan), "The dropout rate must be a finite number."),
        (lambda: losses.resolve_loss(mlp(2, 3), "bce"), "Hint: use loss='cross_entropy'."),
        (lambda: losses.resolve_loss(mlp(2, 1), "cross_entropy"), "Hint: use loss='bce'."),
        (lambda: network.check_weights(mlp(2, 1), [np.zeros(2)]), "must have the spec's shapes"),
        (
            lambda: network.check_weights(mlp(1, 1), [np.full((1, 1), np.nan), np.zeros(1)]),
            "must be finite",
        ),
        (lambda: network.initial_weights(mlp(1, 1), -1), "seed must be a whole number"),
        (
            lambda: fit(mlp(1, 2), data(), optimizer="adam"),
            "`optimizer` must be one of SGD, Adam, AdamW, RMSprop.",
        ),
        (lambda: fit(mlp(1, 2), data(), epochs=0), "epochs must be a whole number, 1 or more."),
        (
            lambda: fit(mlp(1, 2), data(), batch_size=2.5),
            "batch_size must be a whole number, 1 or more.",
        ),
        (lambda: fit(mlp(1, 2), data(), seed=-1), "seed must be a whole number"),
        (lambda: early_stopping(patience=0), "patience must be a whole number, 1 or more."),
        (lambda: evaluate(Uniform(2), data(), level=1), "level must lie between 0 and 1."),
        (
            lambda: evaluate(Uniform(2), data(), resamples=1),
            "resamples must be a whole number, 20 or more.",
        ),
        (lambda: evaluate(Uniform(3), data()), "must give 2 columns"),
        (lambda: evaluate(object(), data()), "model must have predict_proba."),
        (lambda: evaluate(Uniform(2), np.zeros((2, 2))), "must be a Dataset or a Table."),
        (lambda: fit(mlp(1, 2), ([[0.0]], [0])), "must be a Dataset or a Table."),
    ],
    ids=lambda value: None if callable(value) else value.split(" Hint")[0],
)
def test_numbers(action, says):
    refused(action, says)


@pytest.mark.parametrize(
    "proba", [[[0.5, 0.6]] * 4, [[np.nan, 1.0]] * 4], ids=["sum above 1", "nan"]
)
def test_probabilities(proba):
    class Broken:
        def predict_proba(self, X):
            return np.array(proba)

    refused(lambda: evaluate(Broken(), data()), "Probabilities must be finite and sum to 1.")


# A missing extra


@pytest.mark.parametrize("name", ["torch", "tensorflow"])
def test_missing_framework_names_the_install_command(monkeypatch, name):
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda module: None if module == name else real(module)
    )
    install = f"Hint: pip install 'bigdata-ai[{name}]'"
    refused(lambda: fit(mlp(1, 2), data(), backend=name), install, error=MissingExtraError)
    refused(lambda: core.import_extra(f"{name}.nn", name), repr(name), install, error=ImportError)


def test_where_torch_is_not_installed_the_rest_works():
    program = """
        import sys

        class WithoutTorch:
            def __init__(self, finder): self.finder = finder
            def find_spec(self, name, *rest):
                return None if name.partition(".")[0] == "torch" else self.finder.find_spec(name, *rest)

        sys.meta_path[:] = [WithoutTorch(finder) for finder in sys.meta_path]
        from bigdata_ai.core import MissingExtraError
        from bigdata_ai.data.catalog import load
        from bigdata_ai.train.frameworks import backends; from bigdata_ai.train.loop import fit
        from bigdata_ai.train.spec.network import mlp
        assert "torch" not in backends()
        try: fit(mlp(64, 10), load("digits"))
        except MissingExtraError as error: print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(bigdata_ai.__file__).parents[1],
    )
    assert "Received: " in done.stdout and "pip install 'bigdata-ai[torch]'" in done.stdout


# The sealed test


@pytest.mark.parametrize(
    "use",
    [
        lambda sealed: fit(mlp(64, 10), sealed),
        lambda sealed: fit(mlp(64, 10), load("digits"), validation=sealed),
        hold_out,
        split,
        lambda sealed: subset(sealed, 10),
        check_trainable,
        lambda sealed: sealed.X,
        lambda sealed: sealed.y,
        lambda sealed: sealed.take([0]),
        lambda sealed: sealed[0],
        list,
        np.asarray,
        lambda sealed: np.mean(sealed),
        pd.DataFrame,
        lambda sealed: from_arrays(sealed, np.zeros(len(sealed))),
        lambda sealed: from_arrays(np.zeros((len(sealed), 1)), sealed),
        viz.class_balance,
        viz.history,
        viz.confusion,
        viz.learning_curve,
    ],
    ids=[
        "fit",
        "fit: validation",
        "hold_out",
        "split",
        "subset",
        "check_trainable",
        "X",
        "y",
        "take",
        "item",
        "iteration",
        "np.asarray",
        "np.mean",
        "DataFrame",
        "from_arrays: X",
        "from_arrays: y",
        "viz.class_balance",
        "viz.history",
        "viz.confusion",
        "viz.learning_curve",
    ],
)
def test_sealed_test_is_refused(digits_split, use):
    _, sealed = digits_split
    refused(
        lambda: use(sealed),
        "sealed",
        "Hint: pass it to bigdata_ai.evaluation.evaluate",
        error=SealedTestError,
    )
    assert sealed.openings == 0


def test_sealed_test_tells_its_size_and_nothing_else(digits_split):
    _, sealed = digits_split
    assert repr(sealed) == f"SealedTest('digits': {len(sealed)} rows, opened 0×)"


# Changed content


@pytest.mark.parametrize(
    "change",
    [
        lambda X, y: (
            np.where(np.arange(X.size).reshape(X.shape) == 100, X + 1, X).astype(X.dtype),
            y,
        ),
        lambda X, y: (X, np.r_[y[:-1], (y[-1] + 1) % 10].astype(y.dtype)),
        lambda X, y: (X[::-1], y[::-1]),
        lambda X, y: (X[:-1], y[:-1]),
        lambda X, y: (X.astype(np.float32), y),
    ],
    ids=["one pixel", "one label", "order", "one row fewer", "dtype"],
)
def test_changed_content_is_refused(monkeypatch, change):
    changed = change(*catalog._READERS["digits"]())
    monkeypatch.setitem(catalog._READERS, "digits", lambda: changed)
    refused(
        lambda: load("digits"),
        "recorded sha256 ae588ca0",
        "Hint: the package 'scikit-learn'",
        error=ContentError,
    )
