"""Trained networks in files and from one framework into the other: equal, complete, and refused
when they are not."""

import json

import numpy as np
import pytest

from bigdata_ai.core import ContentError, InputError, rng
from bigdata_ai.data.tables import from_arrays
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train import saved
from bigdata_ai.train.checkpoint import read_arrays, write_arrays
from bigdata_ai.train.frameworks import BACKENDS
from bigdata_ai.train.loop import fit
from bigdata_ai.train.networks import cnn, matrix_factorization, recurrent, transformer
from bigdata_ai.train.networks import wide_and_deep
from bigdata_ai.train.saved import load_model, save_model, to_backend
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.spec.optimizers import Adam
from bigdata_ai.train.spec.options import Options

OTHER = {"torch": "tensorflow", "tensorflow": "torch"}
NETWORKS = {
    "mlp": mlp(6, 5, 3, dropout=0.2),
    "batch norm": cnn((4, 4, 1), 3, (2,), batch_norm=True),
    "gru": recurrent(9, 4, 3, 3, 4),
    "lstm": recurrent(9, 4, 3, 3, 4, cell="lstm"),
    "attention": transformer(9, 4, 3, 4, 2, blocks=1),
    "table": wide_and_deep(2, [3, 4], 3, (5,), 2),
    "factors": matrix_factorization(5, 4, 2),
}


def rows_for(spec, n=24, seed=3, ids=None):
    "Rows that the network can read, and labels."
    draw = rng(seed, "rows")
    X = draw.normal(size=(n, spec.inputs))
    for column, size in spec.vocabularies().items():
        X[:, column] = draw.integers(0, size, n)
    return from_arrays(X, draw.integers(0, max(spec.outputs, 2), n), ids, name="rows")


def trained(spec, backend, dtype="float32", **more):
    return fit(
        spec,
        rows_for(spec),
        backend=backend,
        optimizer=Adam(0.01),
        epochs=2,
        batch_size=8,
        dtype=dtype,
        **more,
    )


def equal(one, two):
    "Whether two lists of arrays are bit for bit the same."
    return len(one) == len(two) and all(
        a.dtype == b.dtype and a.tobytes() == b.tobytes() for a, b in zip(one, two, strict=True)
    )


@pytest.fixture
def model(backend):
    return trained(NETWORKS["batch norm"], backend)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_moves_and_comes_back(frameworks, name):
    spec = NETWORKS[name]
    model, X = trained(spec, "torch", "float64"), rows_for(spec, seed=4).X.astype("float64")
    moved = to_backend(model, "tensorflow")
    back = to_backend(moved, "torch")
    for other in (moved, back):
        assert equal(model.weights, other.weights) and equal(model.states, other.states)
    outputs = model.outputs(X)
    assert np.abs(moved.outputs(X) - outputs).max() <= 1e-12 * np.abs(outputs).max()
    assert (back.outputs(X) == outputs).all() and moved.backend == "tensorflow"


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_network_is_read_as_it_was_written(frameworks, tmp_path, name, dtype):
    spec = NETWORKS[name]
    model = trained(spec, "torch", dtype)
    again = load_model(save_model(model, tmp_path / "new" / "model.safetensors"))
    X = rows_for(spec, seed=4).X
    assert (
        equal(model.weights, again.weights)
        and equal(model.states, again.states)
        and again.spec == spec
    )
    assert (again.outputs(X) == model.outputs(X)).all() and again.outputs(X).dtype == dtype


def test_a_file_of_one_framework_is_read_in_the_other(model, tmp_path):
    path = save_model(model, tmp_path / "model.safetensors")
    assert load_model(path).backend == model.backend
    other = load_model(path, OTHER[model.backend])
    X = rows_for(model.spec).X
    assert (
        equal(model.weights, other.weights)
        and equal(model.states, other.states)
        and other.backend == OTHER[model.backend]
    )
    assert np.allclose(other.predict_proba(X), model.predict_proba(X), rtol=1e-5, atol=0)


def test_running_statistics_have_moved(model):
    "Else the tests above would compare constants."
    assert all(np.ptp(state) > 0 for state in model.states)


def test_what_was_trained_on_stays_known(model, tmp_path):
    seen, new = rows_for(model.spec), rows_for(model.spec, seed=99)
    renamed = from_arrays(seen.X, seen.y, seen.ids, name="another name")
    path = save_model(model, tmp_path / "model.safetensors")
    for other in (to_backend(model, OTHER[model.backend]), load_model(path)):
        assert (other.origin.ids == model.origin.ids).all() and (
            other.origin.digests == model.origin.digests
        ).all()
        assert (
            other.origin.name == "rows"
            and other.history == model.history
            and other.pace == model.pace
        )
        assert other.start_loss == model.start_loss and other.rows == 24
        assert repr(other) == repr(model).replace(model.backend, other.backend)
        with pytest.warns(UserWarning, match="24 of 24 evaluated rows were trained on"):
            assert evaluate(other, renamed, resamples=20).overlap == 24
        assert (
            evaluate(
                other, from_arrays(new.X, new.y, np.arange(100, 124), name="rows"), resamples=20
            ).overlap
            == 0
        )


def test_ids_may_be_text(frameworks, tmp_path):
    spec, names = mlp(6, 3), np.array([f"row ü{i}" for i in range(24)])
    model = fit(spec, rows_for(spec, ids=names), backend="torch", epochs=1)
    assert (load_model(save_model(model, tmp_path / "m")).origin.ids == names).all()


def test_too_many_rows_are_not_kept(frameworks, monkeypatch, tmp_path):
    monkeypatch.setattr(saved, "ROWS_KEPT", 23)
    spec = mlp(6, 3)
    again = load_model(save_model(trained(spec, "torch"), tmp_path / "m"))
    assert again.origin is None and again.rows == 24
    assert evaluate(again, rows_for(spec), resamples=20).overlap is None


def test_options_go_along(backend, tmp_path):
    options = Options(0.1, (1.0, 2.0, 3.0), precision="bfloat16", fuse=False)
    model = trained(mlp(6, 8, 3), backend, options=options)
    again, X = load_model(save_model(model, tmp_path / "m")), rows_for(model.spec).X
    assert again.session.options == options and (again.outputs(X) == model.outputs(X)).all()


def test_saved_weights_start_another_training(model, tmp_path):
    again = load_model(save_model(model, tmp_path / "m"))
    data = rows_for(model.spec)
    for backend in BACKENDS:
        longer = fit(again.spec, data, backend=backend, epochs=1, weights=again.weights)
        assert longer.start_loss != model.start_loss
        straight = fit(model.spec, data, backend=model.backend, epochs=1, weights=model.weights)
        assert longer.start_loss == pytest.approx(straight.start_loss, rel=1e-5)


# Refused


@pytest.fixture
def path(frameworks, tmp_path):
    return save_model(trained(NETWORKS["batch norm"], "torch"), tmp_path / "model.safetensors")


def test_any_changed_byte_is_noticed(path):
    whole = path.read_bytes()
    places = {*range(8), *np.linspace(8, len(whole) - 1, 150).astype(int)}
    for place in places:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ContentError):
            load_model(path)
    path.write_bytes(whole)
    assert load_model(path).rows == 24


@pytest.mark.parametrize("length", [0, 7, 8, 100, -1])
def test_a_file_cut_short_is_refused(path, length):
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(ContentError, match="must be a whole safetensors file"):
        load_model(path)


def rewritten(path, arrays=lambda a: a, text=lambda t: t):
    "The file with a right hash after a change."
    old_arrays, old_text = read_arrays(path)
    old_text.pop("sha256")
    new_arrays, new_text = arrays(dict(old_arrays)), text(dict(old_text))
    write_arrays(path, new_arrays, new_text | {"sha256": saved._hash(new_arrays, new_text)})
    return path


def without(arrays, name):
    return {key: value for key, value in arrays.items() if key != name}


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda a: without(a, "9.dense.weight"), "nothing is wrong"),
        (lambda a: without(a, "6.dense.weight"), "6.dense.weight of shape none, not"),
        (lambda a: a | {"7.dense.weight": np.ones(2)}, "7.dense.weight of shape"),
        (
            lambda a: a | {"2.batchnorm.mean": np.zeros(3, "float32")},
            "2.batchnorm.mean of shape (3,), not (2,)",
        ),
        (
            lambda a: a | {"6.dense.bias": np.full(3, np.nan, "float32")},
            "NaN or inf in ['6.dense.bias']",
        ),
    ],
    ids=["same", "missing", "more", "shape", "nan"],
)
def test_arrays_that_do_not_fit_the_spec_are_refused(path, change, said):
    names = sorted(name for name in read_arrays(path)[0] if name[0].isdigit())
    assert {"2.batchnorm.mean", "6.dense.bias"} <= set(names), names
    changed = rewritten(path, change)
    if said == "nothing is wrong":
        load_model(changed)
        return
    with pytest.raises(ContentError) as caught:
        load_model(changed)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda t: t | {"spec": t["spec"].replace("Conv2D", "Conv9D")}, "must be a saved network"),
        (lambda t: t | {"spec": '{"inputs": 3, "layers": ["Dense"]}'}, "must be a saved network"),
        (lambda t: t | {"spec": "[]"}, "must be a saved network"),
        (lambda t: t | {"format": "bigdata_ai model 99"}, "must be of the format"),
        (lambda t: {}, "no format"),
        (
            lambda t: t | {"model": t["model"].replace("cross_entropy", "hinge")},
            "that this version knows",
        ),
        (
            lambda t: t | {"model": t["model"].replace("label_smoothing", "smoothness")},
            "that this version knows",
        ),
    ],
    ids=["layer", "layers", "list", "format", "none", "loss", "options"],
)
def test_texts_that_are_not_known_are_refused(path, change, said):
    with pytest.raises(ContentError) as caught:
        load_model(rewritten(path, text=change))
    assert said in str(caught.value)


def test_the_wrong_spec_for_saved_weights_is_refused(path):
    spec = mlp(16, 3)
    with pytest.raises(InputError, match="The weights must have the spec's shapes"):
        fit(spec, rows_for(spec), backend="torch", weights=load_model(path).weights)


def test_what_can_not_be_saved_or_moved_is_refused(frameworks, tmp_path):
    "A framework's own network lives there alone; an estimator has no framework to move to."
    from sklearn.linear_model import LogisticRegression

    data = rows_for(mlp(6, 3))
    own = fit(frameworks["torch"].nn.Linear(6, 3), data, epochs=1)
    estimator = fit(LogisticRegression(), data)
    for refused in (
        lambda: save_model(own, tmp_path / "m"),
        lambda: save_model(LogisticRegression(), tmp_path / "m"),
        lambda: to_backend(own, "tensorflow"),
        lambda: to_backend(estimator, "tensorflow"),
    ):
        with pytest.raises(InputError, match="must be"):
            refused()
    assert not list(tmp_path.iterdir())


def test_unknown_names_are_refused(path):
    model = load_model(path)
    for refused in (lambda: load_model(path, "tensorflo"), lambda: to_backend(model, "jax")):
        with pytest.raises(InputError, match="`backend` must be one of"):
            refused()
    with pytest.raises(InputError, match="a file that exists"):
        load_model(path.parent / "none")


def test_the_file_is_plain_safetensors_with_plain_names(path):
    "Others read it without this kit."
    from safetensors.numpy import load_file

    arrays = load_file(path)
    assert arrays["6.dense.weight"].shape == (8, 3)
    header = path.read_bytes()
    text = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])["__metadata__"]
    assert json.loads(text["model"])["history"][1]["epoch"] == 2 and text["version"]
