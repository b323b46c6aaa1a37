"""One value for training: `fit` names the same settings, and what a learner can't use is refused."""

import inspect
from dataclasses import asdict, fields, replace

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from bigdata_ai.core import ContentError, InputError
from bigdata_ai.data.catalog import load
from bigdata_ai.data.origin import Origin
from bigdata_ai.data.split import split
from bigdata_ai.data.store.batches import Batches
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.evaluation import evaluate
from bigdata_ai.experiment.evidence import Recorder, rows
from bigdata_ai.train.checkpoint import Checkpoint, read_arrays, write_arrays
from bigdata_ai.train.frameworks import devices
from bigdata_ai.train.loop import early_stopping, fit
from bigdata_ai.train.saved import _hash, load_model, save_model
from bigdata_ai.train.schedules import Cosine
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.spec.optimizers import SGD
from bigdata_ai.train.spec.options import Options
from bigdata_ai.train.training import Training, changed_settings, with_settings

# each setting at a value that is not the default
OTHER = {
    "backend": "tensorflow",
    "optimizer": SGD(0.1),
    "loss": "cross_entropy",
    "epochs": 2,
    "batch_size": 32,
    "seed": 3,
    "dtype": "float64",
    "schedule": Cosine(),
    "device": "cuda",
    "options": Options(clip_norm=1.0),
}


@pytest.fixture(scope="module")
def few():
    return load("digits").take(slice(200))


# The value


def test_fit_names_every_setting_and_nothing_else():
    parameters = inspect.signature(fit).parameters
    named = list(parameters)[list(parameters).index("backend") :]
    assert named == [field.name for field in fields(Training)] == list(OTHER)
    for name in named:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default is None
    by_place = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert [p.name for p in by_place] == ["learner", "rows", "training"]


@pytest.mark.parametrize("name", OTHER)
def test_each_setting_can_be_given_alone_or_in_a_value(name):
    one = with_settings(Training(), **{name: OTHER[name]})
    assert one == Training(**{name: OTHER[name]}) != Training()
    assert changed_settings(one) == {name: OTHER[name]}


def test_settings_of_a_value_and_named_ones_are_joined(few):
    model = fit(mlp(64, 10), few, Training(epochs=3, seed=1), seed=2, optimizer=SGD(0.01))
    assert len(model.history) == 3
    assert (model.training.seed, model.training.optimizer) == (2, SGD(0.01))
    same = fit(mlp(64, 10), few, Training(epochs=3, seed=2, optimizer=SGD(0.01)))
    assert all((a == b).all() for a, b in zip(model.weights, same.weights, strict=True))


def test_a_value_is_frozen_and_compares():
    training = Training(epochs=np.int64(3))
    assert training == Training(epochs=3) and hash(training) == hash(Training(epochs=3))
    with pytest.raises(AttributeError):
        training.epochs = 4
    assert asdict(replace(training, seed=7))["seed"] == 7
    with pytest.raises(TypeError):
        Training("torch")


# What can't be used is refused by name


@pytest.mark.parametrize("name", [name for name in OTHER if name != "seed"])
def test_an_estimator_refuses_each_setting_of_networks(few, name):
    for given in ({name: OTHER[name]}, {"training": Training(**{name: OTHER[name]})}):
        with pytest.raises(
            InputError, match=f"`{name}` must be left out: a RandomForestClassifier"
        ):
            fit(RandomForestClassifier(5), few, **given)


@pytest.mark.parametrize("name", ["validation", "weights", "callbacks", "keep_best", "checkpoint"])
def test_an_estimator_refuses_what_only_networks_do(few, tmp_path, name):
    value = {
        "validation": few,
        "weights": [np.zeros((64, 10))],
        "callbacks": [early_stopping()],
        "keep_best": "loss",
        "checkpoint": Checkpoint(tmp_path),
    }[name]
    with pytest.raises(InputError, match=f"`{name}` must be left out"):
        fit(RandomForestClassifier(5), few, **{name: value})


@pytest.mark.parametrize(
    "wrong", [dict(backend="nonsense"), dict(epochs=-3), dict(batch_size="x"), dict(device="tpu")]
)
def test_nonsense_is_refused_whatever_learns(few, wrong):
    for learner in (RandomForestClassifier(5), mlp(64, 10)):
        with pytest.raises(InputError, match=f"`{next(iter(wrong))}` must be"):
            fit(learner, few, **wrong)


def test_a_network_of_ones_own_brings_its_back_end(frameworks, few):
    module = frameworks["torch"].nn.Linear(64, 10)
    for given in (dict(backend="tensorflow"), dict(training=Training(backend="tensorflow"))):
        with pytest.raises(InputError, match="`backend` must be left out: a network of torch"):
            fit(module, few, **given)
    assert fit(module, few, backend="torch", epochs=1).backend == "torch"


def test_batches_bring_their_size(tmp_path, few):
    frame = pd.DataFrame(few.X).rename(columns=str).assign(label=few.y)
    frame.to_parquet(tmp_path / "rows.parquet")
    batches = Batches(tmp_path / "rows.parquet", y="label", batch_size=50)
    with pytest.raises(InputError, match="`batch_size` must be left out: a run on Batches"):
        fit(mlp(64, 10), batches, batch_size=20)
    assert fit(mlp(64, 10), batches, epochs=1, batch_size=50).training.batch_size == 50


# Everything fitted


LEARNERS = {
    "network": lambda: mlp(64, 16, 10),
    "forest": lambda: RandomForestClassifier(5),
    "boosted": lambda: HistGradientBoostingClassifier(max_iter=3),
    "logistic": lambda: LogisticRegression(max_iter=50),
}


@pytest.mark.parametrize("kind", LEARNERS)
def test_every_learner_is_evaluated_recorded_and_saved(kind, tmp_path, monkeypatch):
    train, test = split(load("digits"))
    few = train.take(slice(300))
    model = fit(LEARNERS[kind](), few, **({"epochs": 40} if kind == "network" else {}))
    assert model.origin.name == "digits" and (model.origin.ids == few.ids).all()
    assert (model.classes_ == np.arange(10)).all()
    assert model.history[-1]["loss"] < model.start_loss
    scores = evaluate(model, test, "accuracy", resamples=20)
    assert scores.overlap == 0 and scores["accuracy"]["value"] > 0.5
    with pytest.warns(UserWarning, match="300 of 300 evaluated rows were trained on"):
        evaluate(model, few, "accuracy", resamples=20)

    monkeypatch.setenv("BIGDATA_AI_RUN", str(tmp_path))
    recorder = Recorder("own", "torch", few, {})
    recorder.record(0, {}, {"error": 1 - scores["accuracy"]["value"]}, model, scores)
    (row,) = rows(recorder.path)
    assert row["device"] == "cpu" and row["checks"]["end_loss"] == model.history[-1]["loss"]

    again = load_model(save_model(model, tmp_path / "model.safetensors"))
    assert np.array_equal(again.predict_proba(few.X), model.predict_proba(few.X))
    assert again.history == model.history and again.start_loss == model.start_loss
    assert (again.origin.ids == few.ids).all() and again.origin.overlap(few) == 300


def test_a_regressor_is_saved_too(tmp_path):
    line = from_arrays(np.arange(20.0)[:, None], 2 * np.arange(20.0), classes=0)
    model = fit(LinearRegression(), line)
    again = load_model(save_model(model, tmp_path / "line"))
    assert again.classes_ is None and np.array_equal(again.predict(line.X), model.predict(line.X))


class Stranger(LogisticRegression):
    "An estimator of somebody else's, in a file that claims to be a model."


def test_an_estimator_of_strange_classes_is_not_loaded(few, tmp_path):
    path = save_model(fit(LogisticRegression(max_iter=20), few), tmp_path / "model")
    import skops.io

    arrays, text = read_arrays(path)
    text.pop("sha256")
    content = skops.io.dumps(Stranger(max_iter=20).fit(few.X, few.y))
    arrays["estimator"] = np.frombuffer(content, dtype=np.uint8)
    write_arrays(path, arrays, text | {"sha256": _hash(arrays, text)})
    with pytest.raises(ContentError, match="scikit-learn's and NumPy's classes alone.*Stranger"):
        load_model(path)


# Where rows come from


def test_an_origin_knows_its_rows_by_id_and_by_content(few):
    origin = Origin.of(few.take(slice(100)))
    assert origin.overlap(few) == 100 and origin.overlap(few.take(slice(100, 200))) == 0
    renamed = replace(few, name="another", ids=np.arange(1000, 1200))
    assert origin.overlap(renamed) == 100  # by content
    blank = from_arrays(np.full((5, 64), 99.0), [0, 1, 0, 1, 0], ids=few.ids[:5], name="another")
    assert origin.overlap(blank) == 0  # equal numbers of two tables are not one row


# Devices


def test_a_device_that_is_not_here_is_refused_by_name(backend, few):
    if len(devices(backend)) > 1:
        pytest.skip("this machine has a GPU")
    with pytest.raises(InputError, match="`device` must be one that .* sees. Received: cuda"):
        fit(mlp(64, 10), few, backend=backend, device="cuda", epochs=1)


def test_a_gpu_ends_where_the_cpu_does(backend, few):
    if len(devices(backend)) == 1:
        pytest.skip("no GPU here")
    runs = [
        fit(mlp(64, 32, 10), few, backend=backend, dtype="float64", device=device, epochs=3, seed=1)
        for device in ("cpu", "cuda", "cuda")
    ]
    assert runs[1].device == "cuda"
    for cpu, gpu, again in zip(*(run.weights for run in runs), strict=True):
        assert np.array_equal(gpu, again)  # two runs of one seed
        assert np.allclose(cpu, gpu, rtol=1e-8, atol=1e-10)
