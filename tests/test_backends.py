"""The contract of a back-end, checked on each of them alike: what `fit` may rely on."""

import ast
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_squared_error

import bigdata_ai
from bigdata_ai.core import DivergedError, rng
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.train import loop
from bigdata_ai.train.frameworks import BACKENDS
from bigdata_ai.train.loop import early_stopping, fit, open_session
from bigdata_ai.train.networks import cnn, recurrent
from bigdata_ai.train.spec.layers import GRU, LAYERS, Attention
from bigdata_ai.train.spec.losses import LOSSES
from bigdata_ai.train.spec.optimizers import OPTIMIZERS, SGD, Adam, AdamW
from bigdata_ai.train.spec.layers import BatchNorm, Columns, Dense, Dropout, Embedding, LayerNorm
from bigdata_ai.train.spec.layers import GlobalAveragePool
from bigdata_ai.train.spec.layers import Parallel, Positions, Tanh
from bigdata_ai.train.spec.network import Spec, initial_weights, mlp
from bigdata_ai.train.spec.optimizers import RMSprop
from bigdata_ai.train.spec.layers import residual
from bigdata_ai.train.training import Training

ROOM = Path(bigdata_ai.__file__).parent / "train"
EXTRAS = {
    "weights": {"device_scope", "flatten", "unflatten"}
}  # TensorFlow keeps all weights in one vector
# PyTorch makes its optimiser, TensorFlow writes out the rule; each gives its own kind of data set
OWN_SIGNATURE = {f"optimizers.{name}" for name in ("sgd", "adam", "adam_w", "rms_prop")} | {
    "batches.dataset",
    "modules.measure",
}
STILL = SGD(1e-300)  # steps too small to move a float64 weight


# The two packages, read without importing them


def modules(package):
    return {
        path.stem: ast.parse(path.read_text(encoding="utf-8"))
        for path in (ROOM / package).glob("*.py")
    }


def public_names(tree):
    lists = [
        node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
    ]
    return set(ast.literal_eval(lists[0])) if lists else set()


def plain_signature(function):
    "Arguments, defaults and annotations as text, with the frameworks' tensors called Tensor."
    text = (
        f"({ast.unparse(function.args)}) ->"
        f" {ast.unparse(function.returns) if function.returns else None}"
    )
    return text.replace("torch.Tensor", "Tensor").replace("tf.Tensor", "Tensor")


def methods(tree, name):
    "Public methods of a class of the module and of its bases there."
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    found = {}
    for base in classes[name].bases:
        if ast.unparse(base) in classes:
            found |= methods(tree, ast.unparse(base))
    return found | {
        method.name: plain_signature(method)
        for method in classes[name].body
        if isinstance(method, ast.FunctionDef)
        and (method.name == "__init__" or not method.name.startswith("_"))
    }


def signatures(tree):
    """Dotted name -> signature of every public function and of the public methods of every public
    class."""
    found, public = {}, public_names(tree)
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name in public:
            found[node.name] = plain_signature(node)
        if isinstance(node, ast.ClassDef) and node.name in public:
            for method, signature in methods(tree, node.name).items():
                found[f"{node.name}.{method}"] = signature
    return found


PACKAGES = {name: modules(package) for name, package in BACKENDS.items()}


def test_packages_have_equal_file_names():
    assert set(PACKAGES["torch"]) == set(PACKAGES["tensorflow"])
    assert {"layers", "losses", "optimizers", "steps", "weights"} <= set(PACKAGES["torch"])


@pytest.mark.parametrize("module", PACKAGES["torch"])
def test_modules_export_the_same_names(module):
    torch_names, tensorflow_names = (
        public_names(PACKAGES[name][module]) for name in ("torch", "tensorflow")
    )
    assert tensorflow_names - torch_names == EXTRAS.get(module, set())
    assert torch_names <= tensorflow_names


@pytest.mark.parametrize("module", PACKAGES["torch"])
def test_public_signatures_are_equal(module):
    torch_ones, tensorflow_ones = (
        signatures(PACKAGES[name][module]) for name in ("torch", "tensorflow")
    )
    shared = {
        name
        for name in torch_ones.keys() & tensorflow_ones
        if f"{module}.{name}" not in OWN_SIGNATURE
    }
    assert {name: torch_ones[name] for name in shared} == {
        name: tensorflow_ones[name] for name in shared
    }


def test_session_offers_what_fit_uses():
    methods = {name.partition(".")[2] for name in signatures(PACKAGES["torch"]["steps"])}
    assert methods == {
        "__init__",
        "place",
        "run",
        "outputs",
        "mean_loss",
        "weights",
        "states",
        "slots",
        "done",
        "restore",
        "rest",
        "restore_rest",
        "finite",
    }


def test_tables_cover_the_spec(backend):
    def table(module, name):
        return getattr(
            importlib.import_module(f"bigdata_ai.train.{BACKENDS[backend]}.{module}"), name
        )

    assert set(table("layers", "FORWARD")) == set(LAYERS.values())
    assert set(table("losses", "LOSS")) == set(LOSSES)
    assert (
        set(table("optimizers", "OPTIMIZER"))
        == set(table("optimizers", "SLOTS"))
        == set(OPTIMIZERS.values())
    )


# Shapes and dtypes


def small(outputs=2, rows=10, dropout=0.0):
    "A small network and rows for it."
    spec, draw = mlp(3, 4, outputs, dropout=dropout), rng(5, "small")
    X = draw.normal(size=(rows, 3))
    return spec, X, draw.integers(0, max(outputs, 2), rows)


def start(
    backend,
    spec,
    optimizer=STILL,
    loss="cross_entropy",
    batch_size=4,
    dtype="float64",
    seed=0,
    weights=None,
):
    weights = initial_weights(spec, 1) if weights is None else weights
    return open_session(
        spec,
        weights,
        Training(
            backend=backend,
            optimizer=optimizer,
            loss=loss,
            batch_size=batch_size,
            dtype=dtype,
            seed=seed,
        ),
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_shapes_and_dtypes(backend, dtype):
    spec, X, y = small()
    session = start(backend, spec, dtype=dtype)
    rows = session.place(X, y)
    losses = session.run(rows, np.arange(10))
    assert losses.shape == (3,) and losses.dtype == np.float64
    assert session.outputs(X).shape == (10, 2) and session.outputs(X).dtype == dtype
    assert isinstance(session.mean_loss(rows), float)
    assert [w.shape for w in session.weights()] == spec.shapes
    assert {w.dtype for w in session.weights()} == {np.dtype(dtype)}


def test_one_loss_a_batch_and_the_last_batch_may_be_smaller(backend):
    spec, X, y = small()
    session = start(backend, spec)
    order = np.array([7, 1, 9, 0, 2, 4, 3, 8, 6, 5])
    losses = session.run(session.place(X, y), order)
    expected = [
        session.mean_loss(session.place(X[rows], y[rows]))
        for rows in (order[:4], order[4:8], order[8:])
    ]
    assert np.allclose(losses, expected, rtol=1e-13, atol=0)


def test_a_batch_larger_than_the_rows_is_one_batch(backend):
    spec, X, y = small()
    assert start(backend, spec, batch_size=64).run(
        start(backend, spec).place(X, y), np.arange(10)
    ).shape == (1,)


def test_losses_are_those_before_each_step(backend):
    spec, X, y = small()
    session = start(backend, spec, SGD(0.5), batch_size=10)
    rows = session.place(X, y)
    before = session.mean_loss(rows)
    first, second = session.run(rows, np.r_[np.arange(10), np.arange(10)])
    assert first == pytest.approx(before, rel=1e-13) and second < first


def test_weights_are_copies(backend):
    spec, X, _ = small()
    session = start(backend, spec)
    taken, outputs = session.weights(), session.outputs(X)
    for array in taken:
        array[...] = 7
    assert (session.outputs(X) == outputs).all() and not any(
        (w == 7).any() for w in session.weights()
    )


def test_the_given_weights_stay_as_they_are(backend):
    spec, X, y = small()
    given = initial_weights(spec, 1)
    session = start(backend, spec, SGD(0.5), weights=given)
    session.run(session.place(X, y), np.arange(10))
    assert all((a == b).all() for a, b in zip(given, initial_weights(spec, 1), strict=True))
    assert all((a != b).any() for a, b in zip(given, session.weights(), strict=True))


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1, momentum=0.9), Adam(0.01)], ids=["momentum", "adam"]
)
def test_two_chunks_are_one_longer_chunk(backend, optimizer):
    spec, X, y = small(rows=8)
    whole, parts, order = (
        start(backend, spec, optimizer),
        start(backend, spec, optimizer),
        np.tile(np.arange(8), 3),
    )
    rows = whole.place(X, y)
    losses = whole.run(rows, order)
    assert (losses == np.r_[parts.run(rows, order[:16]), parts.run(rows, order[16:])]).all()
    assert all((a == b).all() for a, b in zip(whole.weights(), parts.weights(), strict=True))


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1), Adam(0.01), RMSprop(0.01)], ids=["sgd", "adam", "rmsprop"]
)
def test_two_chunks_of_a_convolution_are_one_longer_chunk(backend, optimizer):
    "In float32; batches of 4 and a last one of 3; weights, optimiser state and running statistics."
    spec, draw = cnn((8, 8, 1), 3, (2, 3), batch_norm=True), rng(3, "chunks")
    X, y, order = (
        draw.normal(size=(11, 64)),
        draw.integers(0, 3, 11),
        np.concatenate([draw.permutation(11) for _ in range(3)]),
    )
    whole, parts = (
        open_session(
            spec,
            initial_weights(spec),
            Training(
                backend=backend,
                optimizer=optimizer,
                loss="cross_entropy",
                batch_size=4,
                dtype="float32",
                seed=0,
            ),
        )
        for _ in range(2)
    )
    rows = whole.place(X, y)
    assert (
        whole.run(rows, order) == np.r_[parts.run(rows, order[:12]), parts.run(rows, order[12:])]
    ).all()
    ends = [[*one.weights(), *one.states(), *sum(one.slots(), [])] for one in (whole, parts)]
    assert all((one == other).all() for one, other in zip(*ends, strict=True))
    moved = max(
        np.abs(w - v).max() for w, v in zip(whole.weights(), initial_weights(spec), strict=True)
    )
    assert moved > 1e-3 and whole.done == parts.done == 9


# Losses


def targets(loss, rows):
    "Outputs of the network and targets that go with the loss."
    draw = rng(2, loss)
    if loss == "bce":
        return 1, draw.integers(0, 2, rows)
    return (
        (3, draw.integers(0, 3, rows))
        if loss == "cross_entropy"
        else (2, draw.normal(size=(rows, 2)))
    )


def reference_loss(loss, outputs, y):
    if loss == "mse":
        return mean_squared_error(y, outputs)
    logits = np.hstack([np.zeros_like(outputs), outputs]) if loss == "bce" else outputs
    proba = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return log_loss(y, proba, labels=range(logits.shape[1]))


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_are_scikit_learns(backend, loss):
    k, y = targets(loss, 50)
    X = rng(3, "X").normal(size=(50, 4))
    session = start(backend, mlp(4, 8, k), loss=loss)
    expected = reference_loss(loss, session.outputs(X), y)
    assert session.mean_loss(session.place(X, y)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("k, loss", [(1, "bce"), (2, "cross_entropy")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_sure_and_wrong_guess_costs_its_logit_and_not_infinity(backend, k, loss, dtype):
    spec = mlp(1, k)
    weights = [np.full((1, 1), -1000.0) if k == 1 else np.array([[500.0, -500.0]]), np.zeros(k)]
    session = start(backend, spec, loss=loss, dtype=dtype, weights=weights)
    assert session.mean_loss(session.place(np.ones((1, 1)), np.array([1]))) == pytest.approx(
        1000, rel=1e-6
    )


# Gradients

NETWORKS = {
    "dense": mlp(3, 2),
    "relu": mlp(3, 4, 2),
    "dropout": mlp(3, 4, 4, 2, dropout=0.4),
    "tanh": Spec((Dense(3, 4), Tanh(), Dense(4, 2))),
    "convolution": cnn((4, 4, 1), 2, (2,)),
    "batch norm": Spec((Dense(3, 4, bias=False), BatchNorm(4), Tanh(), Dense(4, 2))),
    "lstm": recurrent(5, 3, 2, 2, 3, cell="lstm"),
    "gru, all states": Spec(
        (Embedding(5, 2), GRU(2, 3, sequences=True), GlobalAveragePool(), Dense(3, 2)), 3
    ),
    "attention": Spec(
        (
            Embedding(5, 4),
            Positions(3, 4),
            residual(LayerNorm(4), Attention(4, 2)),
            GlobalAveragePool(),
            Dense(4, 2),
        ),
        3,
    ),
    "columns and branches": Spec(
        (
            Parallel(((Columns((0, 2)), Dense(2, 3)), (Columns((1,)), Dense(1, 3))), "dot"),
            Dense(1, 2),
        ),
        3,
    ),
}


def rows_for(spec, n):
    "Rows that the network can take: whole numbers where it looks them up."
    X, sizes = rng(4, "X").normal(size=(n, spec.inputs)), spec.vocabularies()
    for column, size in sizes.items():
        X[:, column] = rng(4, "column", column).integers(0, size, n)
    return X


def gradient_gap(backend, spec, loss, y):
    """The gradient from one step w - g, less the central differences of the loss of that batch;
    relative to the largest."""
    X, weights = rows_for(spec, len(y)), initial_weights(spec, 2)

    def run(weights):
        session = start(backend, spec, SGD(1.0), loss, len(y), seed=9, weights=weights)
        return session.run(session.place(X, y), np.arange(len(y)))[0], session.weights()

    def slope(i, place, h=1e-5):
        up, down = ([w.copy() for w in weights] for _ in range(2))
        up[i][place] += h
        down[i][place] -= h
        return (run(up)[0] - run(down)[0]) / (2 * h)

    gradient = np.concatenate(
        [(w - new).ravel() for w, new in zip(weights, run(weights)[1], strict=True)]
    )
    numeric = np.array(
        [slope(i, place) for i, w in enumerate(weights) for place in np.ndindex(w.shape)]
    )
    assert np.abs(numeric).max() > 1e-3
    return np.abs(gradient - numeric).max() / np.abs(numeric).max()


@pytest.mark.parametrize("layers", NETWORKS)
def test_gradient_of_each_layer_is_the_slope_of_the_loss(backend, layers):
    assert (
        gradient_gap(backend, NETWORKS[layers], "cross_entropy", rng(6, "y").integers(0, 2, 7))
        < 1e-7
    )


def test_networks_above_hold_every_layer(backend):
    layers = importlib.import_module(f"bigdata_ai.train.{BACKENDS[backend]}.layers")
    said = {
        name for spec in NETWORKS.values() for name in re.findall(r"\b([A-Z]\w+)\(", repr(spec))
    }
    assert said - {"Spec"} == {kind.__name__ for kind in layers.FORWARD}


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_of_each_loss_is_its_slope(backend, loss):
    k, y = targets(loss, 7)
    assert gradient_gap(backend, mlp(3, 4, k), loss, y) < 1e-7


# Optimisers, against their formulas in NumPy


def numpy_sgd(optimizer, w, steps):
    velocity, path = 0.0, []
    for _ in range(steps):
        velocity = optimizer.momentum * velocity + 2 * (w - 3) + optimizer.l2 * w
        w = w - optimizer.learning_rate * velocity
        path.append(w)
    return path


def numpy_nesterov(optimizer, w, steps):
    velocity, path = 0.0, []
    for _ in range(steps):
        g = 2 * (w - 3) + optimizer.l2 * w + optimizer.l1 * np.sign(w)
        velocity = optimizer.momentum * velocity + g
        w = w - optimizer.learning_rate * (g + optimizer.momentum * velocity)
        path.append(w)
    return path


def numpy_rms_prop(optimizer, w, steps):
    v, path = 0.0, []
    for _ in range(steps):
        g = 2 * (w - 3) + optimizer.l2 * w + optimizer.l1 * np.sign(w)
        v = optimizer.decay * v + (1 - optimizer.decay) * g**2
        w = w - optimizer.learning_rate * g / (np.sqrt(v) + optimizer.epsilon)
        path.append(w)
    return path


def numpy_adam_w(optimizer, w, steps):
    plain, path = (
        Adam(optimizer.learning_rate, optimizer.beta_1, optimizer.beta_2, optimizer.epsilon),
        [],
    )
    m = v = 0.0
    for t in range(1, steps + 1):
        g = 2 * (w - 3)
        m, v = (
            plain.beta_1 * m + (1 - plain.beta_1) * g,
            plain.beta_2 * v + (1 - plain.beta_2) * g**2,
        )
        w = w * (1 - plain.learning_rate * optimizer.weight_decay)
        w = w - plain.learning_rate * m / (1 - plain.beta_1**t) / (
            np.sqrt(v / (1 - plain.beta_2**t)) + plain.epsilon
        )
        path.append(w)
    return path


def numpy_adam(optimizer, w, steps):
    m = v = 0.0
    path = []
    for t in range(1, steps + 1):
        g = 2 * (w - 3) + optimizer.l2 * w
        m = optimizer.beta_1 * m + (1 - optimizer.beta_1) * g
        v = optimizer.beta_2 * v + (1 - optimizer.beta_2) * g**2
        m_hat, v_hat = m / (1 - optimizer.beta_1**t), v / (1 - optimizer.beta_2**t)
        w = w - optimizer.learning_rate * m_hat / (np.sqrt(v_hat) + optimizer.epsilon)
        path.append(w)
    return path


@pytest.mark.parametrize(
    "optimizer, formula",
    [
        (SGD(0.1), numpy_sgd),
        (SGD(0.05, momentum=0.9), numpy_sgd),
        (SGD(0.05, momentum=0.5, l2=0.1), numpy_sgd),
        (Adam(0.1), numpy_adam),
        (Adam(0.1, beta_1=0.8, beta_2=0.9, epsilon=0.01, l2=0.1), numpy_adam),
        (SGD(0.05, momentum=0.9, nesterov=True, l1=0.3, l2=0.1), numpy_nesterov),
        (AdamW(0.1, weight_decay=0.5), numpy_adam_w),
        (RMSprop(0.1), numpy_rms_prop),
        (RMSprop(0.1, decay=0.9, epsilon=0.01, l1=0.3, l2=0.1), numpy_rms_prop),
    ],
    ids=[
        "sgd",
        "momentum",
        "momentum-l2",
        "adam",
        "adam-l2",
        "nesterov-l1-l2",
        "adam-w",
        "rms-prop",
        "rms-prop-l1-l2",
    ],
)
def test_optimisers_follow_their_formulas(backend, optimizer, formula):
    "On (bias - 3)², whose gradient is 2 (bias - 3): rows of zeros leave the bias alone to learn."
    session = start(
        backend, mlp(1, 1), optimizer, "mse", 1, weights=[np.zeros((1, 1)), np.array([0.5])]
    )
    rows, path = session.place(np.zeros((1, 1)), np.full((1, 1), 3.0)), []
    for _ in range(20):
        session.run(rows, np.array([0]))
        path.append(session.weights()[1][0])
    assert np.allclose(path, formula(optimizer, 0.5, 20), rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_l2_shrinks_weights_that_no_gradient_holds(backend, kind):
    spec, weights = mlp(2, 1), [np.array([[2.0], [-3.0]]), np.zeros(1)]

    def after_steps(l2):
        session = start(backend, spec, kind(0.1, l2=l2), "mse", weights=weights)
        session.run(session.place(np.zeros((4, 2)), np.zeros((4, 1))), np.arange(4))
        return session.weights()[0]

    assert (after_steps(0.0) == weights[0]).all()
    assert (np.abs(after_steps(0.5)) < np.abs(weights[0])).all()
    if kind is SGD:
        assert np.allclose(after_steps(0.5), weights[0] * (1 - 0.1 * 0.5), rtol=1e-14, atol=0)


# Dropout


def dropout_losses(backend, seed, epochs=1):
    spec, X, y = small(dropout=0.5)
    session = start(backend, spec, SGD(0.1), seed=seed)
    rows = session.place(X, y)
    return np.concatenate([session.run(rows, np.arange(10)) for _ in range(epochs)]), session


def test_dropout_keeps_its_seed(backend):
    (first, one), (again, two) = (
        dropout_losses(backend, 3, epochs=2),
        dropout_losses(backend, 3, epochs=2),
    )
    assert (first == again).all() and all(
        (a == b).all() for a, b in zip(one.weights(), two.weights(), strict=True)
    )
    assert (dropout_losses(backend, 4, epochs=2)[0] != first).any()


def test_dropout_changes_training_but_not_outputs(backend):
    spec, X, y = small(dropout=0.5)
    session, without = (
        start(backend, spec, batch_size=10),
        start(backend, small()[0], batch_size=10),
    )
    rows, outputs = session.place(X, y), without.outputs(X)
    assert session.run(rows, np.arange(10))[0] != session.mean_loss(rows)
    assert (session.outputs(X) == outputs).all() and (session.outputs(X) == outputs).all()
    assert session.mean_loss(rows) == without.mean_loss(rows)


def test_dropout_draws_new_masks_at_every_step(backend):
    spec, X, y = small(dropout=0.5)
    session = start(backend, spec, batch_size=10)
    rows, order = session.place(X, y), np.tile(np.arange(10), 3)
    assert len(set(np.r_[session.run(rows, order), session.run(rows, order)])) == 6


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_its_share_and_scales_the_rest_up(backend, rate):
    """A hidden layer of ones is averaged, so that the root of the squared error is share kept / (1
    - rate)."""
    n = 100_000
    spec = Spec((Dense(1, n), Dropout(rate), Dense(n, 1)))
    weights = [np.zeros((1, n)), np.ones(n), np.full((n, 1), 1 / n), np.zeros(1)]
    session = start(backend, spec, loss="mse", weights=weights)
    mean = np.sqrt(session.run(session.place(np.zeros((1, 1)), np.zeros((1, 1))), np.array([0]))[0])
    assert mean != 1 and abs(mean - 1) < 5 * np.sqrt(rate / (1 - rate) / n)


# fit


@pytest.fixture
def few(digits):
    "300 rows of the digits: enough to learn something in a few steps."
    return digits.take(slice(300))


def test_loss_falls_on_digits(backend, digits):
    model = fit(
        mlp(64, 32, 10),
        digits,
        backend=backend,
        optimizer=Adam(0.01),
        epochs=3,
        validation=digits.take(slice(100)),
    )
    losses = [model.start_loss, *model.history_frame()["loss"]]
    assert losses == sorted(losses, reverse=True) and losses[-1] < 0.5 * losses[0]
    assert model.history[-1]["validation_accuracy"] > 0.8
    assert (model.predict(digits.X) == digits.y).mean() > 0.8


def test_history_is_the_mean_over_rows_with_validation_at_the_end_of_the_epoch(backend, few):
    """Steps too small to move anything: every epoch's loss is that of all rows, the small last
    batch counting less."""
    model = fit(
        mlp(64, 10),
        few,
        backend=backend,
        optimizer=SGD(1e-300),
        epochs=2,
        validation=few,
        dtype="float64",
    )
    assert [row["epoch"] for row in model.history] == [1, 2]
    for row in model.history:
        assert row["loss"] == pytest.approx(model.start_loss, rel=1e-12)
        assert row["validation_loss"] == pytest.approx(model.start_loss, rel=1e-12)
        assert row["validation_accuracy"] == (model.predict(few.X) == few.y).mean()


def test_binary_and_real_valued_models_predict(backend, few):
    binary = fit(mlp(64, 8, 1), from_arrays(few.X, few.y % 2), backend=backend, epochs=20, seed=1)
    assert (
        binary.predict_proba(few.X).shape == (300, 2)
        and (binary.predict(few.X) == few.y % 2).mean() > 0.8
    )
    assert np.allclose(binary.predict_proba(few.X).sum(axis=1), 1, rtol=1e-12, atol=0)
    x = np.linspace(-1, 1, 50)
    line = fit(
        mlp(1, 1),
        from_arrays(x[:, None], 2 * x, classes=0),
        backend=backend,
        optimizer=SGD(0.1),
        loss="mse",
        epochs=200,
    )
    assert line.predict([[0.5]])[0, 0] == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_same_seed_same_history(backend, few, dropout):
    def history(seed):
        return fit(
            mlp(64, 16, 10, dropout=dropout),
            few,
            backend=backend,
            epochs=3,
            seed=seed,
            validation=few,
        ).history

    assert history(1) == history(1)
    assert history(1) != history(2)


def test_early_stopping_bears_patience_epochs_without_a_fall(backend, few):
    def epochs(**options):
        stop = early_stopping(**options)
        return len(
            fit(
                mlp(64, 10), few, backend=backend, epochs=9, validation=few, callbacks=[stop]
            ).history
        )

    assert epochs(patience=1, min_delta=100) == 2
    assert epochs(patience=3, min_delta=100, monitor="loss") == 4
    assert epochs(patience=1) == 9


def test_callbacks_see_every_epoch_and_any_of_them_stops(backend, few):
    seen = []
    callbacks = [
        lambda row, model: seen.append((row["epoch"], model.outputs(few.X[:1]).shape)),
        lambda row, model: row["epoch"] == 3,
        lambda row, model: seen.append("after"),
    ]
    model = fit(mlp(64, 10), few, backend=backend, epochs=9, callbacks=callbacks)
    assert (
        seen == [(1, (1, 10)), "after", (2, (1, 10)), "after", (3, (1, 10)), "after"]
        and len(model.history) == 3
    )


def test_divergence_names_epoch_and_batch(backend, few):
    """The place in the message is the first loss that is not finite when the same steps are done by
    hand."""
    spec, optimizer = mlp(64, 1), SGD(1e3)
    data = from_arrays(few.X, few.y.astype(float), classes=0)
    with pytest.raises(DivergedError) as caught:
        fit(spec, data, backend=backend, optimizer=optimizer, loss="mse", epochs=9, seed=1)
    session, order = start(backend, spec, optimizer, "mse", 64, "float32"), rng(1, "order")
    rows = session.place(data.X, data.y[:, None])
    losses = np.array([session.run(rows, order.permutation(300)) for _ in range(9)])
    epoch, batch = np.argwhere(~np.isfinite(losses))[0] + 1
    assert (
        f"{losses[epoch - 1, batch - 1]} in epoch {epoch}, batch {batch}." in str(caught.value)
        and epoch > 1
    )


def watched_runs(monkeypatch, backend, **options):
    "The orders that `fit` hands to `run`, and the losses that come back."
    seen, real = [], loop.open_session

    def watching(*args):
        session = real(*args)
        run = session.run

        def recorded(rows, order, rates=None):
            losses = run(rows, order, rates)
            seen.append((np.array(order), losses))
            return losses

        session.run = recorded
        return session

    with monkeypatch.context() as patch:
        patch.setattr(loop, "open_session", watching)
        fit(backend=backend, **options)
    return seen


def test_both_frameworks_see_the_same_batches(monkeypatch, frameworks, digits):
    options = dict(learner=mlp(64, 32, 10), rows=digits, epochs=2, seed=4, dtype="float64")
    runs = [watched_runs(monkeypatch, backend, **options) for backend in BACKENDS]
    for (order, losses), (other_order, other_losses) in zip(*runs, strict=True):
        assert (order == other_order).all() and sorted(order) == list(range(len(digits)))
        assert len(losses) == 29 and np.allclose(losses, other_losses, rtol=1e-12, atol=0)
    assert (runs[0][0][0] != runs[0][1][0]).any()


def test_torch_keeps_to_the_thread_limit_of_openmp():
    """With more threads than that, PyTorch's convolutions come out wrong."""
    child = (
        "import torch, bigdata_ai.train.torch_backend.steps; torch.manual_seed(0); net ="
        " torch.nn.Conv2d(16, 32, 3, padding=1); x = torch.randn(64, 16, 14, 14); exact ="
        " net.double()(x.double()); print(float((net.float()(x) - exact).abs().max().detach()))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", child],
        env=os.environ | {"OMP_THREAD_LIMIT": "1", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert 0 < float(done.stdout) < 1e-4, done.stdout
