"""How fast a sweep is, side by side with a plain papermill loop over the same runs.

python tests/benchmarks/sweep.py [--quick]. The last line is JSON: {"ratios": {name: value}, "goals": {name: [">=", bound]}}.
A ratio is theirs over ours in seconds a run, start of the warm process counted in. "both": a notebook that imports both frameworks,
draws a table and fits a line in each, well under a second of its own work; "torch": the same with PyTorch alone; "volume": the
experiment at smoke size. The loop's runs, which are all alike, are timed on fewer runs than the sweep's where the bound of
time needs it; the table says on how many. Metrics of both ways must be equal.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import papermill
from nbformat.v4 import new_code_cell, new_notebook

from bigdata_ai.experiment.evidence import read
from bigdata_ai.experiment.declared import file_of
from bigdata_ai.experiment.sweep import plan, sweep

GOALS = {"both, one job": 7, "both, two jobs": 12}
TORCH = """
import torch
line = torch.linalg.lstsq(torch.tensor(X), torch.tensor(y)).solution.numpy()
"""
TENSORFLOW = """
import tensorflow as tf
assert np.allclose(tf.linalg.lstsq(tf.constant(X), tf.constant(y[:, None])).numpy()[:, 0], line)
"""


def notebook(path, cells):
    "A notebook that fits a line and writes it into the folder of its run."
    first = (
        "import json, os\nfrom pathlib import Path\nimport matplotlib.pyplot as plt\nimport numpy"
        " as np\nimport pandas as pd\n"
    )
    data = (
        "rng = np.random.default_rng(seed)\nX = rng.normal(size=(200, 3))\ny = X @ [1., 2., 3.] +"
        " rng.normal(size=200)"
    )
    last = (
        "plt.plot(X @ line, y, '.'); plt.show()\nPath(os.environ['BIGDATA_AI_RUN'],"
        " 'line.json').write_text(json.dumps(line.tolist()))"
    )
    parameters = new_code_cell("seed = 0", metadata={"tags": ["parameters"]})
    cells = [
        parameters,
        *map(new_code_cell, (first, data, *cells, last, "pd.DataFrame(X).describe()")),
    ]
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


def plain(jobs):
    "papermill's own loop: seconds a run."
    start = time.perf_counter()
    for job in jobs:
        folder = Path(job["folder"])
        folder.mkdir(parents=True)
        os.environ.update(job["env"] | {"BIGDATA_AI_RUN": str(folder)})
        papermill.execute_notebook(
            job["source"],
            str(folder / "executed.ipynb"),
            job["parameters"],
            kernel_name="python3",
            progress_bar=False,
        )
    return (time.perf_counter() - start) / len(jobs)


CHILD = """
import json, sys
from bigdata_ai.experiment.sweep import sweep
table = sweep(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]), sys.argv[4], threads=1, show_progress=False)
assert (table.state == "done").all(), table.error.unique()
"""


def found(folder, name, chosen):
    "Results of the chosen runs, in their order."
    folders = [folder / job["key"] for job in chosen]
    if name != "volume":
        return np.array([json.loads((one / "line.json").read_text()) for one in folders])
    return read(*(one / "evidence.jsonl" for one in folders))[
        ["framework", "seed", "n", "error"]
    ].values.tolist()


def compare(name, source, grid, theirs, jobs, scratch):
    """Seconds a run of the loop, on `theirs` runs of the grid, and of the sweep on all; their
    results must be equal."""
    planned = plan(source, grid, scratch / f"{name} plain")
    chosen = planned[:: max(1, len(planned) // theirs)][:theirs]
    loop = plain(chosen)
    yield "papermill", 1, len(chosen), loop
    for count in jobs:
        folder = scratch / f"{name} {count}"
        # in a process of its own, so that the first import and the warm process count
        start = time.perf_counter()
        subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                CHILD,
                str(source),
                json.dumps(grid),
                str(count),
                str(folder),
            ],
            check=True,
            stderr=subprocess.DEVNULL,
        )
        yield "sweep", count, len(planned), (time.perf_counter() - start) / len(planned)
        mine, other = found(folder, name, chosen), found(scratch / f"{name} plain", name, chosen)
        # LAPACK's last digit hangs on where arrays lie in memory
        if name == "volume":
            assert mine == other, f"{name}: results differ"
        else:
            np.testing.assert_allclose(mine, other, rtol=1e-12, err_msg=name)


def run(quick=False):
    "Ratios, goals, and the table."
    rows, scratch = [], Path(tempfile.mkdtemp())
    count, theirs = (12, 3) if quick else (40, 8)
    cases = [
        (
            "both",
            notebook(scratch / "both.ipynb", [TORCH, TENSORFLOW]),
            {"seed": list(range(count))},
            [1, 2],
        )
    ]
    if not quick:
        cases += [
            (
                "torch",
                notebook(scratch / "torch.ipynb", [TORCH]),
                {"seed": list(range(40))},
                [1, 2],
            ),
            (
                "volume",
                file_of("volume"),
                {"framework": ["torch", "tensorflow"], "seeds": [[i] for i in range(20)]},
                [1, 2],
            ),
        ]
    for name, source, grid, jobs in cases:
        for way, at_once, runs, seconds in compare(name, source, grid, theirs, jobs, scratch):
            rows.append(
                {
                    "notebook": name,
                    "way": way,
                    "jobs": at_once,
                    "runs": runs,
                    "seconds a run": round(seconds, 3),
                }
            )
            print(rows[-1], flush=True)
    for runs in () if quick else (10, 100, 200):  # how it grows
        start = time.perf_counter()
        sweep(
            scratch / "both.ipynb",
            {"seed": list(range(runs))},
            2,
            scratch / f"grow {runs}",
            threads=1,
            show_progress=False,
        )
        rows.append(
            {
                "notebook": "both, warm",
                "way": "sweep",
                "jobs": 2,
                "runs": runs,
                "seconds a run": round((time.perf_counter() - start) / runs, 3),
            }
        )
    table = pd.DataFrame(rows)
    base = table[table["way"] == "papermill"].set_index("notebook")["seconds a run"]
    ratios = {
        f"{row.notebook}, {'one job' if row.jobs == 1 else 'two jobs'}": round(
            base[row.notebook] / row[5], 2
        )
        for row in table[table["way"] == "sweep"].itertuples()
        if row.notebook in base
    }
    return ratios, {name: [">=", bound] for name, bound in GOALS.items()}, table


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true")
    ratios, goals, table = run(parser.parse_args().quick)
    print(table.to_string(index=False))
    print(json.dumps({"ratios": ratios, "goals": goals}))
