"""How fast `fit` trains, side by side with loops written by hand and with libraries, and the share of what matrix products alone allow.

python tests/benchmarks/training.py [--quick] [--threads 2]. The last line is JSON:
{"ratios": {name: value}, "goals": {name: [">=", bound]}}.
A ratio is ours over theirs in rows/s, so that 1 is as fast and 2 is twice as fast: the median over epochs taken in turn. Each
contender lives in a process of its own, trains all epochs in one call, and waits after each epoch until it is its turn again; the
first epoch, with building and compiling, does not count. Data are made up with a fixed seed, in memory, float32; rows are
shuffled anew each epoch; Adam at 0.001; the thread count is the same for all. The table shows the ratio by CPU time as
well: with --threads 1 it tells the same on a machine that has other work, where wall time does not.

All start from the same weights. Each final training loss must lie near the median of all: within `SAME` of how far the loss fell.
Otherwise the benchmark fails, since speeds at different work mean nothing.

PyTorch: "loop" slices rows permuted once an epoch, has the fused optimiser and no gradients to zero; "bare loop" gathers each
batch, holds all weights in one vector and calls the fused kernel itself, the strongest form we know. TensorFlow: "loop" is one
compiled function over the epoch, through XLA where that was faster.
Libraries run as their manuals show, with the fused optimiser where it is PyTorch's.
"limit" does only the matrix products of forward and backward pass, in PyTorch; matrix factorisation has none.
"""

import argparse
import json
import multiprocessing
import os
import re
import time
import traceback
import warnings
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module

import numpy as np

RATE, CHECKED, SAME = 0.001, 2000, 0.1
# at least that are timed, so that ours compiles them, as in runs that take long enough to matter
STEPS = 600
VOCABULARY, LENGTH, USERS, ITEMS = 5000, 40, 2000, 1000


@dataclass
class Case:
    kind: str  # of network
    batch: int  # rows a step
    rows: int  # an epoch, a multiple of batch
    loss: str  # as in train.spec.LOSSES
    xla: bool  # whether TensorFlow's loop is faster through XLA
    weights: list | None = None  # initial ones, float32, in the kit's layout


CASES = {
    "mlp, batch 64": Case("mlp", 64, 12_800, "bce", True),
    "mlp, batch 1024": Case("mlp", 1024, 61_440, "bce", True),
    "cnn, batch 64": Case("cnn", 64, 10_240, "cross_entropy", False),
    "gru, batch 64": Case("gru", 64, 10_240, "cross_entropy", False),
    "factors, batch 1024": Case("factors", 1024, 204_800, "mse", True),
}


def data(case):
    """X as frameworks take it (pixels, token or user and item numbers), y of shape (n, 1), or (n,)
    for classes; noise keeps the loss from 0."""
    draw, n = np.random.default_rng(0), case.rows
    flip = draw.random(n) < 0.2
    if case.kind == "mlp":
        X = draw.standard_normal((n, 784), np.float32)
        return X, ((X[:, :40].sum(1) > 0) ^ flip)[:, None].astype(np.float32)
    if case.kind == "cnn":
        y = draw.integers(0, 10, n)
        X = draw.standard_normal((10, 28, 28, 1))[y] + draw.standard_normal((n, 28, 28, 1))
        return X.astype(np.float32), np.where(flip, draw.integers(0, 10, n), y)
    if case.kind == "gru":
        y = draw.integers(0, 2, n)
        upper = draw.random((n, LENGTH)) < 0.35 + 0.3 * y[:, None]
        return draw.integers(0, VOCABULARY // 2, (n, LENGTH)) + upper * (VOCABULARY // 2), y ^ flip
    X = np.column_stack([draw.integers(0, USERS, n), draw.integers(0, ITEMS, n)])
    rating = (
        draw.standard_normal(USERS)[X[:, 0]]
        + draw.standard_normal(ITEMS)[X[:, 1]]
        + draw.standard_normal(n)
    )
    return X, rating[:, None].astype(np.float32)


def spec(kind):
    from bigdata_ai.train import networks
    from bigdata_ai.train.spec.network import mlp

    return {
        "mlp": lambda: mlp(784, 128, 64, 1),
        "cnn": lambda: networks.cnn((28, 28, 1), 10, (16, 32)),
        "gru": lambda: networks.recurrent(VOCABULARY, LENGTH, 2, 32, 64),
        "factors": lambda: networks.matrix_factorization(USERS, ITEMS, 32),
    }[kind]()


def started(case):
    "The case with its initial weights."
    from bigdata_ai.train.spec.network import initial_weights

    return replace(
        case, weights=[w.astype(np.float32) for w in initial_weights(spec(case.kind), 0)]
    )


def loss_of(case, outputs, y):
    "Mean loss of raw outputs."
    outputs, y = np.asarray(outputs, np.float64), y[: len(outputs)]
    if case.loss == "mse":
        return float(np.mean((outputs - y) ** 2))
    if case.loss == "bce":
        return float(np.mean(np.logaddexp(0, outputs) - y * outputs))
    return float(np.mean(np.logaddexp.reduce(outputs, axis=1) - outputs[np.arange(len(y)), y]))


# Contenders: each trains `tick.epochs` epochs and calls `tick(outputs)` after each; outputs: X ->
# raw outputs, off the clock


def ours(case, X, y, tick, backend):
    from bigdata_ai.data.tables import from_arrays
    from bigdata_ai.train.loop import fit
    from bigdata_ai.train.spec.optimizers import Adam

    rows = from_arrays(
        X.reshape(len(X), -1),
        y.reshape(-1) if case.loss == "mse" else y.reshape(-1).astype(np.int64),
        classes=0 if case.loss == "mse" else None,
    )

    def callback(row, model):
        tick(lambda part: model.outputs(part.reshape(len(part), -1)))

    fit(
        spec(case.kind),
        rows,
        backend=backend,
        optimizer=Adam(RATE),
        loss=case.loss,
        epochs=tick.epochs,
        batch_size=case.batch,
        weights=case.weights,
        callbacks=[callback],
    )


def torch_net(case):
    "The network as its users write it, with the initial weights."
    import torch
    from torch import nn

    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding, self.gru, self.out = (
                nn.Embedding(VOCABULARY, 32),
                nn.GRU(32, 64, batch_first=True),
                nn.Linear(64, 2),
            )

        def forward(self, x):
            return self.out(self.gru(self.embedding(x))[1][0])

    class Factors(nn.Module):
        def __init__(self):
            super().__init__()
            self.user, self.item = nn.Embedding(USERS, 32), nn.Embedding(ITEMS, 32)
            self.user_bias, self.item_bias = nn.Embedding(USERS, 1), nn.Embedding(ITEMS, 1)

        def forward(self, x):
            user, item = x[:, 0], x[:, 1]
            return (
                (self.user(user) * self.item(item)).sum(1, keepdim=True)
                + self.user_bias(user)
                + self.item_bias(item)
            )

    net = {
        "mlp": lambda: nn.Sequential(
            nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1)
        ),
        "cnn": lambda: nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(7 * 7 * 32, 10),
        ),
        "gru": Text,
        "factors": Factors,
    }[case.kind]()
    for parameter, weight in zip(net.parameters(), case.weights, strict=True):
        if weight.ndim == 4:
            weight = weight.transpose(3, 2, 0, 1)
        elif weight.ndim == 2 and weight.shape != parameter.shape:
            weight = weight.T
        parameter.data.copy_(torch.from_numpy(np.ascontiguousarray(weight)))
    return net


def torch_parts(case, X, y):
    "Network, loss, and rows as tensors, for those who use PyTorch."
    import torch
    from torch import nn

    loss = {"bce": nn.BCEWithLogitsLoss, "mse": nn.MSELoss, "cross_entropy": nn.CrossEntropyLoss}[
        case.loss
    ]
    return torch_net(case), loss(), torch_rows(X), torch.from_numpy(y)


def torch_rows(X):
    import torch

    return torch.from_numpy(np.ascontiguousarray(X.transpose(0, 3, 1, 2)) if X.ndim == 4 else X)


def torch_outputs(net):
    import torch

    def outputs(X):
        with torch.no_grad():
            return net(torch_rows(X)).numpy()

    return outputs


def torch_loop(case, X, y, tick):
    import torch

    net, loss, X, y = torch_parts(case, X, y)
    optimizer, outputs = torch.optim.Adam(net.parameters(), RATE, fused=True), torch_outputs(net)
    tick.begin(outputs)
    for _ in range(tick.epochs):
        order, total = torch.randperm(len(X)), 0
        for x, target in zip(X[order].split(case.batch), y[order].split(case.batch), strict=True):
            optimizer.zero_grad(set_to_none=True)
            value = loss(net(x), target)
            value.backward()
            optimizer.step()
            total += value.detach()
        tick(outputs)


def torch_bare_loop(case, X, y, tick):
    import torch

    net, loss, X, y = torch_parts(case, X, y)
    flat = torch.cat([p.data.reshape(-1) for p in net.parameters()])
    gradient, first, second, step = (
        torch.zeros_like(flat),
        torch.zeros_like(flat),
        torch.zeros_like(flat),
        torch.zeros(()),
    )
    sizes = [p.numel() for p in net.parameters()]
    for p, own, part in zip(
        net.parameters(), flat.split(sizes), gradient.split(sizes), strict=True
    ):
        p.data, p.grad = own.view(p.shape), part.view(p.shape)
    adam = partial(
        torch._fused_adam_,
        [flat],
        [gradient],
        [first],
        [second],
        [],
        [step],
        lr=RATE,
        beta1=0.9,
        beta2=0.999,
        weight_decay=0.0,
        eps=1e-8,
        amsgrad=False,
        maximize=False,
    )
    for _ in range(tick.epochs):
        total = 0
        for rows in torch.randperm(len(X)).split(case.batch):
            gradient.zero_()
            value = loss(net(X.index_select(0, rows)), y.index_select(0, rows))
            value.backward()
            step += 1
            adam()
            total += value.detach()
        tick(torch_outputs(net))


def loader(case, X, y):
    from torch.utils.data import DataLoader, TensorDataset

    return DataLoader(TensorDataset(X, y), batch_size=case.batch, shuffle=True)


def torch_loader(case, X, y, tick):
    import torch

    net, loss, X, y = torch_parts(case, X, y)
    optimizer, batches = torch.optim.Adam(net.parameters(), RATE, fused=True), loader(case, X, y)
    for _ in range(tick.epochs):
        for x, target in batches:
            optimizer.zero_grad()
            loss(net(x), target).backward()
            optimizer.step()
        tick(torch_outputs(net))


def lightning(case, X, y, tick):
    import lightning as pl
    import torch

    net, loss, X, y = torch_parts(case, X, y)

    class Module(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = net

        def training_step(self, batch, index):
            return loss(self.net(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), RATE, fused=True)

        def on_train_epoch_end(self):
            tick(torch_outputs(net))

    trainer = pl.Trainer(
        max_epochs=tick.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(Module(), loader(case, X, y))


def skorch(case, X, y, tick):
    import skorch
    import torch

    net, loss, X, y = torch_parts(case, X, y)

    class Tick(skorch.callbacks.Callback):
        def on_epoch_end(self, model, **kwargs):
            tick(torch_outputs(model.module_))

    model = skorch.NeuralNet(
        net,
        type(loss),
        optimizer=torch.optim.Adam,
        optimizer__fused=True,
        lr=RATE,
        max_epochs=tick.epochs,
        batch_size=case.batch,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
        callbacks=[Tick()],
    )
    model.fit(X, y)


def fastai(case, X, y, tick):
    import torch
    from fastai.callback.core import Callback
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.optimizer import OptimWrapper
    from torch.utils.data import TensorDataset

    net, loss, X, y = torch_parts(case, X, y)

    class Tick(Callback):
        def after_train(self):
            tick(torch_outputs(net))

    train = DataLoader(TensorDataset(X, y), bs=case.batch, shuffle=True, num_workers=0)
    # it must have rows to validate by
    few = DataLoader(TensorDataset(X[:2], y[:2]), bs=2, num_workers=0)
    learner = Learner(
        DataLoaders(train, few, device=torch.device("cpu")),
        net,
        loss,
        cbs=[Tick()],
        opt_func=partial(OptimWrapper, opt=torch.optim.Adam, fused=True),
    )
    with learner.no_logging():
        learner.fit(tick.epochs, RATE, wd=0)


def keras_fit(case, X, y, tick):
    import keras
    from keras import layers

    inputs = keras.Input(X.shape[1:], dtype="int64" if X.dtype == np.int64 else "float32")
    if case.kind == "mlp":
        x = layers.Dense(1)(layers.Dense(64, "relu")(layers.Dense(128, "relu")(inputs)))
    if case.kind == "cnn":
        x = layers.MaxPooling2D()(layers.Conv2D(16, 3, padding="same", activation="relu")(inputs))
        x = layers.MaxPooling2D()(layers.Conv2D(32, 3, padding="same", activation="relu")(x))
        x = layers.Dense(10)(layers.Flatten()(x))
    if case.kind == "gru":
        x = layers.Dense(2)(layers.GRU(64)(layers.Embedding(VOCABULARY, 32)(inputs)))
    if case.kind == "factors":
        user, item = inputs[:, 0], inputs[:, 1]
        parts = [
            layers.Embedding(size, width)(of)
            for width in (32, 1)
            for size, of in ((USERS, user), (ITEMS, item))
        ]
        x = layers.Add()([layers.Dot(1)(parts[:2]), *parts[2:]])
    model, weights = keras.Model(inputs, x), list(case.weights)
    # one array for two biases; gates are drawn alike, whatever their order
    if case.kind == "gru":
        weights[3:5] = [np.stack(weights[3:5])]
    model.set_weights(weights)
    losses = {
        "bce": keras.losses.BinaryCrossentropy(from_logits=True),
        "mse": "mse",
        "cross_entropy": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(keras.optimizers.Adam(RATE, epsilon=1e-8), losses[case.loss])

    class Tick(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            tick(lambda part: keras.ops.convert_to_numpy(model.predict_on_batch(part)))

    model.fit(X, y, batch_size=case.batch, epochs=tick.epochs, verbose=0, callbacks=[Tick()])


def tensorflow_net(kind, w, x):
    "Raw outputs; w: variables in the kit's order."
    import tensorflow as tf

    if kind == "mlp":
        x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w[0]), w[1]))
        x = tf.nn.relu(tf.nn.bias_add(tf.matmul(x, w[2]), w[3]))
        return tf.nn.bias_add(tf.matmul(x, w[4]), w[5])
    if kind == "cnn":
        for kernel, bias in (w[:2], w[2:4]):
            x = tf.nn.max_pool2d(
                tf.nn.relu(tf.nn.bias_add(tf.nn.conv2d(x, kernel, 1, "SAME"), bias)), 2, 2, "VALID"
            )
        return tf.nn.bias_add(tf.matmul(tf.reshape(x, [-1, 7 * 7 * 32]), w[4]), w[5])
    if kind == "gru":
        x = tf.tensordot(tf.gather(w[0], x), w[1], 1) + w[3]
        h = tf.zeros([tf.shape(x)[0], 64])
        for part in tf.unstack(x, LENGTH, axis=1):
            own = tf.nn.bias_add(tf.matmul(h, w[2]), w[4])
            gates = tf.sigmoid(part[:, :128] + own[:, :128])
            new = tf.tanh(part[:, 128:] + gates[:, :64] * own[:, 128:])
            h = new + gates[:, 64:] * (h - new)
        return tf.nn.bias_add(tf.matmul(h, w[5]), w[6])
    user, item, user_bias, item_bias = (tf.gather(table, x[:, i % 2]) for i, table in enumerate(w))
    return tf.reduce_sum(user * item, 1, keepdims=True) + user_bias + item_bias


def tensorflow_loop(case, X, y, tick):
    import tensorflow as tf

    w = [tf.Variable(weight) for weight in case.weights]
    first, second = ([tf.Variable(tf.zeros_like(v)) for v in w] for _ in range(2))
    done, batches = tf.Variable(0.0), len(X) // case.batch
    loss = {
        "bce": tf.nn.sigmoid_cross_entropy_with_logits,
        "mse": lambda y, o: (o - y) ** 2,
        "cross_entropy": tf.nn.sparse_softmax_cross_entropy_with_logits,
    }[case.loss]

    def step(x, target):
        with tf.GradientTape() as tape:
            value = tf.reduce_mean(loss(target, tensorflow_net(case.kind, w, x)))
        done.assign_add(1.0)
        power_1, power_2 = 0.9**done, 0.999**done
        for v, m, s, g in zip(w, first, second, tape.gradient(value, w), strict=True):
            # scaled so, epsilon is added where Kingma and Ba's algorithm 1 has it
            tf.raw_ops.ResourceApplyAdam(
                var=v.handle,
                m=m.handle,
                v=s.handle,
                beta1_power=power_1,
                beta2_power=power_2,
                lr=RATE,
                beta1=0.9,
                beta2=0.999,
                epsilon=1e-8 * tf.sqrt(1 - power_2),
                grad=tf.convert_to_tensor(g),
            )
        return value

    @tf.function(autograph=False, jit_compile=case.xla)
    def epoch(X, y, order):
        def body(i, total):
            rows = tf.slice(order, [i * case.batch], [case.batch])
            return i + 1, total + step(tf.gather(X, rows), tf.gather(y, rows))

        return (
            tf.while_loop(lambda i, _: i < batches, body, (0, 0.0), parallel_iterations=1)[1]
            / batches
        )

    rows, draw = (tf.constant(X), tf.constant(y)), np.random.default_rng(1)
    outputs = tf.function(lambda x: tensorflow_net(case.kind, w, x))
    for _ in range(tick.epochs):
        float(epoch(*rows, draw.permutation(len(X))))
        tick(lambda part: outputs(tf.constant(part)).numpy())


def products(case):
    "Matrix products of one step: (rows, inner, columns, times), forward and backward."
    n = case.batch
    # windows laid out as rows
    if case.kind == "cnn":
        layers = [(n * 784, 9, 16, 1), (n * 196, 144, 32, 1), (n, 7 * 7 * 32, 10, 1)]
    elif case.kind == "gru":
        layers = [(n * LENGTH, 32, 192, 1), (n, 64, 192, LENGTH), (n, 64, 2, 1)]
    else:
        layers = [(n, 784, 128, 1), (n, 128, 64, 1), (n, 64, 1, 1)]
    for i, (rows, inner, columns, times) in enumerate(layers):
        yield rows, inner, columns, times
        yield inner, rows, columns, times  # gradient of the weights
        if i or case.kind == "gru":
            yield rows, columns, inner, times  # gradient of the inputs


def limit(case, X, y, tick):
    import torch

    made = []
    for rows, inner, columns, times in products(case):
        # the gradient of weights takes its left side transposed
        transposed = rows < inner and inner in (case.batch,)
        left = torch.randn(inner, rows).T if transposed else torch.randn(rows, inner)
        made += [(left, torch.randn(inner, columns), torch.empty(rows, columns))] * times
    for _ in range(tick.epochs):
        for _ in range(len(X) // case.batch):
            for left, right, out in made:
                torch.mm(left, right, out=out)
        tick(None)


# name: (function, framework, library, which of ours it is measured against, goal)
CONTENDERS = {
    "ours, torch": (partial(ours, backend="torch"), "torch", "bigdata_ai.train.loop", None, None),
    "ours, tensorflow": (
        partial(ours, backend="tensorflow"),
        "tensorflow",
        "bigdata_ai.train.loop",
        None,
        None,
    ),
    "limit": (limit, "torch", None, None, None),
    "torch loop": (torch_loop, "torch", None, "torch", 0.95),
    "torch bare loop": (torch_bare_loop, "torch", None, "torch", 0.95),
    "tensorflow loop": (tensorflow_loop, "tensorflow", None, "tensorflow", 0.95),
    "DataLoader loop": (torch_loader, "torch", None, "torch", 1),
    "Lightning": (lightning, "torch", "lightning", "torch", 1),
    "skorch": (skorch, "torch", "skorch", "torch", 1),
    "fastai": (fastai, "torch", "fastai.learner", "torch", 1),
    "Keras on torch": (keras_fit, "torch", "keras", "torch", 1),
    "Keras on tensorflow": (keras_fit, "tensorflow", "keras", "tensorflow", 1),
}


class Tick:
    "The end of an epoch: tells the time it took, and waits for its next turn."

    def __init__(self, pipe, case, X, y, epochs):
        self.pipe, self.case, self.X, self.y, self.epochs = (
            pipe,
            case,
            X[:CHECKED],
            y[:CHECKED],
            epochs,
        )
        self.left, self.before = epochs, None
        self.restart()

    def restart(self):
        self.since, self.spent = time.perf_counter(), time.process_time()

    def loss(self, outputs):
        return loss_of(self.case, outputs(self.X), self.y)

    def begin(self, outputs):
        self.before = self.loss(outputs)

    def __call__(self, outputs):
        took, self.left = (
            (time.perf_counter() - self.since, time.process_time() - self.spent),
            self.left - 1,
        )
        last = not self.left and outputs is not None
        self.pipe.send(
            {"seconds": took, "loss": self.loss(outputs) if last else None, "before": self.before}
        )
        if self.left:
            self.pipe.recv()
        self.restart()


def family(framework, pipes, threads):
    """Import a framework once, then fork a process for each contender, which starts its own pool of
    threads."""
    os.environ["KERAS_BACKEND"] = framework
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries greet
    warnings.simplefilter("ignore")
    import_module(framework)
    for name, pipe in pipes.items():
        if os.fork() == 0:
            serve(name, pipe, threads)
            os._exit(0)
    for _ in pipes:
        os.wait()


def serve(name, pipe, threads):
    "Train whatever is asked for, until None comes."
    function, framework, library, *_ = CONTENDERS[name]
    try:
        if library:
            import_module(library)
        set_threads(framework, threads)
    except Exception as error:
        return pipe.send(f"{type(error).__name__}: {error}")
    try:
        pipe.send("ready")
        while (asked := pipe.recv()) is not None:
            case, epochs = asked
            X, y = data(case)
            function(case, X, y, Tick(pipe, case, X, y, epochs))
            pipe.send("done")
    except (EOFError, ConnectionError):
        pass  # the benchmark has ended early
    except Exception:
        pipe.send({"error": traceback.format_exc()})


def set_threads(framework, threads):
    module = import_module(framework)
    if framework == "torch":
        return module.set_num_threads(threads)
    module.config.threading.set_intra_op_parallelism_threads(threads)
    module.config.threading.set_inter_op_parallelism_threads(threads)


def heard(pipe, name):
    said = pipe.recv()
    if isinstance(said, dict) and "error" in said:
        raise SystemExit(f"{name} failed:\n{said['error']}")
    return said


def train(case, pipes, epochs):
    """Seconds and CPU seconds an epoch of each contender, the first left out, and the answers to
    the last."""
    names, took, last = list(pipes), {name: [] for name in pipes}, {}
    for epoch in range(epochs):
        for name in names[epoch % len(names) :] + names[: epoch % len(names)]:
            pipes[name].send((case, epochs) if epoch == 0 else "go")
            last[name] = heard(pipes[name], name)
            took[name].append(last[name]["seconds"])
            if epoch == epochs - 1:
                heard(pipes[name], name)
    return {name: np.array(found[1:]).T for name, found in took.items()}, last


def same(title, last):
    "All must have learned the same; gives the share of the fall by which the farthest is off."
    losses = {name: said["loss"] for name, said in last.items() if said["loss"] is not None}
    before, middle = last["torch loop"]["before"], float(np.median(list(losses.values())))
    off = {name: abs(loss - middle) / (before - middle) for name, loss in losses.items()}
    if before <= middle or max(off.values()) > SAME:
        raise SystemExit(f"{title}: losses differ; {before:.4f} before, after {losses}")
    return losses


def run(quick=False, threads=2, only="", against="", timed=None):
    "Ratios and goals; prints a table for each network."
    import pandas as pd

    os.environ |= {
        "OMP_NUM_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONWARNINGS": "ignore",
    }
    cases = {name: case for name, case in CASES.items() if only in name}
    if quick:
        cases = {"mlp, batch 64": Case("mlp", 64, 6400, "bce", True)}
    context, pipes, workers = multiprocessing.get_context("spawn"), {}, []
    always = ("ours, torch", "ours, tensorflow", "torch loop", "limit")
    names = [name for name in CONTENDERS if name in always or re.search(against, name)]
    for framework in ("tensorflow", "torch"):
        own = {name: context.Pipe() for name in names if CONTENDERS[name][1] == framework}
        workers.append(
            context.Process(
                target=family,
                args=(framework, {name: ends[1] for name, ends in own.items()}, threads),
            )
        )
        workers[-1].start()
        pipes |= {name: ends[0] for name, ends in own.items()}
    pipes = {name: pipes[name] for name in names}
    said = {name: heard(pipe, name) for name, pipe in pipes.items()}
    for name in pipes.keys() - {name for name, word in said.items() if word == "ready"}:
        print(f"not measured, since it does not start here: {name} ({said[name]})")
        del pipes[name]
    ratios, goals, rows = {}, {}, []
    for title, case in cases.items():
        case = started(case)
        epochs = 1 + (timed or max(5, -(-STEPS * case.batch // case.rows)))
        took, last = train(
            case,
            {
                name: pipe
                for name, pipe in pipes.items()
                if name != "limit" or case.kind != "factors"
            },
            epochs,
        )
        losses, bound = same(title, last), took.get("limit")
        for name, (seconds, cpu) in took.items():
            *_, backend, goal = CONTENDERS[name]
            row = {
                "network": title,
                "contender": name,
                "rows/s": round(case.rows / np.median(seconds)),
                "ours over it": np.nan,
                "by CPU time": np.nan,
                "share of limit": np.nan if bound is None else float(np.median(bound[0] / seconds)),
                "loss": losses.get(name, np.nan),
            }
            if backend:
                mine, key = took[f"ours, {backend}"], f"training/{title}: {name}"
                row["ours over it"], row["by CPU time"] = (
                    float(np.median(seconds / mine[0])),
                    float(np.median(cpu / mine[1])),
                )
                ratios[key], goals[key] = round(row["ours over it"], 3), [">=", goal]
            rows.append(row)
        print(pd.DataFrame(rows[-len(took) :]).round(4).to_string(index=False), flush=True)
    for pipe in pipes.values():
        pipe.send(None)
    for worker in workers:
        worker.join()
    return ratios, goals


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument(
        "--quick",
        action="store_true",
        help="one network, fewer rows and epochs, under 50 s on two quiet cores",
    )
    options.add_argument("--threads", type=int, default=2, help="of every contender")
    options.add_argument("--only", default="", help="part of the networks' names")
    options.add_argument("--against", default="", help="regular expression: these contenders only")
    options.add_argument("--timed", type=int, help="epochs that count")
    given = options.parse_args()
    ratios, goals = run(given.quick, given.threads, given.only, given.against, given.timed)
    print(
        f"{given.threads} threads each; missed:",
        ", ".join(name for name, (_, bound) in goals.items() if ratios[name] < bound) or "none",
    )
    print(json.dumps({"ratios": ratios, "goals": goals}))


if __name__ == "__main__":
    main()
