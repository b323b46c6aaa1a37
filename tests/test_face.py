"""The face: what `import bigdata_ai as bd` offers, when it loads it, and what `help` says of it."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import NoReturn, get_type_hints

import pytest

import bigdata_ai as bd

PACKAGE = Path(bd.__file__).parent
SOURCE = (PACKAGE / "__init__.py").read_text(encoding="utf-8")
TREE = ast.parse(SOURCE)


def target(name):
    "The module behind a name: its own where the name is a module."
    return bd._FACE[name] or name


NAMES = list(bd._FACE)
ROOMS_OF = {target(name).split(".")[0] for name in NAMES}


def fresh(program):
    "What a program prints in a process of its own, as JSON."
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def imports_for_tools():
    "Name -> module, as the imports under `if TYPE_CHECKING:` have them."
    block, loading = [node for node in TREE.body if isinstance(node, ast.If)]
    assert ast.unparse(block.test) == "TYPE_CHECKING"
    assert ast.unparse(loading.test) == "not TYPE_CHECKING" and len(loading.body) == 1
    for node in block.body:
        (alias,) = node.names
        assert isinstance(node, ast.ImportFrom) and node.level == 1
        assert alias.asname == alias.name, f"{alias.name}: tools need `as {alias.name}`"
        yield alias.name, node.module or ""


def test_imports_for_tools_table_and_list_are_one():
    pairs = list(imports_for_tools())
    assert dict(pairs) == bd._FACE and len(pairs) == len(bd._FACE)
    assert bd.__all__ == sorted(bd._FACE) and list(bd._FACE) == sorted(bd._FACE)
    assert set(bd.__all__) <= set(dir(bd)) and {"__version__", "__doc__"} <= set(dir(bd))


def test_the_face_has_the_names_that_a_first_program_needs():
    assert {
        *("load", "load_table", "table", "from_arrays", "split", "hold_out"),
        *("fit", "Training", "evaluate", "mlp", "cnn", "Adam", "SGD", "AdamW", "viz", "run"),
        *("Cleaner", "Encoder", "Prepared", "Lake", "advise", "backends"),
        *("NetworkClassifier", "NetworkRegressor"),
    } <= set(bd.__all__)


def test_no_name_of_the_face_is_a_room_but_the_module_that_it_offers():
    "A name both of a room and of the face would turn into the module at the second access."
    rooms = {path.stem for path in PACKAGE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert rooms & set(bd._FACE) == {name for name, module in bd._FACE.items() if not module}


@pytest.mark.parametrize("name", bd._FACE)
def test_a_name_is_what_its_module_calls_so(name):
    module = importlib.import_module(f"bigdata_ai.{target(name)}")
    value = getattr(bd, name)
    assert value is (getattr(module, name) if bd._FACE[name] else module)
    assert not bd._FACE[name] or name in module.__all__ and value.__module__ == module.__name__


ORDERS = {
    "rooms first": ("rooms", "names", "names"),
    "names first": ("names", "rooms", "names"),
    "names backwards": ("backwards", "rooms", "names"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_name_stays_what_it_is_in_every_import_order(order):
    "In a fresh process; the modules and the rooms are imported before, or between, two accesses."
    program = f"""
import importlib, json
import bigdata_ai as bd
names, rooms = {NAMES}, {sorted(ROOMS_OF | {target(name) for name in NAMES})}
kinds = []
for step in {ORDERS[order]}:
    if step == "rooms":
        for room in rooms:
            importlib.import_module("bigdata_ai." + room)
    else:
        order = names[::-1] if step == "backwards" else names
        kinds.append({{name: type(getattr(bd, name)).__name__ for name in order}})
print(json.dumps(kinds))
"""
    first, second = fresh(program)
    assert first == second and first["evaluate"] == first["fit"] == first["run"] == "function"
    modules = [name for name in NAMES if first[name] == "module"]
    assert modules == [name for name in NAMES if not bd._FACE[name]]


@pytest.mark.parametrize("first", ["bd.evaluate", "import bigdata_ai.evaluation"])
def test_evaluate_is_always_the_function(first):
    program = f"""
import json
import bigdata_ai as bd
{first}
from bigdata_ai.evaluation import evaluate
print(json.dumps([bd.evaluate is evaluate, bd.evaluate is evaluate, callable(bd.evaluate)]))
"""
    assert fresh(program) == [True, True, True]


def test_the_import_is_quick_and_takes_nothing_along():
    program = """
import json, sys, time
start = time.perf_counter()
import bigdata_ai
dir(bigdata_ai)
heavy = {"numpy", "pandas", "scipy", "sklearn", "matplotlib", "torch", "tensorflow", "keras"}
print(json.dumps([time.perf_counter() - start, sorted(heavy & set(sys.modules))]))
"""
    seconds = []
    for _ in range(3):  # the shortest: another process may hold the core
        took, heavy = fresh(program)
        seconds.append(took)
        assert heavy == []
    assert min(seconds) < 0.1


def test_the_names_load_no_framework():
    program = f"""
import json, sys
import bigdata_ai as bd
[getattr(bd, name) for name in {NAMES}]
print(json.dumps(sorted({{"torch", "tensorflow", "keras"}} & set(sys.modules))))
"""
    assert fresh(program) == []


@pytest.mark.parametrize(
    "name, hint",
    [
        ("laod", "did you mean 'load'?"),
        ("evalute", "did you mean 'evaluate'?"),
        ("Adamw", "did you mean 'AdamW'?"),
        ("xyzzy", "dir(bigdata_ai) lists the names."),
    ],
)
def test_an_unknown_name_gets_the_nearest(name, hint):
    with pytest.raises(AttributeError) as error:
        getattr(bd, name)
    assert name in str(error.value) and str(error.value).endswith(f"Hint: {hint}")
    assert not hasattr(bd, name)


def test_all_names_come_with_a_star():
    program = "import json\nfrom bigdata_ai import *\nprint(json.dumps(sorted(globals())))"
    assert set(bd.__all__) <= set(fresh(program))


# What help says: the comments behind arguments stand in `__doc__`


def modules():
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name not in ("__init__.py", "_modidx.py") and "_backend" not in str(path):
            yield ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def is_ours(value):
    return value.__module__.startswith("bigdata_ai")


def is_command(value):
    "Typer's functions: their help stands in the options, and their docstring is printed whole."
    try:
        hints = get_type_hints(value, include_extras=True).values()
    except Exception:
        return False
    return any(
        "typer" in str(type(part)) for hint in hints for part in getattr(hint, "__metadata__", ())
    )


def silent(name, value, texts):
    "Arguments of a callable that none of the texts names at the beginning of a line."
    try:
        arguments = inspect.signature(value).parameters
    except (TypeError, ValueError):
        return
    lines = [line for text in texts for line in (text or "").splitlines()]
    named = {
        word.strip("* ")
        for line in lines
        if line[:1].strip() or line.startswith("*")
        for word in line.split(" : ")[0].split(",")
    }
    for argument in arguments:
        if argument not in {"self", "cls"} | named:
            yield f"{name}: {argument}"


def callables(value, name):
    "A function with its text; a class with its own and its `__init__`'s, and its methods."
    if inspect.isfunction(value):
        yield name, value, [inspect.getdoc(value)]
    if not inspect.isclass(value):
        return
    maker = next(base for base in value.__mro__ if "__init__" in vars(base))
    if is_ours(maker) and not getattr(value, "_is_protocol", False):
        texts = [base.__doc__ for base in value.__mro__ if is_ours(base)]
        texts.append(vars(maker)["__init__"].__doc__)
        yield name, value, [inspect.cleandoc(text) for text in texts if text]
    for key, member in vars(value).items():
        if not key.startswith("_") or key == "__call__":
            member = getattr(member, "__func__", member)
            if inspect.isfunction(member) and member.__annotations__.get("return") != NoReturn:
                yield f"{name}.{key}", member, [inspect.getdoc(getattr(value, key))]


@pytest.mark.parametrize("module", list(modules()))
def test_help_names_every_argument_of_everything_public(module):
    loaded = importlib.import_module(f"bigdata_ai.{module}")
    missing = [
        argument
        for public in loaded.__all__
        for name, value, texts in callables(getattr(loaded, public), public)
        if is_ours(value) and not is_command(value)
        for argument in silent(name, value, texts)
    ]
    assert missing == []
