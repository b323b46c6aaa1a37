"""A run that is killed at random moments and begun again ends in the same weights, bit for bit, as
one that nothing disturbed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import resume_program

from bigdata_ai.core import ContentError, InputError, rng
from bigdata_ai.train.checkpoint import Checkpoint
from bigdata_ai.train.loop import fit
from bigdata_ai.train.spec.network import initial_weights, mlp
from bigdata_ai.train.spec.optimizers import SGD, Adam
from bigdata_ai.train.spec.options import Options


@pytest.fixture
def rows(tmp_path):
    "A folder with 150 rows to learn from, in memory and in Parquet, and 250 to watch."
    draw = rng(0, "rows")
    X = draw.normal(size=(400, 5)).astype("float32")
    y = (X[:, :3] + draw.normal(size=(400, 3))).argmax(axis=1)
    np.savez(tmp_path / "rows.npz", X=X[:150], y=y[:150], vX=X[150:], vy=y[150:])
    pd.DataFrame(X[:150], columns=list("abcde")).assign(label=y[:150]).to_parquet(
        tmp_path / "rows.parquet", row_group_size=40
    )
    return tmp_path


def arrays(path):
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


@pytest.mark.long
@pytest.mark.parametrize(
    "framework, kind, kills, seed",
    [
        ("torch", "memory", 6, 1),
        ("torch", "batches", 6, 2),
        pytest.param("tensorflow", "memory", 6, 3, marks=pytest.mark.slow),
        ("tensorflow", "batches", 2, 4),
    ],
)
def test_a_killed_run_ends_in_the_same_weights(rows, framework, kind, kills, seed):
    program = [
        sys.executable,
        str(Path(resume_program.__file__)),
        framework,
        kind,
        str(rows),
        str(kills),
        str(seed),
    ]
    done = subprocess.run(
        program, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    assert done.returncode == 0, done.stderr[-2000:]
    killed = json.loads((rows / "kills.json").read_text())
    print(f"seed {seed}, killed at {killed}")
    whole, resumed = (
        json.loads((rows / f"{name}.json").read_text())["history"] for name in ("whole", "killed")
    )
    # it was killed on its way and not before it
    assert len(killed) == kills and len({kill["kept"] for kill in killed}) > 1
    assert whole == resumed
    one, two = arrays(rows / "whole.npz"), arrays(rows / "killed.npz")
    assert (
        one.keys() == two.keys()
        and all(one[name].tobytes() == two[name].tobytes() for name in one)
        and len(one) == 8
    )
    best = min(whole, key=lambda row: row["validation_loss"])["epoch"]
    assert best == len(whole) - 2 or len(whole) == 14  # stopped early, by the patience of 2


# Damage and mistakes, in this process


class Stopped(Exception):
    pass


def stop_at(epoch):
    def callback(row, model):
        if row["epoch"] == epoch:
            raise Stopped

    return callback


def run(few, backend, folder, **more):
    return fit(
        **(
            dict(
                learner=mlp(64, 8, 10, dropout=0.3),
                rows=few,
                backend=backend,
                optimizer=Adam(0.01),
                epochs=5,
                seed=2,
                batch_size=20,
                checkpoint=Checkpoint(folder, 2),
            )
            | more
        )
    )


@pytest.fixture
def few(digits):
    return digits.take(slice(100))


@pytest.fixture
def stopped(backend, few, tmp_path):
    "The folder of a run that ended after three of five epochs."
    with pytest.raises(Stopped):
        run(few, backend, tmp_path / "run", callbacks=[stop_at(3)])
    assert [path.name[:15] for path in Checkpoint(tmp_path / "run").files()] == [
        "step-0000000014",
        "step-0000000015",
    ]
    return tmp_path / "run"


def same(one, two):
    return one.history == two.history and all(
        a.tobytes() == b.tobytes() for a, b in zip(one.weights, two.weights, strict=True)
    )


@pytest.mark.parametrize(
    "damage",
    [lambda data: data[:-5], lambda data: data[:-5] + b"\0" + data[-4:], lambda data: b""],
    ids=["short", "changed", "empty"],
)
def test_a_damaged_checkpoint_is_refused_and_the_one_before_used(backend, few, stopped, damage):
    last = Checkpoint(stopped).files()[-1]
    assert damage(last.read_bytes()) != last.read_bytes()
    last.write_bytes(damage(last.read_bytes()))
    with pytest.warns(UserWarning, match=f"The checkpoint {last.name} is damaged"):
        resumed = run(few, backend, stopped)
    assert same(resumed, run(few, backend, None, checkpoint=None))


def test_the_last_checkpoint_is_really_used(backend, few, stopped):
    "Weights moved within it, under a right hash, are found again in what comes of it."
    kept = Checkpoint(stopped)
    held, text = kept.latest()
    last = kept.files()[-1]
    held["weight/0000"] = held["weight/0000"] + np.float32(0.5)
    last.unlink()
    kept.save(15, held, text)
    resumed, straight = run(few, backend, stopped), run(few, backend, None, checkpoint=None)
    assert not same(resumed, straight) and resumed.history[:3] == straight.history[:3]


def test_damage_to_all_is_an_error(backend, few, stopped):
    for path in Checkpoint(stopped).files():
        path.write_bytes(path.read_bytes()[:100])
    with (
        pytest.warns(UserWarning, match="is damaged"),
        pytest.raises(ContentError, match="must hold a checkpoint that is whole"),
    ):
        run(few, backend, stopped)


def test_a_checkpoint_of_another_run_is_refused(backend, few, stopped):
    X = few.X.copy()
    X[0, 0] += 1
    other_rows = type(few)(few.name, X, few.y, few.ids, few.classes)
    changed = [
        dict(seed=3),
        dict(epochs=6),
        dict(batch_size=25),
        dict(optimizer=Adam(0.02)),
        dict(optimizer=SGD(0.01)),
        dict(dtype="float64"),
        dict(learner=mlp(64, 8, 10)),
        dict(rows=other_rows),
        dict(options=Options(label_smoothing=0.1)),
        dict(validation=few),
        dict(weights=initial_weights(mlp(64, 8, 10), 9)),
        dict(keep_best="loss"),
    ]
    for more in changed:
        with pytest.raises(InputError, match="The checkpoint must be of the same run"):
            run(few, backend, stopped, **more)
    other = {"torch": "tensorflow", "tensorflow": "torch"}[backend]
    with pytest.raises(InputError, match="The checkpoint must be of the same run"):
        run(few, other, stopped)
    assert len(run(few, backend, stopped).history) == 5  # none of them spoilt it


def test_a_finished_run_is_not_trained_again(backend, few, stopped):
    first = run(few, backend, stopped)
    names = [path.name for path in Checkpoint(stopped).files()]
    again = run(few, backend, stopped)
    assert same(first, again) and again.session.done == 25 and again.pace == first.pace
    assert [path.name for path in Checkpoint(stopped).files()] == names


def test_a_checkpoint_must_be_one(backend, few, tmp_path):
    with pytest.raises(InputError, match="`checkpoint` must be a Checkpoint"):
        run(few, backend, None, checkpoint=str(tmp_path))
