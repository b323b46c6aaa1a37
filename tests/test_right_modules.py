"""Networks of the user's own, each case of the shared list by its number, beside the framework's
own loop."""

import copy
import os

import numpy as np
import pytest

from bigdata_ai.core import InputError
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.train.checkpoint import Checkpoint
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.optimizers import SGD, Adam, AdamW
from bigdata_ai.train.spec.options import Options

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def torch(frameworks):
    return frameworks.get("torch") or pytest.skip("PyTorch is not here")


@pytest.fixture
def keras(frameworks):
    if "tensorflow" not in frameworks:
        pytest.skip("TensorFlow is not here")
    import keras

    return keras


def rows(n=40, d=2):
    X = np.random.default_rng(0).normal(size=(n, d)).astype("float32")
    return from_arrays(X, (X[:, 0] > 0).astype(int))


def stop_after(epoch):
    return lambda row, model: row["epoch"] == epoch


# u2: what a Keras model adds to its loss, and what it asks of its weights


def penalized(keras, case):
    layer = keras.layers.Dense
    how = {
        "l2": {"kernel_regularizer": keras.regularizers.L2(1.0)},
        "l1l2 of the bias": {"bias_regularizer": keras.regularizers.L1L2(0.1, 0.1)},
        "activity": {"activity_regularizer": keras.regularizers.L2(0.5)},
        "max norm": {"kernel_constraint": keras.constraints.MaxNorm(0.01)},
        "not negative": {"kernel_constraint": keras.constraints.NonNeg()},
    }[case]
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((2,)), layer(4, activation="tanh", **how), layer(1, **how)]
    )
    return model


@pytest.mark.parametrize("case", ["l2", "l1l2 of the bias", "activity", "max norm", "not negative"])
def test_u2_regularizers_and_constraints_count_as_in_keras(keras, case):
    data = rows()
    ours, theirs = penalized(keras, case), penalized(keras, case)
    model = fit(ours, data, epochs=20, batch_size=40, optimizer=SGD(0.1), validation=data)
    theirs.compile(keras.optimizers.SGD(0.1), keras.losses.BinaryCrossentropy(from_logits=True))
    past = theirs.fit(data.X, data.y[:, None], 40, 20, verbose=0, shuffle=False)
    for a, b in zip(model.weights, theirs.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, atol=2e-5)
    losses = [row["loss"] for row in model.history]
    np.testing.assert_allclose(losses, past.history["loss"], rtol=1e-4)
    assert model.history[-2]["validation_loss"] == pytest.approx(losses[-1], rel=1e-5)
    assert model.start_loss == pytest.approx(losses[0], rel=1e-5)


def test_what_compile_set_is_noted_not_used(keras):
    data, model = rows(), penalized(keras, "l2")
    assert fit(model, data, epochs=1).notes == ()
    model.compile("sgd", "mse")
    (note,) = fit(model, data, epochs=1).notes
    assert "compile() set (SGD and mse) is not used" in note


# u5: a resumed run is the run


def dropping(torch, seed=3):
    torch.manual_seed(seed)
    nn = torch.nn

    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(2, 8), nn.Linear(8, 1)
            self.norm = nn.BatchNorm1d(8, momentum=None)

        def forward(self, x):
            x = nn.functional.dropout(self.norm(self.first(x)), 0.5, self.training)
            if self.training:
                x = x + float(np.random.normal()) * 0.1
            return self.last(x)

    return Noisy()


def test_u5_a_module_resumes_with_its_generators(torch, tmp_path):
    run = {"optimizer": Adam(0.01), "batch_size": 8, "seed": 4}
    data = rows()
    straight = fit(dropping(torch), data, epochs=6, **run)
    torch.manual_seed(77)  # what is drawn elsewhere changes nothing
    np.random.seed(5)
    outside = np.random.get_state()[1].copy()
    again = fit(dropping(torch), data, epochs=6, **run)
    assert np.array_equal(np.random.get_state()[1], outside)
    for every in (2, 500):
        kept = {"checkpoint": Checkpoint(tmp_path / str(every), every)}
        fit(dropping(torch), data, epochs=6, callbacks=[stop_after(3)], **run, **kept)
        resumed = fit(dropping(torch, seed=9), data, epochs=6, **run, **kept)
        for model in (again, resumed):
            pairs = zip(straight.weights, model.weights, strict=True)
            assert all(np.array_equal(a, b) for a, b in pairs)
            pairs = zip(straight.states, model.states, strict=True)
            assert all(np.array_equal(a, b) for a, b in pairs)


def dropping_model(keras, seed):
    keras.utils.set_random_seed(seed)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(8),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.GaussianNoise(0.1),
            layers.Dense(1),
        ]
    )


def test_u5_a_keras_model_resumes_with_its_seed_generators(keras, tmp_path):
    run = {"optimizer": Adam(0.01), "batch_size": 8, "seed": 4}
    data = rows()
    straight = fit(dropping_model(keras, 3), data, epochs=6, **run)
    for every in (2, 500):
        kept = {"checkpoint": Checkpoint(tmp_path / str(every), every)}
        fit(dropping_model(keras, 3), data, epochs=6, callbacks=[stop_after(3)], **run, **kept)
        resumed = fit(dropping_model(keras, 9), data, epochs=6, **run, **kept)
        pairs = zip(straight.weights, resumed.weights, strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


def test_u5_a_keras_model_that_draws_without_a_state_is_not_kept(keras, tmp_path):
    import tensorflow as tf

    class Noisy(keras.layers.Layer):
        def call(self, x, training=False):
            return x + tf.random.normal(tf.shape(x)) if training else x

    model = keras.Sequential([keras.Input((2,)), Noisy(), keras.layers.Dense(1)])
    with pytest.raises(InputError, match="seed generators.*RandomStandardNormal"):
        fit(model, rows(), epochs=2, checkpoint=Checkpoint(tmp_path))
    fit(model, rows(), epochs=2)


# u7: what a spec's own layers would have been told


def test_u7_batch_norm_with_one_row_left_is_said_before_training(torch, keras):
    nn, layers = torch.nn, keras.layers
    norm = [keras.Input((2,)), layers.Dense(4), layers.BatchNormalization(), layers.Dense(1)]
    for network in (
        nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
        keras.Sequential(norm),
    ):
        with pytest.raises(InputError, match="17 rows in batches of 8.*batch_size=7"):
            fit(network, rows(17), batch_size=8, epochs=1)
        fit(network, rows(17), batch_size=7, epochs=1)


def test_u7_batch_norm_of_several_places_takes_one_row(torch, keras):
    nn, layers = torch.nn, keras.layers
    places = nn.Sequential(
        nn.Unflatten(1, (1, 4)),
        nn.Conv1d(1, 3, 2),
        nn.BatchNorm1d(3),
        nn.Flatten(),
        nn.Linear(9, 1),
    )
    frozen = keras.Sequential([keras.Input((4,)), layers.BatchNormalization(), layers.Dense(1)])
    frozen.layers[0].trainable = False
    for network in (places, frozen):
        assert len(fit(network, rows(9, 4), batch_size=8, epochs=1).history) == 1


def unused_module(torch):
    class Part(torch.nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.used, self.unused = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)

        def forward(self, x):
            return self.used(x)

    return Part()


def test_u7_an_unused_layer_is_left_alone_as_in_torch(torch):
    data, module = rows(16), unused_module(torch)
    twin = copy.deepcopy(module)
    options = {"optimizer": AdamW(0.1, weight_decay=0.5), "epochs": 1, "batch_size": 16}
    fit(module, data, **options)
    optimizer = torch.optim.AdamW(twin.parameters(), 0.1, weight_decay=0.5)
    loss = torch.nn.functional.binary_cross_entropy_with_logits
    loss(twin(torch.from_numpy(data.X))[:, 0], torch.from_numpy(data.y).float()).backward()
    optimizer.step()
    for a, b in zip(module.parameters(), twin.parameters(), strict=True):
        np.testing.assert_allclose(a.detach(), b.detach(), atol=1e-6)
    assert not module.used.weight._post_accumulate_grad_hooks


def test_u7_an_unused_variable_is_left_alone_as_in_keras(keras):
    class Part(keras.Model):
        def __init__(self):
            super().__init__()
            self.used, self.unused = keras.layers.Dense(1), keras.layers.Dense(1)

        def build(self, shape):
            self.used.build(shape)
            self.unused.build(shape)

        def call(self, x):
            return self.used(x)

    model = Part()
    model.build((None, 2))
    before = [w.copy() for w in model.unused.get_weights()]
    trained = fit(model, rows(), epochs=3, optimizer=AdamW(0.1, weight_decay=0.5))
    assert trained.history[-1]["loss"] < trained.start_loss
    after = model.unused.get_weights()
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_u7_errors_inside_a_training_pass_are_told(torch, keras):
    nn = torch.nn

    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.table, self.last = nn.Embedding(3, 2), nn.Linear(2, 1)

        def forward(self, x):
            return self.last(self.table(x[:, 0].long().clamp(min=0)))

    X = np.array([[0.0], [1.0], [2.0], [7.0]])
    with pytest.raises(InputError, match="must take rows of shape .*4, 1.*IndexError"):
        fit(Odd(), from_arrays(X, [0, 1, 0, 1]), epochs=1)
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Embedding(3, 2),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    with pytest.raises(InputError, match="must take rows of shape .*4, 1"):
        fit(model, from_arrays(X, [0, 1, 0, 1]), epochs=1)


# s10: a network that ends in what belongs to the loss


def torch_endings(torch):
    nn = torch.nn

    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 1)

        def forward(self, x):
            return torch.sigmoid(self.layer(x)).squeeze(1).unsqueeze(1).clamp(1e-6, 1 - 1e-6)

    class Both(Functional):
        def forward(self, x):
            p = torch.sigmoid(self.layer(x))
            return torch.cat([1 - p, p], 1)

    return {
        "sigmoid": nn.Sequential(nn.Linear(2, 1), nn.Sigmoid()),
        "functional": Functional(),
        "both": Both(),
        "softmax": nn.Sequential(nn.Linear(2, 2), nn.Softmax(1)),
        "relu": nn.Sequential(nn.Linear(2, 2), nn.ReLU()),
        "tanh": nn.Sequential(nn.Linear(2, 1), nn.Tanh()),
        "exp of log-softmax": nn.Sequential(nn.Linear(2, 2), nn.Softmin(1)),
    }


def test_s10_a_module_that_ends_in_an_activation_is_refused(torch, tmp_path):
    for network in torch_endings(torch).values():
        with pytest.raises(
            InputError, match="must end with raw outputs.*leave the last activation"
        ):
            fit(network, rows(), epochs=1)
    nn = torch.nn
    fine = nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(1))
    model = fit(fine, rows(200), epochs=30, optimizer=Adam(0.05))
    assert (model.predict(rows(200).X) == rows(200).y).mean() > 0.95
    bounded = nn.Sequential(nn.Linear(2, 1), nn.Sigmoid())
    values = from_arrays(rows().X, rows().y.astype(float), classes=0)
    assert len(fit(bounded, values, loss="mse", epochs=1).history) == 1


def test_s10_a_keras_model_that_ends_in_an_activation_is_refused(keras):
    layers = keras.layers
    inputs = keras.Input((2,))
    probability = layers.Dense(1, "sigmoid")(inputs)
    endings = [
        keras.Sequential([keras.Input((2,)), layers.Dense(1, "sigmoid")]),
        keras.Sequential([keras.Input((2,)), layers.Dense(2), layers.Softmax()]),
        keras.Sequential([keras.Input((2,)), layers.Dense(1, "sigmoid"), layers.Reshape((1,))]),
        keras.Sequential([keras.Input((2,)), layers.Dense(2, "relu")]),
        keras.Model(inputs, keras.ops.concatenate([1 - probability, probability], 1)),
    ]
    for network in endings:
        with pytest.raises(
            InputError, match="must end with raw outputs.*leave the last activation"
        ):
            fit(network, rows(), epochs=1)
    values = from_arrays(rows().X, rows().y.astype(float), classes=0)
    assert len(fit(endings[0], values, loss="mse", epochs=1).history) == 1


# Odd shapes


def test_one_row_trains_a_network_of_ones_own(torch, keras):
    one = from_arrays([[1.0, 2.0]], [0.5], classes=0)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    for network in (torch.nn.Linear(2, 1), model):
        trained = fit(network, one, loss="mse", epochs=200, optimizer=Adam(0.05), validation=one)
        assert trained.predict([[1.0, 2.0]])[0, 0] == pytest.approx(0.5, abs=0.01)


def test_accumulation_goes_with_a_layer_that_is_not_always_used(torch):
    module = unused_module(torch)
    before = module.unused.weight.detach().clone()
    options = Options(accumulate=3, clip_norm=1.0)
    fit(
        module,
        rows(17),
        batch_size=8,
        epochs=2,
        optimizer=SGD(0.1, l2=0.1, l1=0.1),
        options=options,
    )
    assert torch.equal(module.unused.weight, before)
