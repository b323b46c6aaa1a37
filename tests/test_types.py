"""Type checkers see the package: README's programs, a user's right and wrong calls, and our own modules.

basedpyright in basic mode, offline; one run over the programs and one over the package. Counts are
recorded numbers that may only fall: whoever mends a module lowers its number here.
"""

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

import bigdata_ai as bd

ROOT = Path(bd.__file__).parent.parent
README = re.findall(
    r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL
)

# Errors over the whole package, and in the modules behind the face that still have some.
PACKAGE_ERRORS = 290
FACE_ERRORS = {}


def errors(folder, *places):
    "Each error of basedpyright: file, line (from 1) and message."
    config = {
        "typeCheckingMode": "basic",
        "include": [*map(str, places)],
        "extraPaths": [str(ROOT)],
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(config))
    checker = [Path(sys.executable).parent / "basedpyright", "--level", "error", "--outputjson"]
    done = subprocess.run(
        [*checker, "--pythonpath", sys.executable, "-p", str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode in (0, 1), done.stderr
    report = json.loads(done.stdout)
    assert report["summary"]["filesAnalyzed"] > 0
    return [
        (Path(error["file"]), error["range"]["start"]["line"] + 1, error["message"])
        for error in report["generalDiagnostics"]
        if error["severity"] == "error"
    ]


def exists(name):
    return importlib.util.find_spec(f"bigdata_ai.{bd._FACE[name] or name}") is not None


RIGHT = """
import numpy as np
import bigdata_ai as bd

train, test = bd.split(bd.load("digits"), by="random")
rest, validation = bd.hold_out(train, 0.2)
settings = bd.Training(backend="tensorflow", optimizer=bd.AdamW(0.01), epochs=3, device="cpu")
network = bd.cnn((8, 8, 1), 10)
model = bd.fit(network, rest, validation=validation, optimizer=bd.SGD(0.1, momentum=0.9), epochs=2)
answers: np.ndarray = model.predict(test_rows := np.zeros((3, 64)))
scores = bd.evaluate(model, test, ("accuracy", "f1"))
matrix = bd.viz.confusion(scores.confusion).get_title()
mine = bd.from_arrays(np.eye(3), [0, 1, 2], name="mine")
folder = bd.run("volume", {"seeds": [0]}, frameworks=bd.backends(), full=False).name
lake = bd.Lake("lake")
"""

# Behind each wrong line stands what the error must speak of.
WRONG = """
import bigdata_ai as bd

train, test = bd.split(bd.load("digits"))
bd.laod  # wrong: "laod"
bd.fit(bd.mlp(64, 10), train, epoch=5)  # wrong: "epoch"
bd.fit(bd.mlp(64, 10), train, epochs="five")  # wrong: "epochs"
bd.fit(bd.mlp(64, 10), train, backend="jax")  # wrong: "backend"
bd.fit(bd.mlp(64, 10), train, dtype="float16")  # wrong: "dtype"
bd.fit(bd.mlp(64, 10), test)  # wrong: "SealedTest"
bd.Training(epoch=5)  # wrong: "epoch"
bd.Training(batch_size="64")  # wrong: "batch_size"
bd.Training(backend="jax")  # wrong: "backend"
bd.Training(optimizer="adam")  # wrong: "optimizer"
bd.Training(5)  # wrong: positional
bd.Adam(lr=0.1)  # wrong: "lr"
bd.split(bd.load("digits"), by="groups")  # wrong: "by"
bd.mlp("64", 10)  # wrong: "sizes"
bd.cnn(8, 10)  # wrong: "shape"
bd.load(3)  # wrong: "name"
bd.viz.confusoin([[1]])  # wrong: "confusoin"
"""

# What only a module that is still to come makes right or wrong.
LATER = {
    "Prepared": (
        "bd.Prepared(bd.mlp(4, 2), [bd.Cleaner([])])",
        'bd.Prepared()  # wrong: "learner"',
    ),
    "NetworkClassifier": (
        "bd.NetworkClassifier(bd.mlp(4, 2), epochs=3)",
        'bd.NetworkClassifier(bd.mlp(4, 2), epoch=3)  # wrong: "epoch"',
    ),
}


@pytest.mark.long
def test_programs_over_the_face(tmp_path):
    "README's and a right one have no error; of a wrong one every wrong line is found, and no other."
    later = [lines for name, lines in LATER.items() if exists(name)]
    texts = {
        "right": "\n".join([RIGHT.strip(), *(right for right, _ in later), ""]),
        "wrong": "\n".join([WRONG.strip(), *(wrong for _, wrong in later), ""]),
        "readme_0": README[0],
        "readme_1": README[0] + README[1],
        **{f"readme_{i}": text for i, text in enumerate(README[2:], 2)},
    }
    seen = {name: {} for name in texts}
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    for file, line, message in errors(tmp_path, *(f"{name}.py" for name in texts)):
        seen[file.stem].setdefault(line, []).append(message)
    lines = enumerate(texts["wrong"].splitlines(), 1)
    wrong = {i: line.partition("# wrong: ")[2] for i, line in lines if "# wrong: " in line}
    messages = seen.pop("wrong")
    misses = {
        line: texts["wrong"].splitlines()[line - 1]
        for line, word in wrong.items()
        if not any(word in message for message in messages.get(line, []))
    }
    extra = {
        line: [message for message in of_line if wrong.get(line, " \n") not in message]
        for line, of_line in messages.items()
    }
    assert (misses, {line: rest for line, rest in extra.items() if rest}) == ({}, {})
    assert {name: rows for name, rows in seen.items() if rows} == {}


@pytest.mark.long
def test_the_package_has_no_more_errors_than_are_recorded(tmp_path):
    "One run for both: the modules behind the face, and all of them."
    counts = Counter(
        ".".join(file.relative_to(ROOT / "bigdata_ai").with_suffix("").parts)
        for file, _, _ in errors(tmp_path, ROOT / "bigdata_ai")
    )
    behind = {module or name for name, module in bd._FACE.items()}
    assert set(FACE_ERRORS) <= behind
    more = {name: counts[name] for name in behind if counts[name] > FACE_ERRORS.get(name, 0)}
    assert more == {} and sum(counts.values()) <= PACKAGE_ERRORS, dict(counts)
