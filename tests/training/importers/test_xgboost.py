import json
import warnings

import numpy as np
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, TrainingError

xgboost = pytest.importorskip("xgboost")


@pytest.fixture(scope="module")
def fitted(houses):
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({name: houses[name].to_list() for name in ("area", "rooms", "town")})
    table["town"] = table["town"].map({"Oslo": "Oslo", "Køln": "Koeln", "大阪": "Osaka"}).astype("category")
    level = np.digitize(houses["price"].to_numpy(), [280, 340])
    model = xgboost.XGBClassifier(n_estimators=3, max_depth=3, enable_categorical=True, max_cat_to_onehot=1, n_jobs=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(table, level), table


@pytest.mark.parametrize("form", ["object", "json", "ubj"])
def test_a_classifier_with_a_category_answers_as_it_did(form, fitted, bring, tmp_path):
    model, table = fitted
    given = model
    if form != "object":
        given = tmp_path / f"model.{form}"
        model.save_model(given)
    result, mine = bring(given, sample=table if form == "object" else None)
    assert result.report["largest"] <= 1e-6
    assert mine.labels == (0, 1, 2)
    assert np.abs(mine.predict_proba(table).to_numpy() - model.predict_proba(table)).max() <= 1e-6
    assert mine.manifest.inputs[2].kind == "category"


@pytest.mark.parametrize(
    "options",
    [
        {"objective": "reg:absoluteerror"},
        {"objective": "count:poisson"},
        {"booster": "dart", "rate_drop": 0.5},
        {"num_parallel_tree": 2, "subsample": 0.5},
        {"base_score": 7.25},
    ],
    ids=str,
)
def test_numbers(options, bring):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 3))
    rows[rng.random(rows.shape) < 0.1] = np.nan
    model = xgboost.XGBRegressor(n_estimators=3, max_depth=3, n_jobs=1, **options)
    model.fit(rows, np.abs(np.nan_to_num(rows[:, 0])) + 0.1)
    result, mine = bring(model, sample=rows)
    assert result.report["largest"] <= 1e-6
    assert mine.run({"numbers": rows})["prediction"] == pytest.approx(model.predict(rows), rel=1e-5)


def test_early_stopping_counts(bring):
    rng = np.random.default_rng(0)
    rows, target = rng.normal(size=(60, 2)), rng.integers(0, 2, 60)
    model = xgboost.XGBClassifier(n_estimators=9, max_depth=2, early_stopping_rounds=1, n_jobs=1)
    model.fit(rows, target, eval_set=[(rows, 1 - target)], verbose=False)
    assert model.best_iteration < 8
    _, mine = bring(model)
    assert mine.run({"numbers": rows})["probabilities"] == pytest.approx(model.predict_proba(rows), abs=1e-6)


def test_what_cannot_come_is_said(bring, tmp_path, fitted):
    with pytest.raises(TrainingError, match="not fitted"):
        bring(xgboost.XGBRegressor())
    rows = np.random.default_rng(0).normal(size=(20, 2))
    with pytest.raises(DataError, match="gblinear") as raised:
        bring(xgboost.XGBRegressor(booster="gblinear", n_estimators=2).fit(rows, rows[:, 0]))
    assert raised.value.code == ErrorCode.NO_GRAPH_FORM
    path = tmp_path / "odd.json"
    fitted[0].save_model(path)
    found = json.loads(path.read_text())
    for cut in (
        path.read_bytes()[:2000],
        b'{"learner": {}}',
        b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner",
        b'{"learner":' * 99,
    ):
        path.write_bytes(cut)
        with pytest.raises(LeptonError) as damaged:
            bring(path)
        assert damaged.value.code == ErrorCode.UNREADABLE
    found["learner"]["gradient_booster"]["model"]["trees"][0]["left_children"][0] = 0  # a cycle
    path.write_text(json.dumps(found))
    with pytest.raises(LeptonError) as cyclic:
        bring(path)
    assert cyclic.value.code == ErrorCode.UNREADABLE


def test_no_node_stands_for_a_column_that_no_tree_reads(bring, operators_read, many_columns):
    table, target = many_columns
    model = xgboost.XGBRegressor(n_estimators=3, max_depth=3, enable_categorical=True, n_jobs=1).fit(table, target)
    result, mine = bring(model, sample=table)
    told = operators_read(mine)
    assert [told.count(each) for each in ("Gather", "LabelEncoder", "Concat", "TreeEnsemble")] == [3, 2, 1, 1]
    assert result.report["largest"] <= 1e-6
    numbers = xgboost.XGBRegressor(n_estimators=2, max_depth=2, n_jobs=1).fit(table[["a", "b", "c"]], target)
    _, mine = bring(numbers, sample=table[["a", "b", "c"]])
    assert "Gather" not in operators_read(mine)
