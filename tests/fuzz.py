"""The parsers of the kit's own: each gives a value or an error of the kit, whatever it is given.

`make fuzz` lets atheris look for a text that breaks one: python tests/fuzz.py [seconds in all]. A text that did
is kept in _fuzz. `test_fuzz.py` asks the same of texts that hypothesis draws.
"""

import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FunctionType

from bigdata_ai.core import BigDataError
from bigdata_ai.data.prepare.clean import Cleaner
from bigdata_ai.data.prepare.features import Encoder
from bigdata_ai.data.store.lake import Lake
from bigdata_ai.experiment.claims import claims_hash, load_claims
from bigdata_ai.experiment.declared import cells_of, describe, parameters
from bigdata_ai.experiment.evidence import read
from bigdata_ai.experiment.query import query
from bigdata_ai.experiment.report import verdicts
from bigdata_ai.experiment.sweep import expand, load_grid

FOLDER = Path(tempfile.mkdtemp(prefix="fuzz-"))


def rules(content: bytes) -> None:
    "Rules of cleaning and of encoding, as JSON."
    path = FOLDER / "rules.json"
    path.write_bytes(content)
    for kind in (Cleaner, Encoder):
        refused(lambda kind=kind: kind.load(path))


def evidence(content: bytes) -> None:
    "Lines of evidence, read, judged, and asked in SQL."
    path = FOLDER / "volume.jsonl"
    path.write_bytes(content)
    for ask in (read, verdicts, lambda path: query("SELECT * FROM evidence", path)):
        refused(lambda ask=ask: ask(path))


def lake_log(content: bytes) -> None:
    "The log of a lake."
    log = FOLDER / "lake" / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    (log / f"{0:020}.json").write_bytes(content)
    lake = Lake(FOLDER / "lake")
    for ask in (lambda: lake.version, lake.history, lake.verify, lambda: len(lake), lake.read):
        refused(ask)


def grid(content: bytes) -> None:
    "A grid, as YAML."
    path = FOLDER / "grid.yaml"
    path.write_bytes(content)
    refused(lambda: expand(load_grid(path)))


def declaration(content: bytes) -> None:
    "What stands beside a notebook, as TOML."
    notebook = FOLDER / "own.ipynb"
    notebook.write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    notebook.with_suffix(".toml").write_bytes(content)
    refused(lambda: describe(notebook))
    refused(lambda: claims_hash(load_claims(notebook.with_suffix(".toml"))))


def notebook(content: bytes) -> None:
    "A notebook, as JSON, and the code of its parameters."
    path = FOLDER / "fuzzed.ipynb"
    path.write_bytes(content)
    refused(lambda: cells_of(path))
    cell = {
        "cell_type": "code",
        "source": content.decode("utf-8", "replace"),
        "metadata": {"tags": ["parameters"]},
    }
    path.write_text(json.dumps({"cells": [cell], "nbformat": 4}))
    refused(lambda: parameters(path))


PARSERS = {one.__name__: one for one in (rules, evidence, lake_log, grid, declaration, notebook)}

SEEDS = {
    "rules": [
        b'{"kind": "Cleaner", "version": 1, "rows": 3, "types": {"a": "number"}, "rules": [{"rule": "Missing",'
        b' "column": "a", "how": "median"}], "learnt": [{"value": 2.0}]}'
    ],
    "evidence": [
        b'{"experiment": "volume", "framework": "torch", "seed": 0, "setting": {"n": 50}, "metrics": {"error": 0.5},'
        b' "checks": {"overlap": 0}, "data": {"name": "digits", "sha256": "x"}, "versions": {}, "parameters": {},'
        b' "code": "c", "claims": "d", "commit": "", "key": "k", "wall_s": 1.0, "peak_mib": 10}\n'
    ],
    "lake_log": [
        b'{"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}\n{"metaData": {"id": "x", "format": {"provider":'
        b' "parquet", "options": {}}, "schemaString": "{\\"type\\":\\"struct\\",\\"fields\\":[]}", "partitionColumns": [],'
        b' "configuration": {}}}\n{"add": {"path": "a.parquet", "partitionValues": {}, "size": 1, "modificationTime": 1,'
        b' "dataChange": true}}\n{"commitInfo": {"timestamp": 1, "operation": "WRITE"}}\n'
    ],
    "grid": [b"a: [1e-3, NO, 2024-01-01]\nb: &x [1, 'a']\nc: *x\n", b"{a: [1, 2], b: [[1], [2]]}"],
    "declaration": [
        b'title = "t"\naxes = ["n"]\n[full]\nsteps = 3\n[budget]\nseconds = 3\n[budget.smoke]\nmib = 3\n[[claims]]\nid ='
        b' "a.b"\ntext = "t"\nstatistic = "error_ratio"\ncontrol = "c"\nabove = 1.0\n[claims.where]\nn = 3\n'
    ],
    "notebook": [
        b'{"cells": [{"cell_type": "code", "source": "n = 1", "metadata": {"tags": ["parameters"]}}], "nbformat": 4}',
        b"n: int = 3  # one of: 3, 4\nm = [1, 'a'] # x\nk = f(m)\nif n:\n  b, c = 1, {2: 3}",
    ],
}  # fmt: skip


def refused(ask: Callable[[], object]) -> bool:
    "Whether an error of the kit came; any other one goes on."
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ask()
    except BigDataError:
        return True
    return False


def fuzz(name: str, seconds: int) -> None:
    "Let atheris look for a text that breaks one parser."
    import atheris

    corpus = FOLDER / f"corpus-{name}"
    corpus.mkdir()
    for i, seed in enumerate(SEEDS[name]):
        (corpus / str(i)).write_bytes(seed)
    modules = ("bigdata_ai.experiment", "bigdata_ai.data.prepare", "bigdata_ai.data.store", "yaml")
    for module in [one for key, one in sys.modules.items() if key.startswith(modules)]:
        for key, value in list(vars(module).items()):
            if getattr(value, "__module__", "") == module.__name__ and isinstance(
                value, FunctionType
            ):
                setattr(module, key, atheris.instrument_func(value))
    kept = Path("_fuzz")
    kept.mkdir(exist_ok=True)
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={kept}/{name}-", "-timeout=30"]
    atheris.Setup(
        [sys.argv[0], *options, "-rss_limit_mb=4096", "-verbosity=0", str(corpus)], PARSERS[name]
    )
    atheris.Fuzz()


def main(seconds: int = 600) -> int:
    "Fuzz each parser in a process of its own, its share of the time."
    failed = []
    for name in PARSERS:
        share = str(max(1, seconds // len(PARSERS)))
        print(f"fuzzing {name} for {share} s", flush=True)
        child = subprocess.run([sys.executable, __file__, "--one", name, share], env=os.environ)
        failed += [name] if child.returncode else []
    print("broken: " + ", ".join(failed) if failed else "nothing broke")
    return len(failed)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        fuzz(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main(*map(int, sys.argv[1:2])))
