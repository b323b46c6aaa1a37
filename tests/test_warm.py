"""Kernels that start warm are as those of plain papermill: what a notebook sets, draws, waits for or spawns."""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest

from bigdata_ai.core import installed
from bigdata_ai.experiment import engine, imports
from bigdata_ai.experiment.sweep import sweep
from test_sweep import executed, notebook

SITE = Path(imports.sysconfig.get_path("purelib"))


def texts(source, target, engine_name="bigdata-ai", **options):
    "What each cell printed."
    problem, outputs = executed(source, target, engine_name, **options)
    assert not problem, problem
    return ["".join(one.get("text", "") for one in cell) for cell in outputs]


# h1: fresh entropy wherever a plain kernel has it

DRAWS = {
    "python": "import random; print(random.random())",
    "an object of python's": "import random; print(random.Random().random())",
    "secrets": "import secrets; print(secrets.token_hex(8))",
    "uuid": "import uuid; print(uuid.uuid4(), uuid.uuid1())",
    "a temporary name": "import tempfile; print(tempfile.mktemp())",
    "urandom": "import os; print(os.urandom(8).hex())",
    "numpy": "import numpy as np; print(np.random.rand())",
    "a generator of numpy": "import numpy as np; print(np.random.default_rng().random())",
    "a state of numpy": "import numpy as np; print(np.random.RandomState().rand())",
    "scipy": "import scipy.stats; print(scipy.stats.norm.rvs())",
    "pandas": "import pandas as pd; print(pd.Series(range(10**6)).sample(3).tolist())",
    "scikit-learn": (
        "import sklearn.utils; print(sklearn.utils.shuffle(list(range(10**5)))[:3],"
        " sklearn.utils.check_random_state(None).rand())"
    ),
    "torch": "import torch; print(torch.nn.Linear(3, 2).weight[0, 0].item(), torch.initial_seed())",
    "torch, then another": "import torch; print(torch.randperm(10**6)[:2].tolist(), torch.rand(1).item())",
    "tensorflow": "import tensorflow as tf; print(tf.random.normal([1]).numpy()[0])",
    "a generator of tensorflow": (
        "import tensorflow as tf; print(tf.random.get_global_generator().normal([1]).numpy()[0])"
    ),
    "keras": (
        "import keras; print(keras.random.uniform([1])[0].numpy(),"
        " keras.layers.Dense(2).build((1, 3)))\nlayer = keras.layers.Dense(2); layer.build((1, 3));"
        " print(float(layer.kernel[0, 0].numpy()))"
    ),
    "duckdb": "import duckdb; print(duckdb.connect().execute('SELECT random()').fetchone())",
    "polars": "import polars as pl; print(pl.Series(range(10**6)).sample(3).to_list())",
    "faker": "import faker; print(faker.Faker().name(), faker.Faker().pystr())",
}
QUICK = [name for name in DRAWS if name not in ("tensorflow", "a generator of tensorflow", "keras")]


@pytest.mark.parametrize(
    "names", [QUICK, [name for name in DRAWS if name not in QUICK]], ids=["most", "tensorflow"]
)
def test_h1_every_generator_begins_afresh_in_every_kernel(tmp_path, names):
    heads = ["seed = 0", *(DRAWS[name].partition(";")[0] for name in names)]
    source = notebook(tmp_path / "draws.ipynb", *heads, *(DRAWS[name] for name in names))
    runs = [texts(source, tmp_path / f"{i}.ipynb")[len(heads) :] for i in range(3)]
    same = [name for name, *lines in zip(names, *runs, strict=True) if len({*lines}) < 3]
    assert not same, "two kernels drew the same"


def test_h1_an_unseeded_layer_in_a_sweep_has_other_weights_in_every_run(tmp_path):
    source = notebook(
        tmp_path / "layer.ipynb",
        "n = 0",
        "import os, torch\nfrom pathlib import Path",
        "weight = torch.nn.Linear(4, 4).weight[0, 0].item()",
        f"Path({str(tmp_path)!r}, f'{{n}}.txt').write_text(str(weight))",
    )
    sweep(source, {"n": [0, 1, 2, 3, 4]}, 1, tmp_path / "runs", show_progress=False)
    assert len({(tmp_path / f"{n}.txt").read_text() for n in range(5)}) == 5


@pytest.fixture
def package(tmp_path, monkeypatch):
    "Makes a module that lies in the environment and is imported ahead."
    made = []

    def make(name, code):
        path = SITE / f"{name}.py"
        path.write_text(code)
        made.append(path)
        monkeypatch.setattr(imports, "KNOWN_PACKAGES", (*imports.KNOWN_PACKAGES, name))
        return path

    yield make
    for path in made:
        path.unlink()


def test_h1_what_a_library_began_with_entropy_begins_anew_and_what_it_seeded_stays(
    tmp_path, package
):
    package(
        "kit_test_generators",
        "import random, numpy as np\nown, rng = random.Random(), np.random.default_rng()\n"
        "state, sequence = np.random.RandomState(), np.random.SeedSequence()\n"
        "spawned = np.random.default_rng(np.random.SeedSequence().spawn(2)[1])\n"
        "fixed, seeded = random.Random(3), np.random.default_rng(4)\n"
        "was_fixed = np.random.RandomState(5)\n",
    )
    source = notebook(
        tmp_path / "library.ipynb",
        "n = 0",
        "import json\nimport kit_test_generators as g",
        "print(json.dumps([g.own.random(), g.rng.random(), g.state.rand(), g.spawned.random(),"
        " int(g.sequence.generate_state(1)[0]), g.rng.spawn(1)[0].random()]))",
        "print(g.fixed.random(), g.seeded.random(), g.was_fixed.rand())",
    )
    ours = [texts(source, tmp_path / f"{i}.ipynb") for i in range(2)]
    theirs = texts(source, tmp_path / "plain.ipynb", None)
    for i, drawn in enumerate(zip(*(json.loads(one[2]) for one in (*ours, theirs)), strict=True)):
        assert len({*drawn}) == 3, f"number {i} is drawn twice"
    assert ours[0][3] == ours[1][3] == theirs[3], "what is seeded is the same everywhere"


# h2: what a notebook sets before an import holds for it

SETS = {
    "a variable": ["import os\nos.environ['KIT_TEST'] = 'set'", "import kit_test_reads as r"],
    "a variable by a magic": ["%env KIT_TEST=set", "import kit_test_reads as r"],
    "a variable by setdefault": [
        "import os; os.environ.setdefault('KIT_TEST', 'set'); import kit_test_reads as r"
    ],
    "a variable by a module beside the notebook": ["import settings", "import kit_test_reads as r"],
    "a variable in a function": [
        "def load():\n    import kit_test_reads\n    return kit_test_reads",
        "from os import environ\nenviron.update(KIT_TEST='set')",
        "r = load()",
    ],
    "a variable by another name": [
        "import os as system\nsystem.environ |= {'KIT_TEST': 'set'}",
        "import kit_test_reads as r",
    ],
    "the path of modules": [
        "import sys\nsys.path.insert(0, 'shadow')",
        "import kit_test_reads as r",
    ],
    "a module that is put there": [
        "import sys, types\nsys.modules['kit_test_reads'] = types.SimpleNamespace(seen='put')",
        "import kit_test_reads as r",
    ],
    "an import that is caught": [
        "import sys\nsys.modules['kit_test_reads'] = None",
        "try:\n    import kit_test_reads as r\nexcept ImportError:\n    class r: seen = 'none'",
    ],
    "the folder": ["import os\nos.chdir('shadow')", "import kit_test_reads as r"],
    "warnings": [
        "import warnings\nwarnings.simplefilter('error')",
        "try:\n    import kit_test_reads as r\nexcept UserWarning:\n    class r: seen = 'warned'",
    ],
    "after the import": ["import kit_test_reads as r", "import os\nos.environ['KIT_TEST'] = 'set'"],
    "what the import sets": [
        "import kit_test_reads as r",
        "import os\nprint(os.environ['KIT_TEST_MADE'])",
    ],
}
READS = """
import os, random, warnings
seen = os.environ.get("KIT_TEST", "not set")
os.environ["KIT_TEST_MADE"] = "by the import"
warnings.warn("of an import")
"""


@pytest.mark.parametrize("cells", SETS.values(), ids=SETS)
def test_h2_what_a_notebook_sets_before_an_import_holds_for_it(tmp_path, cells, package):
    package("kit_test_reads", READS)
    (tmp_path / "settings.py").write_text("import os\nos.environ['KIT_TEST'] = 'set'")
    (tmp_path / "shadow").mkdir()
    (tmp_path / "shadow" / "kit_test_reads.py").write_text("seen = 'my own'")
    source = notebook(tmp_path / "sets.ipynb", "n = 3", *cells, "print(r.seen)")
    ours = executed(source, tmp_path / "ours.ipynb", "bigdata-ai", cwd=tmp_path)
    theirs = executed(source, tmp_path / "theirs.ipynb", None, cwd=tmp_path)
    assert ours[0] == theirs[0] == "" and printed(ours) == printed(theirs) != []


def printed(result):
    "What cells printed; the warnings of an import are said ahead, to nobody."
    return [one["text"] for cell in result[1] for one in cell if one.get("name") == "stdout"]


def test_h2_keras_has_the_back_end_that_a_notebook_sets(tmp_path):
    cells = ["import os\nos.environ['KERAS_BACKEND'] = 'torch'", "import numpy, keras"]
    source = notebook(tmp_path / "keras.ipynb", "n = 3", *cells, "print(keras.backend.backend())")
    assert texts(source, tmp_path / "ours.ipynb")[-1] == "torch\n"


def test_h2_a_module_beside_a_notebook_hides_an_installed_one(tmp_path):
    (tmp_path / "seaborn.py").write_text("__version__ = 'my own'")
    source = notebook(
        tmp_path / "sets.ipynb", "n = 3", "import seaborn\nprint(seaborn.__version__)"
    )
    ours = texts(source, tmp_path / "ours.ipynb", cwd=tmp_path)
    assert ours == texts(source, tmp_path / "theirs.ipynb", None, cwd=tmp_path) == ["", "my own\n"]


def test_h2_a_process_inherits_what_it_would_inherit(tmp_path):
    source = notebook(
        tmp_path / "inherits.ipynb",
        "n = 3",
        "import os, resource, signal, sys",
        "print(oct(os.umask(0o22)), resource.getrlimit(resource.RLIMIT_CORE))",
        "print(os.getsid(0) == os.getpid(), os.getpgid(0) == os.getpid())",
        "print(signal.getsignal(signal.SIGCHLD), signal.getsignal(signal.SIGIO))",
        "print(sys.path, sys.argv[0].rpartition('/')[2], sys.flags)",
        "print(__name__, sys.modules['__main__'].__dict__.get('__file__'))",
        "print(sorted(set(os.environ) - {'JPY_SESSION_NAME', 'JPY_PARENT_PID', 'PWD', '_'}))",
    )
    before = os.umask(0o77)
    try:
        ours, theirs = (
            texts(source, tmp_path / f"{name}.ipynb", name) for name in ("bigdata-ai", None)
        )
    finally:
        os.umask(before)
    ours[5], theirs[5] = (
        one[5].replace("ipykernel_launcher.py", "ipykernel_launcher") for one in (ours, theirs)
    )
    assert ours == theirs and ours[2].startswith("0o77")


@pytest.mark.parametrize(
    "cells, ahead",
    [
        (["import numpy", "import pandas"], ["numpy", "pandas"]),
        (["'''About.'''\nn: int = 3\nnames = ['a', -1]", "import numpy"], ["numpy"]),
        (["%matplotlib inline\nimport numpy"], ["numpy"]),
        (["print(3)\ndef f(x, y=2): return x", "import numpy"], ["numpy"]),
        (["open('x')", "import numpy"], []),
        (["if n:\n    import numpy", "import pandas"], []),
        (["import numpy as np\nnp.seterr(all='raise')", "import pandas"], ["numpy"]),
        (["import requests", "import numpy"], []),
        (["from .beside import x", "import numpy"], []),
        (["%%bash\nexport A=b", "import numpy"], []),
        (["!pip install numpy", "import numpy"], []),
        (["import numpy\n@cache\ndef f(): pass", "import pandas"], ["numpy"]),
    ],
    ids=lambda one: "; ".join(one)[:40],
)
def test_h2_only_imports_before_which_nothing_is_done_are_done_ahead(cells, ahead):
    assert imports.imported(cells) == ahead


@pytest.mark.parametrize(
    "cell, changes",
    [
        ("os.environ.get('A'); os.environ['A']; 'A' in os.environ", False),
        ("model.compile(); re.compile('a'); sys.version; os.getcwd()", False),
        ("os.environ['A'] = 'b'", True),
        ("del os.environ['A']", True),
        ("os.environ.pop('A')", True),
        ("e = os.environ", True),
        ("os.putenv('A', 'b')", True),
        ("f(os)", True),
        ("getattr(sys, 'path')", True),
        ("from os import environ as e", True),
        ("import os as o", True),
        ("exec('x')", True),
        ("sys.path += ['x']", True),
        ("import importlib", True),
        ("!ls", True),
        ("%run other.py", True),
        ("%matplotlib inline", False),
        ("import dotenv_of_mine", True),
    ],
)
def test_h2_what_may_change_an_import_is_seen(cell, changes):
    assert imports._changes(imports._parsed(cell)) == changes


# h9: a notebook whose import blocks


def children(pid):
    "The processes below one."
    pids = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            facts = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(facts[1]) == pid and facts[0] != "Z":
            pids += [int(path.parent.name), *children(int(path.parent.name))]
    return pids


def gone(pids, within=15):
    "Whether processes end in time."
    until = time.monotonic() + within
    while time.monotonic() < until:
        alive = [pid for pid in pids if Path("/proc", str(pid)).exists()]
        alive = [pid for pid in alive if ") Z " not in Path(f"/proc/{pid}/stat").read_text()]
        if not alive:
            return True
        time.sleep(0.05)
    return False


BLOCKS = (
    "import pathlib, sys, time\npathlib.Path({marker!r}).open('a').write('x')\ntime.sleep(600)\n"
)


@pytest.fixture
def blocking(tmp_path, package):
    "A notebook whose import blocks, and the file that says how often it was tried."
    marker = tmp_path / "marker"
    package("kit_test_blocking", BLOCKS.format(marker=str(marker)))
    return notebook(tmp_path / "blocks.ipynb", "n = 3", "import kit_test_blocking", "n"), marker


def test_h9_an_import_that_blocks_ends_with_the_timeout_of_a_cell(tmp_path, blocking):
    source, marker = blocking
    started = time.monotonic()
    problem, _ = executed(source, tmp_path / "ours.ipynb", "bigdata-ai", execution_timeout=2)
    assert time.monotonic() - started < 25
    assert problem == executed(source, tmp_path / "theirs.ipynb", None, execution_timeout=2)[0]
    assert "kit_test_blocking" not in str(engine._servers.keys())
    before = len(marker.read_text())
    again, _ = executed(source, tmp_path / "again.ipynb", "bigdata-ai", execution_timeout=2)
    assert again == problem and len(marker.read_text()) == before + 1, "it is not tried ahead again"


PROGRAM = """
import sys
from bigdata_ai.experiment import imports
imports.KNOWN_PACKAGES += ("kit_test_blocking",)
import papermill
papermill.execute_notebook(sys.argv[1], sys.argv[2], engine_name="bigdata-ai", kernel_name="python3", progress_bar=False)
"""


@pytest.fixture
def waiting(tmp_path, blocking):
    "A process that waits for the import, and those below it."
    source, marker = blocking
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, source, tmp_path / "out.ipynb"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not marker.exists() and process.poll() is None:
        time.sleep(0.05)
    below = children(process.pid)
    assert below, "the fork server imports"
    yield process, below
    process.kill()
    process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_h9_an_import_that_blocks_hears_an_interrupt_and_leaves_nothing_behind(waiting, number):
    process, below = waiting
    process.send_signal(number)
    process.wait(20)
    assert process.returncode != 0 and gone(below)


def test_h9_a_run_and_a_sweep_are_interrupted_while_an_import_blocks(tmp_path, blocking):
    source, marker = blocking
    (tmp_path / "grid.yaml").write_text("n: [1, 2]")
    program = (
        "import sys; from bigdata_ai.experiment import imports; imports.KNOWN_PACKAGES +="
        " ('kit_test_blocking',); from bigdata_ai.cli import main; main()"
    )
    for words in (["run", source], ["sweep", source, "--grid", tmp_path / "grid.yaml"]):
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=tmp_path,
        )
        before = marker.read_text() if marker.exists() else ""
        while (not marker.exists() or marker.read_text() == before) and process.poll() is None:
            time.sleep(0.05)
        time.sleep(1.5)
        below = children(process.pid)
        process.send_signal(signal.SIGINT)
        process.wait(30)
        assert process.returncode != 0 and gone(below), words


def test_h9_nothing_is_left_when_a_parent_is_killed_while_a_kernel_works(tmp_path):
    source = notebook(
        tmp_path / "works.ipynb",
        "n = 3",
        "import numpy, subprocess, time",
        f"open({str(tmp_path / 'started')!r}, 'w').close()\ntime.sleep(600)",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, source, tmp_path / "out.ipynb"], stderr=subprocess.DEVNULL
    )
    while not (tmp_path / "started").exists() and process.poll() is None:
        time.sleep(0.05)
    below = children(process.pid)
    process.kill()
    process.wait()
    assert len(below) == 2 and gone(below), "fork server and kernel"


# item 4: processes, and all together

SPAWNS = {
    "multiprocessing": (
        "import multiprocessing as mp, os",
        "with mp.get_context('fork').Pool(2) as pool: print(pool.map(abs, [-1, -2]))",
        "with mp.get_context('spawn').Pool(1) as pool: print(pool.map(abs, [-3]))",
        "with mp.get_context('forkserver').Pool(1) as pool: print(pool.map(abs, [-4]))",
    ),
    "subprocesses": (
        "import subprocess, sys, os",
        "print(subprocess.run([sys.executable, '-c', 'import os; print(os.getppid())'],"
        " capture_output=True, text=True).stdout.strip() == str(os.getpid()))",
        "print(os.system('exit 3') >> 8, subprocess.call(['false']))",
        "pid = os.fork()\nif pid == 0: os._exit(5)\nprint(os.waitpid(pid, 0)[1] >> 8)",
    ),
    "executors": (
        "import concurrent.futures as cf, joblib",
        "with cf.ProcessPoolExecutor(1) as pool: print(list(pool.map(abs, [-1])))",
        "print(joblib.Parallel(2)(joblib.delayed(abs)(x) for x in (-1, -2)))",
        "import torch\nprint(len(list(torch.utils.data.DataLoader(range(4), num_workers=2))))",
    ),
}


@pytest.mark.parametrize("cells", SPAWNS.values(), ids=SPAWNS)
def test_processes_that_a_notebook_spawns_are_as_under_papermill(tmp_path, cells):
    source = notebook(tmp_path / "spawns.ipynb", "n = 3", *cells)
    ours = texts(source, tmp_path / "ours.ipynb")
    assert ours == texts(source, tmp_path / "theirs.ipynb", None) and all(ours[2:])


# papermill's own tests

DEFAULT = """
from papermill.engines import papermill_engines
from bigdata_ai.experiment.engine import WarmEngine
papermill_engines.register(None, WarmEngine)
"""


@pytest.mark.slow
def test_papermills_own_tests_pass_with_this_engine_but_those_that_fail_without(tmp_path):
    "Of 532 five fail on papermill alone, too: other versions of IPython and of Google's client."
    version = importlib.metadata.version("papermill")
    wanted = [f"papermill=={version}", "--no-deps", "--no-binary", "papermill", "-d", tmp_path]
    fetch = [sys.executable, "-m", "pip", "download", "-q", *wanted]
    if subprocess.run(fetch, capture_output=True).returncode:
        pytest.skip("the source distribution of papermill can't be fetched here")
    (archive,) = tmp_path.glob("papermill-*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "warm_default.py").write_text(DEFAULT)
    folder = tmp_path / f"papermill-{version}"
    missing = [  # clients of clouds that are not installed
        f"--ignore=papermill/tests/{path.name}"
        for path in (folder / "papermill" / "tests").glob("test_*.py")
        if ("azure" in path.read_text() or "hdfs" in path.name) and not installed("azure")
    ]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), *filter(None, sys.path)]))

    def failures(*words):
        tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *words]
        done = subprocess.run(tests, cwd=folder, env=env, capture_output=True, text=True)
        found = set(re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE))
        assert " passed" in done.stdout or found, done.stdout[-2000:]
        return found

    ours = failures("-p", "warm_default", *missing, "papermill/tests")
    assert len(ours) < 20
    if ours:
        assert ours == failures(*sorted(ours))
