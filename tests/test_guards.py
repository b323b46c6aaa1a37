"""Gates that must hold, budgets, full disks, and mutants of every experiment that must be noticed."""

import json
import re
import shutil
import subprocess

import nbformat
import pandas as pd
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from bigdata_ai.cli import app
from bigdata_ai.core import InputError, RunError, data_path
from bigdata_ai.data import split as splitting
from bigdata_ai.data.catalog import load, load_table
from bigdata_ai.pages import escape
from bigdata_ai.experiment import mutants, report, sabotage
from bigdata_ai.experiment.claims import load_claims
from bigdata_ai.experiment.evidence import append, read, rows
from bigdata_ai.experiment.guards import GUARDS, judge_guarded, key_of
from bigdata_ai.experiment.mutants import MUTANTS
from bigdata_ai.experiment.declared import describe, experiments, file_of
from bigdata_ai.experiment.run import MAX_BUDGET_SHARE, budget, limits, run
from bigdata_ai.experiment.sabotage import LOOSENED, NAMES, kill_rate, outcome_table, outcomes
from bigdata_ai.experiment.sabotage import record_outcome, sizes, summary
from bigdata_ai.experiment.sweep import sweep
from bigdata_ai.train.frameworks import BACKENDS

KERNEL = {"display_name": "python3", "language": "python", "name": "python3"}
RECORDED = sorted((data_path() / "evidence").glob("*.jsonl"))
PLAIN = {"volume", "label_quality", "timeliness", "diversity"}


@pytest.fixture(autouse=True)
def runs_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("BIGDATA_AI_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


def recorded_rows(name="volume", framework="torch"):
    return [
        row
        for row in rows(data_path() / "evidence" / f"{name}.jsonl")
        if row["framework"] == framework
    ]


# Guards


def test_every_experiment_is_recorded():
    assert set(experiments()) <= {path.stem for path in RECORDED}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_no_guard_objects_to_recorded_evidence(path):
    name = path.stem.partition(".")[0]
    assert all(row["key"] == key_of(row) for row in rows(path))
    assert (judge_guarded(load_claims(file_of(name, ".toml")), path)["verdict"] != "invalid").all()


def changed(rows, **parts):
    return [{**row, **parts} for row in rows]


HONEST = recorded_rows()
FIRST = [row for row in HONEST if row["seed"] == 0]
NINE = {**FIRST[0]["checks"], "predicted_classes": 9}
KNOWN = {"code": HONEST[0]["code"], "claims": HONEST[0]["claims"]}


@pytest.mark.parametrize(
    "guard, found, asked, told",
    [
        ("wrong_keys", [*changed(HONEST[:1], setting={"n": 51}), *HONEST[1:]], {}, "1 of 70 rows"),
        ("wrong_keys", changed(HONEST, metrics={"error": 0.0}), {}, ""),  # a key is of what went in
        ("other_runs", [*changed(HONEST[:1], code="older"), *HONEST[1:]], {}, "other code"),
        (
            "other_runs",
            [*changed(HONEST[:1], parameters={"steps": 1}), *HONEST[1:]],
            {},
            "other parameters",
        ),
        (
            "other_runs",
            [*changed(HONEST[:1], data={"name": "mnist_5k", "sha256": "x"}), *HONEST[1:]],
            {},
            "other data",
        ),
        # a second data set
        (
            "other_runs",
            [*changed(HONEST[:1], data={"name": "digits", "sha256": "x"}), *HONEST[1:]],
            {},
            "",
        ),
        ("other_runs", HONEST, {"code": "asked for", "claims": HONEST[0]["claims"]}, "other code"),
        ("other_runs", HONEST, KNOWN, ""),
        (
            "same_seeds",
            [{**row, "seed": seed} for row in FIRST for seed in range(5)],
            {},
            "5 seeds gave only 1",
        ),
        ("same_seeds", [*HONEST, *changed(FIRST, seed=10)], {}, "11 seeds gave only 10"),
        # equal errors alone may be chance
        ("same_seeds", [{**row, "metrics": {"error": 0.1}} for row in HONEST], {}, ""),
        (
            "wrong_metric",
            changed(HONEST, checks={**NINE, "correct": 0.9}, metrics={"error": 0.9}),
            {},
            "(70 of 70 rows)",
        ),
        (
            "wrong_metric",
            changed(HONEST, checks={**NINE, "correct": 0.9}, metrics={"error": 1 - 0.9}),
            {},
            "",
        ),
        ("lost_classes", changed(HONEST, checks=NINE), {}, "9 of 10"),
        ("lost_classes", changed(HONEST[:28], checks=NINE), {}, ""),  # four seeds
        # others may be rare
        ("lost_classes", [{**row, "checks": {**NINE, "majority": 0.6}} for row in HONEST], {}, ""),
        ("lost_classes", changed(HONEST, checks=NINE, data={"name": "not in the ledger"}), {}, ""),
        (
            "lost_classes",
            changed(
                HONEST, checks={**NINE, "test_classes": 10}, data={"name": "not in the ledger"}
            ),
            {},
            "9 of 10",
        ),
        # labels changed at random bring a lost class back, where models err more
        (
            "lost_classes",
            [
                {
                    **row,
                    "setting": {**row["setting"], "noise": noise},
                    "checks": {**NINE, "predicted_classes": 9 + (noise > 0)},
                    "metrics": {"error": 0.1 + noise},
                }
                for row in HONEST
                for noise in (0.0, 0.4)
            ],
            {},
            "9 of 10",
        ),
        (
            "lost_classes",
            [
                {
                    **row,
                    "setting": {**row["setting"], "noise": noise},
                    "checks": {**NINE, "predicted_classes": 10 - (noise > 0)},
                    "metrics": {"error": 0.1 + noise},
                }
                for row in HONEST
                for noise in (0.0, 0.4)
            ],
            {},
            "",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_guard_objects_to_what_is_wrong_and_to_nothing_else(guard, found, asked, told):
    answer = GUARDS[guard](found, asked)
    assert told in answer and bool(told) == bool(answer)


def test_a_claim_is_invalid_only_where_a_guard_objects(tmp_path):
    evidence = tmp_path / "evidence.jsonl"
    for row in [*FIRST, *recorded_rows(framework="tensorflow")]:
        for seed in range(10) if row["framework"] == "torch" else [row["seed"]]:
            append(evidence, {**row, "seed": seed, "key": key_of({**row, "seed": seed})})
    judged = judge_guarded(load_claims(file_of("volume", ".toml")), evidence)
    assert (
        set(judged[judged["framework"] == "torch"]["verdict"])
        == {"invalid"}
        == set(judged[judged["framework"] == "all"]["verdict"])
    )
    assert "invalid" not in set(judged[judged["framework"] == "tensorflow"]["verdict"])
    assert judged["reason"].iloc[0] == "10 seeds gave only 1 different runs"


def test_evidence_that_is_unfit_is_not_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "data_path", lambda: tmp_path / "data")
    folder = tmp_path / "run"
    for row in HONEST:
        append(folder / "evidence.jsonl", {**row, "seed": row["seed"] + 1})
    with pytest.raises(InputError, match="must be fit to judge.*key is not that"):
        report.record(folder)
    assert not (tmp_path / "data").exists()


def test_evidence_on_other_data_stands_beside_that_of_the_full_run(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "data_path", lambda: tmp_path / "data")
    for data, kept in (("mnist_5k", "volume.jsonl"), ("digits", "volume.digits.jsonl")):
        folder = tmp_path / data
        for row in HONEST:
            row = {**row, "data": {**row["data"], "name": data}}
            append(folder / "evidence.jsonl", {**row, "key": key_of(row)})
        assert report.record(folder) == tmp_path / "data" / "evidence" / kept
    assert report.recorded("volume", "digits").name == "volume.digits.jsonl"
    assert len(list((tmp_path / "data" / "evidence").iterdir())) == 2


# Budgets and full disks


def notebook(path, *cells, toml='title = "Made for a test"\n'):
    "A notebook whose first cell holds its parameters, and its .toml."
    first = new_code_cell(
        "framework = 'torch'  # one of: torch, tensorflow\n" + cells[0],
        metadata={"tags": ["parameters"]},
    )
    nbformat.write(
        new_notebook(
            cells=[first, *map(new_code_cell, cells[1:])], metadata={"kernelspec": KERNEL}
        ),
        path,
    )
    path.with_suffix(".toml").write_text(toml, encoding="utf-8")
    return path


RECORDS = """from types import SimpleNamespace
import numpy as np
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.experiment.evidence import Recorder
recorder = Recorder("made", framework, from_arrays(np.eye(4), np.arange(4) % 2, np.arange(4), 2, "made"), {})
for seed in seeds:
    model = SimpleNamespace(start_loss=1.0, history=[{"loss": 0.1 + seed / 100}])
    scores = SimpleNamespace(overlap=0, predicted_classes=2, majority=0.5, n=100)
    for n in (10, 20, 40):
        if not recorder.done(seed, n=n): recorder.record(seed, {"n": n}, {"error": 1 / n + seed / 1000}, model, scores)"""


def test_every_experiment_declares_its_budget_and_what_sabotage_runs():
    for name in experiments():
        full, smoke = budget(name), budget(name, smoke=True)
        assert (
            set(full) == set(smoke) == {"seconds", "mib"} and smoke["seconds"] <= full["seconds"]
        ), name
        assert {"sabotage"} <= set(describe(name)) and sizes(name) != sizes(name, quick=True), name
    assert (limits({"seconds": 10}).seconds, limits({"seconds": 10}).mib) == (
        10 * MAX_BUDGET_SHARE,
        None,
    )


@pytest.mark.parametrize(
    "toml, cell, told",
    [
        ("seconds = 4", "import time\ntime.sleep(60)", "more than 6 s"),
        ("mib = 300", "x = bytearray(1 << 30)\nimport time\ntime.sleep(60)", "more than 450"),
        (
            "seconds = 900\n[budget.smoke]\nseconds = 4",
            "import time\ntime.sleep(60)",
            "more than 6 s",
        ),
    ],
    ids=["time", "memory", "smoke"],
)
def test_a_run_over_its_budget_is_stopped_and_keeps_what_it_recorded(
    tmp_path, runs_folder, toml, cell, told
):
    made = notebook(
        tmp_path / "made.ipynb",
        "seeds = [0]",
        RECORDS,
        cell,
        toml=f'title = "x"\n[budget]\n{toml}\n',
    )
    with pytest.raises(RunError, match=f"OverBudget: it .*{told}.*--no-budget"):
        run(
            made,
            None if "smoke" in toml else {"seeds": [0]},
            ["torch"],
            run_id="over",
            show_progress=False,
        )
    assert len(rows(runs_folder / "over" / "evidence.jsonl")) == 3
    assert json.loads((runs_folder / "over" / "torch.result").read_text())["peak_mib"] > 50


@pytest.fixture
def small_disk(tmp_path):
    "A disk of 96 KiB."
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(folder)], capture_output=True
    ).returncode:
        pytest.skip(
            "mounting a disk takes CAP_SYS_ADMIN, which a container may lack; the next test needs"
            " none"
        )
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_stops_a_sweep_with_a_clear_word_and_leaves_whole_lines(tmp_path, small_disk):
    made = notebook(tmp_path / "made.ipynb", "seeds = [0]", RECORDS, "print('x' * 20_000)")
    with pytest.raises(
        RunError, match="able to write down its runs.*No space left on device.*make room"
    ):
        sweep(
            made, {"seeds": [[seed] for seed in range(6)]}, folder=small_disk, show_progress=False
        )
    files = list(small_disk.rglob("*.jsonl"))
    assert files and all(path.read_bytes()[-1:] in (b"\n", b"") for path in files)
    assert all(json.loads(line) for path in files for line in path.read_bytes().splitlines())
    assert all(json.loads(path.read_text())["state"] for path in small_disk.rglob("result.json"))
    done = {path.parent.name for path in small_disk.rglob("result.json")}
    roomy = tmp_path / "roomy"
    shutil.copytree(small_disk, roomy)
    table = sweep(
        made,
        {"seeds": [[seed] for seed in range(6)]},
        folder=roomy,
        retry=True,
        show_progress=False,
    )
    assert (
        (table["state"] == "done").all()
        and sum(len(rows(path)) for path in roomy.rglob("*.jsonl")) == 18
        and len(done) < 6
    )


def test_a_sweep_that_cannot_write_a_result_stops_and_goes_on_later(tmp_path, monkeypatch):
    "The same where no disk can be mounted: the third run's result finds no room."
    made, write, folder = (
        notebook(tmp_path / "made.ipynb", "seeds = [0]", RECORDS),
        sweep.__globals__["write_atomic"],
        tmp_path / "sweep",
    )
    grid = {"seeds": [[seed] for seed in range(4)]}

    def full(path, content):
        if str(path).endswith("result.json") and len(list(folder.rglob("result.json"))) == 2:
            raise OSError(28, "No space left on device")
        return write(path, content)

    with monkeypatch.context() as small:
        small.setitem(sweep.__globals__, "write_atomic", full)
        with pytest.raises(
            RunError, match="able to write down its runs.*No space left on device.*make room"
        ):
            sweep(made, grid, folder=folder, show_progress=False)
    assert len(list(folder.rglob("result.json"))) == 2
    assert all(
        json.loads(line)
        for path in folder.rglob("*.jsonl")
        for line in path.read_bytes().splitlines()
    )
    assert (sweep(made, grid, folder=folder, show_progress=False)["state"] == "done").all()
    assert sum(len(rows(path)) for path in folder.rglob("*.jsonl")) == 12


def test_a_disk_that_is_full_for_a_run_is_told(tmp_path, monkeypatch):
    made, write = (
        notebook(tmp_path / "made.ipynb", "seeds = [0]", RECORDS),
        run.__globals__["write_atomic"],
    )

    def full(path, content):
        if str(path).endswith(".result"):
            raise OSError(28, "No space left on device")
        return write(path, content)

    monkeypatch.setitem(run.__globals__, "write_atomic", full)
    with pytest.raises(RunError, match="able to write down its results.*No space left.*same id"):
        run(made, frameworks=["torch"], show_progress=False)


# Sabotage


CLAIM = """title = "Made"
[[claims]]
id = "made.rows"
text = "Rows help."
statistic = "error_drop"
control = "no change"
above = 0.05
min_sizes = 3
frameworks = ["torch"]
"""


def test_mutants_that_do_not_apply_are_listed_and_not_counted(tmp_path):
    made = notebook(tmp_path / "made.ipynb", "seeds = [0, 1, 2, 3, 4]", RECORDS, toml=CLAIM)
    table = sabotage.sabotage(made, {}, ["torch"]).set_index("mutant")
    # it neither splits nor trains nor evaluates
    applied = {"duplicated_seeds", "stale_cache", LOOSENED}
    assert (
        set(table.index[table["killed"].eq(True)]) == applied
        and set(table.index[table["killed"].isna()]) == set(NAMES) - applied
    )
    never = table[table["killed"].isna()]
    assert set(never["by"]) == {"not applicable"} and set(never["why"]) == {
        "the experiment calls nothing that it replaces"
    }
    assert (table["supported"] == 1).all() and kill_rate(table) == (3, 3)
    assert (table.loc[list(applied), "by"] == "gate").all() and (
        table.loc[list(applied), "lost"] == 1
    ).all()
    assert "3 of 3 mutants killed (100 %), 6 not applicable" in summary(table)


@pytest.mark.slow
def test_a_run_that_ends_early_tells_what_the_whole_one_tells(runs_folder, monkeypatch):
    given = {"seeds": [0, 1, 2, 3, 4], "sizes": [50, 100, 200], "steps": 60}
    few = [
        "zero_learning_rate",
        "leaked_test_rows",
        "swapped_metric",
        "stale_cache",
        "duplicated_seeds",
    ]
    early = sabotage.sabotage("volume", given, ["torch"], few, show_progress=False)
    found = {
        path.name.split("-")[2]: len(rows(path / "evidence.jsonl"))
        for path in runs_folder.glob("sabotage-volume-*")
    }
    assert found == {"untouched": 15, "duplicated_seeds": 15} | dict.fromkeys(few[:4], 1)
    monkeypatch.setattr(sabotage, "_asked", lambda *_: [])
    whole = sabotage.sabotage("volume", given, ["torch"], few, show_progress=False)
    told = ["mutant", "killed", "by", "lost", "supported"]
    pd.testing.assert_frame_equal(early[told], whole[told])
    assert all(
        late.startswith(soon.partition(" (")[0])
        for soon, late in zip(early["why"], whole["why"], strict=True)
    )


def test_a_run_goes_on_while_a_claim_may_still_stand():
    """A network that does not learn says nothing of a forest, and a claim about what is not run
    needs no result."""
    claims, given = load_claims(file_of("diversity", ".toml")), {"models": ["network"]}
    assert sabotage._asked(claims, "diversity", given) == [{"model": "network"}] * 3
    assert {"model": "forest"} in sabotage._asked(
        claims, "diversity", {"models": ["network", "forest"]}
    )


def judged(*lines):
    return pd.DataFrame(lines, columns=["claim", "verdict", "reason"]).set_index("claim")


BEFORE = judged(("x.a", "supported", ""), ("x.b", "undecided", ""))


@pytest.mark.parametrize(
    "after, error, killed, by, lost",
    [
        (BEFORE, "", False, "nothing", 0),
        (judged(("x.a", "undecided", ""), ("x.b", "undecided", "")), "", True, "claim", 1),
        (judged(("x.a", "supported", ""), ("x.b", "supported", "")), "", False, "nothing", 0),
        # what was not supported can't be lost
        (judged(("x.a", "supported", ""), ("x.b", "refuted", "")), "", False, "nothing", 0),
        (judged(("x.a", "supported", ""), ("x.b", "invalid", "why")), "", True, "gate", 0),
        (None, "InputError: a rule of the kit", True, "gate", 1),
        (None, "ValueError: of another library", True, "stop", 1),
    ],
)
def test_what_kills_a_mutant(after, error, killed, by, lost):
    told = sabotage._noticed(BEFORE, after, error)
    assert (told["killed"], told["by"], told["lost"], told["supported"]) == (killed, by, lost, 1)


def test_an_untouched_run_that_is_unfit_can_show_nothing(tmp_path):
    cell = RECORDS.replace("seed / 1000", "0").replace("seed / 100", "0")
    same = notebook(tmp_path / "made.ipynb", "seeds = [0, 1, 2, 3, 4]", cell, toml=CLAIM)
    with pytest.raises(RunError, match="must be fit to judge.*5 seeds gave only 1"):
        sabotage.sabotage(same, {}, ["torch"], mutants=[LOOSENED])


TABLE = pd.DataFrame(
    [
        ("stale_cache", "torch", True, "gate", 1, 2, "w" * 200),
        ("swapped_metric", "torch", False, "nothing", 0, 2, ""),
        ("dropped_class", "torch", None, "not applicable", None, 2, "never"),
    ],
    columns=["mutant", "framework", "killed", "by", "lost", "supported", "why"],
)


def test_outcomes_are_appended_and_read_again(tmp_path, monkeypatch):
    path = tmp_path / "sabotage.csv"
    monkeypatch.setattr(sabotage, "commit", lambda: "ab" * 20)
    record_outcome("volume", TABLE, quick=True, seconds=12.3, path=path)
    first = path.read_text(encoding="utf-8")
    record_outcome("timeliness", TABLE, path=path)
    assert (
        path.read_text(encoding="utf-8").startswith(first)
        and len(path.read_text(encoding="utf-8").splitlines()) == 7
    )
    table = outcomes("volume", path)
    assert (
        table["killed"].tolist() == [True, False, None]
        and kill_rate(table) == (1, 2)
        and table["seconds"].tolist() == [12] * 3
    )
    assert len(outcomes(path=path)) == 6 and outcomes(path=tmp_path / "none.csv").empty
    monkeypatch.setattr(sabotage, "commit", lambda: "ab" * 20 + "-dirty")
    with pytest.raises(InputError, match="made by committed code"):
        record_outcome("volume", TABLE, path=path)


def test_the_report_tells_the_recorded_kill_rate():
    for name in PLAIN:
        table = outcomes(name)
        assert len(table) >= 9 and kill_rate(table)[0] == kill_rate(table)[1] >= 9, name
        assert all(
            one["killed"] == one["of"] >= 9 and not one["survivors"]
            for one in report._sabotaged(name)
        )


def test_the_outcome_fits_a_screen():
    assert max(map(len, outcome_table(TABLE, 100).to_string(index=False).splitlines())) <= 100
    assert "1 of 2 mutants killed (50 %), 1 not applicable" in summary(TABLE)


@pytest.mark.long
def test_every_mutant_of_volume_is_killed_and_the_command_says_so():
    done = CliRunner().invoke(app, ["sabotage", "volume", "--quick"])
    assert (
        done.exit_code == 0 and "9 of 9 mutants killed (100 %), 0 not applicable" in done.output
    ), done.output
    assert max(map(len, done.stdout.splitlines())) <= 130 and len(done.stdout.splitlines()) < 24
    assert "9/9" in done.stderr, "a bar moves meanwhile"


@pytest.mark.slow
@pytest.mark.parametrize("framework", BACKENDS)
@pytest.mark.parametrize("name", experiments())
def test_every_applicable_mutant_of_every_experiment_is_killed(name, framework):
    table = sabotage.sabotage(name, sizes(name, quick=True), [framework])
    assert kill_rate(table)[0] == kill_rate(table)[1] >= 7, table.to_string()


def test_the_mutants_are_the_nine_of_the_architecture():
    assert set(NAMES) == {*MUTANTS, LOOSENED} and len(NAMES) == 9


# One report on everything


def test_the_overview_stands_alone_tells_all_and_links_the_run_that_was_recorded(runs_folder):
    executed = nbformat.v4.new_notebook(cells=[new_code_cell("1 + 1")])
    (runs_folder / "it").mkdir(parents=True)
    nbformat.write(executed, runs_folder / "it" / "torch.ipynb")
    shutil.copy(data_path() / "evidence" / "volume.jsonl", runs_folder / "it" / "evidence.jsonl")
    text = report.overview(runs_folder / "all.html").read_text(encoding="utf-8")
    assert 'href="it/torch.html"' in text and (runs_folder / "it" / "torch.html").exists()
    assert (
        not re.findall(r'(?:src|href)="(?:https?:)?//', text)
        and "prefers-color-scheme: dark" in text
        and "@media print" in text
    )
    for name in experiments():
        if not (data_path() / "evidence" / f"{name}.jsonl").exists():
            continue
        about, table = describe(name), read(data_path() / "evidence" / f"{name}.jsonl")
        assert (
            f'id="{name}"' in text
            and table["commit"].iloc[0] in text
            and table["claims"].iloc[0] in text
        )
        assert all(escape(claim["text"]) in text for claim in about["claims"])
        kept = name == "volume"  # a run of the others is not
        assert kept or f"bigdata-ai run {name} --full" in text
    assert text.count("data:image/png;base64,") == text.count("<section") >= len(PLAIN)
    assert (
        "Licence: " in text
        and "mutation score of 0.57" in text
        and "Bonferroni" in text
        and "0.1.0" in text
    )


def test_what_was_used_stands_beside_the_budget():
    used = report.used(data_path() / "evidence" / "volume.jsonl")
    assert set(used) == set(BACKENDS) and all(
        re.fullmatch(r"[\d,]+ of 400 s, [\d,]+ of 2,000 MiB", text) for text in used.values()
    )


@pytest.mark.parametrize("load_any", [load, load_table])
def test_test_rows_leak_out_of_tables_too(load_any, monkeypatch):
    "A mutant that fails by itself would count as noticed."
    monkeypatch.setattr(splitting, "split", splitting.split)  # put back afterwards
    mutants.leaked_test_rows()
    train, test = splitting.split(load_any("breast_cancer"))
    assert set(test.ids) < set(train.ids) and len(train) == 569
