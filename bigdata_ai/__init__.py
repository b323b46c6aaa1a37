"""What data is worth to a learning machine: `import bigdata_ai as bd`, and the names of `dir(bd)`.

This is the one file of the package that is written by hand. A name is loaded when it is first asked
for, so that the import takes no time and loads no framework; tools see the imports below.
"""

__version__ = "0.1.0"

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import viz as viz
    from .data.catalog import load as load
    from .data.catalog import load_table as load_table
    from .data.prepare.clean import Cleaner as Cleaner
    from .data.prepare.features import Encoder as Encoder
    from .data.split import hold_out as hold_out
    from .data.split import split as split
    from .data.store.lake import Lake as Lake
    from .data.tables import from_arrays as from_arrays
    from .data.tables import table as table
    from .evaluation import evaluate as evaluate
    from .experiment.run import run as run
    from .experiment.sweep import sweep as sweep
    from .train.frameworks import backends as backends
    from .train.loop import fit as fit
    from .train.networks import cnn as cnn
    from .train.networks import matrix_factorization as matrix_factorization
    from .train.networks import recurrent as recurrent
    from .train.networks import transformer as transformer
    from .train.networks import two_tower as two_tower
    from .train.networks import wide_and_deep as wide_and_deep
    from .train.prepared import Prepared as Prepared
    from .train.spec.network import mlp as mlp
    from .train.spec.optimizers import SGD as SGD
    from .train.spec.optimizers import Adam as Adam
    from .train.spec.optimizers import AdamW as AdamW
    from .train.spec.optimizers import RMSprop as RMSprop
    from .train.training import Training as Training
    from .train.wrappers import NetworkClassifier as NetworkClassifier
    from .train.wrappers import NetworkRegressor as NetworkRegressor
    from .value.advisor import advise as advise

# name -> the module that holds it; "" where the name is a module itself
_FACE: dict[str, str] = {
    "Adam": "train.spec.optimizers",
    "AdamW": "train.spec.optimizers",
    "Cleaner": "data.prepare.clean",
    "Encoder": "data.prepare.features",
    "Lake": "data.store.lake",
    "NetworkClassifier": "train.wrappers",
    "NetworkRegressor": "train.wrappers",
    "Prepared": "train.prepared",
    "RMSprop": "train.spec.optimizers",
    "SGD": "train.spec.optimizers",
    "Training": "train.training",
    "advise": "value.advisor",
    "backends": "train.frameworks",
    "cnn": "train.networks",
    "evaluate": "evaluation",
    "fit": "train.loop",
    "from_arrays": "data.tables",
    "hold_out": "data.split",
    "load": "data.catalog",
    "load_table": "data.catalog",
    "matrix_factorization": "train.networks",
    "mlp": "train.spec.network",
    "recurrent": "train.networks",
    "run": "experiment.run",
    "split": "data.split",
    "sweep": "experiment.sweep",
    "table": "data.tables",
    "transformer": "train.networks",
    "two_tower": "train.networks",
    "viz": "",
    "wide_and_deep": "train.networks",
}

__all__ = [
    "Adam",
    "AdamW",
    "Cleaner",
    "Encoder",
    "Lake",
    "NetworkClassifier",
    "NetworkRegressor",
    "Prepared",
    "RMSprop",
    "SGD",
    "Training",
    "advise",
    "backends",
    "cnn",
    "evaluate",
    "fit",
    "from_arrays",
    "hold_out",
    "load",
    "load_table",
    "matrix_factorization",
    "mlp",
    "recurrent",
    "run",
    "split",
    "sweep",
    "table",
    "transformer",
    "two_tower",
    "viz",
    "wide_and_deep",
]


if not TYPE_CHECKING:  # tools would take every name, misspelt ones too, for one of ours

    def __getattr__(name: str):
        "Load a name of the face; raises `AttributeError`, with the nearest name, for one that is none."
        if name not in _FACE:
            # Without `obj`, or Python would append a guess of its own to ours.
            raise AttributeError(_unknown(name), name=name)
        if not _FACE[name]:
            return import_module(f"{__name__}.{name}")
        value = getattr(import_module(f"{__name__}.{_FACE[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_FACE})


def _unknown(name):
    import difflib

    plain = {known.lower(): known for known in _FACE}
    near = difflib.get_close_matches(name.lower(), plain, n=1)
    hint = f"did you mean {plain[near[0]]!r}?" if near else "dir(bigdata_ai) lists the names."
    return f"module {__name__!r} has no attribute {name!r}. Hint: {hint}"
