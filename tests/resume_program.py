"""A training run that is killed again and again: python resume_program.py BACKEND KIND FOLDER KILLS SEED

One process loads the framework and forks a child for each try. A child ends itself by SIGKILL at a random line of the kit's own
code, and every third is killed by its parent at a random moment instead; after so many kills one more child runs to the end. KIND
is "memory" or "batches". FOLDER holds the rows; what comes out is FOLDER/killed.npz and killed.json, and whole.* for a run that
nothing disturbed.
"""

import importlib
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

import bigdata_ai
from bigdata_ai.core import rng
from bigdata_ai.data.store.batches import Batches
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.train.checkpoint import Checkpoint
from bigdata_ai.train.loop import early_stopping, fit
from bigdata_ai.train.schedules import Cosine, WarmUp
from bigdata_ai.train.spec.layers import BatchNorm, Dense, Dropout, ReLU
from bigdata_ai.train.spec.network import Spec, mlp
from bigdata_ai.train.spec.optimizers import Adam

KIT = str(Path(bigdata_ai.__file__).parent)
EVERY = 3  # steps between two checkpoints


def train(backend, kind, folder, name):
    "The run: dropout, running statistics, a schedule, early stopping and the best weights kept."
    arrays = np.load(folder / "rows.npz")
    data, watched = (
        from_arrays(arrays[f"{part}X"], arrays[f"{part}y"], classes=3) for part in ("", "v")
    )
    if kind == "batches":
        data = Batches(folder / "rows.parquet", y="label", batch_size=16, buffer_rows=64, seed=2)
    spec = Spec((Dense(5, 12), BatchNorm(12), ReLU(), Dropout(0.4), Dense(12, 3)))
    return fit(
        spec,
        data,
        backend=backend,
        optimizer=Adam(0.05),
        epochs=14,
        batch_size=16,
        seed=3,
        validation=watched,
        callbacks=[early_stopping(2)],
        schedule=WarmUp(20, Cosine()),
        keep_best="validation_loss",
        checkpoint=Checkpoint(folder / name, EVERY),
    )


def counted(limit):
    "Count the lines of the kit that are run from now on; at line `limit` the process is killed."
    lines = [0]

    def line(frame, event, arg):
        lines[0] += 1
        if lines[0] == limit:
            os.kill(os.getpid(), signal.SIGKILL)
        return line

    sys.settrace(
        lambda frame, event, arg: line if frame.f_code.co_filename.startswith(KIT) else None
    )
    return lines


def attempt(backend, kind, folder, name, limit):
    "Run in a child; gives its number."
    number = os.fork()
    if number:
        return number
    code = 1
    try:
        lines = counted(limit)
        model = train(backend, kind, folder, name)
        sys.settrace(None)
        np.savez(folder / f"{name}.npz", *model.weights, *model.states)
        (folder / f"{name}.json").write_text(
            json.dumps({"history": model.history, "lines": lines[0]})
        )
        code = 0
    finally:
        os._exit(code)


def end_of(number, seconds=300.0):
    "Wait for a child, which is killed after so many seconds; gives its exit code."
    timer = threading.Timer(seconds, os.kill, (number, signal.SIGKILL))
    timer.start()
    code = os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])
    timer.cancel()
    assert code in (0, -signal.SIGKILL), f"a try ended with {code}"
    return code


def main(backend, kind, folder, kills, seed):
    for module in ("steps", "modules"):
        importlib.import_module(f"bigdata_ai.train.{backend}_backend.{module}")
    # what it loads at its first step; TensorFlow must not have computed before it forks
    if backend == "torch":
        importlib.import_module(backend).set_num_threads(1)
        fit(mlp(2, 2), from_arrays(np.eye(2), [0, 1]), backend=backend, epochs=1)
    draw, folder, done, start = rng(seed, backend, kind), Path(folder), [], time.monotonic()
    assert end_of(attempt(backend, kind, folder, "whole", 0)) == 0
    seconds, lines = (
        time.monotonic() - start,
        json.loads((folder / "whole.json").read_text())["lines"],
    )
    while len(done) < kills:
        by_clock = len(done) % 3 == 2
        limit, moment = (
            (0, draw.uniform(0.2, 1) * seconds) if by_clock else (int(draw.integers(lines)), 300.0)
        )
        code = end_of(attempt(backend, kind, folder, "killed", limit), moment)
        kept = Checkpoint(folder / "killed").files()
        if code:
            done.append({"line": limit, "kept": int(kept[-1].name[5:15]) if kept else 0})
        else:  # through before its last hour: begin anew, and go on killing
            for path in kept:
                path.unlink()
    assert end_of(attempt(backend, kind, folder, "killed", 0)) == 0
    (folder / "kills.json").write_text(json.dumps(done))


if __name__ == "__main__":
    main(*sys.argv[1:4], *map(int, sys.argv[4:]))
