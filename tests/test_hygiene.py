"""The house stays in order: exports in step, notebooks clean, rooms one way, frameworks shut in,
all documented."""

import ast
import configparser
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import bigdata_ai

PACKAGE = Path(bigdata_ai.__file__).parent
ROOT = PACKAGE.parent
NOTEBOOKS = {
    folder: sorted(
        path
        for path in (ROOT / "nbs" / folder).rglob("*.ipynb")
        if ".ipynb_checkpoints" not in str(path)
    )
    for folder in ("lib", "course", "experiments")
}
EXPORTS = {"export", "exporti", "exports"}
ROOMS = (
    "core",
    "estimates",
    "viz",
    "pages",
    "data",
    "evaluation",
    "train",
    "deploy",
    "stream",
    "systems",
    "experiment",
    "value",
    "applications",
    "course",
    "cli",
)
HOMES = {
    "torch": "bigdata_ai.train.torch_backend",
    "torchvision": "bigdata_ai.train.torch_backend",
    "tensorflow": "bigdata_ai.train.tensorflow_backend",
    "keras": "bigdata_ai.train.tensorflow_backend",
    "tf_keras": "bigdata_ai.train.tensorflow_backend",
}


def run(*command, cwd=ROOT):
    "Run a command that must succeed; a program of the environment is found beside Python."
    beside = Path(sys.executable).parent / command[0]
    command = [str(beside) if beside.exists() else command[0], *map(str, command[1:])]
    path = os.pathsep.join([str(cwd), os.environ.get("PYTHONPATH", "")])  # of nbs.docments, too
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def label(path):
    return path.relative_to(ROOT).as_posix()


def files(folder, ending):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob(f"*{ending}"))
        if ".ipynb_checkpoints" not in path.parts
    }


@cache
def cells(path):
    return json.loads(path.read_text(encoding="utf-8"))["cells"]


def code_of(path):
    return ["".join(cell["source"]) for cell in cells(path) if cell["cell_type"] == "code"]


def directives(code):
    "Names and arguments of the `#|` lines of a cell."
    return re.findall(r"^#\|\s*(\w+)[ \t]*(\S*)", code, re.MULTILINE)


def exported_cells(path):
    return [
        ast.parse(code)
        for code in code_of(path)
        if {name for name, _ in directives(code)} & EXPORTS
    ]


@cache
def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {
    module_name(path): path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "_modidx.py"
}
WRITTEN = {name: path for name, path in MODULES.items() if path.name != "__init__.py"}
FACE = "bigdata_ai"  # the one module written by hand; it may point anywhere, and nobody imports it


# Exports and notebooks


@pytest.fixture
def copy(tmp_path):
    "A copy of all that nbdev reads and writes."
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    without = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
    for folder in ("nbs", "bigdata_ai"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=without)
    return tmp_path


def test_modules_are_exactly_what_the_notebooks_export(copy):
    "Exported afresh into an empty package: a stale module differs, an orphan is not made again."
    for path in (copy / "bigdata_ai").rglob("*.py"):
        if path != copy / "bigdata_ai" / "__init__.py":
            path.unlink()
    run("nbdev-export", cwd=copy)
    fresh, ours = files(copy / "bigdata_ai", ".py"), files(PACKAGE, ".py")
    assert sorted(fresh.keys() - ours) == [], (
        "exported by a notebook but not in the tree: run nbdev-export"
    )
    assert sorted(ours.keys() - fresh) == [], "in the tree but exported by no notebook"
    assert [name for name in ours if ours[name] != fresh[name]] == [], (
        "not what its notebook exports: run nbdev-export"
    )


def test_notebooks_are_clean(copy):
    before = files(copy / "nbs", ".ipynb")
    run("nbdev-clean", cwd=copy)
    after = files(copy / "nbs", ".ipynb")
    assert [name for name in before if before[name] != after[name]] == [], "run nbdev-clean"


def test_every_library_notebook_has_a_module_of_its_own():
    found = {
        label(path): [
            module
            for code in code_of(path)
            for name, module in directives(code)
            if name == "default_exp"
        ]
        for path in NOTEBOOKS["lib"]
    }
    assert found and {name: modules for name, modules in found.items() if len(modules) != 1} == {}
    modules = [modules[0] for modules in found.values()]
    assert (
        sorted(set(modules))
        == sorted(modules)
        == sorted(name.removeprefix("bigdata_ai.") for name in WRITTEN)
    )


def test_chapters_and_experiments_export_nothing():
    assert [
        label(path)
        for folder in ("course", "experiments")
        for path in NOTEBOOKS[folder]
        for code in code_of(path)
        if {name for name, _ in directives(code)} & {"default_exp", *EXPORTS}
    ] == []


def test_every_experiment_has_plain_parameters_and_a_sidecar():
    for path in NOTEBOOKS["experiments"]:
        tagged = [cell for cell in cells(path) if "parameters" in cell["metadata"].get("tags", [])]
        assert len(tagged) == 1 and tagged[0]["cell_type"] == "code", (
            f"{label(path)}: one cell tagged parameters"
        )
        for line in ast.parse("".join(tagged[0]["source"])).body:
            assert isinstance(line, ast.Assign) and [type(target) for target in line.targets] == [
                ast.Name
            ], label(path)
            ast.literal_eval(line.value)
        assert tomllib.loads(path.with_suffix(".toml").read_text(encoding="utf-8")), label(path)


def test_every_sidecar_has_its_experiment():
    sidecars = {path.stem for path in (ROOT / "nbs" / "experiments").rglob("*.toml")}
    assert sidecars == {path.stem for path in NOTEBOOKS["experiments"]}


def is_import(node):
    return isinstance(node, ast.Import | ast.ImportFrom)


@pytest.mark.parametrize("path", NOTEBOOKS["lib"], ids=label)
def test_exported_imports_stand_in_one_cell_of_their_own(path):
    first, *rest = ([is_import(node) for node in cell.body] for cell in exported_cells(path))
    assert len(set(first)) == 1, "the first exported cell mixes imports with other code"
    assert not any(map(any, rest)), "a later exported cell has imports"


@pytest.mark.parametrize("path", NOTEBOOKS["lib"], ids=label)
def test_no_star_imports_are_exported(path):
    assert [
        ast.unparse(node)
        for cell in exported_cells(path)
        for node in ast.walk(cell)
        if isinstance(node, ast.ImportFrom) and node.names[0].name == "*"
    ] == []


@pytest.mark.parametrize("module", WRITTEN)
def test_our_own_modules_are_imported_relatively(module):
    "nbdev makes absolute imports relative where they stand on one line, and not in a function."
    absolute = [
        ast.unparse(node)
        for node in tree_of(WRITTEN[module]).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bigdata_ai")
    ]
    assert absolute == []


# Rooms and frameworks


IMPORTERS = ("import_module", "import_extra", "__import__")


def imported(module, tree):
    """Dotted names that a module imports anywhere: statements, import_module and import_extra with a
    literal name."""
    package = (
        module.split(".")
        if MODULES.get(module, PACKAGE).name == "__init__.py"
        else module.split(".")[:-1]
    )
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        if isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            whole = ".".join([*base, *filter(None, [node.module])])
            yield from (f"{whole}.{alias.name}" for alias in node.names)
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in IMPORTERS:
            yield from (
                argument.value for argument in node.args[:1] if isinstance(argument, ast.Constant)
            )


def own_imports(module, tree):
    "The modules of ours among them."
    for name in imported(module, tree):
        parts = name.split(".")
        known = [".".join(parts[:i]) for i in range(len(parts), 0, -1)]
        yield from [name for name in known if name in MODULES][:1]


def room(module):
    return module.split(".")[1]


def test_every_module_stands_in_a_room():
    assert {room(name) for name in WRITTEN} <= set(ROOMS)


@pytest.mark.parametrize("module", WRITTEN)
def test_a_room_imports_only_from_itself_and_the_rooms_below(module):
    below = ROOMS[: ROOMS.index(room(module)) + 1]
    assert [
        name
        for name in own_imports(module, tree_of(WRITTEN[module]))
        if name in WRITTEN and room(name) not in below
    ] == []


def of_the_face(module, tree):
    "Names that a module takes from the face, which would go round the order of the rooms."
    taken = [
        name.removeprefix(f"{FACE}.")
        for name in imported(module, tree)
        if name.rpartition(".")[0] == FACE and name not in MODULES
    ]
    aliases = {
        alias.asname or FACE
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name == FACE
    }
    taken += [
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in aliases
    ]
    return [name for name in taken if not name.startswith("_")]


@pytest.mark.parametrize("module", WRITTEN)
def test_no_module_uses_the_face(module):
    assert of_the_face(module, tree_of(WRITTEN[module])) == []


@pytest.mark.parametrize(
    "code, names",
    [
        ("from .. import fit", ["fit"]),
        ("from bigdata_ai import load", ["load"]),
        ("import bigdata_ai as bd\nbd.fit(bd.load('digits'))", ["fit", "load"]),
        ("import bigdata_ai\nbigdata_ai.viz.history([])", ["viz"]),
        ("import bigdata_ai\nbigdata_ai._FACE", []),
        ("from .. import __version__, viz", []),
        ("import bigdata_ai.viz", []),
    ],
)
def test_the_search_for_uses_of_the_face_finds(code, names):
    assert of_the_face("bigdata_ai.train.loop", ast.parse(code)) == names


def test_the_face_points_at_modules_of_the_rooms():
    targets = set(own_imports(FACE, tree_of(MODULES[FACE])))
    assert targets & set(WRITTEN) and {room(name) for name in targets} <= set(ROOMS)


def test_no_modules_import_each_other_in_a_circle():
    graph = {name: set(own_imports(name, tree_of(path))) for name, path in WRITTEN.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" → ".join(error.args[1]))


def strangers(module, tree):
    "Frameworks that a module imports although it is not their home."
    return [
        name
        for name in imported(module, tree)
        if name.split(".")[0] in HOMES
        and not f"{module}.".startswith(HOMES[name.split(".")[0]] + ".")
    ]


@pytest.mark.parametrize("module", WRITTEN)
def test_frameworks_are_imported_only_in_their_own_package(module):
    assert strangers(module, tree_of(WRITTEN[module])) == []


@pytest.mark.parametrize(
    "code",
    [
        "import torch",
        "import torch.nn as nn",
        "from torch import nn",
        "def f():\n    import keras",
        "import_extra('tensorflow', 'tensorflow')",
        "core.import_extra('torch.nn', 'torch')",
        "importlib.import_module('tensorflow.data')",
        "__import__('torch')",
    ],
)
def test_the_framework_search_finds(code):
    assert strangers("bigdata_ai.train.loop", ast.parse(code))
    assert strangers(
        HOMES["tensorflow" if "torch" in code else "torch"] + ".steps", ast.parse(code)
    )
    assert not strangers(
        HOMES["torch" if "torch" in code else "tensorflow"] + ".steps", ast.parse(code)
    )


@pytest.mark.parametrize(
    "code, target",
    [
        ("from ..experiment.run import go", "bigdata_ai.experiment.run"),
        ("from .spec.network import mlp", "bigdata_ai.train.spec.network"),
        ("from . import networks", "bigdata_ai.train.networks"),
        ("from bigdata_ai.core import import_extra", "bigdata_ai.core"),
        ("from bigdata_ai import core", "bigdata_ai.core"),
        ("def f():\n    import bigdata_ai.evaluation", "bigdata_ai.evaluation"),
        ("importlib.import_module('bigdata_ai.viz')", "bigdata_ai.viz"),
    ],
)
def test_the_room_search_finds(code, target):
    assert list(own_imports("bigdata_ai.train.loop", ast.parse(code))) == [target]


def test_import_of_the_package_is_light():
    program = "import sys, bigdata_ai; print({'numpy', 'pandas'} & set(sys.modules))"
    assert run(sys.executable, "-c", program).strip() == "set()"


def test_import_of_every_module_outside_the_back_ends_loads_no_framework():
    outside = [name for name in WRITTEN if not name.startswith(tuple(HOMES.values()))]
    program = (
        "import importlib, sys\n"
        f"for name in {outside}: importlib.import_module(name)\n"
        f"print({set(HOMES)} & set(sys.modules))"
    )
    assert run(sys.executable, "-c", program).strip() == "set()"


# Documentation


MADE = ("__init__", "__call__")


@cache
def methods_of_bases(base):
    """Public methods of a class of ours and of its bases, by name: whoever overrides one need not
    document it again."""
    found = set()
    for path in WRITTEN.values():
        for node in tree_of(path).body:
            if isinstance(node, ast.ClassDef) and node.name == base:
                found |= {child.name for child in node.body if isinstance(child, ast.FunctionDef)}
                found |= {
                    name for parent in node.bases for name in methods_of_bases(ast.unparse(parent))
                }
    return found


class Documentation:
    "What the public names of a module's source lack, by its tree and its comments."

    def __init__(self, source):
        self.tree, self.lines = ast.parse(source), source.splitlines()
        self.tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
        self.comments = {token.start[0] for token in self.tokens if token.type == tokenize.COMMENT}

    def public(self):
        lists = [
            node.value
            for node in self.tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        ]
        return ast.literal_eval(lists[0]) if lists else []

    def lacks(self):
        found = [] if ast.get_docstring(self.tree) else ["the module has no docstring"]
        names = set(self.public())
        for node in self.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in names:
                found += (
                    self.of_function(node, node.name)
                    if isinstance(node, ast.FunctionDef)
                    else self.of_class(node)
                )
        return found

    def of_class(self, node):
        found = [] if ast.get_docstring(node) else [f"{node.name} has no docstring"]
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            found += [
                f"{node.name}.{field.target.id} has no comment"
                for field in node.body
                if isinstance(field, ast.AnnAssign) and not self.commented(field.lineno)
            ]
        inherited = {
            name for base in node.bases for name in methods_of_bases(ast.unparse(base))
        } - set(MADE)
        for method in node.body:
            if getattr(method, "name", None) in inherited:
                continue
            public = isinstance(method, ast.FunctionDef) and (
                method.name in MADE or not method.name.startswith("_")
            )
            if public:
                found += self.of_function(method, f"{node.name}.{method.name}", method=True)
        return found

    def of_function(self, node, name, method=False):
        """On one line, one comment at its end speaks for all arguments and the result, and for a body
        of one statement too."""
        end = self.end_of_signature(node)
        spoken = self.commented(end)
        alone = node.lineno == end and end in self.comments and len(node.body) == 1
        found = [] if ast.get_docstring(node) or alone else [f"{name} has no docstring"]
        arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
        arguments += [argument for argument in (node.args.vararg, node.args.kwarg) if argument]
        static = any(ast.unparse(decorator) == "staticmethod" for decorator in node.decorator_list)
        if method and not static:
            arguments.remove((node.args.posonlyargs + node.args.args)[0])
        silent = not any(self.commented(argument.lineno) for argument in arguments)
        if node.lineno == end or spoken and silent:
            silent = not spoken and (arguments or self.gives(node))
            return found + ([f"{name} has no comment behind its signature"] if silent else [])
        found += [
            f"{name}: {argument.arg} has no comment"
            for argument in arguments
            if not self.commented(argument.lineno) and not self.helped(argument)
        ]
        return found + (
            [f"{name}: what it returns has no comment"] if self.gives(node) and not spoken else []
        )

    def commented(self, line):
        "A comment on the line, or on a line of its own above it."
        return line in self.comments or self.lines[line - 2].lstrip().startswith("#")

    def helped(self, argument):
        "An option of the command line, which Typer documents by its help text."
        return argument.annotation is not None and any(
            isinstance(part, ast.keyword) and part.arg == "help"
            for part in ast.walk(argument.annotation)
        )

    def end_of_signature(self, node):
        "The line of the colon that ends `def …:`."
        depth = 0
        for token in self.tokens:
            if token.start[0] < node.lineno or token.type != tokenize.OP:
                continue
            depth += (token.string in "([{") - (token.string in ")]}")
            if token.string == ":" and depth == 0:
                return token.start[0]

    def gives(self, node):
        "Whether the function returns something: by its annotation, else by its return statements."
        if node.returns is not None:
            return ast.unparse(node.returns) not in ("None", "NoReturn")
        inner = {
            part
            for child in ast.walk(node)
            if child is not node and isinstance(child, ast.FunctionDef)
            for part in ast.walk(child)
        }
        return any(
            isinstance(part, ast.Return) and part.value is not None
            for part in set(ast.walk(node)) - inner
        )


@pytest.mark.parametrize("module", WRITTEN)
def test_everything_public_is_documented(module):
    documentation = Documentation(WRITTEN[module].read_text(encoding="utf-8"))
    assert documentation.public() and documentation.lacks() == []


COMPLETE = """"Module."
__all__ = ["f", "g", "h", "C", "D"]
def f(
    a, # one
    *rest: int, # more
    b=None, # other
) -> int: # a number
    "Do."
    return 1
def g(x, y): # (n,), (n,) -> scalar
    "Do."
    return x
def h(
    a: int, # one
) -> None:
    "Do."
class C:
    "A thing."
    def __init__(
        self,
        a, # one
    ):
        "Make."
    @property
    def size(self) -> int: return 1 # rows
    def act(self):
        "Act."
@dataclass(frozen=True)
class D:
    "A value."
    a: int # one
"""


def test_the_documentation_search_passes_what_is_complete():
    assert Documentation(COMPLETE).lacks() == []


def test_an_override_needs_no_documentation_of_its_own():
    source = (
        '"Module."\n__all__ = ["E"]\nclass E({base}):\n    "A rule."\n    def {method}(self,'
        " learnt, types): return {{}}\n"
    )
    assert Documentation(source.format(base="Rule", method="expressions")).lacks() == []
    for base, method in (("Rule", "other"), ("object", "expressions")):
        assert (
            f"E.{method} has no docstring"
            in Documentation(source.format(base=base, method=method)).lacks()
        )


@pytest.mark.parametrize(
    "take, leave, lack",
    [
        ('"Module."', "", "the module has no docstring"),
        ("a, # one\n    *rest", "a,\n    *rest", "f: a has no comment"),
        ("# more", "", "f: rest has no comment"),
        ("# other", "", "f: b has no comment"),
        ("# a number", "", "f: what it returns has no comment"),
        ('"Do."\n    return 1', "return 1", "f has no docstring"),
        ("# (n,), (n,) -> scalar", "", "g has no comment behind its signature"),
        ("a: int, # one", "a: int,", "h: a has no comment"),
        ('"A thing."', "pass", "C has no docstring"),
        ("self,\n        a, # one", "self,\n        a,", "C.__init__: a has no comment"),
        ('"Make."', "pass", "C.__init__ has no docstring"),
        ("# rows", "", "C.size has no docstring"),
        ('"Act."', "pass", "C.act has no docstring"),
        ('"A value."', "pass", "D has no docstring"),
        ("a: int # one", "a: int", "D.a has no comment"),
    ],
    ids=lambda value: value if "has no" in value else "",
)
def test_the_documentation_search_finds_what_is_missing(take, leave, lack):
    assert (
        COMPLETE.count(take) == 1 and lack in Documentation(COMPLETE.replace(take, leave)).lacks()
    )


# Packaging and size


def settings():
    found = configparser.ConfigParser(interpolation=None, delimiters=["="])
    found.read(ROOT / "settings.ini", encoding="utf-8")
    return found


def test_version_is_one():
    version = settings()["package"]["version"]
    assert bigdata_ai.__version__ == version
    assert run("python", "setup.py", "--version").split()[-1] == version


def test_notebooks_and_tests_are_formatted():
    "Exported modules follow their notebooks; chapters keep twelve lines a cell instead."
    places = ("nbs/lib", "nbs/experiments", "nbs/docments.py", "tests")
    run("ruff", "format", "--no-cache", "--check", *places)


def test_ruff_has_nothing_to_say():
    places = ("bigdata_ai", "tests", "nbs/docments.py")
    run("ruff", "check", "--no-cache", "--output-format", "concise", *places)


def test_no_file_of_the_repository_is_large():
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    sizes = {
        name: (ROOT / name).stat().st_size for name in listed if name and (ROOT / name).is_file()
    }
    assert sizes and {name: size for name, size in sizes.items() if size > 2.5 * 2**20} == {}
