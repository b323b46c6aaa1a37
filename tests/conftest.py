"""What the tests share: one fixture a framework, and the data."""

import importlib
import os

# One thread of OpenMP in this process and all that it starts: two workers share two cores, and
# threads that wait for each other turn
# in circles meanwhile. Never OMP_THREAD_LIMIT below the threads that PyTorch counts on: its
# convolutions then give wrong numbers or NaN.
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["OMP_WAIT_POLICY"] = "passive"

import hypothesis
import pytest

from bigdata_ai.data.catalog import load
from bigdata_ai.data.split import split
from bigdata_ai.train.frameworks import BACKENDS, backends

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
# a machine that is busy is no finding
hypothesis.settings.register_profile("kit", deadline=None)
hypothesis.settings.load_profile("kit")


def pytest_collection_modifyitems(items):
    "Start the long tests first, half of them on each of two workers."
    long = [item for item in items if item.get_closest_marker("long")]
    rest = [item for item in items if not item.get_closest_marker("long")]
    half = len(rest) // 2
    items[:] = [*long[0::2], *rest[:half], *long[1::2], *rest[half:]]


@pytest.fixture(scope="session")
def frameworks():
    "The frameworks that are installed, PyTorch imported before TensorFlow."
    modules = {name: importlib.import_module(name) for name in backends()}
    if "torch" in modules:
        # on shared cores the threads of two libraries wait for each other
        modules["torch"].set_num_threads(1)
    return modules


@pytest.fixture(params=BACKENDS)
def backend(request, frameworks):
    "The name of each framework in turn."
    return request.param


@pytest.fixture(scope="session")
def digits():
    "All 1,797 rows; nobody changes them."
    return load("digits")


@pytest.fixture
def digits_split(digits):
    "Rows to learn from and an unopened sealed test."
    return split(digits)


@pytest.fixture
def tensorflow_rule(monkeypatch):
    "Put another rule in the TensorFlow back-end for one test."
    from bigdata_ai.train.tensorflow_backend import optimizers as optimisers, steps

    def put(kind, rule):
        monkeypatch.setitem(optimisers.OPTIMIZER, kind, rule)
        steps._compiled.cache_clear()  # what is already compiled holds the old rule

    yield put
    monkeypatch.undo()
    steps._compiled.cache_clear()
