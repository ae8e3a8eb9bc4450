import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, ErrorCode, SchemaError, TrainingError, UsageError

pytest.importorskip("skl2onnx")
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

FEATURES = ["area", "rooms", "town", "new"]


def columns() -> ColumnTransformer:
    return ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), ["area", "rooms"]),
            ("towns", OneHotEncoder(handle_unknown="ignore"), ["town"]),
            ("rest", "passthrough", ["new"]),
        ]
    )


def test_a_pipeline_over_named_columns_is_a_model_of_the_table(houses, bring):
    table = houses.select(FEATURES)
    pipeline = make_pipeline(columns(), Ridge()).fit(table, houses["price"])
    result, mine = bring(pipeline, sample=table, target="price")
    assert result.report["largest"] <= 1e-6
    assert [(c.name, c.dtype) for c in mine.manifest.inputs] == [
        ("area", "float64"),
        ("rooms", "int64"),
        ("town", "string"),
        ("new", "bool"),
    ]
    assert mine.predict(table).to_numpy() == pytest.approx(pipeline.predict(table), rel=1e-6)
    assert mine.predict([{"area": None, "rooms": 2, "town": "Atlantis", "new": True}])[0] > 0


@pytest.mark.parametrize(
    "last",
    [
        RandomForestClassifier(10, random_state=0),
        GradientBoostingClassifier(n_estimators=10, random_state=0),
        HistGradientBoostingClassifier(max_iter=10, random_state=0),
        RandomForestRegressor(5, max_depth=8, random_state=0),
        ExtraTreesRegressor(5, max_depth=8, random_state=0),
    ],
    ids=lambda last: type(last).__name__,
)
def test_trees_behind_scalers_and_categories(last, bring):
    """Thresholds lie between rows: a column that is scaled in single precision falls on the other side of many."""
    rng = np.random.default_rng(0)
    table = pl.DataFrame(
        {
            "area": [None if row % 50 == 7 else float(value) for row, value in enumerate(rng.normal(100, 30, 1500))],
            "rooms": rng.integers(1, 6, 1500),
            "town": rng.choice(["Oslo", "Køln", "大阪"], 1500),
            "new": rng.random(1500) < 0.5,
        }
    )
    price = table["area"].fill_null(80).to_numpy() * 3 + 20 * (table["town"] == "Oslo").to_numpy()
    pipeline = make_pipeline(columns(), last)
    pipeline.fit(table, np.digitize(price, [250, 320]) if hasattr(last, "predict_proba") else price)
    result, mine = bring(pipeline, sample=table)
    assert result.report["largest"] <= 1e-6
    unseen = table.with_columns(pl.col("town").replace({"Oslo": "Bergen"}), area=pl.col("area").shuffle(seed=1))
    if hasattr(last, "predict_proba"):
        assert mine.predict_proba(unseen).to_numpy() == pytest.approx(pipeline.predict_proba(unseen), abs=1e-6)
    else:
        assert mine.predict(unseen).to_numpy() == pytest.approx(pipeline.predict(unseen), rel=1e-6)


@pytest.mark.parametrize("target", ["texts", "booleans"])
def test_classes_keep_their_labels(target, houses, bring):
    dear = houses["price"].to_numpy() > 320
    truth = np.where(dear, "dear", "cheap") if target == "texts" else dear
    table = houses.select(FEATURES)
    pipeline = make_pipeline(columns(), LogisticRegression()).fit(table, truth)
    _, mine = bring(pipeline, sample=table)
    assert mine.labels == (("cheap", "dear") if target == "texts" else (False, True))
    assert mine.predict(table).to_list() == pipeline.predict(table).tolist()
    assert mine.predict_proba(table).to_numpy() == pytest.approx(pipeline.predict_proba(table), abs=1e-6)


def test_which_numbers_are_missing_is_a_column_too(bring):
    rows = np.random.default_rng(0).normal(size=(200, 3))
    rows[::7, 1] = np.nan
    model = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True), RandomForestClassifier(5, random_state=0)
    )
    model.fit(rows, np.isnan(rows[:, 1]) ^ (rows[:, 0] > 0))
    _, mine = bring(model, sample=rows)
    assert mine.predict_proba(rows) == pytest.approx(model.predict_proba(rows), abs=1e-6)


def test_labels_can_be_given(bring):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    model = RandomForestClassifier(3, max_depth=3, n_jobs=1).fit(rows, np.digitize(rows[:, 0], [-0.5, 0.5]))
    _, mine = bring(model, labels=("low", "middle", "high"))
    told = np.array(["low", "middle", "high"])[model.predict(rows)]
    assert mine.predict(rows).tolist() == told.tolist()


def test_without_a_sample_rows_of_numbers_are_made(bring):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    result, mine = bring(LinearRegression().fit(rows, rows[:, 0]))
    assert result.report["sample"] == "made"
    assert result.report["largest"] <= 1e-12  # in double
    assert mine.inputs.names == ("x0", "x1", "x2")
    _, clusters = bring(KMeans(2, n_init=1).fit(rows))
    assert clusters.task.name == "clustering"


def test_what_cannot_come_is_said(houses, bring):
    rows = np.random.default_rng(0).normal(size=(40, 3))
    target = rows[:, 0] > 0
    for model, words in (
        (LinearSVC().fit(rows, target), "no probabilities"),
        (make_pipeline(FunctionTransformer(np.abs), LinearRegression()).fit(rows, rows[:, 0]), "FunctionTransformer"),
        (StandardScaler().fit(rows), "no classifier"),
        (DBSCAN().fit(rows), "no classifier"),
        (LinearRegression().fit(rows, rows[:, :2]), "2 numbers a row"),
    ):
        with pytest.raises(DataError, match=words) as raised:
            bring(model)
        assert raised.value.code == ErrorCode.NO_GRAPH_FORM
    with pytest.raises(TrainingError, match="not fitted"):
        bring(LinearRegression())
    with pytest.raises(UsageError, match="got no sample"):
        bring(make_pipeline(columns(), Ridge()).fit(houses.select(FEATURES), houses["price"]))


def test_bad_samples_are_refused(bring):
    rows = np.random.default_rng(0).normal(size=(40, 2))
    table = pl.DataFrame({"a": rows[:, 0], "b": rows[:, 1]})
    model = LinearRegression().fit(table, rows[:, 0])
    for sample, kind, words in (
        (table.select("a"), SchemaError, "lacks columns of the model: 'b'"),
        (table.head(0), DataError, "no rows"),
        (rows[:, :1], SchemaError, "shape"),
        (table.with_columns(pl.lit("x").alias("b")), DataError, "refuses the sample"),
        (table.with_columns(pl.lit(None, dtype=pl.Date).alias("b")), DataError, "of the type"),
        (7, UsageError, "no table"),
    ):
        with pytest.raises(kind, match=words):
            bring(model, sample=sample)
