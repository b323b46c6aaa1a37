"""The rooms of the data half on a real standalone Spark cluster: a master and a worker, each a JVM
of its own, on loopback."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("spark_program.py")


def check_master_and_worker_are_processes_of_their_own(found):
    assert found["master"].startswith("spark://127.0.0.1:") and found["executors"] == 1
    assert len(found["daemons"]) == 2 and not any(found["after"].values()), (
        "a daemon outlived its cluster"
    )


def check_cleaning_gives_spark_frames_and_the_numbers_of_pandas(found):
    assert found["clean"]["kind"] == "spark"
    assert found["clean"]["spark"] == found["clean"]["pandas"] and len(found["clean"]["spark"]) == 7
    assert found["transform"]["spark"] == found["transform"]["pandas"]


def check_features_give_the_numbers_of_pandas(found):
    assert found["features"]["names"][0] == found["features"]["names"][1]
    assert found["features"]["spark"] == found["features"]["pandas"]


def check_hashes_quantiles_and_counts_are_those_of_pandas(found):
    for name in ("hash", "quantiles", "count", "types", "report"):
        assert found[name]["spark"] == found[name]["pandas"], name


def check_the_fitted_cleaner_runs_on_a_stream_unchanged(found):
    """Two files came one after the other; every row went through the cleaner and the encoder that
    were fitted with pandas."""
    assert found["stream"]["kind"] == "spark-stream" and found["stream"]["after"] == "spark-stream"
    assert (
        found["stream"]["rows"] == found["stream"]["expected"] and len(found["stream"]["rows"]) == 8
    )


def check_duplicates_on_a_stream_are_dropped_by_sparks_own_operator(found):
    assert found["stream"]["distinct"] == found["stream"]["distinct expected"]


def check_approximate_quantiles_keep_their_bound(found):
    "The rank of each is off by at most 1/10,000 of 200,001 rows."
    for level, value in zip(
        found["approximate"]["levels"], found["approximate"]["values"], strict=True
    ):
        assert abs(value / 200_000 - level) <= 1 / 10_000 + 1 / 200_000


def check_the_cluster_runs_a_sweep(found):
    assert (
        found["sweep"]["states"] == ["done"] * 4
        and found["sweep"]["evidence"] == found["sweep"]["expected"]
    )


CHECKS = [
    check_master_and_worker_are_processes_of_their_own,
    check_cleaning_gives_spark_frames_and_the_numbers_of_pandas,
    check_features_give_the_numbers_of_pandas,
    check_hashes_quantiles_and_counts_are_those_of_pandas,
    check_the_fitted_cleaner_runs_on_a_stream_unchanged,
    check_duplicates_on_a_stream_are_dropped_by_sparks_own_operator,
    check_approximate_quantiles_keep_their_bound,
    check_the_cluster_runs_a_sweep,
]


@pytest.mark.long
def test_the_data_half_on_a_real_cluster(tmp_path):
    """One program with one cluster and one session, then all checks: a session of Spark can't move
    to another cluster in one process."""
    target = tmp_path / "found.json"
    done = subprocess.run(
        [sys.executable, str(PROGRAM), str(target)], capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    found, failed = json.loads(target.read_text()), []
    for check in CHECKS:
        try:
            check(found)
        except AssertionError as error:
            failed.append(f"{check.__name__}: {error}")
    assert not failed, "\n".join(failed)
