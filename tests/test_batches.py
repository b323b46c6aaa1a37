"""Batches of Parquet: every row once, in an order that seed and epoch decide and nothing else."""

import decimal
import importlib
import itertools
import json
import os
import pickle
import signal
import subprocess
import sys
import threading
import time

import fsspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bigdata_ai.core import ContentError, InputError, digest_arrays
from bigdata_ai.data.store.batches import Batches, shuffle_quality

FEW = settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def table(n, first=0):
    "Rows that tell who they are: x0 = id, x1 = -id, y = id modulo 3."
    ids = np.arange(first, first + n)
    return pa.table(
        {"x0": ids.astype(np.float64), "x1": (-ids).astype(np.int32), "y": ids % 3, "id": ids}
    )


def write(folder, sizes, group=10, **options):
    "One file a size, numbered through."
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(np.cumsum([0, *sizes[:-1]])):
        pq.write_table(
            table(sizes[number], int(first)),
            folder / f"part-{number}.parquet",
            row_group_size=group,
            **options,
        )
    return folder


def opened(source, **options):
    return Batches(
        source,
        **(
            {"X": ["x0", "x1"], "y": "y", "ids": "id", "batch_size": 8, "buffer_rows": 25} | options
        ),
    )


def taken(batches):
    "All ids of a pass, after a check that each row is whole."
    found = [batch for batch in batches]
    for batch in found:
        assert (
            batch.X.dtype == np.float32 and batch.X.flags.c_contiguous and batch.y.dtype == np.int64
        )
        assert (
            (batch.X[:, 0] == batch.ids).all()
            and (batch.X[:, 1] == -batch.ids).all()
            and (batch.y == batch.ids % 3).all()
        )
    return np.concatenate([batch.ids for batch in found]) if found else np.zeros(0, dtype=np.int64)


def raw(batches):
    "Each batch as bytes."
    return [b"".join(part.tobytes() for part in batch) for batch in batches]


@pytest.fixture
def folder(tmp_path):
    return write(tmp_path / "rows", [47, 0, 33, 23])


# Every row once


def test_an_epoch_gives_every_row_once_in_the_order_told_before(folder):
    batches = opened(folder)
    for _ in range(3):
        told = batches.order()
        assert (taken(batches) == told).all() and (np.sort(told) == np.arange(103)).all()


def test_without_shuffling_the_order_is_that_of_the_files(folder):
    assert (taken(opened(folder, shuffle=False)) == np.arange(103)).all()


def test_each_epoch_and_each_seed_has_its_own_order(folder):
    batches = opened(folder)
    orders = [taken(batches) for _ in range(3)] + [taken(opened(folder, seed=1))]
    assert all((one != other).any() for one, other in itertools.combinations(orders, 2))
    batches.set_epoch(1)
    assert (taken(batches) == orders[1]).all() and batches.epoch == 2


@FEW
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    group=st.integers(1, 30),
    batch=st.integers(1, 40),
    buffer=st.integers(1, 80) | st.none(),
    seed=st.integers(0, 3),
    drop=st.booleans(),
    shuffle=st.booleans(),
    count=st.integers(1, 5),
    even=st.sampled_from(["no", "drop", "pad"]),
    stop=st.integers(0, 30),
    epoch=st.integers(0, 2),
)
def test_shards_batches_and_resuming_fit_together(
    tmp_path, sizes, group, batch, buffer, seed, drop, shuffle, count, even, stop, epoch
):
    n = sum(sizes)
    source = write(tmp_path / f"{time.monotonic_ns()}", sizes, group)
    options = dict(batch_size=batch, buffer_rows=buffer, seed=seed, drop_last=drop, shuffle=shuffle)
    shards = [opened(source, **options).shard(index, count, even) for index in range(count)]
    rows = []
    for shard in shards:
        shard.set_epoch(epoch)
        told = shard.order()
        ids = taken(shard)
        assert (ids == told).all() and shard.epoch == epoch + 1
        rows.append(ids)
        shard.set_epoch(epoch)
        pieces = raw(shard)
        assert len(pieces) == len(shard)
        shard.set_epoch(epoch)
        before = raw(itertools.islice(shard, min(stop, len(pieces))))
        again = opened(source, **options, threads=1, prefetch=3).shard(shard.index, count, even)
        again.restore(json.loads(json.dumps(shard.state())))
        assert before + raw(again) == pieces and again.epoch == epoch + 1
    if even != "no":
        assert len({len(shard) for shard in shards}) == 1
    whole = np.concatenate(rows)
    if even == "no" and not drop:
        assert (np.sort(whole) == np.arange(n)).all()
    if even == "drop":
        assert len(set(whole)) == len(whole)
    if even == "drop" and not drop:
        assert len(whole) == n // count * count
    if even == "pad" and not drop:
        assert len(whole) == -(-n // count) * count and set(whole) == set(range(n))


@pytest.mark.parametrize("threads, prefetch", [(1, 0), (1, 2), (2, 1), (5, 4)])
def test_threads_and_prefetch_change_nothing(folder, threads, prefetch):
    assert raw(opened(folder, threads=threads, prefetch=prefetch)) == raw(
        opened(folder, threads=2, prefetch=1)
    )


def test_a_row_stays_in_its_window_and_one_window_mixes_all(folder):
    order = opened(folder, buffer_rows=1).order()
    groups = np.searchsorted([10, 20, 30, 40, 47, 57, 67, 77, 80, 90, 100], order, "right")
    assert (np.diff(groups) != 0).sum() == len(set(groups)) - 1 and (np.diff(order) < 0).any()
    exact = opened(folder, buffer_rows=None)
    assert (
        exact.order().tolist() != sorted(exact.order())
        and (np.diff(np.searchsorted([47], exact.order(), "right")) != 0).sum() > 20
    )


def test_the_shuffle_is_uniform_within_a_window(tmp_path):
    """Each of 20 rows comes to each of 20 places equally often: chi-square over 2,000 epochs, 361
    degrees of freedom, 99.99 % quantile 472."""
    batches = opened(write(tmp_path / "few", [20], group=20), batch_size=20)
    counts = np.zeros((20, 20))
    for epoch in range(2000):
        counts[batches.order(epoch), np.arange(20)] += 1
    assert ((counts - 100) ** 2 / 100).sum() < 472


def test_shuffle_quality_knows_sorted_from_mixed():
    assert shuffle_quality(np.arange(10_000), 100) == {
        "rank_correlation": 1.0,
        "batch_spread": pytest.approx(0.01, rel=0.02),
    }
    mixed = shuffle_quality(np.random.default_rng(0).permutation(10_000), 100)
    assert abs(mixed["rank_correlation"]) < 0.05 and 0.98 < mixed["batch_spread"] < 1.02


# Resuming


LOOP = """
import json, sys, time
from bigdata_ai.core import digest_arrays, write_atomic
from bigdata_ai.data.store.batches import Batches
folder, out, state = sys.argv[1:]
batches = Batches(folder, y="y", ids="id", batch_size=5, buffer_rows=25)
try: batches.restore(json.load(open(state)))
except FileNotFoundError: pass
while batches.epoch < 2:
    for batch in batches:
        with open(out, "a") as file: file.write(digest_arrays(*batch) + "\\n")
        write_atomic(state, json.dumps(batches.state()))
        time.sleep(0.005)
"""


def test_a_killed_run_goes_on_where_it_was(folder, tmp_path):
    """Killed twice; a batch that was written but not yet in the state may come twice, none is lost
    or different."""
    out, state = tmp_path / "out", tmp_path / "state"
    for lines in (7, 25, None):
        child = subprocess.Popen([sys.executable, "-c", LOOP, str(folder), str(out), str(state)])
        while lines and (not out.exists() or len(out.read_text().splitlines()) < lines):
            time.sleep(0.002)
        if lines:
            child.send_signal(signal.SIGKILL)
        assert child.wait(60) == (-signal.SIGKILL if lines else 0)
    batches = Batches(folder, y="y", ids="id", batch_size=5, buffer_rows=25)
    wanted = [digest_arrays(*batch) for _ in range(2) for batch in batches]
    got = [line for line, _ in itertools.groupby(out.read_text().splitlines())]
    assert got == wanted


def test_state_between_epochs_and_after_breaking_off(folder):
    batches = opened(folder)
    taken(batches)
    assert (batches.state()["epoch"], batches.state()["batch"]) == (1, 0)
    for number, _ in enumerate(batches, 1):
        if number == 4:
            break
    assert (batches.state()["epoch"], batches.state()["batch"]) == (1, 4)
    assert (taken(batches) == batches.order(1)).all(), "a new pass begins the epoch again"


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1},
        {"batch_size": 9},
        {"buffer_rows": 26},
        {"X": ["x1", "x0"]},
        {"drop_last": True},
        {"shuffle": False},
        {"fill": 0},
    ],
)
def test_a_state_of_other_settings_is_refused(folder, change):
    with pytest.raises(InputError, match=f"same files and settings.*{next(iter(change))}"):
        opened(folder, **change).restore(opened(folder).state())


def test_a_state_of_another_shard_or_other_files_is_refused(folder, tmp_path):
    state = opened(folder).state()
    with pytest.raises(InputError, match="shard"):
        opened(folder).shard(0, 2).restore(state)
    with pytest.raises(InputError, match="files"):
        opened(write(tmp_path / "other", [47, 0, 33, 24])).restore(state)
    moved = folder.rename(tmp_path / "moved")
    opened(moved).restore(state)
    with pytest.raises(InputError, match="must come from"):
        opened(moved).restore({"epoch": 1})


# Where the rows come from


def test_every_kind_of_source_gives_the_same(folder, tmp_path):
    files = sorted(folder.glob("*.parquet"))
    wanted = raw(opened(folder))
    (folder / "_SUCCESS").write_text("")
    (folder / "notes.txt").write_text("no data")
    (folder / "_old").mkdir()
    pq.write_table(table(5), folder / "_old" / "a.parquet")
    sources = [
        str(folder),
        files,
        [str(file) for file in files],
        str(folder / "part-*.parquet"),
        pyarrow.dataset.dataset(files),
        f"file://{folder}",
        f"file://{folder}/part-*.parquet",
        [f"file://{file}" for file in files],
    ]
    for source in sources:
        assert raw(opened(source)) == wanted, source


def test_a_url_of_another_file_system(folder):
    memory = fsspec.filesystem("memory")
    memory.put(str(folder), "/lake/rows", recursive=True)
    try:
        assert raw(opened("memory://lake/rows")) == raw(opened(folder))
    finally:
        memory.rm("/lake", recursive=True)


def test_folders_named_key_value_give_columns(tmp_path):
    rows = table(60).append_column("year", pa.array(np.repeat([2023, 2024, 2025], 20)))
    pq.write_to_dataset(rows, tmp_path, partition_cols=["year"])
    batches = Batches(tmp_path, X=["x0", "year"], y="y", batch_size=7)
    for X, y in batches:
        assert (X[:, 1] == 2023 + X[:, 0] // 20).all() and (y == X[:, 0] % 3).all()
    assert {int(value) for batch in Batches(tmp_path, X="x0", y="year") for value in batch.y} == {
        2023,
        2024,
        2025,
    }


def test_a_filtered_dataset_and_other_things_are_refused(folder, tmp_path):
    whole = pyarrow.dataset.dataset(folder)
    filtered = whole.filter(pyarrow.dataset.field("x0") > 3)
    (tmp_path / "empty").mkdir()
    for bad in (
        filtered,
        pyarrow.dataset.dataset(table(3)),
        5,
        [],
        [3],
        tmp_path / "none.parquet",
        tmp_path / "empty",
    ):
        with pytest.raises((InputError, ContentError)):
            opened(bad)
    with pytest.raises(InputError, match="at least one Parquet file"):
        opened(str(tmp_path / "*.parquet"))


def test_no_rows_at_all(tmp_path):
    batches = opened(write(tmp_path / "none", [0]))
    assert (
        len(batches) == 0
        and list(batches) == []
        and batches.epoch == 1
        and len(batches.order()) == 0
    )
    assert list(batches.shard(1, 3, "pad")) == []


# Columns


def test_numbers_of_every_kind_become_float32(tmp_path):
    values = {
        "int8": pa.array([1, -2], pa.int8()),
        "uint64": pa.array([1, 2**63], pa.uint64()),
        "half": pa.array(np.array([0.5, 2], np.float16)),
        "bool": pa.array([True, False]),
        "decimal": pa.array([decimal.Decimal("1.25"), decimal.Decimal("-3.50")]),
        "category": pa.array([7, 9]).dictionary_encode(),
        "float32": pa.array([0.1, 0.2], pa.float32()),
        "float64": pa.array([0.1, 1e-50]),
    }
    pq.write_table(pa.table(values), tmp_path / "kinds.parquet")
    (batch,) = Batches(tmp_path, shuffle=False)
    wanted = [[1, 1, 0.5, 1, 1.25, 7, 0.1, 0.1], [-2, 2**63, 2, 0, -3.5, 9, 0.2, 1e-50]]
    assert (
        (batch.X == np.array(wanted, dtype=np.float64).astype(np.float32)).all()
        and batch.y is None
        and len(list(batch)) == 1
    )


def test_targets_and_ids_by_kind(tmp_path):
    pq.write_table(
        pa.table(
            {
                "x": [1.0, 2.0],
                "flag": [True, False],
                "price": [0.5, 1.5],
                "name": ["a", "数据"],
                "day": pa.array([0, 1], pa.date32()),
            }
        ),
        tmp_path / "t.parquet",
    )
    first = lambda **options: next(iter(Batches(tmp_path, X="x", shuffle=False, **options)))  # noqa: E731
    assert first(y="flag").y.tolist() == [1, 0] and first(y="flag").y.dtype == np.int64
    assert first(y="price").y.dtype == np.float32 and first(y="price").y.shape == (2,)
    both = first(y=["price", "flag"]).y
    assert both.dtype == np.float32 and both.tolist() == [[0.5, 1], [1.5, 0]]
    assert first(ids="name").ids.tolist() == ["a", "数据"]
    X, y, ids = first(y="flag", ids="name")
    assert X.shape == (2, 1) and ids[1] == "数据"
    assert [str(day) for day in first(ids="day").ids] == ["1970-01-01", "1970-01-02"]


@pytest.mark.parametrize(
    "bad, message",
    [
        ({"X": ["x0", "word"]}, "must be numeric.*'word' of type string.*features.Encoder"),
        ({"X": None, "y": None, "ids": None}, "'word'"),
        ({"y": []}, "`y` must name"),
        ({"X": ["x0", "when"]}, "must be numeric.*date32"),
        ({"X": ["x9"]}, "column of .*did you mean"),
        ({"X": []}, "`X` must name"),
        ({"X": ["x0", "x0"]}, "once"),
        ({"X": ["x0", "y"]}, "only one of them"),
        ({"y": "word"}, "must be numeric"),
        ({"ids": "nobody"}, "`ids` must be one of"),
        ({"batch_size": 0}, "batch_size"),
        ({"buffer_rows": 0}, "buffer_rows"),
        ({"threads": 0}, "threads"),
        ({"seed": -1}, "seed"),
        ({"prefetch": -1}, "prefetch"),
        ({"on_error": "ignore"}, "'raise', 'skip'"),
        ({"fill": "mean"}, "fill"),
        ({"fill": {"z": 1}}, "column to fill"),
    ],
)
def test_bad_choices_are_named(tmp_path, bad, message):
    rows = (
        table(5)
        .append_column("word", pa.array(list("abcde")))
        .append_column("when", pa.array(range(5), pa.date32()))
    )
    pq.write_table(rows, tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        opened(tmp_path, **bad)


@pytest.mark.parametrize(
    "kind", [pa.float64(), pa.float32(), pa.int32(), pa.bool_(), pa.decimal128(5, 2), pa.null()]
)
def test_missing_values_are_named_or_filled(tmp_path, kind):
    "Null of every type, and NaN."
    one, zero = (
        (decimal.Decimal(1), decimal.Decimal(0))
        if pa.types.is_decimal(kind)
        else (True, False)
        if kind == pa.bool_()
        else (1, 0)
    )
    values = pa.array([None, None, None] if pa.types.is_null(kind) else [one, None, zero], kind)
    pq.write_table(
        pa.table({"x0": [1.0, 2.0, 3.0], "x1": values, "y": [0, 1, 2]}), tmp_path / "a.parquet"
    )
    with pytest.raises(
        InputError, match=r"no null, no NaN.*column 'x1'.*a.parquet, row group 0.*fill"
    ):
        list(Batches(tmp_path, y="y"))
    (batch,) = Batches(tmp_path, y="y", shuffle=False, fill={"x1": -5})
    assert batch.X[1].tolist() == [2, -5] and batch.X[:, 0].tolist() == [1, 2, 3]
    (batch,) = Batches(tmp_path, y="y", shuffle=False, fill=float("nan"))
    assert np.isnan(batch.X[1, 1]) and batch.X[1, 0] == 2


def test_nan_infinity_and_numbers_beyond_float32(tmp_path):
    for value, message in ((float("nan"), "no NaN"), (float("inf"), "infinite"), (1e39, "beyond")):
        pq.write_table(pa.table({"a": [1.0, value]}), tmp_path / "a.parquet")
        with pytest.raises(InputError, match=f"{message}.*column 'a'"):
            list(Batches(tmp_path))
    pq.write_table(pa.table({"a": np.full(5000, 3e38)}), tmp_path / "a.parquet")
    assert next(iter(Batches(tmp_path))).X.max() > 2.9e38, "a sum beyond float32 is no fault"


def test_a_label_that_is_missing_is_never_filled_silently(tmp_path):
    pq.write_table(
        pa.table({"x": [1.0, 2.0], "y": pa.array([1, None]), "z": [0.5, None]}),
        tmp_path / "a.parquet",
    )
    with pytest.raises(InputError, match="labels and ids must not be null.*'y'"):
        list(Batches(tmp_path, X="x", y="y", fill=0))
    with pytest.raises(InputError, match="no null.*'z'"):
        list(Batches(tmp_path, X="x", y="z", fill=0))
    (batch,) = Batches(tmp_path, X="x", y="z", fill={"z": 9}, shuffle=False)
    assert batch.y.tolist() == [0.5, 9]
    with pytest.raises(InputError, match="labels and ids must not be null.*'y'"):
        list(Batches(tmp_path, X="x", ids="y"))


def test_a_column_that_came_later_counts_as_missing_before(tmp_path):
    pq.write_table(pa.table({"a": [1.0]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [2], "b": [3]}), tmp_path / "2.parquet")
    with pytest.raises(InputError, match="column of .*1.parquet"):
        Batches(tmp_path, X=["a", "b"])
    (batch,) = Batches(tmp_path, X=["a", "b"], fill={"b": 0}, shuffle=False)
    assert batch.X.tolist() == [[1, 0], [2, 3]]


# Faults


def spoil(path, group=1, column="x0"):
    "Overwrite one column of one row group."
    found = pq.read_metadata(path).row_group(group)
    chunk = next(
        found.column(i)
        for i in range(found.num_columns)
        if found.column(i).path_in_schema == column
    )
    at = chunk.dictionary_page_offset or chunk.data_page_offset
    with path.open("r+b") as file:
        file.seek(at)
        file.write(b"\xff" * chunk.total_compressed_size)


def test_a_corrupt_row_group_is_named_and_never_hangs(folder):
    spoil(folder / "part-0.parquet")
    for prefetch in (0, 1, 5):
        with pytest.raises(ContentError, match=r"part-0.parquet, row group 1: .*on_error='skip'"):
            list(opened(folder, prefetch=prefetch))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_a_corrupt_row_group_is_skipped_if_told_so_and_resuming_still_fits(folder):
    spoil(folder / "part-0.parquet")
    options = dict(on_error="skip", batch_size=5, seed=3)
    batches = opened(folder, **options)
    assert set(taken(batches)) == set(range(103)) - set(range(10, 20))
    assert list(batches.skipped) == [f"{folder}/part-0.parquet, row group 1"] and len(batches) == 19
    assert (np.sort(batches.order()) == sorted(set(range(103)) - set(range(10, 20)))).all()
    whole = raw(opened(folder, **options))
    for stop in range(0, 20, 3):
        some = opened(folder, **options)
        before = raw(itertools.islice(some, stop))
        again = opened(folder, **options)
        again.restore(json.loads(json.dumps(some.state())))
        assert before + raw(again) == whole


def test_one_flipped_bit_is_found_where_the_writer_left_checksums(tmp_path):
    path = (
        write(
            tmp_path / "sums",
            [40],
            write_page_checksum=True,
            compression="none",
            use_dictionary=False,
        )
        / "part-0.parquet"
    )
    content = bytearray(path.read_bytes())
    at = content.find(np.float64(13).tobytes())
    content[at + 3] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ContentError, match="part-0.parquet, row group 1"):
        list(opened(path))


def test_a_file_that_is_no_parquet(folder):
    (folder / "part-1.parquet").write_bytes(b"PAR1 not really PAR1")
    with pytest.raises(ContentError, match="part-1.parquet"):
        opened(folder)
    batches = opened(folder, on_error="skip")
    assert len(taken(batches)) == 103 and "part-1.parquet" in next(iter(batches.skipped))
    with pytest.raises(ContentError, match="none of 1"):
        opened(folder / "part-1.parquet", on_error="skip")


def test_a_file_changed_between_epochs_or_within_one_is_found(folder):
    batches = opened(folder)
    taken(batches)
    pq.write_table(table(33, 47), folder / "part-2.parquet", row_group_size=10)
    os.utime(folder / "part-2.parquet", ns=(1, 1))
    with pytest.raises(ContentError, match="must not change.*part-2.parquet"):
        list(batches)
    batches = opened(folder, prefetch=0, shuffle=False)
    with pytest.raises(ContentError, match="must not change.*part-3.parquet"):
        for number, _ in enumerate(batches):
            if number == 1:
                (folder / "part-3.parquet").write_bytes(b"")
    (folder / "part-3.parquet").unlink()
    with pytest.raises(ContentError, match="part-3.parquet"):
        list(batches)


def test_breaking_off_frees_the_threads(folder):
    for _ in opened(folder, threads=3, prefetch=4):
        break
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    batches = opened(folder)
    first = iter(batches)
    next(first)
    assert [thread for thread in threading.enumerate() if thread.name.startswith("batches")]
    second = iter(batches)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("batches")], (
        "a new pass ends the old one"
    )
    assert list(first) == [] and len(list(second)) == len(batches)


def test_a_batch_keeps_its_values(folder):
    "Blocks are used again; what was handed out is not."
    found = list(opened(folder, prefetch=0))
    assert all((batch.X[:, 0] == batch.ids).all() for batch in found)
    assert not any(
        np.shares_memory(one.X, other.X) for one, other in itertools.combinations(found, 2)
    )


def test_batches_travel_to_another_process(folder):
    batches = opened(folder)
    next(iter(batches))
    assert raw(pickle.loads(pickle.dumps(batches))) == raw(opened(folder))


def test_a_very_large_row_group_is_read_in_pieces(folder, monkeypatch):
    wanted = [raw(opened(folder).shard(index, 3)) for index in range(3)]
    monkeypatch.setattr("bigdata_ai.data.store.batches._STREAM", 8)
    monkeypatch.setattr("bigdata_ai.data.store.batches._PIECE", 3)
    assert [raw(opened(folder).shard(index, 3)) for index in range(3)] == wanted


# In the frameworks


@pytest.fixture
def adaptor(backend, frameworks):
    return importlib.import_module(f"bigdata_ai.train.{backend}_backend.batches")


@pytest.mark.parametrize("size", [5, 16])
def test_tensors_hold_what_the_batch_holds(adaptor, folder, size):
    for batch in opened(folder, batch_size=size):
        X, y, ids = adaptor.tensors(batch)
        assert (
            np.array_equal(np.asarray(X), batch.X)
            and np.array_equal(np.asarray(y), batch.y)
            and ids is batch.ids
        )
        assert "float32" in str(X.dtype) and "int64" in str(y.dtype)


def test_tensors_share_memory(adaptor, tmp_path):
    batch = next(iter(opened(write(tmp_path / "r", [64]), batch_size=32)))
    X, y, _ = adaptor.tensors(batch)
    batch.X[3, 1], batch.y[2] = 123, 9
    assert np.asarray(X)[3, 1] == 123 and np.asarray(y)[2] == 9


def test_a_framework_s_own_dataset_passes_the_epochs(adaptor, folder):
    batches = opened(folder, ids=None)
    wanted = [batches.order(epoch) for epoch in range(2)]
    rows = adaptor.dataset(batches)
    for order in wanted:
        assert (np.concatenate([np.asarray(X)[:, 0] for X, _ in rows]) == order).all()


def test_frames_of_pandas_come_through(tmp_path):
    frame = pd.DataFrame({"a": np.arange(30.0), "b": pd.array([1, 2, None] * 10, dtype="Int64")})
    frame.to_parquet(tmp_path / "p.parquet")
    X = np.concatenate(
        [
            batch.X
            for batch in Batches(tmp_path, X=["a", "b"], fill={"b": 0}, shuffle=False, batch_size=7)
        ]
    )
    assert (X == frame.fillna(0).to_numpy(np.float32)).all()
