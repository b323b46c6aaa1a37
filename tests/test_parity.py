"""PyTorch and TensorFlow walk the same path: same initial weights, same batches, hundreds of
optimiser steps."""

from functools import lru_cache

import numpy as np
import pytest

from bigdata_ai.core import rng
from bigdata_ai.data.catalog import load
from bigdata_ai.train.loop import open_session
from bigdata_ai.train.spec.network import initial_weights, mlp
from bigdata_ai.train.spec.optimizers import SGD, Adam
from bigdata_ai.train.spec.options import Options
from bigdata_ai.train.training import Training

pytestmark = pytest.mark.usefixtures("frameworks")

NETWORK, BATCH = mlp(64, 128, 64, 10), 64
OPTIMISERS = {
    f"{name}{', l2 0.01' if l2 else ''}": kind(0.001, **more, l2=l2)
    for name, kind, more in (
        ("sgd", SGD, {}),
        ("momentum", SGD, {"momentum": 0.9}),
        ("adam", Adam, {}),
    )
    for l2 in (0.0, 0.01)
}


@lru_cache
def rows(loss):
    "Features and targets: the digits; bce tells 0 … 4 from the rest; mse learns noise."
    digits = load("digits")
    return (
        digits.X,
        {
            "cross_entropy": digits.y,
            "bce": (digits.y > 4).astype(np.int64),
            "mse": rng(0, "targets").normal(size=(len(digits), 2)),
        }[loss],
    )


@lru_cache
def batches(steps, seed):
    """Row positions of each step, as `fit` makes them: every epoch a new permutation, its last
    batch smaller."""
    n, order, found = len(rows("mse")[0]), rng(seed, "order"), []
    while len(found) < steps:
        found += np.split(order.permutation(n), range(BATCH, n, BATCH))
    return found[:steps]


def start(backend, optimizer, seed, dtype, loss="cross_entropy", network=NETWORK):
    session = open_session(
        network,
        initial_weights(network, seed),
        Training(
            backend=backend,
            optimizer=optimizer,
            loss=loss,
            batch_size=BATCH,
            dtype=dtype,
            seed=seed,
        ),
    )
    return session, session.place(*rows(loss))


def walk(backend, optimizer, seed, dtype, path, loss="cross_entropy", network=NETWORK):
    "Weights after a step on each of the batches of `path`."
    session, placed = start(backend, optimizer, seed, dtype, loss, network)
    # only the last batch of a chunk may be small
    small = [i for i, batch in enumerate(path, 1) if len(batch) < BATCH]
    for first, last in zip([0, *small], [*small, len(path)], strict=True):
        if first < last:
            session.run(placed, np.concatenate(path[first:last]))
    return session.weights()


def gap(ours, theirs):
    "max |Δw| over all weights."
    return max(
        float(np.abs(a.astype(np.float64) - b).max()) for a, b in zip(ours, theirs, strict=True)
    )


def gap_after(optimizer, seed, dtype, steps, path=None, **task):
    path = batches(steps, seed) if path is None else path
    return gap(
        *(
            walk(backend, optimizer, seed, dtype, path, **task)
            for backend in ("torch", "tensorflow")
        )
    )


# float64: the twins agree to rounding


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("optimizer", OPTIMISERS.values(), ids=OPTIMISERS)
def test_float64_paths_agree_to_1e_12_after_500_steps(optimizer, seed):
    assert gap_after(optimizer, seed, "float64", 500) <= 1e-12


@pytest.mark.parametrize("optimizer", OPTIMISERS.values(), ids=OPTIMISERS)
@pytest.mark.parametrize(
    "loss, network", [("bce", mlp(64, 32, 1)), ("mse", mlp(64, 32, 2))], ids=["bce", "mse"]
)
def test_float64_paths_agree_with_other_losses(loss, network, optimizer):
    assert gap_after(optimizer, 0, "float64", 200, loss=loss, network=network) <= 1e-12


@pytest.mark.parametrize(
    "optimizer", [SGD(0.001, momentum=0.9), Adam(0.001, l2=0.01)], ids=["momentum", "adam"]
)
def test_float64_paths_agree_where_a_step_is_fused(optimizer):
    "The batches of 64 go through XLA, the smaller last one of an epoch does not."
    path, X = batches(500, 0), rows("cross_entropy")
    task = (
        NETWORK,
        initial_weights(NETWORK, 0),
        dict(
            optimizer=optimizer,
            loss="cross_entropy",
            batch_size=BATCH,
            dtype="float64",
            options=Options(fuse=True),
        ),
    )
    *network, settings = task
    sessions = [
        open_session(*network, Training(backend=backend, **settings))
        for backend in ("torch", "tensorflow")
    ]
    for session in sessions:
        for epoch in np.split(np.concatenate(path), range(len(X[0]), 500 * BATCH, len(X[0]))):
            session.run(session.place(*X), epoch)
    assert gap(*(session.weights() for session in sessions)) <= 1e-12


def test_the_path_is_a_long_one():
    "Parity of weights that hardly move would mean little."
    moved = gap(
        walk("torch", Adam(0.001), 0, "float64", batches(500, 0)), initial_weights(NETWORK, 0)
    )
    assert moved > 0.1


# float32: the twins agree until rounding decides the sign of a ReLU


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    "optimizer",
    [o for o in OPTIMISERS.values() if isinstance(o, SGD)],
    ids=[name for name in OPTIMISERS if "adam" not in name],
)
def test_float32_paths_of_sgd_agree_to_1e_4_after_200_steps(optimizer, seed):
    assert gap_after(optimizer, seed, "float32", 200) <= 1e-4


@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_float32_paths_of_adam_agree_to_1e_4_after_200_steps(l2):
    """Half of the paths or more keep to 1e-4. Which ones do depends on the CPU, whose rounding decides the signs of ReLUs: on one, 17 of 20
    did with seeds 1, 2, 3 among them; on another seed 1 with L2 parted by 8e-4. The tests below show what happens on those.
    """
    gaps = []
    for seed in (1, 2, 3, 4, 5):
        order = np.random.default_rng(seed)
        path = np.concatenate([order.permutation(len(rows("mse")[0])) for _ in range(8)])[
            : 200 * BATCH
        ]
        gaps.append(gap_after(Adam(0.001, l2=l2), seed, "float32", 200, path=np.split(path, 200)))
    print(f"l2 {l2}: max |Δw| by seed {[f'{gap:.1e}' for gap in gaps]}")
    assert np.median(gaps) <= 1e-4


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_float32_paths_of_adam_agree_where_no_relu_can_differ(l2, seed):
    assert gap_after(Adam(0.001, l2=l2), seed, "float32", 200, network=mlp(64, 10)) <= 1e-4


def active(backend, weights, X):
    """Which hidden units fire, in the framework's own float32 arithmetic: the network cut off
    before each ReLU."""
    cut = [(mlp(64, 128), weights[:2]), (mlp(64, 128, 64), weights[:4])]
    return np.hstack(
        [
            open_session(
                network,
                first,
                Training(
                    backend=backend,
                    optimizer=SGD(),
                    loss="mse",
                    batch_size=BATCH,
                    dtype="float32",
                    seed=0,
                ),
            ).outputs(X)
            > 0
            for network, first in cut
        ]
    )


@lru_cache
def common_walk(l2, seed):
    """max |Δw| after each of 200 steps of Adam, up to the first at which a hidden unit fires in one
    framework alone."""
    optimizer, gaps = Adam(0.001, l2=l2), []
    sessions = {
        backend: start(backend, optimizer, seed, "float32") for backend in ("torch", "tensorflow")
    }
    for batch in batches(200, seed):
        X = rows("cross_entropy")[0][batch]
        ours, theirs = (
            active(backend, session.weights(), X) for backend, (session, _) in sessions.items()
        )
        if (ours != theirs).any():
            break
        for session, placed in sessions.values():
            session.run(placed, batch)
        gaps.append(gap(*(session.weights() for session, _ in sessions.values())))
    return gaps


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("l2", [0.0, 0.01])
def test_float32_paths_of_adam_part_only_where_a_relu_differs(l2, seed):
    """Which seeds meet such a step depends on the CPU; where none does, all 200 steps stay within
    1e-5."""
    gaps = common_walk(l2, seed)
    print(f"l2 {l2}, seed {seed}: max |Δw| {max(gaps, default=0):.1e} in {len(gaps)} steps")
    assert max(gaps, default=0) <= 1e-5


def test_such_steps_are_rare():
    """Else the test above would have little to look at: at least half of its 1,200 steps come
    before any parting."""
    assert sum(len(common_walk(l2, seed)) for l2 in (0.0, 0.01) for seed in (0, 1, 2)) >= 600


# The bound bites: small mistakes break it by far


@lru_cache
def torch_adam(l2=0.0):
    return walk("torch", Adam(0.001, l2=l2), 0, "float64", batches(500, 0))


def keras_adam(**options):
    "Weights of the same network after the same 500 steps of Keras's own Adam."
    import keras
    import tensorflow as tf

    from bigdata_ai.train.tensorflow_backend.layers import forward
    from bigdata_ai.train.tensorflow_backend.losses import cross_entropy

    variables = [tf.Variable(w, dtype=tf.float64) for w in initial_weights(NETWORK, 0)]
    optimizer = keras.optimizers.Adam(0.001, **options)
    optimizer.build(variables)

    @tf.function(
        input_signature=[tf.TensorSpec([None, 64], tf.float64), tf.TensorSpec([None], tf.int64)]
    )
    def step(x, y):
        with tf.GradientTape() as tape:
            loss = cross_entropy(forward(NETWORK, variables, x), y)
        optimizer.apply(tape.gradient(loss, variables), variables)

    X, y = rows("cross_entropy")
    for batch in batches(500, 0):
        step(tf.constant(X[batch], tf.float64), tf.constant(y[batch]))
    return [v.numpy() for v in variables]


@pytest.mark.parametrize(
    "options", [{"epsilon": 1e-8}, {}], ids=["same epsilon", "default epsilon"]
)
def test_adam_of_keras_is_another_rule(options):
    found = gap(torch_adam(), keras_adam(**options))
    print(f"Keras's Adam {options or '(epsilon 1e-7)'}: max |Δw| {found:.1e} after 500 steps")
    assert found > 1e-6


def test_decoupled_weight_decay_is_seen(tensorflow_rule):
    from bigdata_ai.train.tensorflow_backend.optimizers import adam

    def decoupled(w, g, slots, step, h):
        new, slots = adam(w, g, slots, step, h | {"l2": 0.0})
        return new - h["learning_rate"] * h["l2"] * w, slots

    tensorflow_rule(Adam, decoupled)
    found = gap(
        torch_adam(l2=0.01), walk("tensorflow", Adam(0.001, l2=0.01), 0, "float64", batches(500, 0))
    )
    print(f"decoupled weight decay: max |Δw| {found:.1e} after 500 steps")
    assert found > 1e-6


def test_a_rule_put_and_taken_away_leaves_no_trace(tensorflow_rule):
    tensorflow_rule(Adam, lambda w, g, slots, step, h: (w, slots))
    assert (
        gap(
            walk("tensorflow", Adam(0.001), 0, "float64", batches(3, 0)),
            initial_weights(NETWORK, 0),
        )
        == 0
    )


def test_two_swapped_batches_are_seen():
    path = list(batches(500, 0))
    path[100], path[101] = path[101], path[100]
    found = gap(torch_adam(), walk("tensorflow", Adam(0.001), 0, "float64", path))
    print(f"two batches swapped: max |Δw| {found:.1e} after 500 steps")
    assert found > 1e-6


def test_one_weight_off_by_1e_9_is_seen():
    weights = initial_weights(NETWORK, 0)
    weights[0][10, 0] += 1e-9
    session = open_session(
        NETWORK,
        weights,
        Training(
            backend="tensorflow",
            optimizer=Adam(0.001),
            loss="cross_entropy",
            batch_size=BATCH,
            dtype="float64",
            seed=0,
        ),
    )
    placed = session.place(*rows("cross_entropy"))
    for batch in batches(500, 0):
        session.run(placed, batch)
    assert gap(torch_adam(), session.weights()) > 1e-12
