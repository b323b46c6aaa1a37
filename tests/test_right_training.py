"""Training: each case of the shared list by its number, the right value or a refusal with words."""

import json
import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from bigdata_ai.core import DivergedError, InputError, check_features, check_int, short_repr
from bigdata_ai.data.leakage import leakage
from bigdata_ai.data.probabilities import align_probabilities, check_probabilities
from bigdata_ai.data.store.batches import Batches
from bigdata_ai.data.tables import Dataset, from_arrays
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.checkpoint import Checkpoint
from bigdata_ai.train.distributed import fit_distributed
from bigdata_ai.train.loop import fit
from bigdata_ai.train.prepared import Prepared
from bigdata_ai.train.saved import load_model, save_model
from bigdata_ai.train.schedules import Cosine, Step, WarmUp
from bigdata_ai.train.sources import check_last_batch
from bigdata_ai.train.spec.layers import BatchNorm, Columns, Dense, Dropout, Embedding, Flatten
from bigdata_ai.train.spec.layers import MaxPool2D, Parallel, ReLU, Reshape
from bigdata_ai.train.spec.network import Spec, mlp
from bigdata_ai.train.spec.optimizers import SGD, Adam, AdamW
from bigdata_ai.train.spec.options import Options
from bigdata_ai.train.training import Training
from bigdata_ai.train.wrappers import NetworkClassifier, NetworkRegressor

STILL = SGD(1e-30)  # moves nothing


def rows(n=60, d=2, seed=0, classes=2):
    "Points on both sides of a line."
    X = np.random.default_rng(seed).normal(size=(n, d)).astype("float32")
    y = np.minimum((X[:, 0] > 0) + (X[:, 0] > 0.7) * (classes > 2), classes - 1)
    return from_arrays(X, y.astype(int), classes=classes)


def streamed(data, folder, **settings):
    "The same rows in a file."
    columns = {f"x{i}": data.X[:, i] for i in range(data.X.shape[1])} | {"y": data.y}
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=16)
    return Batches(folder / "rows.parquet", y="y", **settings)


# u1: few rows


@pytest.mark.parametrize("n, batch_size", [(4, 4), (4, 3), (1, 1), (8, 8), (9, 8), (3, 64)])
def test_u1_eight_rows_and_fewer_train_in_both_frameworks(backend, n, batch_size):
    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]] * 3, "float32")[:n]
    y = (X[:, 0] != X[:, 1]).astype(float)
    data = from_arrays(X, y, classes=0)
    model = fit(
        mlp(2, 8, 1),
        data,
        backend=backend,
        loss="mse",
        epochs=500,
        batch_size=batch_size,
        optimizer=Adam(0.02),
        validation=data.take([0]),
    )
    assert model.history[-1]["loss"] < 0.05 and model.predict(X[:1]).shape == (1, 1)


# u3: divergence that no loss of the run shows


def test_u3_the_last_step_is_looked_at(backend, tmp_path):
    data = rows()
    for spec in (mlp(2, 2), mlp(2, 8, 2)):
        with pytest.raises(DivergedError, match=r"(weights must stay|after the last step must be)"):
            fit(
                spec,
                from_arrays(data.X * 1e4, data.y),
                backend=backend,
                epochs=1,
                optimizer=SGD(1e36),
                checkpoint=Checkpoint(tmp_path / str(spec.parameters)),
            )
    with pytest.raises(DivergedError):
        batches = streamed(from_arrays(data.X * 1e4, data.y), tmp_path, batch_size=64)
        fit(mlp(2, 8, 2), batches, backend=backend, epochs=1, optimizer=SGD(1e36))


def test_u3_the_validation_loss_is_looked_at(backend):
    large = from_arrays(np.array([[1e38, -3e38], [1.0, 1.0]], "float32"), [0.0, 1.0], classes=0)
    data = from_arrays(rows().X, rows().X[:, 0], classes=0)
    with pytest.raises(DivergedError, match="validation loss"):
        fit(mlp(2, 8, 1), data, backend=backend, loss="mse", epochs=1, validation=large)


def test_u3_outputs_that_are_no_numbers_are_no_class(backend):
    model = fit(mlp(2, 8, 2), rows(), backend=backend, epochs=1)
    for bad in (np.nan, np.inf):
        weights = model.weights
        weights[0][:] = bad
        model.session.restore(weights, [])
        assert not model.session.finite()
        for ask in (model.predict, model.predict_proba, model.outputs):
            with pytest.raises(InputError, match=r"outputs must be finite.* for row 0"):
                ask(np.array([[0.5, -0.5]]))


# u4: one mean for all losses of classes that count differently


def test_u4_the_loss_of_an_epoch_is_joined_by_class_mass(backend, tmp_path):
    X = np.random.default_rng(0).normal(size=(50, 2))
    data = from_arrays(X, np.r_[np.zeros(45), np.ones(5)].astype(int))
    settings = {
        "backend": backend,
        "dtype": "float64",
        "optimizer": STILL,
        "epochs": 1,
        "options": Options(class_weights=(1.0, 9.0)),
    }
    for more in ({}, {"checkpoint": Checkpoint(tmp_path / "run", every=2)}):
        model = fit(mlp(2, 4, 2), data, validation=data, batch_size=7, **settings, **more)
        row = model.history[0]
        assert row["loss"] == pytest.approx(model.start_loss, rel=1e-9)
        assert row["loss"] == pytest.approx(row["validation_loss"], rel=1e-9)
    of_file = fit(mlp(2, 4, 2), streamed(data, tmp_path, batch_size=7), **settings)
    assert of_file.history[0]["loss"] == pytest.approx(model.start_loss, rel=1e-6)


# u6: NumPy's scalars


def test_u6_numpy_scalars_are_made_pythons(backend, tmp_path):
    data = rows()
    spec = mlp(np.int64(2), np.int32(8), data.y.max() + 1, dropout=np.float64(0.25))
    assert spec == mlp(2, 8, 2, dropout=0.25) and json.loads(spec.to_json())["inputs"] == 2
    options = Options(
        label_smoothing=np.float32(0.25),
        class_weights=np.array([1, 9]),
        clip_norm=np.int64(2),
        accumulate=np.int64(2),
        fuse=np.bool_(False),
    )
    plain = Options(0.25, (1.0, 9.0), 2.0, 2, fuse=False)
    assert options == plain and repr(options) == repr(plain)
    path = tmp_path / "model.safetensors"
    model = fit(spec, data, backend=backend, epochs=np.int64(1), options=options)
    save_model(model, path)
    assert np.array_equal(load_model(path).predict(data.X), model.predict(data.X))


def test_u6_equal_settings_have_one_text():
    pairs = [
        (Adam(np.float64(0.01)), Adam(0.01)),
        (SGD(1, momentum=np.float32(0.5), nesterov=np.True_), SGD(1.0, 0.5, nesterov=True)),
        (AdamW(weight_decay=np.int64(0)), AdamW(weight_decay=0.0)),
        (Step(np.int64(3), np.float64(0.5)), Step(3, 0.5)),
        (WarmUp(np.int64(3), Cosine(np.int64(0))), WarmUp(3, Cosine())),
        (Dense(np.int64(2), np.uint8(3), np.bool_(False)), Dense(2, 3, False)),
        (Reshape([np.int64(2), 3]), Reshape((2, 3))),
        (Columns(np.array([0, 2])), Columns((0, 2))),
        (Training(batch_size=np.int64(7)), Training(batch_size=7)),
        (Spec([Dense(2, 2)], np.int64(2)), Spec((Dense(2, 2),), 2)),
    ]
    for given, plain in pairs:
        assert given == plain and repr(given) == repr(plain) and hash(given) == hash(plain)


def test_u6_a_run_goes_on_with_the_same_number_of_the_other_kind(backend, tmp_path):
    data, run = rows(), {"backend": backend, "checkpoint": Checkpoint(tmp_path, np.int64(2))}
    first = fit(mlp(2, 4, 2), data, epochs=2, optimizer=Adam(0.01), **run)
    again = fit(mlp(2, 4, 2), data, epochs=2, optimizer=Adam(np.float64(0.01)), **run)
    assert all(np.array_equal(a, b) for a, b in zip(first.weights, again.weights, strict=True))


def test_u6_weights_by_class_are_asked_for_in_order():
    with pytest.raises(InputError, match=r"one number a class.*\(1.0, 9.0\)"):
        Options(class_weights={1: 2.0, 2: 3.0})
    with pytest.raises(InputError, match="one number a class"):
        Options(class_weights="balanced")


def test_u6_a_callback_may_write_numpy_numbers_into_the_history(backend, tmp_path):
    def note(row, model):
        row["margin"] = np.float32(0.5)

    run = {"backend": backend, "callbacks": [note], "checkpoint": Checkpoint(tmp_path / "run")}
    model = fit(mlp(2, 2), rows(), epochs=2, **run)
    save_model(model, tmp_path / "model")
    assert load_model(tmp_path / "model").history[0]["margin"] == 0.5


# u8: values beyond 32 bits


def test_u8_values_beyond_float32_are_named(backend):
    data = rows()
    model = fit(mlp(2, 4, 2), data, backend=backend, epochs=1)
    for ask in (model.predict, model.predict_proba, model.outputs):
        with pytest.raises(InputError, match=r"1e\+39 in row 1, column 0"):
            ask([[0.0, 1.0], [1e39, 1.0]])
    far = from_arrays([[0.0, -1e39], [1.0, 1.0]], [0, 1])
    for run in ({"rows": far}, {"rows": data, "validation": far}):
        with pytest.raises(InputError, match="column 1"):
            fit(mlp(2, 2), backend=backend, epochs=1, **run)
    with pytest.raises(InputError, match="`y` must hold values"):
        fit(
            mlp(2, 1), from_arrays(data.X, data.X[:, 0].astype(float) * 1e39, classes=0), loss="mse"
        )
    wide = fit(mlp(2, 4, 2), data, backend=backend, epochs=1, dtype="float64")
    assert np.isfinite(wide.predict_proba([[1e39, 1.0]])).all()


def test_u8_estimators_say_it_too():
    forest = fit(RandomForestClassifier(3), rows())
    with pytest.raises(InputError, match="RandomForestClassifier must accept the rows"):
        forest.predict_proba([[1e39, 1.0]])


# u9: what embeddings read


@pytest.mark.parametrize(
    "layers, inputs",
    [
        ((Embedding(5, 2), Flatten(), Dense(6, 2)), 3),
        ((Reshape((3, 1)), Flatten(), Embedding(5, 2), Flatten(), Dense(6, 2)), 3),
        ((Parallel(((), ())), Embedding(5, 2), Flatten(), Dense(12, 2)), 3),
        (
            (
                Parallel(((Columns((2,)),), (Columns((0, 1)), Reshape((2,))))),
                Embedding(5, 2),
                Flatten(),
                Dense(6, 2),
            ),
            3,
        ),
        ((Reshape((3, 1, 1)), MaxPool2D(1), Flatten(), Embedding(5, 1), Flatten(), Dense(3, 2)), 3),
    ],
)
def test_u9_a_number_that_an_embedding_lacks_is_named_wherever_it_comes_from(
    backend, layers, inputs
):
    spec = Spec(layers, inputs)
    assert spec.vocabularies() == {0: 5, 1: 5, 2: 5}
    X = np.array([[0, 1, 2], [3, 4, 0], [1, 1, 7]])
    with pytest.raises(InputError, match=r"Column 2 must hold whole numbers from 0 to 4.*7 in row"):
        fit(spec, from_arrays(X, [0, 1, 1]), backend=backend, epochs=1)
    model = fit(spec, from_arrays(X[:2], [0, 1]), backend=backend, epochs=1)
    with pytest.raises(InputError, match="Column 'c' must hold whole numbers"):
        model.predict(pd.DataFrame(X, columns=["a", "b", "c"]))


def test_u9_the_smallest_of_two_tables_counts_and_computed_values_are_no_numbers_of_rows():
    two = Parallel(((Columns((0,)), Embedding(3, 2)), (Columns((0,)), Embedding(9, 2))))
    for branches in (two.branches, two.branches[::-1]):
        spec = Spec((Parallel(branches), Flatten(), Dense(4, 2)), 1)
        assert spec.vocabularies() == {0: 3}
    with pytest.raises(InputError, match="columns of X as they are"):
        Spec((Dense(2, 2), Embedding(5, 2), Flatten(), Dense(4, 2)))


# u10


def test_u10_the_proposed_batch_size_is_taken():
    network = Spec((Dense(2, 2, bias=False), BatchNorm(2), Dense(2, 2)))
    for n, size in [(7, 3), (3, 2), (65, 64), (9, 8), (5, 1), (10**6 + 1, 10**6)]:
        with pytest.raises(InputError) as caught:
            check_last_batch(network, n, size)
        check_last_batch(network, n, int(str(caught.value).rpartition("batch_size=")[2]))
    with pytest.raises(InputError, match="take more rows"):
        check_last_batch(network, 1, 64)


def test_u10_the_seed_reaches_estimators_inside_others():
    data = rows(200)
    model = make_pipeline(StandardScaler(), RandomForestClassifier(3))
    one, two = (fit(model, data, seed=5) for _ in range(2))
    assert np.array_equal(one.predict_proba(data.X), two.predict_proba(data.X))
    assert one.estimator[-1].random_state == 5 and model[-1].random_state is None
    kept = fit(make_pipeline(RandomForestClassifier(3, random_state=9)), data, seed=5)
    assert kept.estimator[-1].random_state == 9
    fit(RandomForestClassifier(3), data, seed=2**40)


def test_u10_many_networks_bring_no_warning_of_tracing(frameworks, caplog):
    if "tensorflow" not in frameworks:
        pytest.skip("TensorFlow is not here")
    data = rows(12)
    with caplog.at_level(logging.WARNING, logger="tensorflow"):
        for width in range(3, 11):
            fit(mlp(2, width, 2), data, backend="tensorflow", epochs=1)
    assert "retracing" not in caplog.text


def test_u10_fusing_keeps_the_dropout_masks(frameworks):
    if "tensorflow" not in frameworks:
        pytest.skip("TensorFlow is not here")
    runs = [
        fit(
            mlp(2, 16, 2, dropout=0.5),
            rows(40),
            backend="tensorflow",
            dtype="float64",
            epochs=3,
            batch_size=7,
            options=Options(fuse=fuse),
        ).weights
        for fuse in (True, False)
    ]
    assert all(np.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*runs, strict=True))


# s8: whole numbers that floats of 32 bits can't tell apart

SECONDS = 1_700_000_000 + np.arange(2000)


def test_s8_rows_that_differ_stay_different_in_checks():
    y = np.arange(1000) % 2
    train = from_arrays(SECONDS[:1000, None], y, ids=np.arange(1000))
    other = from_arrays(SECONDS[1000:, None], y, ids=np.arange(1000, 2000))
    assert len(np.unique(train.X)) == 1000 and train.X.dtype == np.float64
    assert len(leakage(train, other)) == 0
    again = from_arrays(SECONDS[:1000, None].astype(float), y, ids=np.arange(1000, 2000))
    assert (leakage(train, again)["check"] == "content").sum() == 1000
    mixed = pd.DataFrame({"t": SECONDS[:4], "x": np.float32([1, 2, 3, 4])})
    assert len(np.unique(from_arrays(mixed, [0, 1, 0, 1]).X[:, 0])) == 4


def test_s8_what_float64_merges_is_refused():
    for X in ([[2**53], [2**53 + 1]], pd.DataFrame({"id": [2**53, 2**53 + 1], "x": [0.5, 1.5]})):
        with pytest.raises(InputError, match=r"whole numbers that float64.* ids"):
            from_arrays(X, [0, 1])
    assert from_arrays([[2**53], [2**60]], [0, 1]).X.tolist() == [[2.0**53], [2.0**60]]


def test_s8_training_says_what_it_rounds(backend, tmp_path):
    y = np.arange(2000) % 2
    data = from_arrays(np.c_[SECONDS, np.arange(2000)], y)
    run = {"backend": backend, "epochs": 1}
    model = fit(mlp(2, 2), data, **run)
    assert len(model.notes) == 1 and "column 0: of 2,000 different values it tells 17" in repr(
        model
    )
    save_model(model, tmp_path / "m")
    assert load_model(tmp_path / "m").notes == model.notes
    for fine in (data.take(slice(None)), from_arrays(rows().X, rows().y)):
        dtype = "float64" if fine.X.max() > 1e9 else "float32"
        assert fit(mlp(2, 2), fine, dtype=dtype, **run).notes == ()
    near = from_arrays(1e5 + np.arange(2000)[:, None] * 1e-4, y)
    assert "column 0" in fit(mlp(1, 2), near, **run).notes[0]
    target = from_arrays(rows(2000).X, SECONDS, classes=0)
    assert "column 'y'" in fit(mlp(2, 1), target, loss="mse", optimizer=STILL, **run).notes[0]
    wrapped = NetworkClassifier(epochs=1, backend=backend).fit(data.X, y)
    assert wrapped.notes == model.notes
    of_file = fit(mlp(2, 2), streamed(Dataset("d", np.c_[SECONDS, y], y, y, 2), tmp_path), **run)
    assert "'x0'" in of_file.notes[0] and "1,700,000,000" in of_file.notes[0]


def test_s8_targets_keep_their_digits():
    data = from_arrays([[0.0], [1.0]], [2**24 + 1, 2**30 + 1], classes=0)
    assert data.y.tolist() == [2**24 + 1, 2**30 + 1]


def test_s8_trees_say_it_and_others_need_not():
    data = from_arrays(SECONDS[:, None], np.arange(2000) % 2)
    assert "of 2,000" in fit(RandomForestClassifier(2), data).notes[0]
    assert fit(make_pipeline(StandardScaler(), LogisticRegression()), data).notes == ()


# s11: what lies under a mask

MASKED = np.ma.masked_equal(np.array([[1.0, 2.0], [-999.0, 4.0], [5.0, 6.0], [0.0, 1.0]]), -999.0)


def test_s11_masked_values_are_refused_at_every_door(backend):
    plain, y = MASKED.filled(0.0), np.array([0, 1, 0, 1])
    masked_y = np.ma.masked_array(y, [0, 0, 1, 0])
    data = from_arrays(plain, y)
    model = fit(mlp(2, 2), data, backend=backend, epochs=1)
    forest = fit(RandomForestClassifier(2), data)
    classifier = NetworkClassifier(epochs=1, backend=backend)
    prepared = Prepared(LogisticRegression(), [StandardScaler()])
    fitted = [one.fit(plain, y) for one in (NetworkClassifier(epochs=1), prepared)]
    careless = Dataset("careless", MASKED, y, np.arange(4), 2)
    careless_y = Dataset("careless", plain, masked_y, np.arange(4), 2)
    doors = [
        lambda: from_arrays(MASKED, y),
        lambda: from_arrays(list(MASKED), y),
        lambda: from_arrays(plain, masked_y),
        lambda: from_arrays(plain, masked_y.astype(float), classes=0),
        lambda: from_arrays(plain, y, ids=masked_y),
        lambda: fit(mlp(2, 2), careless, backend=backend),
        lambda: fit(mlp(2, 2), careless_y, backend=backend),
        lambda: fit(mlp(2, 2), data, validation=careless, backend=backend),
        lambda: fit(mlp(2, 2), data, weights=[MASKED[:2], np.zeros(2)], backend=backend),
        lambda: fit(LogisticRegression(), careless),
        lambda: model.predict(MASKED),
        lambda: model.predict_proba(MASKED),
        lambda: forest.predict(MASKED),
        lambda: evaluate(model, careless),
        lambda: evaluate(model, careless_y),
        lambda: classifier.fit(MASKED, y),
        lambda: classifier.fit(plain, masked_y),
        lambda: NetworkRegressor(epochs=1).fit(plain, masked_y.astype(float)),
        lambda: fitted[0].predict(MASKED),
        lambda: fitted[0].score(MASKED, y),
        lambda: prepared.fit(MASKED, y),
        lambda: prepared.fit(plain, masked_y),
        lambda: fitted[1].predict_proba(MASKED),
        lambda: align_probabilities(MASKED, [0, 1], 2),
        lambda: check_probabilities(MASKED, 4),
        lambda: fit_distributed(mlp(2, 2), careless, Training(backend=backend)),
    ]
    for door in doors:
        with pytest.raises(InputError, match="under a mask"):
            door()


def test_s11_a_mask_that_hides_nothing_changes_nothing():
    assert np.array_equal(check_features(np.ma.masked_array(np.eye(2))), np.eye(2))


# r7, r11: numbers of all kinds, and how messages show them


@pytest.mark.parametrize(
    "column",
    [
        pd.array([1, 2, 3, 4], dtype="Int64"),
        pd.array([1, 2, 3, 4], dtype="UInt8"),
        pd.array([1, 2, 3, 4], dtype="Float32"),
        pd.array([1, 2, 3, 4], dtype="int64[pyarrow]"),
        pd.array([1, 2, 3, 4], dtype="double[pyarrow]"),
        pd.array([1, 2, 3, 4], dtype=pd.ArrowDtype(pa.decimal128(6, 2))),
        pd.arrays.SparseArray([1, 2, 3, 4]),
        pd.Series([1, 2, 3, 4], dtype=object),
        np.array([1, 2, 3, 4], dtype=">i4"),
        np.array([1, 2, 3, 4], dtype="float16"),
        np.array([1, 2, 3, 4], dtype="longdouble"),
    ],
    ids=str,
)
def test_r7_numbers_of_every_type_are_the_same_numbers(column, backend):
    frame = pd.DataFrame({"a": column, "new": pd.array([True, False, True, False], "boolean")})
    expected = [[1.0, 1.0], [2.0, 0.0], [3.0, 1.0], [4.0, 0.0]]
    data = from_arrays(frame, pd.Series([0, 1, 0, 1], dtype="Int64"))
    assert data.X.tolist() == expected and data.y.tolist() == [0, 1, 0, 1]
    model = fit(mlp(2, 2), data, backend=backend, epochs=1)
    assert np.array_equal(model.predict(frame), model.predict(np.array(expected)))
    assert fit(LogisticRegression(), data).predict(frame).shape == (4,)


def test_r7_gaps_and_other_types_are_named_by_their_column():
    for gap in (pd.array([1, None], "Int64"), pd.array([1.5, None], "double[pyarrow]")):
        with pytest.raises(InputError, match="row 1, column 'a'"):
            from_arrays(pd.DataFrame({"b": [1, 2], "a": gap}), [0, 1])
    for other in (["x", "y"], pd.Categorical([4, 6]), pd.to_datetime(["2024-01-01"] * 2)):
        with pytest.raises(InputError, match="numeric.*column 'a'.*encode"):
            from_arrays(pd.DataFrame({"b": [1, 2], "a": other}), [0, 1])


def test_r11_messages_show_the_number():
    assert short_repr(np.int64(0)) == "0" and short_repr(np.float32(0.5)) == "0.5"
    assert short_repr(np.array(7)) == "array(7)" and "2024" in short_repr(np.datetime64("2024"))
    with pytest.raises(InputError, match=r"Received: 0\."):
        check_int(np.int64(0), "epochs")
    with pytest.raises(InputError, match=r"Received: nan"):
        Adam(np.float64("nan"))
    with pytest.raises(InputError, match=r"finite number"):
        Adam(10**400)


# Odd shapes and types, against a loop by hand


@pytest.mark.parametrize("kind", ["uint8", "bool", "float16", "float64", "int64", ">f8"])
def test_arrays_of_every_make_train_to_the_same_weights(kind, backend):
    X = np.random.default_rng(0).integers(0, 2, size=(20, 2))
    y = X[:, 0].copy()
    plain = fit(mlp(2, 4, 2), from_arrays(X.astype("float32"), y), backend=backend, epochs=2)
    frozen = np.asfortranarray(X.astype(kind))
    frozen.setflags(write=False)
    for given in (frozen, frozen[::-1][::-1], np.repeat(frozen, 2, axis=0)[::2]):
        model = fit(mlp(2, 4, 2), from_arrays(given, y[:, None][:, 0]), backend=backend, epochs=2)
        pairs = zip(model.weights, plain.weights, strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
    backwards = fit(
        mlp(2, 2), from_arrays(X.astype(kind)[::-1], y[::-1]), backend=backend, epochs=1
    )
    assert backwards.predict(X[::-1].astype(kind)).shape == (20,)


def test_targets_of_one_column_and_huge_seeds(backend):
    X = np.arange(6.0)[:, None]
    flat, column = (from_arrays(X, y, classes=0) for y in (X[:, 0], X))
    runs = [fit(mlp(1, 1), one, backend=backend, loss="mse", epochs=2) for one in (flat, column)]
    assert np.array_equal(runs[0].weights[0], runs[1].weights[0])
    with pytest.raises(InputError, match=r"y\.ravel\(\)"):
        from_arrays(X, np.arange(6)[:, None] % 2)
    fit(mlp(1, 3, 1, dropout=0.5), flat, backend=backend, loss="mse", epochs=1, seed=2**62)


def test_a_stream_of_one_class_is_refused_as_rows_in_memory_are(backend, tmp_path):
    X = np.random.default_rng(0).normal(size=(20, 2)).astype("float32")
    batches = streamed(from_arrays(X, np.ones(20, int), classes=2), tmp_path, batch_size=8)
    with pytest.raises(InputError, match="at least two classes"):
        fit(mlp(2, 2), batches, backend=backend, epochs=1)


def test_a_last_batch_of_one_row_in_a_file_is_refused_before_training(backend, tmp_path):
    batches = streamed(rows(17), tmp_path, batch_size=8)
    network = Spec((Dense(2, 2, bias=False), BatchNorm(2), Dense(2, 2)))
    with pytest.raises(InputError, match="17 rows in batches of 8.*batch_size=7"):
        fit(network, batches, backend=backend)


def test_estimators_that_cannot_say_why_in_the_kits_words():
    from sklearn.neighbors import KNeighborsClassifier

    model = fit(KNeighborsClassifier(2), rows(10))
    with pytest.raises(InputError, match="KNeighborsClassifier must accept"):
        model.predict(np.zeros((2, 3)))
    with pytest.raises(InputError, match="KNeighborsClassifier must accept"):
        fit(KNeighborsClassifier(20), rows(10))


def test_dropout_is_imported_for_specs_alone():
    assert Spec((Dense(2, 2), Dropout(0), ReLU(), Dense(2, 2))) == Spec(
        (Dense(2, 2), Dropout(0.0), ReLU(), Dense(2, 2))
    )
