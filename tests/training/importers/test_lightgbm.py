import numpy as np
import pytest

from lepton.core import DataError, ErrorCode, LeptonError, TrainingError, UsageError

lightgbm = pytest.importorskip("lightgbm")


def test_a_classifier_with_a_category_answers_as_it_did(boosted, bring):
    model, table = boosted
    result, mine = bring(model, sample=table, target="dear")
    assert result.report["largest"] <= 1e-12
    assert result.report["sample"] == "given"
    assert mine.labels == ("cheap", "dear")
    assert [(c.name, str(c.kind)) for c in mine.manifest.inputs] == [
        ("area", "number"),
        ("rooms", "number"),
        ("town", "category"),
    ]
    assert np.abs(mine.predict_proba(table).to_numpy() - model.predict_proba(table)).max() <= 1e-12
    assert mine.predict(table).tolist() == model.predict(table).tolist()
    assert mine.bundle.member("training/kind") == b"lightgbm"
    assert mine.bundle.manifest.target.name == "dear"


def test_its_file_is_the_same_model_and_a_sample_is_made_at_its_thresholds(boosted, bring, tmp_path):
    model, _ = boosted
    path = tmp_path / "model.txt"
    model.booster_.save_model(str(path))
    result, mine = bring(path, labels=("no", "yes"))
    assert result.report["sample"] == "made"
    assert result.report["largest"] <= 1e-12
    assert mine.bundle.manifest.name == "model"
    unseen = [{"area": None, "rooms": 3, "town": "Atlantis"}, {"area": np.inf, "rooms": None, "town": None}]
    told = model.booster_.predict(np.array([[np.nan, 3, np.nan], [np.inf, np.nan, np.nan]]))
    assert [row["yes"] for row in mine.predict_proba(unseen)] == pytest.approx(told, abs=1e-12)


@pytest.mark.slow
def test_a_file_that_breaks_lightgbms_reader_does_not_end_this_process(boosted, bring, tmp_path):
    text = boosted[0].booster_.model_to_string()
    path = tmp_path / "model.txt"
    path.write_text(text)
    result, _ = bring(path)
    assert result.report["largest"] <= 1e-12
    path.write_text(text.replace("tree_sizes=", "tree_sizes=99999999 "))
    with pytest.raises(DataError):
        bring(path)


@pytest.mark.parametrize("objective", ["regression", "poisson", "multiclassova", "lambdarank", "sqrt", "rf"])
def test_objectives(objective, bring):
    rng = np.random.default_rng(1)
    rows, target = rng.normal(size=(80, 2)), rng.integers(0, 3, 80)
    parameters = {"objective": objective, "verbosity": -1, "num_leaves": 4, "num_threads": 1, "min_data_in_leaf": 5}
    if objective == "multiclassova":
        parameters["num_class"] = 3
    if objective == "sqrt":
        parameters |= {"objective": "regression", "reg_sqrt": True}
    if objective == "rf":
        parameters |= {"objective": "regression", "boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}
    group = [40, 40] if objective == "lambdarank" else None
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, target, group=group, params=parameters), 3)
    result, mine = bring(booster)
    assert result.report["largest"] <= 1e-12
    told = booster.predict(rows)
    found = mine.run({"numbers": rows})
    if objective == "multiclassova":
        assert found["probabilities"] == pytest.approx(told / told.sum(axis=1, keepdims=True), abs=1e-12)
    else:
        assert found["score" if objective == "lambdarank" else "prediction"] == pytest.approx(told, rel=1e-12)


def test_what_cannot_come_is_said(boosted, bring, tmp_path):
    model, _ = boosted
    text = model.booster_.model_to_string()
    with pytest.raises(TrainingError, match="not fitted"):
        bring(lightgbm.LGBMRegressor())
    with pytest.raises(UsageError, match="got 3 labels"):
        bring(model, labels=("a", "b", "c"))
    path = tmp_path / "odd.txt"
    path.write_text(text.replace("objective=binary sigmoid:1", "objective=custom"))
    with pytest.raises(DataError, match="'custom'") as raised:
        bring(path)
    assert raised.value.code == ErrorCode.NO_GRAPH_FORM


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("end of trees", "end"),
        ("left_child=", "left_child=9999 "),
        ("split_feature=", "split_feature=77 "),
        ("leaf_value=", "leaf_value=x "),
        ("feature_names=", "names="),
        ("threshold=", "threshold=nan "),
    ],
)
def test_a_damaged_file_is_refused(old, new, boosted, bring, tmp_path):
    path = tmp_path / "model.txt"
    path.write_text(boosted[0].booster_.model_to_string().replace(old, new))
    with pytest.raises(LeptonError) as raised:
        bring(path)
    assert raised.value.code in {ErrorCode.UNREADABLE, ErrorCode.BAD_NAME}
    assert not (tmp_path / "mine.lepton").exists()


def test_no_node_stands_for_a_column_that_no_tree_reads(bring, operators_read, many_columns):
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(80, 12))
    parameters = {"objective": "regression", "verbosity": -1, "num_leaves": 4, "num_threads": 1, "min_data_in_leaf": 5}
    booster = lightgbm.train(parameters, lightgbm.Dataset(rows, rows[:, 3], params=parameters), 2)
    _, mine = bring(booster, sample=rows)
    assert [each for each in operators_read(mine) if each != "Identity"] == ["TreeEnsemble", "Reshape"]
    assert len(mine.inputs.numbers) == 12
    assert mine.run({"numbers": rows})["prediction"].tolist() == booster.predict(rows).tolist()

    table, target = many_columns
    model = lightgbm.LGBMRegressor(n_estimators=3, num_leaves=6, min_data_in_leaf=5, verbosity=-1, n_jobs=1)
    model.fit(table, target)
    _, mine = bring(model, sample=table)
    told = operators_read(mine)
    # Of numbers those that are no categories, and `level`; of texts `kind` alone.
    assert [told.count(each) for each in ("Gather", "LabelEncoder", "Concat", "TreeEnsemble")] == [3, 2, 1, 1]
    assert mine.manifest.inner == {"features": "features", "raw": "raw"}
    assert [column.name for column in mine.manifest.inputs] == list(table.columns)
    assert mine.predict(table).tolist() == model.predict(table).tolist()
