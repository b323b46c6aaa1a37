"""Looking into training: the layer that goes wrong is named in both frameworks, found rates are of
use, logs are read back."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from bigdata_ai import viz
from bigdata_ai.core import InputError, SealedTestError, rng
from bigdata_ai.data.store.batches import Batches
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.data.split import split
from bigdata_ai.train.checkpoint import Checkpoint
from bigdata_ai.train.inspect import debug_batch, draw_rates, learning_rate_finder, suggest_rate
from bigdata_ai.train.inspect import tensorboard_log
from bigdata_ai.train.loop import fit, open_session
from bigdata_ai.train.networks import cnn, matrix_factorization, recurrent, transformer
from bigdata_ai.train.spec.layers import BatchNorm, Dense, Dropout, ReLU
from bigdata_ai.train.spec.network import Spec, initial_weights
from bigdata_ai.train.spec.optimizers import SGD, Adam
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.training import Training


@pytest.fixture(scope="session")
def batch(digits):
    return digits.X[:20], digits.y[:20]


# Own networks, the same in both frameworks: 64 -> 8 -> ReLU -> 6 (after `middle` features) -> 10


def own_network(frameworks, backend, middle=8, training_layers=False):
    if backend == "torch":
        nn = frameworks["torch"].nn
        extra = [nn.BatchNorm1d(6), nn.Dropout(0.5)] if training_layers else []
        return nn.Sequential(
            nn.Linear(64, 8), nn.ReLU(), nn.Linear(middle, 6), *extra, nn.Linear(6, 10)
        )
    import keras

    extra = (
        [keras.layers.BatchNormalization(), keras.layers.Dropout(0.5)] if training_layers else []
    )
    second = keras.layers.Dense(6)
    second.build((None, middle))
    return keras.Sequential(
        [keras.layers.Dense(8), keras.layers.ReLU(), second, *extra, keras.layers.Dense(10)]
    )


def kinds(table):
    return [name.split()[-1] for name in table["layer"]]


# A spec


def test_each_layer_has_its_numbers(backend, batch):
    X, y = batch
    spec = mlp(64, 8, 10)
    table, (w1, b1, w2, b2) = (
        debug_batch(spec, X, backend=backend, seed=5),
        initial_weights(spec, 5),
    )
    first = X.astype("float64") @ w1 + b1
    expected = {
        "X": X,
        "0.dense": first,
        "1.relu": np.maximum(first, 0),
        "2.dense": np.maximum(first, 0) @ w2 + b2,
    }
    assert list(table["layer"]) == list(expected)
    for row, values in zip(table.to_dict("records"), expected.values(), strict=True):
        assert (
            row["output"] == f"20 × {values.shape[1]}"
            and row["dtype"] == "float32"
            and row["note"] == ""
            and row["not_finite"] == 0
        )
        assert np.allclose(
            [row["min"], row["mean"], row["max"]],
            [values.min(), values.mean(), values.max()],
            rtol=1e-5,
            atol=1e-7,
        )
        assert row["zeros"] == (values == 0).mean()
    assert "gradient" not in table and table["zeros"][2] > 0.2


def test_gradients_are_those_of_a_step(backend, batch):
    "A step of plain gradient descent with rate 1 moves each weight by its gradient."
    X, y = batch
    spec, weights = mlp(64, 8, 10), initial_weights(mlp(64, 8, 10), 0)
    session = open_session(
        spec,
        weights,
        Training(
            backend=backend,
            optimizer=SGD(1.0),
            loss="cross_entropy",
            batch_size=20,
            dtype="float64",
            seed=0,
        ),
    )
    loss = session.run(session.place(X, y), np.arange(20))[0]
    moved = [np.linalg.norm(a - b) for a, b in zip(weights, session.weights(), strict=True)]
    table = debug_batch(spec, X, y, backend=backend, dtype="float64").set_index("layer")
    found = [
        table["gradient"][layer][weight]
        for layer in ("0.dense", "2.dense")
        for weight in ("weight", "bias")
    ]
    assert np.allclose(found, moved, rtol=1e-5, atol=0) and table["mean"]["loss"] == pytest.approx(
        loss, rel=1e-12
    )


@pytest.mark.parametrize(
    "spec",
    [cnn((8, 8, 1), 10, (3,), batch_norm=True), transformer(17, 64, 10, 4, 2, 1)],
    ids=["cnn", "transformer"],
)
@pytest.mark.parametrize("training", [False, True])
def test_both_frameworks_tell_the_same(frameworks, batch, spec, training):
    X, y = batch
    X = np.round(X * 16)
    tables = [
        debug_batch(spec, X, y, backend=backend, dtype="float64", training=training)
        for backend in ("torch", "tensorflow")
    ]
    assert tables[0][["layer", "output", "dtype", "note"]].equals(
        tables[1][["layer", "output", "dtype", "note"]]
    )
    numbers = [table[["min", "mean", "max"]].to_numpy() for table in tables]
    assert np.allclose(*numbers, rtol=1e-9, atol=1e-12)
    for one, two in zip(tables[0]["gradient"], tables[1]["gradient"], strict=True):
        assert one.keys() == two.keys() and np.allclose(
            list(one.values()), list(two.values()), rtol=1e-5, atol=1e-12
        )
    names = {f"{row.layer}.{weight}" for row in tables[0].itertuples() for weight in row.gradient}
    assert names == set(spec.names()[: len(spec.variables)])


def test_layers_of_branches_are_seen(backend):
    table = debug_batch(
        matrix_factorization(5, 4, 3), [[0, 1], [4, 3]], [1.0, 2.0], backend=backend, loss="mse"
    )
    assert list(table["layer"]) == [
        "X",
        "2.columns",
        "3.embedding",
        "4.flatten",
        "5.columns",
        "6.embedding",
        "7.flatten",
        "1.parallel",
        "8.columns",
        "9.embedding",
        "10.flatten",
        "11.columns",
        "12.embedding",
        "13.flatten",
        "0.parallel",
        "loss",
    ]
    assert table["gradient"][2].keys() == {"weight"} and table["output"][2] == "2 × 1 × 3"


def test_training_draws_and_looks_at_the_batch(backend, batch):
    spec = Spec((Dense(64, 8), BatchNorm(8), ReLU(), Dropout(0.5), Dense(8, 10)))
    still, moving = (
        debug_batch(spec, batch[0], backend=backend, training=training)
        for training in (False, True)
    )
    assert still["zeros"][4] == still["zeros"][3] and moving["zeros"][4] > moving["zeros"][3] + 0.1
    assert abs(moving["mean"][2]) < 1e-6 < abs(still["mean"][2])


@pytest.mark.parametrize(
    "spec, columns, layer, said",
    [
        (mlp(64, 8, 10), 63, "0.dense", "Dense needs 64 features"),
        (cnn((8, 8, 1), 10, (3,)), 63, "0.reshape", "Reshape needs 64 values"),
        (
            transformer(9, 6, 10, 4, 2, 1),
            5,
            "1.positions",
            "Positions needs a sequence of shape (6, 4)",
        ),
    ],
    ids=["mlp", "cnn", "transformer"],
)
def test_the_layer_where_shapes_break_is_named(backend, spec, columns, layer, said):
    table = debug_batch(spec, np.zeros((3, columns)), np.zeros(3), backend=backend)
    last = table.iloc[-1]
    assert (
        last["layer"] == layer
        and f"does not fit: {said}" in last["note"]
        and table["note"][0] == f"{spec.inputs} columns are expected"
    )
    assert table["layer"][0] == "X" and len(table) == int(layer[0]) + 2


@pytest.mark.parametrize("token", [9, -1])
def test_a_token_out_of_range_breaks_at_the_embedding(backend, token):
    table = debug_batch(recurrent(9, 4, 2), [[0, 1, 2, token]], backend=backend)
    assert table["layer"].iloc[-1] == "0.embedding" and table["note"].iloc[-1].startswith(
        "does not fit: "
    )


def test_the_first_nan_is_named(backend, batch):
    X, spec = batch[0].copy(), mlp(64, 8, 10)
    data = from_arrays(*batch, classes=10)
    model = fit(spec, data, backend=backend, epochs=1)
    infinite = [
        np.where(w == w.max(), np.inf, w) if i == 2 else w for i, w in enumerate(model.weights)
    ]
    model.session.restore(infinite, [], None, 1)
    table = debug_batch(model, X, batch[1])
    assert (
        list(table["note"]) == ["", "", "", "the first NaN or inf is here", ""]
        and table["not_finite"][3] > 0
    )
    X[3, 4] = np.nan
    assert debug_batch(spec, X, backend=backend)["note"][0] == "the first NaN or inf is here"


def test_a_trained_model_is_walked_with_its_own_weights(backend, batch):
    data = from_arrays(*batch, classes=10)
    model = fit(
        cnn((8, 8, 1), 10, (3,), batch_norm=True),
        data,
        backend=backend,
        optimizer=Adam(0.05),
        epochs=3,
    )
    weights, states = model.weights, model.states
    table = debug_batch(model, *batch, training=True)
    table = debug_batch(model, *batch)
    outputs = model.outputs(batch[0])
    assert np.allclose(
        table[["min", "mean", "max"]].iloc[-2],
        [outputs.min(), outputs.mean(), outputs.max()],
        rtol=1e-5,
        atol=0,
    )
    assert table["mean"].iloc[-1] == pytest.approx(
        model.session.mean_loss(model.session.place(*batch)), rel=1e-5
    )
    for before, after in ((weights, model.weights), (states, model.states)):
        assert all((a == b).all() for a, b in zip(before, after, strict=True))


# Networks of the user's own


def test_an_own_network_is_walked(frameworks, backend, batch):
    table = debug_batch(own_network(frameworks, backend), *batch)
    assert list(table["output"]) == ["20 × 64", "20 × 8", "20 × 8", "20 × 6", "20 × 10", "1"]
    dense = {"torch": "Linear", "tensorflow": "Dense"}[backend]
    assert kinds(table) == ["X", dense, "ReLU", dense, dense, "loss"]
    assert [len(weights) for weights in table["gradient"]] == [0, 2, 0, 2, 2, 0] and all(
        norm > 0 for norm in table["gradient"][1].values()
    )
    assert table["min"][2] == 0 and 0 < table["zeros"][2] < 1 and (table["note"] == "").all()


def test_an_own_network_whose_middle_does_not_fit(frameworks, backend, batch):
    network = own_network(frameworks, backend, middle=9)
    table = debug_batch(network, *batch)
    assert list(table["output"]) == ["20 × 64", "20 × 8", "20 × 8", "none"]
    assert kinds(table)[-1] == {"torch": "Linear", "tensorflow": "Dense"}[backend]
    assert table["note"].iloc[-1].startswith("does not fit: ")
    if backend == "torch":
        assert table["layer"].iloc[-1] == "2 Linear" and "20x8 and 9x6" in table["note"].iloc[-1]
    with pytest.raises(InputError, match="debug_batch"):
        fit(network, from_arrays(*batch, classes=10), epochs=1)


def test_an_own_network_stays_as_it_is(frameworks, backend, batch):
    network = own_network(frameworks, backend, training_layers=True)
    debug_batch(network, *batch)  # Keras makes its weights at the first call

    def state():
        if backend == "torch":
            return [value.numpy().copy() for value in network.state_dict().values()]
        return [value.numpy().copy() for value in network.variables]

    before = state()
    table = debug_batch(network, *batch, training=True)
    assert all((a == b).all() for a, b in zip(before, state(), strict=True)) and len(before) > 8
    assert abs(table["mean"][4]) < 1e-6 and table["zeros"][5] > 0.2
    if backend == "torch":
        assert network.training and not any(
            one._forward_hooks or one._forward_pre_hooks for one in network.modules()
        )
        assert all(p.grad is None for p in network.parameters())


def test_a_trained_own_network_is_walked(frameworks, backend, batch):
    model = fit(own_network(frameworks, backend), from_arrays(*batch, classes=10), epochs=2)
    table = debug_batch(model, *batch)
    assert table["mean"].iloc[-1] == pytest.approx(
        model.session.mean_loss(model.session.place(*batch)), rel=1e-5
    )


def test_modules_within_modules(frameworks, batch):
    """What is shown has its whole path; several outputs count by their first; a weight that the
    loss does not reach is told."""
    torch = frameworks["torch"]
    nn = torch.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cells = nn.LSTM(8, 4, batch_first=True)
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(32, 10))
            self.scale, self.idle = nn.Parameter(torch.ones(())), nn.Linear(2, 2)

        def forward(self, x):
            return self.scale * self.body(self.cells(x.reshape(-1, 8, 8))[0])

    table = debug_batch(Net(), *batch).set_index("layer")
    assert list(table.index) == [
        "X",
        "cells LSTM",
        "body.0 Flatten",
        "body.1 Linear",
        "loss",
        "Net",
        "idle Linear",
    ]
    assert table["output"]["cells LSTM"] == "20 × 8 × 4" and set(table["gradient"]["Net"]) == {
        "scale"
    }
    assert table["note"]["idle Linear"] == "no gradient reaches weight. no gradient reaches bias."


def test_a_fault_between_layers_is_the_networks(frameworks, backend, batch):
    if backend == "torch":
        torch = frameworks["torch"]

        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.first = torch.nn.Linear(64, 6)

            def forward(self, x):
                return self.first(x).reshape(-1, 7)

        network = Net()
    else:
        import keras

        class Net(keras.Model):
            def __init__(self):
                super().__init__()
                self.first = keras.layers.Dense(6, name="first")

            def call(self, x):
                return keras.ops.reshape(self.first(x), (-1, 7))

        network = Net()
    table = debug_batch(network, batch[0])
    assert (
        kinds(table)[0] == "X"
        and kinds(table)[-1] == "Net"
        and table["note"].iloc[-1].startswith("does not fit: ")
    )


def test_a_functional_keras_model_is_walked(frameworks, batch):
    import keras

    given = keras.Input((64,))
    left, right = (
        keras.layers.Dense(5, name="left")(given),
        keras.layers.Dense(5, name="right")(given),
    )
    network = keras.Model(
        given,
        keras.layers.Dense(10, name="head")(keras.layers.Concatenate(name="both")([left, right])),
    )
    table = debug_batch(network, *batch).set_index("layer")
    assert {"left Dense", "right Dense", "both Concatenate", "head Dense"} <= set(table.index)
    assert table["output"]["both Concatenate"] == "20 × 10"
    assert table["gradient"]["left Dense"].keys() == {"kernel", "bias"}
    broken = debug_batch(network, batch[0][:, :60])
    assert "does not fit" in broken["note"].iloc[-1] and kinds(broken)[-1] == "Functional"


@pytest.mark.parametrize(
    "given, said",
    [
        (dict(network="mlp"), "network must be a Spec"),
        (dict(X=np.zeros(64)), "X must be numeric, of two dimensions"),
        (dict(X=np.array([["a"]])), "X must be numeric"),
        (dict(X=np.zeros((0, 64))), "one row or more"),
        (dict(y=np.full(20, 10)), "must lie in 0 … 9"),
        (dict(y=np.zeros(3)), "one label a row"),
        (dict(backend="jax"), "`backend` must be one of 'torch', 'tensorflow'"),
        (dict(loss="bce"), "must have a network with one output"),
        (dict(dtype="float16"), "`dtype` must be one of 'float32', 'float64'"),
    ],
    ids=["network", "vector", "text", "empty", "label", "rows", "backend", "loss", "dtype"],
)
def test_bad_input_is_refused(frameworks, batch, given, said):
    X, y = batch
    with pytest.raises(InputError, match=said):
        debug_batch(**(dict(network=mlp(64, 10), X=X, y=y) | given))


# The learning rate


def test_the_sweep_is_a_run_with_rising_rates(backend, digits):
    "The same steps by hand: same losses."
    spec, few = mlp(64, 8, 10), digits.take(slice(100))
    sweep = learning_rate_finder(
        spec,
        few,
        Training(backend=backend, batch_size=30, dtype="float64"),
        low=1e-4,
        high=0.1,
        steps=20,
    )
    assert np.allclose(sweep["rate"], 1e-4 * 1000 ** (np.arange(20) / 19), rtol=1e-12, atol=0)
    session, order = (
        open_session(
            spec,
            initial_weights(spec, 0),
            Training(
                backend=backend,
                optimizer=Adam(),
                loss="cross_entropy",
                batch_size=30,
                dtype="float64",
                seed=0,
            ),
        ),
        rng(0, "order"),
    )
    rows = session.place(few.X, few.y)
    losses = np.concatenate(
        [
            session.run(rows, order.permutation(100), part)
            for part in np.split(sweep["rate"].to_numpy(), 5)
        ]
    )
    assert (sweep["loss"] == losses).all()
    weights = 0.9 ** np.arange(20)[::-1]
    assert sweep["smoothed"].iloc[-1] == pytest.approx(
        np.average(losses, weights=weights), rel=1e-12
    )


def test_the_suggestion_is_of_use(frameworks, digits):
    "Training at the suggestion does better than at a tenth of it, and than at thirty times."
    spec = mlp(64, 32, 10)
    for make, high in (
        (lambda rate: SGD(rate), 100.0),
        (lambda rate: SGD(rate, 0.9), 10.0),
        (lambda rate: Adam(rate), 1.0),
    ):
        rate = suggest_rate(
            learning_rate_finder(spec, digits, Training(optimizer=make(1.0)), high=high)
        )
        loss = {
            factor: fit(spec, digits, optimizer=make(rate * factor), epochs=2).history[-1]["loss"]
            for factor in (0.1, 1, 30)
        }
        assert loss[1] < 0.7 * loss[0.1] and loss[1] < 0.7 * loss[30], (make(rate), loss)


def test_the_sweep_stops_when_the_loss_explodes(backend, digits):
    line = from_arrays(digits.X, digits.y.astype(float), classes=0)
    sweep = learning_rate_finder(
        mlp(64, 1), line, Training(backend=backend, optimizer=SGD(), loss="mse"), high=1e6
    )
    assert len(sweep) < 100 and np.isfinite(sweep["loss"]).all() and sweep["rate"].iloc[-1] < 1e6
    assert sweep["smoothed"].iloc[-1] > 4 * sweep["smoothed"].min() or len(sweep) < 100
    assert (sweep["smoothed"].iloc[:-1] <= 4 * sweep["smoothed"].cummin().iloc[:-1]).all()


def test_batches_of_a_file_are_swept_too(frameworks, digits, tmp_path):
    frame = pd.DataFrame(digits.X[:200], columns=[f"p{i}" for i in range(64)]).assign(
        label=digits.y[:200]
    )
    frame.to_parquet(tmp_path / "rows.parquet")
    batches = Batches(tmp_path / "rows.parquet", y="label", batch_size=50)
    sweep = learning_rate_finder(mlp(64, 8, 10), batches, steps=20, high=0.1)
    assert len(sweep) == 20 and sweep["smoothed"].iloc[-1] < sweep["smoothed"].iloc[0]


def test_what_can_not_be_swept_is_refused(frameworks, digits):
    spec = mlp(64, 10)
    for given in (
        dict(low=0.0),
        dict(low=1.0, high=0.5),
        dict(steps=5),
        dict(smoothing=1.0),
        dict(optimizer="adam"),
        dict(dtype="float16"),
        dict(high=np.inf),
        dict(loss="bce"),
        dict(epochs=3),
        dict(spec=frameworks["torch"].nn.Linear(64, 10)),
    ):
        settings = {
            name: given.pop(name)
            for name in ("optimizer", "dtype", "loss", "epochs")
            if name in given
        }
        with pytest.raises(InputError):
            learning_rate_finder(given.pop("spec", spec), digits, Training(**settings), **given)
    with pytest.raises(SealedTestError):
        learning_rate_finder(spec, split(digits)[1])
    with pytest.raises(InputError, match="The loss must fall"):
        suggest_rate(pd.DataFrame({"rate": np.geomspace(1, 2, 20), "smoothed": np.arange(20.0)}))
    with pytest.raises(InputError, match="10 steps before the loss explodes"):
        suggest_rate(
            learning_rate_finder(
                spec, digits, Training(optimizer=SGD()), low=1e3, high=1e4, steps=20
            )
        )


def test_the_sweep_is_drawn(frameworks, digits):
    sweep = learning_rate_finder(mlp(64, 8, 10), digits, steps=40)
    ax = draw_rates(sweep)
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert ax.get_title(loc="left") or ax.get_title() and ax.get_xscale() == "log"
    assert (
        ax.get_xlabel() == "learning rate (log scale)" and ax.get_ylabel() == "mean loss of a batch"
    )
    assert labels[-1] == f"suggested: {suggest_rate(sweep):.2g}"
    plt.close("all")


# Logs


def scalars(folder):
    log = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(event.step, event.value) for event in log.Scalars(tag)]
        for tag in log.Tags()["scalars"]
    }


def test_tensorboard_reads_the_history(backend, digits, tmp_path):
    few = digits.take(slice(200))
    model = fit(
        mlp(64, 8, 10),
        few,
        backend=backend,
        epochs=12,
        validation=few,
        callbacks=[tensorboard_log(tmp_path / "run")],
    )
    found = scalars(tmp_path / "run")
    assert set(found) == {
        "loss",
        "validation_loss",
        "validation_accuracy",
        "pace/seconds",
        "pace/rows_per_second",
        "pace/peak_mib",
    }
    for tag, values in found.items():
        rows = model.pace if tag.startswith("pace/") else model.history
        assert [step for step, _ in values] == list(range(1, 13))
        assert np.allclose(
            [value for _, value in values],
            [row[tag.removeprefix("pace/")] for row in rows],
            rtol=1e-6,
            atol=0,
        )


def test_a_resumed_run_has_one_log(frameworks, digits, tmp_path):
    few = digits.take(slice(200))

    def stop(row, model):
        if row["epoch"] == 3:
            raise KeyboardInterrupt

    def run(*callbacks):
        callbacks = [tensorboard_log(tmp_path / "log"), *callbacks]
        return fit(
            mlp(64, 10),
            few,
            epochs=5,
            callbacks=callbacks,
            checkpoint=Checkpoint(tmp_path / "kept"),
        )

    with pytest.raises(KeyboardInterrupt):
        run(stop)
    model = run()
    assert [step for step, _ in scalars(tmp_path / "log")["loss"]] == [1, 2, 3, 4, 5]
    assert len(model.history) == 5


def test_logs_need_neither_framework():
    import subprocess
    import sys

    code = (
        "import sys, tempfile, types; from bigdata_ai.train.inspect import tensorboard_log;"
        " tensorboard_log(tempfile.mkdtemp())({'epoch': 1, 'loss': 2.0},"
        " types.SimpleNamespace(pace=[{}])); print(sorted({'torch', 'tensorflow', 'keras'} &"
        " set(sys.modules)))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout.strip()
        == "[]"
    )


def test_the_figure_of_a_history_leaves_out_its_pace(frameworks, digits):
    few = digits.take(slice(100))
    model = fit(mlp(64, 10), few, epochs=3, validation=few)
    frame = model.history_frame()
    assert {"seconds", "rows_per_second", "peak_mib"} <= set(frame)
    for ax in (viz.history(frame), viz.history({"torch": frame})):
        drawn = [list(line.get_ydata()) for line in ax.lines]
        assert drawn == [list(frame["loss"]), list(frame["validation_loss"])]
    plt.close("all")
