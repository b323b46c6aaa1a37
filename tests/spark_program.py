"""Run by test_spark.py: everything that is tested on Spark, in one session on a cluster of its own.
Writes what it found as JSON."""

import json
import sys
from pathlib import Path

import joblib
import psutil
from engines import rows
from joblibspark import register_spark
from test_clean import RULES, SAMPLE
from test_sweep import ADDS, WHOLE, evidence, notebook

from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.cleaning_rules import Duplicates
from bigdata_ai.data.prepare.features import DateParts, Encoder, OneHot, Ordinal, Pieces, Scale
from bigdata_ai.data.prepare.features import TargetEncoding
from bigdata_ai.data.frames import columns, count, drop_duplicates, hash_column, engine_of
from bigdata_ai.data.frames import quantiles
from bigdata_ai.data.spark import spark_cluster, spark_session
from bigdata_ai.experiment.sweep import sweep

FEATURES = [
    Scale("age", "robust"),
    Scale("height", "quantile"),
    Scale("price"),
    OneHot("town", top=2),
    Ordinal("town"),
    Pieces("town", size=3),
    TargetEncoding("town", target="price_missing", key="id", folds=2, smoothing=1.0),
]


def daemons():
    return [
        process.pid
        for process in psutil.process_iter(["cmdline"])
        if any("org.apache.spark.deploy" in part for part in process.info["cmdline"] or ())
        and process.ppid() in FAMILY
    ]


FAMILY = {psutil.Process().pid}


def both(make):
    return {name: make(frame) for name, frame in (("spark", on_spark), ("pandas", SAMPLE))}


def main(folder):
    global on_spark
    found = {}
    with spark_cluster(memory="1g") as master:
        found["daemons"] = daemons()
        session = spark_session(master, memory="512m")
        session.sparkContext.setLogLevel("OFF")
        on_spark = session.createDataFrame(SAMPLE)
        found |= {
            "master": master,
            "executors": session.sparkContext._jsc.sc().getExecutorMemoryStatus().size() - 1,
        }
        reference = Cleaner(RULES).fit(SAMPLE)
        cleaner = Cleaner(RULES).fit(on_spark)
        cleaned = cleaner.clean(on_spark)
        found["clean"] = {
            "kind": engine_of(cleaned),
            "spark": rows(cleaned, "id"),
            "pandas": rows(reference.clean(SAMPLE), "id"),
        }
        tidy = cleaner.transform(on_spark).cache()
        found["transform"] = {
            "spark": rows(tidy, "id"),
            "pandas": rows(reference.transform(SAMPLE), "id"),
        }
        here = reference.transform(SAMPLE)
        encoders = [Encoder(FEATURES, keep=["id"]) for _ in range(2)]
        frames = [
            encoder.fit_transform(frame)
            for encoder, frame in zip(encoders, (tidy, here), strict=True)
        ]
        found["features"] = {
            "spark": rows(frames[0], "id"),
            "pandas": rows(frames[1], "id"),
            "names": [encoder.names_ for encoder in encoders],
        }
        found["hash"] = both(lambda frame: rows(hash_column(frame, "id", "盐'"), "id"))
        found["quantiles"] = both(
            lambda frame: quantiles(frame, {"age": [0, 0.3, 0.9], "height": [0.5]})
        )
        found["count"], found["types"] = (
            both(count),
            both(lambda frame: sorted(columns(frame).items())),
        )
        report = both(
            lambda frame: reference.report(frame).table[["changed", "dropped"]].to_numpy().tolist()
        )
        found["report"] = report
        levels = [0.01, 0.5, 0.99]
        many = session.range(200_001)
        found["approximate"] = {"levels": levels, "values": quantiles(many, {"id": levels})["id"]}
        found["stream"] = stream(session, folder, reference)
        found["sweep"] = swept(folder)
        session.stop()
    found["after"] = {
        pid: psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        for pid in found["daemons"]
    }
    return found


def stream(session, folder, cleaner):
    source = folder / "in"
    source.mkdir()
    encoder = Encoder(
        [Scale("age"), OneHot("town", top=2), DateParts("born", ("month",))], keep=["id"]
    ).fit(cleaner.transform(SAMPLE))
    lines = SAMPLE.to_json(orient="records", lines=True, force_ascii=False).splitlines()
    (source / "a.json").write_text("\n".join(lines[:5]) + "\n", encoding="utf-8")
    read = (
        session.readStream.schema(on_spark.schema).option("maxFilesPerTrigger", 1).json(str(source))
    )
    tidy = cleaner.transform(read)
    made = encoder.transform(tidy)
    query = made.writeStream.format("memory").queryName("made").start()
    query.processAllAvailable()
    (source / "b.json").write_text("\n".join(lines[5:]) + "\n", encoding="utf-8")
    query.processAllAvailable()
    keys = ["town", "price", "age", "height", "born"]
    distinct = (
        drop_duplicates(read, keys).writeStream.format("memory").queryName("distinct_rows").start()
    )
    distinct.processAllAvailable()
    return {
        "kind": engine_of(read),
        "after": engine_of(made),
        "rows": rows(session.table("made"), "id"),
        "expected": rows(encoder.transform(cleaner.transform(SAMPLE)), "id"),
        "distinct": session.table("distinct_rows").count(),
        "distinct expected": len(Cleaner([Duplicates("id")]).fit_clean(SAMPLE)),
    }


def swept(folder):
    "Four runs of a notebook that the cluster does."
    register_spark()
    source = notebook(folder / "adds.ipynb", *ADDS)
    with joblib.parallel_config("spark", n_jobs=2):
        table = sweep(
            source, {"seed": [0, 1, 2, 3]}, None, folder / "runs", threads=1, show_progress=False
        )
    return {
        "states": table["state"].tolist(),
        "evidence": evidence(folder / "runs"),
        "expected": WHOLE,
    }


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(json.dumps(main(target.parent), default=str), encoding="utf-8")
