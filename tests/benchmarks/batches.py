"""How fast batches come, side by side with what else would make them, and how much memory they take as the file grows.

python tests/benchmarks/batches.py [--quick]. The last line is JSON: {"ratios": {name: value}, "goals": {name: [">=", bound]}}.
Every ratio is the median over pairs taken in turn, ours then theirs, so that a busy machine slows both. 20 float64 columns and
a label in Parquet as pyarrow writes it (snappy), row groups of 131,072 rows, in the file cache. Every contender hands out
float32 rows and int64 labels.

Shuffling: against the scans ours takes the default window (262,144 rows) over 1.5 million rows; the scans do not shuffle. There each
of a pair runs twice and the second run counts, since the first pays for memory that the other has just given back.
Against the others the file has 262,144 rows, so ours is an exact shuffle, as theirs is, except where they go through a buffer of
10,000 rows, which is a weaker shuffle (datasets stream, DataLoader iterable). DataLoader map and tf.data start from float32 arrays
that are in memory already; datasets map from its own cache; ours reads Parquet each time. Slow ones are stopped early; their clock
starts with the first batch, so that filling a buffer is not held against them.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ |= {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
}

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

from bigdata_ai.data.store.batches import Batches

COLUMNS = [f"x{j}" for j in range(20)]
GROUP, BUFFER, TILE = 131_072, 10_000, 4096
SIZES = (256, 4096)
GOALS = {
    "scan+rows": 0.8,
    "datasets map": 1,
    "datasets stream": 1,
    "DataLoader map": 1,
    "DataLoader iterable": 1,
    "tf.data": 1,
}


def write(path, rows):
    "A file of `rows` rows; only the first row group is drawn, the others repeat it."
    draw = np.random.default_rng(0)
    group = pa.table(
        {name: draw.standard_normal(GROUP) for name in COLUMNS} | {"y": draw.integers(0, 2, GROUP)}
    )
    with pq.ParquetWriter(path, group.schema) as writer:
        for start in range(0, rows, GROUP):
            writer.write_table(group.slice(0, min(GROUP, rows - start)), row_group_size=GROUP)
    return path


def copies(source, folder, times):
    "A folder of links to one file: as many rows as a large file, with nothing to write."
    folder.mkdir()
    for i in range(times):
        os.link(source, folder / f"{i:03}.parquet")
    return folder


def ours(path, size, tensors=tuple):
    for batch in Batches(path, X=COLUMNS, y="y", batch_size=size):
        yield tensors(batch)


# Contenders: each a generator of batches; the length of the first part is the number of rows


def scan(path, size):
    "pyarrow alone: columns, not rows."
    for batch in pyarrow.dataset.dataset(path).to_batches(columns=[*COLUMNS, "y"]):
        yield (batch,)


def scan_rows(path, size):
    """Scan and convert to row-major float32, in the tiles that ours uses too: the strongest form we
    know."""
    for (batch,) in scan(path, size):
        columns, X = (
            [batch.column(name).to_numpy() for name in COLUMNS],
            np.empty((len(batch), len(COLUMNS)), np.float32),
        )
        for start in range(0, len(X), TILE):
            tile = X[start : start + TILE]
            for j, column in enumerate(columns):
                tile[:, j] = column[start : start + TILE]
        yield X, batch.column("y").to_numpy()


def scan_stack(path, size):
    "Scan and convert as it is mostly written."
    for (batch,) in scan(path, size):
        yield (
            np.column_stack([batch.column(name).to_numpy() for name in COLUMNS]).astype(np.float32),
            batch.column("y").to_numpy(),
        )


def stacked(batch):
    return np.column_stack([batch[name] for name in COLUMNS]).astype(np.float32), batch["y"]


def datasets_map(path, size):
    data = LOADED["datasets"].shuffle(seed=0)
    for batch in data.iter(batch_size=size):
        yield stacked(batch)


def datasets_stream(path, size):
    for batch in LOADED["stream"].shuffle(seed=0, buffer_size=BUFFER).iter(batch_size=size):
        yield stacked(batch)


def loader_map(path, size):
    from torch.utils.data import DataLoader, TensorDataset

    yield from DataLoader(TensorDataset(*LOADED["tensors"]), batch_size=size, shuffle=True)


def loader_iterable(path, size):
    "Rows of a scan through a shuffle buffer."
    from torch.utils.data import DataLoader, IterableDataset

    class Rows(IterableDataset):
        def __iter__(self):
            draw, buffer = np.random.default_rng(0), []
            for X, y in scan_rows(path, size):
                for row in zip(X, y, strict=True):
                    if len(buffer) < BUFFER:
                        buffer.append(row)
                        continue
                    at = draw.integers(BUFFER)
                    yield buffer[at]
                    buffer[at] = row
            yield from buffer

    yield from DataLoader(Rows(), batch_size=size)


def tf_data(path, size):
    import tensorflow as tf

    X, y = LOADED["arrays"]
    data = tf.data.Dataset.from_tensor_slices((X, y))
    yield from data.shuffle(len(X), seed=0).batch(size).prefetch(tf.data.AUTOTUNE)


LOADED = {}


def load(path, folder):
    """What the contenders keep in memory or in a cache of their own; not timed. Gives our two
    adaptors."""
    import datasets
    import torch

    from bigdata_ai.train.tensorflow_backend.batches import tensors as to_tensorflow
    from bigdata_ai.train.torch_backend.batches import tensors as to_torch

    torch.set_num_threads(1)
    datasets.disable_progress_bars()
    # 5 s of sleep in each pass would be held against it
    datasets.config.SLEEP_TIME_ON_THREADS_SHUTDOWN = 0
    X, y = map(np.concatenate, zip(*scan_rows(path, 0), strict=True))
    LOADED["arrays"], LOADED["tensors"] = (X, y), (torch.from_numpy(X), torch.from_numpy(y))
    LOADED["datasets"] = datasets.Dataset.from_parquet(
        str(path), cache_dir=str(folder)
    ).with_format("numpy")
    LOADED["stream"] = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", streaming=True
    ).with_format("numpy")
    return to_torch, to_tensorflow


def speed(batches, limit):
    "Rows a second over the whole, or of the next `limit` rows after the first batch."
    if limit < float("inf"):
        next(batches)
    begin, rows = time.perf_counter(), 0
    for batch in batches:
        rows += len(batch[0])
        if rows >= limit:
            break
    return rows / (time.perf_counter() - begin)


def pairs(name, contender, path, size, repeats, limit=float("inf"), tensors=tuple, warm=1):
    "Speeds and the median ratio, ours over theirs; of `warm` runs in a row the last counts."
    taken = [
        (
            [speed(ours(path, size, tensors), float("inf")) for _ in range(warm)][-1],
            [speed(contender(path, size), limit) for _ in range(warm)][-1],
        )
        for _ in range(repeats)
    ]
    mine, theirs = np.median(taken, axis=0)
    ratios = [one / other for one, other in taken]
    return {
        "against": name,
        "batch": size,
        "ours Mrow/s": mine / 1e6,
        "theirs Mrow/s": theirs / 1e6,
        "ratio": float(np.median(ratios)),
        "lowest": min(ratios),
        "highest": max(ratios),
    }


PEAK = """
import sys
from bigdata_ai.data.store.batches import Batches
for batch in Batches(sys.argv[1], y="y", batch_size=256): pass
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def peak(path, times=3):
    "Peak resident memory, MiB, of a process that takes one epoch; the highest of some."
    command = [sys.executable, "-c", PEAK, str(path)]
    return (
        max(
            int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            for _ in range(times)
        )
        / 1024
    )


def memory(folder, group):
    """Peak by number of rows; `group` None writes files, the quick way reads folders of links to
    one row group, whose rows it counts."""
    if group is None:
        return {n: peak(write(folder / f"{n}.parquet", n)) for n in (10**5, 10**6, 10**7)}
    return {10**5: peak(write(folder / "least.parquet", 10**5), 1)} | {
        10**n: peak(copies(group, folder / f"10^{n}", round(10**n / GROUP)), 1) for n in (6, 7)
    }


def growth(small, large, repeats):
    "Seconds of an epoch in batches of 4096, by number of rows; the least of some."
    return {
        groups * GROUP: groups
        * GROUP
        / max(speed(ours(path, 4096), float("inf")) for _ in range(repeats))
        for path, groups in ((small, 2), (large, 12))
    }


def run(
    quick: bool,  # fewer repeats, and links to one row group in place of large files
) -> tuple[dict, dict, list[str]]:  # ratios, goals, and lines to print
    "Measure all. What has no goal is measured once the quick way, and at one size of batch."
    rows, repeats, few, some = [], *((3, 2, 5_000) if quick else (9, 5, 50_000))
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        small, group = (
            write(folder / "small.parquet", 2 * GROUP),
            write(folder / "group.parquet", GROUP) if quick else None,
        )
        large = (
            copies(group, folder / "large", 12)
            if quick
            else write(folder / "large.parquet", 12 * GROUP)
        )
        for size in SIZES:
            rows.append(pairs("scan+rows", scan_rows, large, size, repeats, warm=2))
            for name, contender in (("scan", scan), ("scan+column_stack", scan_stack)):
                if not quick:
                    rows.append(pairs(name, contender, large, size, repeats, warm=2))
                elif size == SIZES[0]:
                    rows.append(pairs(name, contender, large, size, 1))
        to_torch, to_tensorflow = load(small, folder)
        for size in SIZES[:1] if quick else SIZES:
            rows.append(pairs("datasets map", datasets_map, small, size, few, some))
            rows.append(pairs("datasets stream", datasets_stream, small, size, few, some))
            rows.append(pairs("DataLoader map", loader_map, small, size, few, 5 * some, to_torch))
            rows.append(
                pairs("DataLoader iterable", loader_iterable, small, size, few, 5 * some, to_torch)
            )
            rows.append(
                pairs("tf.data", tf_data, small, size, 1 if quick else few, tensors=to_tensorflow)
            )
        peaks, seconds = memory(folder, group), growth(small, large, repeats)
    table = pd.DataFrame(rows)
    ratios = {
        f"batches/{row['against']}, batch {row['batch']}": round(row["ratio"], 3) for row in rows
    }
    goals = {
        f"batches/{row['against']}, batch {row['batch']}": [">=", GOALS[row["against"]]]
        for row in rows
        if row["against"] in GOALS
    }
    ratios["batches/peak memory, 10^5 over 10^6 rows"] = round(peaks[10**5] / peaks[10**6], 3)
    ratios["batches/peak memory, 10^6 over 10^7 rows"] = round(peaks[10**6] / peaks[10**7], 3)
    goals["batches/peak memory, 10^6 over 10^7 rows"] = [">=", 0.9]
    lines = [
        table.round(3).to_string(index=False),
        "peak memory: " + ", ".join(f"{n:,} rows {mib:.0f} MiB" for n, mib in peaks.items()),
        "an epoch: " + ", ".join(f"{n:,} rows {took:.3f} s" for n, took in seconds.items()),
    ]
    return ratios, goals, lines


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument(
        "--quick", action="store_true", help="fewer repeats, under 50 s on two quiet cores"
    )
    ratios, goals, lines = run(options.parse_args().quick)
    print("\n".join(lines))
    missed = [name for name, (_, bound) in goals.items() if ratios[name] < bound]
    print("missed:", ", ".join(missed) or "none")
    print(json.dumps({"ratios": ratios, "goals": goals}))


if __name__ == "__main__":
    main()
