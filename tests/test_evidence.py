"""Evidence is whole or absent: parallel writers, killed writers, a full disk."""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from bigdata_ai import core
from bigdata_ai.core import InputError
from bigdata_ai.experiment import evidence
from bigdata_ai.experiment.evidence import append, code_hash, read, rows


def write_many(path, writer, count):
    for i in range(count):
        append(path, {"writer": writer, "i": i, "text": "数据" * (i % 50)})


def test_parallel_writers_lose_and_mix_nothing(tmp_path):
    path, spawn = tmp_path / "evidence.jsonl", multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=write_many, args=(path, writer, 40)) for writer in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert sorted((row["writer"], row["i"]) for row in rows(path)) == [
        (w, i) for w in range(4) for i in range(40)
    ]


def test_killed_writers_leave_whole_lines_only(tmp_path):
    path = tmp_path / "evidence.jsonl"
    code = (
        "import sys; from bigdata_ai.experiment.evidence import append\n"
        "print('ready', flush=True)\n"
        "while True: append(sys.argv[1], {'text': 'x' * 20_000})"
    )
    for _ in range(5):
        process = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
        process.stdout.readline()
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    before = len(rows(path))
    append(path, {"text": "after"})
    lines = path.read_bytes().splitlines()
    assert before > 0 and len(lines) == before + 1 and all(json.loads(line) for line in lines)


def test_a_torn_line_is_not_a_row_and_is_dropped_by_the_next_writer(tmp_path):
    path = tmp_path / "evidence.jsonl"
    append(path, {"n": 1})
    path.write_bytes(path.read_bytes() + b'{"n": 2, "err')
    assert rows(path) == [{"n": 1}]
    append(path, {"n": 3})
    assert path.read_bytes() == b'{"n": 1}\n{"n": 3}\n'


def test_a_full_disk_takes_nothing_away(tmp_path, monkeypatch):
    path = tmp_path / "evidence.jsonl"
    append(path, {"n": 1})
    honest = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, line, at: honest(handle, line[:4], at))
    with pytest.raises(OSError, match="part of the line"):
        append(path, {"n": 2})
    assert path.read_bytes() == b'{"n": 1}\n'


def test_a_value_that_is_no_number_is_refused_before_anything_is_written(tmp_path):
    path = tmp_path / "evidence.jsonl"
    with pytest.raises(ValueError, match="JSON"):
        append(path, {"error": float("inf")})
    assert not path.exists()


def test_reading_nothing_is_a_clear_error(tmp_path):
    with pytest.raises(InputError, match=r"must be evidence to read\. Received: .*Hint"):
        read(tmp_path)


@pytest.fixture
def kit(tmp_path, monkeypatch):
    "A copy of the package whose modules are hashed in place of the real ones."
    copy = tmp_path / "bigdata_ai"
    shutil.copytree(core.package_path(), copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(evidence, "package_path", lambda: copy)
    return copy


def notebook(folder, code):
    path = folder / "a.ipynb"
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "metadata": {}, "source": code}]}))
    return path


USES_FIT = [
    "import bigdata_ai as bd\nbd.fit(bd.mlp(2, 2), bd.load('digits'))",
    "import bigdata_ai\nbigdata_ai.fit",
    "from bigdata_ai import fit as learn",
    "import bigdata_ai as bd\nfor name in ('fit',): getattr(bd, name)",
    "from bigdata_ai.train.loop import fit",
]


@pytest.mark.parametrize("code", USES_FIT)
@pytest.mark.parametrize("edited", ["train/loop.py", "train/torch_backend/steps.py", "core.py"])
def test_editing_what_stands_behind_the_face_changes_the_hash(kit, tmp_path, code, edited):
    path = notebook(tmp_path, code)
    before = code_hash(path)
    with (kit / edited).open("a") as file:
        file.write("\nEDITED = 1\n")
    assert code_hash(path) != before


@pytest.mark.parametrize("code", ["import bigdata_ai as bd\nbd.from_arrays([[0.0]], [0])", "x = 1"])
def test_editing_what_a_notebook_does_not_use_keeps_the_hash(kit, tmp_path, code):
    path = notebook(tmp_path, code)
    before = code_hash(path)
    for edited in ("train/loop.py", "viz.py"):
        with (kit / edited).open("a") as file:
            file.write("\nEDITED = 1\n")
    assert code_hash(path) == before


@pytest.mark.parametrize("head", ["def f():", "async def f():", "class F:"])
def test_a_docstring_is_no_part_of_the_hash(kit, tmp_path, head):
    path = notebook(tmp_path, f"{head}\n    'one'\n    x = 1")
    before = code_hash(path)
    notebook(tmp_path, f"{head}\n    'two'\n    x = 1  # note")
    assert code_hash(path) == before
    notebook(tmp_path, f"{head}\n    'two'\n    x = 2")
    assert code_hash(path) != before
