"""Kernels that start warm behave as papermill's own, and sweeps lose nothing, whatever is killed."""

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import nbformat
import papermill
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from bigdata_ai.cli import app
from bigdata_ai.core import InputError
from bigdata_ai.experiment import engine, imports
from bigdata_ai.experiment.evidence import rows
from bigdata_ai.experiment.run import run
from bigdata_ai.experiment.sweep import expand, load_grid, plan, sweep
from bigdata_ai.experiment.forkserver import FunctionProcess

KERNEL = {"display_name": "python3", "language": "python", "name": "python3"}


def notebook(path, *cells):
    "A notebook whose first cell holds its parameters."
    first = new_code_cell(cells[0], metadata={"tags": ["parameters"]})
    nbformat.write(
        new_notebook(
            cells=[first, *map(new_code_cell, cells[1:])], metadata={"kernelspec": KERNEL}
        ),
        path,
    )
    return path


def executed(source, target, engine_name, **options):
    "What the cells put out, and what the caller was told."
    told = ""
    try:
        papermill.execute_notebook(
            str(source),
            str(target),
            engine_name=engine_name,
            kernel_name="python3",
            progress_bar=False,
            **options,
        )
    except Exception as error:
        told = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    if not Path(target).exists():
        return told, []
    return told, [
        [plain(output) for output in cell.outputs]
        for cell in nbformat.read(target, as_version=4).cells
        if cell.cell_type == "code"
    ]


def plain(output):
    """An output without what differs between any two runs: the frames of a traceback name the
    kernel's process."""
    output = dict(output)
    output.pop("traceback", None)
    return output


LIKE = {
    "text, errors and displays": [
        "n = 3",
        "import sys, json\nprint('一', n)\nprint('two', file=sys.stderr)",
        "from IPython.display import HTML\nHTML('<b>x</b>')",
        "n * 2",
        "get_ipython().run_cell_magic('capture', 'c', 'print(1)')\nc.stdout",
    ],
    "a figure": [
        "n = 3",
        (
            "import numpy as np\nimport matplotlib.pyplot as plt\nplt.plot(np.arange(n));"
            " plt.title('A')"
        ),
        "plt.rcParams['backend']",
        "%matplotlib inline\nplt.plot([1, 2]);",
    ],
    "a table": ["n = 3", "import pandas as pd\npd.DataFrame({'a': range(n)})"],
    "an error": ["n = 3", "1 / 0", "print('never')"],
    "a line that is not Python": ["n = 3", "this is not python"],
    "a module that is missing": ["n = 3", "import no_such_module"],
    "a question": ["n = 3", "input('your name? ')"],
    "an exit": ["n = 3", "import sys; sys.exit(4)"],
    "subprocesses and environment": [
        "n = 3",
        "import os, subprocess\nsubprocess.run(['sh', '-c', 'exit 7']).returncode",
        "!echo hello",
        "os.getcwd()",
        "'JPY_PARENT_PID' in os.environ, __name__",
    ],
    "threads and async": [
        "n = 3",
        "import asyncio\nawait asyncio.sleep(0.01)\n'slept'",
        (
            "from concurrent.futures import ThreadPoolExecutor as Pool\n"
            "with Pool(2) as pool: r = list(pool.map(abs, [-1, -2]))\nr"
        ),
    ],
    "memory that runs out": [
        "n = 3",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (2 ** 31, 2 ** 31))",
        "x = bytearray(2 ** 33)",
    ],
}


@pytest.mark.parametrize("cells", LIKE.values(), ids=LIKE)
def test_outputs_and_errors_are_those_of_papermill(tmp_path, cells):
    source = notebook(tmp_path / "source.ipynb", *cells)
    theirs = executed(source, tmp_path / "theirs.ipynb", None)
    assert executed(source, tmp_path / "ours.ipynb", "bigdata-ai") == theirs
    assert any(theirs[1]) or theirs[0]


@pytest.mark.parametrize(
    "cell, options",
    [
        # as the kernel of an operating system does when memory runs out
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", {}),
        ("import time; time.sleep(60)", {"execution_timeout": 1}),
    ],
    ids=["killed", "too long"],
)
def test_a_kernel_that_dies_or_hangs_is_reported_alike(tmp_path, cell, options):
    source = notebook(tmp_path / "source.ipynb", "n = 3", cell, "print('never')")
    told, _ = executed(source, tmp_path / "ours.ipynb", "bigdata-ai", **options)
    assert told == executed(source, tmp_path / "theirs.ipynb", None, **options)[0] != ""


def test_the_engine_is_papermills_to_find(tmp_path):
    source = notebook(tmp_path / "source.ipynb", "n = 3", "n + 1")
    command = [
        Path(sys.executable).parent / "papermill",
        "--engine",
        "bigdata-ai",
        source,
        tmp_path / "out.ipynb",
        "-p",
        "n",
        "4",
    ]
    subprocess.run(command, check=True, capture_output=True)
    assert (
        nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1].outputs[0].data["text/plain"]
        == "5"
    )


def test_kernels_share_imports_and_nothing_else(tmp_path):
    source = notebook(
        tmp_path / "source.ipynb",
        "n = 0",
        "import numpy as np, random, json, os",
        "np.kit_was_here = getattr(np, 'kit_was_here', 0) + 1",
        "print(json.dumps([np.kit_was_here, np.random.rand(), random.random(), os.getpid()]))",
    )
    found = [
        json.loads(executed(source, tmp_path / f"{i}.ipynb", "bigdata-ai")[1][-1][0]["text"])
        for i in range(2)
    ]
    assert [one[0] for one in found] == [1, 1]
    assert all(found[0][i] != found[1][i] for i in (1, 2, 3))


def test_a_kernel_has_its_fork_server_fork_a_process_that_knows_nothing_of_it(tmp_path):
    source = notebook(
        tmp_path / "source.ipynb",
        "n = 0",
        "import json, os, numpy as np\nfrom bigdata_ai.experiment.forkserver import FunctionProcess",
        "np.kernel_was_here = 1\nos.environ['SAID'] = 'by the kernel'",
        'told = \'import os, sys; known = hasattr(sys.modules["numpy"], "kernel_was_here")\\n\''
        ' \'print(os.getppid(), known, os.environ["SAID"], os.getcwd(), flush=True);'
        " sys.stdin.read()'\nwith FunctionProcess('builtins:exec', told) as other: said ="
        " other.stdout.readline().split(maxsplit=2)\nprint(json.dumps([said, os.getppid(),"
        " os.getcwd(), other._child.poll()]))",
        "from pathlib import Path\nlasting = FunctionProcess('builtins:exec', 'import sys;"
        f" sys.stdin.read()')\nPath({str(tmp_path / 'pid')!r}).write_text(str(lasting.pid))",
    )
    told, outputs = executed(source, tmp_path / "out.ipynb", "bigdata-ai")
    (parent, knows, rest), server, folder, ended = json.loads(outputs[3][0]["text"])
    assert not told and int(parent) == server, "the fork server forked it"
    assert knows == "False" and rest == f"by the kernel {folder}\n" and ended is not None
    until, lasting = time.monotonic() + 30, Path("/proc", (tmp_path / "pid").read_text())
    while lasting.exists() and time.monotonic() < until:
        time.sleep(0.05)
    assert not lasting.exists(), "it ends with its kernel"


def test_a_process_of_a_function_that_fails_says_nothing():
    with FunctionProcess("builtins:exec", "raise SystemExit(3)") as process:
        assert process.stdout.read() == ""
    with FunctionProcess("no_such_module:serve") as process:
        assert process.stdout.readline() == ""


def test_a_fork_server_that_was_warmed_up_is_the_one_that_is_used(tmp_path):
    source = notebook(
        tmp_path / "source.ipynb", "n = 0", "import json, os, psutil", "print(os.getppid())"
    )
    engine.warm_up(source, {"OMP_NUM_THREADS": "1"})
    warm = next(reversed(engine._servers.values())).process.pid
    assert (
        executed(source, tmp_path / "out.ipynb", "bigdata-ai", kernel_env={"OMP_NUM_THREADS": "1"})[
            1
        ][2][0]["text"]
        == f"{warm}\n"
    )
    before = list(engine._servers.values())
    run("volume", {"seeds": [0], "sizes": [50]}, ["torch"], show_progress=False)
    assert len([one for one in engine._servers.values() if one not in before]) <= 1


def test_only_installed_modules_are_imported_ahead(tmp_path):
    assert imports.imported(
        [
            "import numpy, zlib",
            "from bigdata_ai.core import require\nimport my_own",
            "import pandas as pd",
        ]
    ) == ["numpy", "bigdata_ai.core"], "what my_own does holds for pandas"
    assert imports.imported(["from bigdata_ai.data.labels.audit import audit"]) == [
        "bigdata_ai.data.labels.audit",
        "cleanlab.rank",
    ]
    few = [
        "import numpy as np\nfrom bigdata_ai.train.loop import fit",
        "import pandas as pd\nfrom bigdata_ai.train.loop import fit",
    ]
    assert imports.imported(few[:1]) == imports.imported(
        few[1:]
    ) and "bigdata_ai.experiment.claims" in imports.imported(few[:1])
    # another order
    other = imports.imported(["from bigdata_ai.train.loop import fit\nimport numpy as np"])
    assert (
        other[:2] == ["bigdata_ai.train.loop", "numpy"]
        and "bigdata_ai.experiment.claims" not in other
    )
    assert all(
        importlib.util.find_spec(name)
        for name in sum(imports.IMPORTED_LATE.values(), list(imports.IMPORTED_LATE))
    )


ADDS = (
    "seed = 0",
    "import os, time\nfrom pathlib import Path\nfrom bigdata_ai.experiment.evidence import append",
    (
        "folder = Path(os.environ['BIGDATA_AI_RUN'])\ndone = len((folder /"
        " 'evidence.jsonl').read_text().splitlines()) if (folder / 'evidence.jsonl').exists() else"
        " 0\nfor i in range(done, 4):\n    append(folder / 'evidence.jsonl', {'seed': seed, 'i': i,"
        " 'value': seed * 10 + i}); time.sleep(0.05)"
    ),
)


def evidence(folder):
    return sorted(
        (row["seed"], row["i"], row["value"])
        for path in Path(folder).glob("*/evidence.jsonl")
        for row in rows(path)
    )


WHOLE = sorted((seed, i, seed * 10 + i) for seed in range(4) for i in range(4))
SWEEPS = (
    "import sys; from bigdata_ai.experiment.sweep import sweep; sweep(sys.argv[1], {'seed': [0, 1,"
    " 2, 3]}, 2, sys.argv[2], show_progress=False)"
)


def killed_and_resumed(tmp_path, times, draw):
    source, folder = notebook(tmp_path / "adds.ipynb", *ADDS), tmp_path / "runs"
    for _ in range(times):
        process = subprocess.Popen(
            [sys.executable, "-c", SWEEPS, source, folder],
            start_new_session=True,
            stderr=subprocess.DEVNULL,
        )
        time.sleep(draw.uniform(1.5, 5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for path in folder.glob("*/evidence.jsonl"):
            assert all(json.loads(line) for line in path.read_bytes().split(b"\n")[:-1])
    table = sweep(source, {"seed": [0, 1, 2, 3]}, 2, folder, show_progress=False)
    assert (table["state"] == "done").all()
    assert evidence(folder) == WHOLE


def test_a_killed_sweep_ends_with_the_evidence_of_an_undisturbed_one(tmp_path):
    killed_and_resumed(tmp_path, 3, random.Random(0))


@pytest.mark.slow
def test_a_sweep_killed_twenty_times_ends_with_the_evidence_of_an_undisturbed_one(tmp_path):
    for i in range(4):
        (tmp_path / f"{i}").mkdir()
        killed_and_resumed(tmp_path / f"{i}", 5, random.Random(i))


def test_runs_are_done_once_and_failures_are_kept_and_counted(tmp_path):
    source = notebook(
        tmp_path / "half.ipynb",
        "seed = 0",
        "import os\nfrom pathlib import Path",
        f"Path({str(tmp_path)!r}, 'count').open('a').write(f'{{seed}} ')",
        "if seed == 1: raise ValueError('no luck')",
    )
    folder = tmp_path / "runs"
    first = sweep(source, {"seed": [0, 1, 2]}, 2, folder, show_progress=False)
    assert (
        first["state"].tolist() == ["done", "failed", "done"]
        and first["error"][1] == "ValueError: no luck"
    )
    assert (
        "no luck" in json.loads((Path(first["folder"][1]) / "result.json").read_text())["traceback"]
    )
    assert sorted((tmp_path / "count").read_text().split()) == ["0", "1", "2"]
    assert (
        sweep(source, {"seed": [0, 1, 2]}, 1, folder, threads=1, show_progress=False)[
            "state"
        ].tolist()
        == first["state"].tolist()
    )
    assert sorted((tmp_path / "count").read_text().split()) == ["0", "1", "2"]
    sweep(source, {"seed": [0, 1, 2]}, 1, folder, retry=True, threads=1, show_progress=False)
    assert sorted((tmp_path / "count").read_text().split()) == ["0", "1", "1", "2"]
    notebook(source, "seed = 0", "seed")  # other code is another run
    assert (
        sweep(source, {"seed": [1]}, 1, folder, threads=1, show_progress=False)["state"] == "done"
    ).all()


def test_a_run_over_its_budget_fails(tmp_path):
    source = notebook(
        tmp_path / "slow.ipynb",
        "seconds = 0.0",
        "import time\ntime.sleep(seconds)",
        "time.sleep(0.6)",
    )
    (tmp_path / "slow.toml").write_text("[budget]\nseconds = 4\nmib = 400\n")
    slow = sweep(source, {"seconds": [0.0, 30.0]}, 2, tmp_path / "a", show_progress=False)
    assert (
        slow["state"].tolist() == ["done", "failed"]
        and slow["error"][1] == "OverBudget: it took more than 6 s"
    )
    assert slow["seconds"][1] < 10 and 20 < slow["peak_mib"][0] < 400
    notebook(source, "mib = 0", "import time\nx = bytearray(mib * 2 ** 20)\ntime.sleep(1)")
    big = sweep(source, {"mib": [0, 900]}, 2, tmp_path / "b", show_progress=False)
    assert big["state"].tolist() == ["done", "failed"] and "more than 600" in big["error"][1]


@pytest.mark.parametrize(
    "grid",
    [{"seed": []}, {"seed": 3}, {"seed": "ab"}, {"sed": [1]}, {"seed": ["x"]}, {"seed": [1, 1]}],
    ids=str,
)
def test_a_bad_grid_is_refused_before_anything_runs(tmp_path, grid):
    source = notebook(tmp_path / "adds.ipynb", *ADDS)
    with pytest.raises(InputError):
        sweep(source, grid, 1, tmp_path / "runs", show_progress=False)
    assert not (tmp_path / "runs").exists()


def test_a_grid_is_read_and_expanded(tmp_path):
    (tmp_path / "grid.yaml").write_text("steps: [1, 2]\nseeds: [[0], [1]]\n")
    assert expand(load_grid(tmp_path / "grid.yaml")) == [
        {"steps": a, "seeds": [b]} for a in (1, 2) for b in (0, 1)
    ]
    for text in ("a: [1", "- 1", ""):
        (tmp_path / "bad.yaml").write_text(text)
        with pytest.raises(InputError, match="grid"):
            load_grid(tmp_path / "bad.yaml")
    with pytest.raises(InputError, match="exist"):
        plan(tmp_path / "none.ipynb", {"a": [1]})


def test_the_command_runs_a_grid_and_tells_of_failures(tmp_path):
    source = notebook(tmp_path / "half.ipynb", "seed = 0", "assert seed != 1, 'odd'")
    (tmp_path / "grid.yaml").write_text("seed: [0, 1]\n")
    said = CliRunner().invoke(
        app,
        [
            "sweep",
            str(source),
            "--grid",
            str(tmp_path / "grid.yaml"),
            "--folder",
            str(tmp_path / "runs"),
        ],
    )
    assert (
        said.exit_code == 1
        and "2 runs, 1 failed" in said.output
        and "AssertionError: odd" in said.output
    )


def test_a_back_end_that_gives_all_runs_at_the_end_runs_the_same_sweep(tmp_path):
    "As those of Spark and Ray do; Spark's own is tested in test_spark.py."

    class AtTheEnd(joblib.parallel.BACKENDS["threading"]):
        supports_return_generator = False

    joblib.register_parallel_backend("at the end", AtTheEnd)
    source = notebook(tmp_path / "adds.ipynb", *ADDS)
    with joblib.parallel_config("at the end", n_jobs=2):
        table = sweep(source, {"seed": [0, 1, 2, 3]}, None, tmp_path / "runs", threads=1)
    assert (table["state"] == "done").all()
    assert evidence(tmp_path / "runs") == WHOLE


def test_a_dask_cluster_runs_the_same_sweep(tmp_path):
    from distributed import Client, LocalCluster

    source = notebook(tmp_path / "adds.ipynb", *ADDS)
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
        Client(cluster),
    ):
        with joblib.parallel_config("dask"):
            table = sweep(
                source,
                {"seed": [0, 1, 2, 3]},
                None,
                tmp_path / "runs",
                threads=1,
                show_progress=False,
            )
    assert (table["state"] == "done").all()
    assert evidence(tmp_path / "runs") == WHOLE
