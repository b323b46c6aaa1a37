"""An experiment outside the checkout is as good as the kit's own: it brings its statistic, figure and
preconditions, and their source is part of what was claimed."""

import ast
import hashlib
import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

import bigdata_ai
from bigdata_ai.core import InputError, data_path
from bigdata_ai.experiment import claims
from bigdata_ai.experiment.declared import file_of
from bigdata_ai.experiment.evidence import rows
from bigdata_ai.experiment.imports import face_modules, imported
from bigdata_ai.experiment.plugins import load_function, source_digest
from bigdata_ai.experiment.report import experiment_of, figure, record, recorded, report, verdicts
from bigdata_ai.experiment.run import run

KERNEL = {"display_name": "python3", "language": "python", "name": "python3"}
SEEDS, ARMS = list(range(6)), ["a", "b", "c"]
# a regression: no classes, no error rate, one number that may be any
CELLS = (
    'framework = "torch"  # one of: torch, tensorflow\nseeds = [0, 1]',
    "from types import SimpleNamespace\n\nfrom bigdata_ai.data.tables import from_arrays\n"
    "from bigdata_ai.experiment.evidence import Recorder",
    "data = from_arrays([[0.0], [1.0]], [0, 1], name='two points')\n"
    "recorder = Recorder('medians', framework, data, {})\n"
    "model = SimpleNamespace(start_loss=1.0, history=[{'loss': 0.1}])\n"
    "scores = SimpleNamespace(overlap=0, predicted_classes=0, majority=0.0, n=2)\n"
    "for seed in seeds:\n"
    "    for place, arm in enumerate('abc'):\n"
    "        if not recorder.done(seed, arm=arm):\n"
    "            metrics = {'gap': 10.0 * place + 0.1 * seed}\n"
    "            recorder.record(seed, {'arm': arm}, metrics, model, scores)",
)
TOML = """
title = "Medians: does an arm matter?"
figure = "drawing:bars"
axes = ["arm"]
metric = "gap"
preconditions = ["fitness:all_arms"]
without = ["classes", "error_rate", "learned"]

[full]
seeds = [0, 1, 2, 3, 4, 5]

[[claims]]
id = "medians.arms_differ"
text = "The last arm lies more than 5 above the first."
statistic = "fitness:last_less_first"
control = "no difference (0)"
above = 5
min_seeds = 5
min_sizes = 3
"""
FITNESS = """
import helper


def last_less_first(runs):
    wide = helper.wide(runs)
    gap = wide.iloc[:, -1] - wide.iloc[:, 0]
    return gap, 0 * gap


def all_arms(runs):
    return "" if set(runs["arm"]) == set("abc") else "an arm is missing"
"""
HELPER = 'def wide(runs):\n    return runs.pivot(index="seed", columns="arm", values="gap")\n'
DRAWING = """
from matplotlib.figure import Figure


def bars(table):
    figure = Figure()
    figure.subplots().bar(*zip(*table.groupby("arm")["gap"].mean().items()))
    return figure
"""


@pytest.fixture
def medians(tmp_path, monkeypatch):
    "The path of an experiment's notebook, with all that lies beside it."
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    first, *rest = map(new_code_cell, CELLS)
    first.metadata["tags"] = ["parameters"]
    book = new_notebook(cells=[first, *rest], metadata={"kernelspec": KERNEL})
    nbformat.write(book, folder / "medians.ipynb")
    for name, text in {
        "medians.toml": TOML,
        "fitness.py": FITNESS,
        "helper.py": HELPER,
        "drawing.py": DRAWING,
    }.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder / "medians.ipynb"


def change(path, before, after):
    text = path.read_text(encoding="utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), encoding="utf-8")


def verdict(folder):
    return verdicts(folder).set_index("framework").loc["torch"]


def test_it_runs_is_judged_reported_and_recorded(medians, monkeypatch):
    folder = run(medians, {"seeds": SEEDS}, ["torch"], show_progress=False)
    assert experiment_of(folder) == str(medians)
    line = verdict(folder)
    assert (line["verdict"], line["statistic"], line["seeds"]) == ("supported", 20.0, 6)
    assert len(figure(folder).axes[0].patches) == 3
    text = report(folder).read_text(encoding="utf-8")
    for part in ("does an arm matter?", "data:image/png", "two points", "fitness:all_arms"):
        assert part in text, part
    assert "judged without these preconditions: classes, error_rate, learned" in text

    # where rows were made by committed code
    committed = [{**row, "commit": "0" * 40} for row in rows(folder / "evidence.jsonl")]
    (folder / "evidence.jsonl").write_text("".join(json.dumps(row) + "\n" for row in committed))
    path = record(folder)
    assert path == recorded(medians) == medians.parent / "evidence" / "medians.jsonl"
    assert verdict(path)["verdict"] == "supported"

    # what decides is part of the claim: also what its module imports from beside it
    for name, before, after in (
        ("fitness.py", "iloc[:, 0]", "iloc[:, 1]"),
        ("helper.py", 'values="gap"', 'values="error"'),
        ("fitness.py", "an arm is missing", "one arm is missing"),
        ("medians.toml", "above = 5", "above = 4"),
        ("medians.toml", '"error_rate", ', ""),
    ):
        kept = (medians.parent / name).read_text(encoding="utf-8")
        change(medians.parent / name, before, after)
        if name != "helper.py":
            assert verdict(path)["verdict"] == "invalid" and "registered" in verdict(path)["reason"]
        else:
            changed = claims.claims_hash(claims.load_claims(medians.with_suffix(".toml")))
            assert changed != committed[0]["claims"]
        (medians.parent / name).write_text(kept, encoding="utf-8")
    # words and layout are not
    change(medians.parent / "helper.py", "def wide(runs):\n", 'def wide(runs):\n    "Wide."\n\n')
    assert verdict(path)["verdict"] == "supported"
    # and its own precondition is asked
    lacking = [row for row in committed if row["setting"]["arm"] != "b"]
    path.write_text("".join(json.dumps(row) + "\n" for row in lacking), encoding="utf-8")
    assert "an arm is missing" in verdict(path)["reason"]


@pytest.mark.parametrize(
    "before, after, message",
    [
        (
            '"fitness:last_less_first"',
            '"fitness:last_less_frist"',
            "did you mean 'last_less_first'",
        ),
        ('"fitness:last_less_first"', '"fitnes:last"', r"`statistic` must lie beside.*fitnes\.py"),
        ('"fitness:last_less_first"', '"error_dropp"', "did you mean 'error_drop'"),
        ('"fitness:last_less_first"', '"fitness:"', "`statistic` must be `module:function`"),
        ('["fitness:all_arms"]', '["all_arms"]', "`preconditions` must be `module:function`"),
        ('["fitness:all_arms"]', '["fitness:arms"]', "did you mean 'all_arms'"),
        ('"drawing:bars"', '"drawing:bar"', "did you mean 'bars'"),
        ('"drawing:bars"', '"pipelin"', "did you mean 'pipeline'"),
        ('"classes", ', '"clases", ', "did you mean 'classes'"),
    ],
)
def test_a_wrong_name_is_told_before_anything_runs(medians, before, after, message, tmp_path):
    change(medians.with_suffix(".toml"), before, after)
    with pytest.raises(InputError, match=message):
        run(medians, {"seeds": SEEDS}, ["torch"], show_progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_module_that_fails_is_told_before_anything_runs(medians, tmp_path):
    (medians.parent / "fitness.py").write_text("1 / 0", encoding="utf-8")
    with pytest.raises(InputError, match="can be imported.*ZeroDivisionError"):
        run(medians, {"seeds": SEEDS}, ["torch"], show_progress=False)
    (medians.parent / "fitness.py").write_text("def f(:", encoding="utf-8")
    with pytest.raises(InputError, match="must be Python.*fitness.py, line 1"):
        run(medians, {"seeds": SEEDS}, ["torch"], show_progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_changed_function_is_loaded_anew_and_files_of_two_folders_do_not_mix(tmp_path):
    for name, number in (("one", 1), ("two", 2)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.py").write_text(f"NUMBER = {number}\n")
        (tmp_path / name / "mine.py").write_text(
            "import part\n\ndef f():\n    return part.NUMBER\n"
        )
    assert [load_function("mine:f", tmp_path / name)() for name in ("one", "two")] == [1, 2]
    (tmp_path / "one" / "part.py").write_text("NUMBER = 3\n")
    assert load_function("mine:f", tmp_path / "one")() == 3
    assert load_function("json:loads", tmp_path)("[1]") == [1], "an installed module"


def test_where_an_experiment_lies_is_not_part_of_its_claims(medians, tmp_path):
    before = claims.claims_hash(claims.load_claims(medians.with_suffix(".toml")))
    medians.parent.rename(tmp_path / "moved")
    assert claims.claims_hash(claims.load_claims(tmp_path / "moved" / "medians.toml")) == before
    digests = [source_digest("fitness:all_arms", tmp_path / "moved")]
    assert digests == [
        dict(claims.load_claims(tmp_path / "moved/medians.toml")[0].sources)["fitness:all_arms"]
    ]


# sha256 of each file of recorded evidence, and its verdicts: torch, tensorflow and both, claim by
# claim
RECORDED = {
    "diversity.digits_mnist_5k.jsonl": (
        "a831dab25ad8cd2f1483176cd2e33ee29e576714dc507fc0c1ceb0d2525f4cd8",
        "u u u u u u u u u u u u",
    ),
    "diversity.jsonl": (
        "bb826012fd756721b1149e031d9ce34f6a8959e09d081f89c0c93f155c13dd1d",
        "u u u u u u u u u u u u",
    ),
    "dose_response.jsonl": (
        "ecf302001923cca42d9d1eafc20599c571d9687caa543e6a7718029f4eb16e4f",
        "s s s s s s s s s u u u s s s r r r u u u r r r u u u u u u s s s",
    ),
    "label_quality.digits.jsonl": (
        "4a4c073ba8c55fab74a15b3e6b5af634fefd4f44f5e2090dc27a37db69e9f84e",
        "u s u s s s u u u s s s s s s",
    ),
    "label_quality.jsonl": (
        "6bc314e8fbea95353d8c6c5685258f6cf237fb7f0da7c48306610deed3d59612",
        "s s s s s s u u u s s s s s s",
    ),
    "pipeline.jsonl": (
        "88570acd50b604ccdd3e3699a0985cbc487a527a41d25318a9a340ae2ef2b16c",
        "s s s u u u u u u s s s s s s s s s s s s",
    ),
    "timeliness.chicago.jsonl": (
        "9f1f512e6540ce0c26ef897e15b382c65834a6795fc5bc72296ff049b59c59e5",
        "s s s u u u u u u u s u s s s",
    ),
    "timeliness.jsonl": (
        "5dc3b9491ae236fa37fc76195c5475296b7993718fbc02a52f925ac8de62f156",
        "s u u r r r u u u u u u s s s",
    ),
    "volume.jsonl": (
        "fd271873ddd04ba999266b817a1a24b90f72786180df27f9508d3a2b4dfaf621",
        "s s s s s s u u u",
    ),
}


@pytest.mark.parametrize("path", sorted((data_path() / "evidence").glob("*.jsonl")), ids=str)
def test_recorded_evidence_is_judged_as_before(path):
    content, expected = RECORDED[path.name]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == content, (
        "recorded evidence never changes"
    )
    declared = claims.load_claims(file_of(path.name.partition(".")[0], ".toml"))
    assert {row["claims"] for row in rows(path)} == {claims.claims_hash(declared)}
    judged = verdicts(path)
    assert " ".join(word[0] for word in judged["verdict"]) == expected


def test_all_recorded_evidence_is_known():
    assert set(RECORDED) == {path.name for path in (data_path() / "evidence").glob("*.jsonl")}


@pytest.mark.parametrize(
    "code, modules",
    [
        ("import bigdata_ai as bd\nbd.fit(x)", {"bigdata_ai.train.loop"}),
        ("import bigdata_ai\nbigdata_ai.mlp(2)", {"bigdata_ai.train.spec.network"}),
        ("import bigdata_ai.core\nbigdata_ai.fit(x)", {"bigdata_ai.train.loop"}),
        ("from bigdata_ai import fit, viz", {"bigdata_ai.train.loop", "bigdata_ai.viz"}),
        ("def f():\n    from bigdata_ai import mlp as net", {"bigdata_ai.train.spec.network"}),
        ("import bigdata_ai as bd\nbd.__version__", set()),
        ("bd.fit(x)", set()),
        ("import bigdata_ai.core as bd\nbd.fit(x)", set()),
        ("from bigdata_ai import *", None),
        ("import bigdata_ai as bd\ngetattr(bd, name)", None),
    ],
)
def test_names_of_the_face_are_their_modules(code, modules, monkeypatch):
    face = {"fit": "train.loop", "mlp": "bigdata_ai.train.spec.network", "viz": ""}
    monkeypatch.setattr(bigdata_ai, "_FACE", face, raising=False)
    every = {"bigdata_ai.train.loop", "bigdata_ai.train.spec.network", "bigdata_ai.viz"}
    assert face_modules(ast.parse(code)) == (every if modules is None else modules)
    if modules:
        assert modules <= set(imported(code.splitlines())), "they are imported ahead"
