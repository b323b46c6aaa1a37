"""scikit-learn's interface: its own checks over everything of ours that fits, and its tools on real
data."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

from bigdata_ai.core import InputError
from bigdata_ai.data.catalog import load, load_table
from bigdata_ai.data.prepare.cleaning_rules import Cleaner, Duplicates, Missing, Outliers, Range
from bigdata_ai.data.prepare.features import Encoder, OneHot, Scale
from bigdata_ai.data.split import split
from bigdata_ai.evaluation import evaluate
from bigdata_ai.train.prepared import Prepared
from bigdata_ai.train.spec.network import mlp
from bigdata_ai.train.spec.optimizers import Adam
from bigdata_ai.train.wrappers import NetworkClassifier, NetworkRegressor

CLEANER = Cleaner([Outliers("x0", "quantile"), Missing("x0", flag=True)])
ENCODER = Encoder([Scale("x0"), OneHot("x0", top=3)])
STEPS = [Cleaner([Missing("x0")]), StandardScaler()]
# 64 bits, so that a row's prediction does not depend on its batch beyond scikit-learn's tolerance
NETWORK = {"epochs": 30, "batch_size": 32, "dtype": "float64", "optimizer": Adam(0.02)}
BY_NAME = "rules take columns by name: their order does not matter, nor do others"

CHECKED = {
    "cleaner": (CLEANER, {"check_dataframe_column_names_consistency": BY_NAME}),
    "encoder": (ENCODER, {"check_dataframe_column_names_consistency": BY_NAME}),
    "prepared": (
        Prepared(LogisticRegression(), STEPS),
        {"check_dataframe_column_names_consistency": BY_NAME},
    ),
    "prepared regressor": (
        Prepared(LinearRegression(), STEPS),
        {"check_dataframe_column_names_consistency": BY_NAME},
    ),
    "classifier": (NetworkClassifier(**NETWORK), {}),
    "regressor": (NetworkRegressor(**NETWORK), {}),
}


@pytest.mark.parametrize("name", CHECKED)
def test_scikit_learns_checks_pass(name):
    estimator, known = CHECKED[name]
    results = check_estimator(estimator, expected_failed_checks=known, on_fail=None)
    failed = {r["check_name"]: repr(r["exception"]) for r in results if r["status"] == "failed"}
    assert failed == {} and len(known) <= 5
    assert sum(r["status"] == "passed" for r in results) >= 30
