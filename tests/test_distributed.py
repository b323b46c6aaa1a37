"""Training by two worker processes: the result of one, and an error that names the worker when one
is gone."""

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import threading
import time
from dataclasses import fields

import numpy as np
import psutil
import pytest
from hypothesis import given, strategies

from bigdata_ai.core import DivergedError, InputError, RunError, SealedTestError
from bigdata_ai.data.spark import spark_session
from bigdata_ai.train import distributed
from bigdata_ai.train.distributed import LocalSum, fates, fit_distributed, note, part_of
from bigdata_ai.train.distributed import part_size, settings_of
from bigdata_ai.train.loop import fit
from bigdata_ai.train.schedules import Cosine
from bigdata_ai.train.spec.layers import BatchNorm, Dense
from bigdata_ai.train.spec.network import Spec, mlp
from bigdata_ai.train.spec.optimizers import Adam
from bigdata_ai.train.spec.options import Options
from bigdata_ai.train.training import Training


@pytest.fixture(scope="module")
def spark():
    session = spark_session("local[2]", "512m")
    yield session
    session.stop()


def helpers():
    "Processes below this one, but for those of Spark, which ends with its session."
    return {process.pid for process in psutil.Process().children(recursive=True)}


SETTINGS = {field.name for field in fields(Training)}


def call_of(run, spec="spec"):
    "Arguments of `fit_distributed`, or of `fit`: the network under its name, settings in one value."
    settings = {name: value for name, value in run.items() if name in SETTINGS}
    rest = {name: value for name, value in run.items() if name not in {*SETTINGS, "spec", "train"}}
    return {spec: run["spec"], "rows": run["train"], "training": Training(**settings)} | rest


# Two workers do what one does


@pytest.fixture
def run(backend, digits):
    "100 steps of batches that two workers can't halve, with all that looks at more than one row."
    options = Options(
        class_weights=tuple(np.linspace(1, 2, 10)), label_smoothing=0.1, clip_norm=1.0, accumulate=2
    )
    return dict(
        spec=mlp(64, 32, 10),
        train=digits,
        backend=backend,
        optimizer=Adam(0.01),
        epochs=4,
        batch_size=73,
        seed=3,
        dtype="float64",
        schedule=Cosine(),
        options=options,
        validation=digits.take(slice(100)),
    )


def test_two_workers_train_to_the_weights_of_one(run, spark):
    before = helpers()
    two, one = (
        fit_distributed(**call_of(run), workers=2, spark=spark),
        fit(**call_of(run, "learner")),
    )
    assert two.session.done == one.session.done == 100
    assert max(np.abs(a - b).max() for a, b in zip(two.weights, one.weights, strict=True)) <= 1e-12
    for slot, other in zip(two.session.slots(), one.session.slots(), strict=True):
        assert all(np.abs(a - b).max() <= 1e-12 for a, b in zip(slot, other, strict=True))
    for row, other in zip(two.history, one.history, strict=True):
        assert row.keys() == other.keys() and all(
            row[name] == pytest.approx(other[name], rel=1e-12) for name in row
        )
    assert two.start_loss == pytest.approx(one.start_loss, rel=1e-12) and two.rows == one.rows
    assert (two.predict(run["train"].X) == one.predict(run["train"].X)).all()
    assert len(two.history_frame()) == 4 and helpers() <= before


# A worker that is gone


def end_when_joined(folder, rank, how):
    """Wait in a thread until both workers train, then signal one; after 90 s end both, which the
    test sees by the message."""

    def wait():
        clock = threading.Event()
        for _ in range(900):
            if all(fate["state"] == "joined" for fate in fates(folder, 2)):
                os.kill(fates(folder, 2)[rank]["process"], how)
                break
            clock.wait(0.1)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_killed_worker_ends_the_call_and_is_named(backend, digits, spark, tmp_path):
    before = helpers()
    thread = end_when_joined(tmp_path, 1, signal.SIGKILL)
    with pytest.raises(RunError) as caught:
        fit_distributed(
            mlp(64, 10),
            digits,
            Training(backend=backend, epochs=100_000),
            spark=spark,
            folder=tmp_path,
        )
    thread.join()
    process = fates(tmp_path, 2)[1]["process"]
    assert f"worker 2 (process {process}) was ended by signal 9. Its last log lines:\n" in str(
        caught.value
    )
    assert f"process {process}: joined" in str(caught.value)
    assert helpers() <= before and not any(
        psutil.pid_exists(fate["process"]) for fate in fates(tmp_path, 2)
    )


def test_a_killed_worker_is_named_though_the_other_one_ended_before_anybody_looked(
    digits, tmp_path, monkeypatch
):
    "Who watches looks only when the other worker has missed the killed one and is gone too."
    watch, clock = distributed.watch, threading.Event()

    def late(processes, folder, timeout):
        for _ in range(900):
            if [fate["state"] for fate in fates(folder, 2)] == ["joined", "joined"]:
                break
            clock.wait(0.1)
        processes[1].kill()
        processes[0].wait(90)
        return watch(processes, folder, timeout)

    monkeypatch.setattr(distributed, "watch", late)
    with pytest.raises(RunError, match="worker 2 .* was ended by signal 9"):
        fit_distributed(
            mlp(64, 10), digits, Training(backend="torch", epochs=100_000), folder=tmp_path
        )
    assert fates(tmp_path, 2)[0]["state"] == "lost"


# h8: who may listen, and who may join


def test_h8_workers_of_this_machine_listen_on_loopback_alone(backend, digits):
    seen, over = set(), threading.Event()

    def look():
        while not over.wait(0.02):
            for process in psutil.Process().children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    found = process.net_connections()
                    seen.update(one.laddr.ip for one in found if one.status == "LISTEN")

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run = Training(backend=backend, epochs=1, batch_size=10)
        fit_distributed(mlp(64, 10), digits.take(slice(40)), run, workers=3)
    finally:
        over.set()
        thread.join()
    assert all(address in ("127.0.0.1", "::ffff:127.0.0.1", "::1") for address in seen), seen


def test_h8_who_does_not_show_the_key_is_sent_away(tmp_path):
    (tmp_path / distributed.KEY).write_bytes(b"k" * 32)
    sums = {}

    def meet(rank):
        sums[rank] = LocalSum(tmp_path, rank, 3, 20.0)(np.arange(5.0) * 10**rank)

    threads = [threading.Thread(target=meet, args=(rank,)) for rank in range(3)]
    threads[0].start()
    for _ in range(200):
        if (tmp_path / distributed.ADDRESS).exists():
            break
        threading.Event().wait(0.05)
    place = ("127.0.0.1", int((tmp_path / distributed.ADDRESS).read_text()))
    for said in (b"x" * 32 + bytes([0, 0, 0, 1]), b"k" * 32 + bytes([0, 0, 0, 7]), b"short"):
        with socket.create_connection(place, 10) as stranger:
            stranger.sendall(said)
            stranger.shutdown(socket.SHUT_WR)
            assert stranger.recv(1) == b""
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert all(sums[rank].tolist() == [0, 111, 222, 333, 444] for rank in range(3))


def test_h8_the_key_is_for_its_user_alone(tmp_path):
    (process,) = distributed._start_local(tmp_path, 1, "pass")
    process.wait()
    assert (tmp_path / distributed.KEY).stat().st_mode & 0o077 == 0


def test_a_worker_of_tensorflow_that_stands_still_is_seen(frameworks, tmp_path):
    """Two processes that never end: one touches its file as a worker does, the other one's is an
    hour old."""
    room = importlib.import_module("bigdata_ai.train.tensorflow_backend.distributed")
    processes = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        for rank, age in enumerate((0, 3600)):
            note(tmp_path, rank, "joined")
            (tmp_path / f"worker-{rank + 1}.beat").touch()
            os.utime(tmp_path / f"worker-{rank + 1}.beat", (time.time() - age,) * 2)
        assert room._watch(processes, tmp_path, 60) == {1: None}
    finally:
        for process in processes:
            process.kill()
            process.wait()


# What became of the workers, from what they left


def verdict(folder, states, exits=None):
    for rank, (state, *error) in enumerate(states):
        note(folder, rank, state, *error)
    with pytest.raises((RunError, DivergedError)) as caught:
        distributed._check_fates(folder, len(states), exits or {}, "said by the launcher", 5)
    return caught


def test_the_worker_that_raised_is_named_before_those_that_missed_it(tmp_path):
    (tmp_path / "worker-3.log").write_text("\n".join(f"line {i}" for i in range(40)))
    caught = verdict(
        tmp_path,
        [("lost", "_Lost", "closed"), ("joined",), ("raised", "OSError", "disk\nmore")],
        {0: 1, 2: 1},
    )
    assert f"worker 3 (process {os.getpid()}) raised OSError: disk. " in str(caught.value)
    assert (
        "line 39" in str(caught.value)
        and "line 28" in str(caught.value)
        and "line 27\n" not in str(caught.value)
    )


@pytest.mark.parametrize(
    "states, exits, said",
    [
        (
            [("lost", "_Lost", "closed"), ("joined",)],
            {0: 1, 1: -9},
            "worker 2 (process {}) was ended by signal 9",
        ),
        ([("joined",), ("joined",)], {1: -9}, "worker 2 (process {}) was ended by signal 9"),
        ([("joined",), ("started",)], {1: 3}, "worker 2 (process {}) ended with exit code 3"),
        (
            [("lost", "_Lost", "timed out"), ("joined",)],
            {0: 1},
            "worker 2 (process {}) did not answer, state 'joined'",
        ),
        (
            [("lost", "_Lost", "timed out"), ("done",)],
            {0: 1},
            "worker 1 (process {}) got no answer from the others within 5 s (_Lost)",
        ),
        (
            [("done",), ("raised", "KeyboardInterrupt", "")],
            {1: 1},
            "worker 2 (process {}) raised KeyboardInterrupt: no message",
        ),
    ],
)
def test_each_end_is_told(tmp_path, states, exits, said):
    assert said.format(os.getpid()) in str(verdict(tmp_path, states, exits).value)


def test_workers_that_never_came_up_are_told_by_what_started_them(tmp_path):
    with pytest.raises(
        RunError,
        match=(
            "worker 1 did not answer, state 'not started'. Its last log lines:\nsaid by the"
            " launcher"
        ),
    ):
        distributed._check_fates(tmp_path, 2, {}, "said by the launcher", 5)


def test_a_loss_that_is_not_finite_stays_the_error_it_is(tmp_path):
    caught = verdict(
        tmp_path,
        [
            ("raised", "DivergedError", "The loss must stay finite."),
            ("raised", "DivergedError", "The same."),
        ],
    )
    assert caught.type is DivergedError


def test_workers_that_are_done_but_left_no_result_are_an_error(tmp_path):
    assert "worker 1" in str(verdict(tmp_path, [("done",), ("done",)]).value)


# The parts of a batch


@given(strategies.integers(1, 60), strategies.integers(1, 20), strategies.integers(1, 5))
def test_parts_are_the_rows_of_each_batch_once(rows, batch_size, workers):
    order = np.random.default_rng(rows).permutation(rows)
    parts = [part_of(order, batch_size, rank, workers) for rank in range(workers)]
    for start in range(0, rows, batch_size):
        batch, number = order[start : start + batch_size], start // batch_size
        sizes = [part_size(batch_size, rank, workers) for rank in range(workers)]
        pieces = [
            part[number * size : (number + 1) * size]
            for part, size in zip(parts, sizes, strict=True)
        ]
        assert sorted(np.concatenate(pieces)) == sorted(batch)
        assert max(map(len, pieces)) - min(map(len, pieces)) <= 1
    assert sum(map(len, parts)) == rows


# What a worker is given


def test_a_job_holds_all_settings(tmp_path, digits, monkeypatch, frameworks):
    "What the worker reads is what the caller gave; nothing is started."

    class Stop(Exception):
        pass

    def launch(folder, workers, timeout, spark):
        raise Stop(settings_of(folder), distributed._read_job(folder))

    import bigdata_ai.train.torch_backend.distributed as room

    monkeypatch.setattr(room, "launch", launch)
    options = Options(class_weights=(1.0,) * 10, clip_norm=2.0, accumulate=3)
    with pytest.raises(Stop) as caught:
        fit_distributed(
            mlp(64, 10),
            digits,
            Training(
                backend="torch",
                optimizer=Adam(0.1, l1=0.2),
                loss=None,
                epochs=2,
                batch_size=100,
                seed=7,
                schedule=Cosine(),
                options=options,
            ),
            workers=3,
            timeout_s=9,
            threads=2,
            folder=tmp_path,
        )
    settings, job = caught.value.args
    assert (settings.workers, settings.timeout, settings.threads) == (3, 9.0, 2)
    assert job.training.backend == "torch"
    assert (
        job.training.optimizer == Adam(0.1, l1=0.2)
        and job.training.options == options
        and job.training.loss == "cross_entropy"
    )
    assert (
        job.training.epochs,
        job.training.batch_size,
        job.training.seed,
        job.training.dtype,
    ) == (
        2,
        100,
        7,
        "float32",
    )
    assert np.array_equal(job.training.rates(36), 0.1 * Cosine().factors(36)) and Spec.from_json(
        job.spec
    ) == mlp(64, 10)
    assert np.array_equal(job.arrays["X"], digits.X) and np.array_equal(job.arrays["y"], digits.y)
    assert [w.shape for w in job.weights] == mlp(64, 10).shapes


# Bad input: nothing is started


@pytest.mark.parametrize(
    "change, said",
    [
        (
            {"spec": Spec((Dense(64, 8, bias=False), BatchNorm(8), Dense(8, 10)))},
            "must be without BatchNorm.*Hint: LayerNorm",
        ),
        ({"spec": mlp(64, 8, 10, dropout=0.5)}, "must be without Dropout.*Hint: weight decay"),
        ({"spec": "mlp"}, "must have a Spec"),
        ({"workers": 1}, "`workers` must be a whole number, 2 or more"),
        ({"batch_size": 1796}, "a batch of 1 rows for 2 workers.*Hint: batch_size=1795"),
        (
            {"batch_size": 4, "workers": 5},
            r"a batch of 1 rows for 5 workers.*Hint: batch_size=5\.|batch_size=",
        ),
        ({"timeout_s": 0}, "`timeout_s` must be greater than 0"),
        ({"timeout_s": float("inf")}, "`timeout_s` must be a finite number"),
        ({"threads": 0}, "`threads` must be a whole number"),
        ({"backend": "jax"}, "backend"),
        ({"optimizer": "adam"}, "`optimizer` must be one of"),
        ({"schedule": "cosine"}, "`schedule` must be one of"),
        ({"dtype": "float16"}, "dtype"),
        ({"epochs": 0}, "epochs"),
        ({"loss": "bce"}, "one output"),
        ({"weights": [np.zeros((2, 2))]}, "weights must have the spec's shapes"),
        ({"options": Options(accumulate=40)}, "as many rows as parts"),
    ],
)
def test_bad_input_is_refused_before_anything_starts(digits, monkeypatch, change, said):
    monkeypatch.setattr(distributed, "_write_job", lambda *args: pytest.fail("it went on"))
    with pytest.raises(InputError, match=said):
        fit_distributed(**call_of({"spec": mlp(64, 10), "train": digits} | change))


def test_too_few_rows_for_the_workers(digits):
    with pytest.raises(
        InputError, match="a batch of 2 rows for 3 workers.*Hint: take fewer workers"
    ):
        fit_distributed(mlp(64, 10), digits.take(slice(2)), workers=3)


def test_sealed_rows_are_refused(digits_split):
    with pytest.raises(SealedTestError):
        fit_distributed(mlp(64, 10), digits_split[1])
