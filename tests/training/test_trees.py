"""The tree writer: what the graph sums is what LightGBM sums, to the last bit, wherever a row may fall."""

import lightgbm
import numpy as np
import onnxruntime
import pytest
from hypothesis import given, strategies as st

from lepton.bundle.build import GraphBuilder
from lepton.training.learners.lightgbm_forest import forest_from_text
from lepton.training.trees import ZERO_THRESHOLD, Forest

NUM_ROWS = 400
CATEGORIES = (3, 4)  # columns; the second has more categories than a word of the bit set


def session(forest: Forest, num_features: int) -> onnxruntime.InferenceSession:
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", num_features])
    builder.output("raw", forest.emit(builder, numbers), "double", ["N", forest.num_targets])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(builder.finish(), options, providers=["CPUExecutionProvider"])


def training_rows(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = np.column_stack(
        [
            rng.normal(size=NUM_ROWS),
            rng.normal(size=NUM_ROWS).round(1),
            rng.choice([0.0, 1e-35, -1e-35, 1e-34, -1e-34, 3e-36, 1.0], NUM_ROWS),
            rng.integers(0, 9, NUM_ROWS),
            rng.integers(0, 90, NUM_ROWS),
        ]
    )
    x[rng.random(x.shape) < 0.1] = np.nan
    x[rng.random(NUM_ROWS) < 0.05, 1] = np.inf
    return x


def booster(objective: str, seed: int, **parameters: object) -> lightgbm.Booster:
    x = training_rows(seed)
    rng = np.random.default_rng(seed)
    signal = np.nan_to_num(x[:, 0]) + (np.nan_to_num(x[:, 3]) % 3) + (np.nan_to_num(x[:, 4]) % 5 > 2)
    signal = signal + np.sign(np.nan_to_num(x[:, 2])) + rng.normal(scale=0.1, size=NUM_ROWS)
    y = {"regression": signal * 1e4, "binary": signal > 1.0, "multiclass": np.digitize(signal, [0.5, 1.5])}[objective]
    settings = {
        "objective": objective,
        "verbose": -1,
        "num_threads": 1,
        "min_data_in_leaf": 5,
        "min_data_per_group": 5,
        "cat_smooth": 1.0,
        "seed": seed,
        "num_class": 3 if objective == "multiclass" else 1,
        **parameters,
    }
    data = lightgbm.Dataset(x, y.astype(np.float64), categorical_feature=list(CATEGORIES))
    return lightgbm.train(settings, data, 15)


def awkward_rows(forest: Forest, seed: int) -> np.ndarray:
    """Rows of values at, one ulp below and one ulp above thresholds, and of every special value there is."""
    rng = np.random.default_rng(seed)
    special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-35, -1e-35, 1e300, -1e300]
    special += [ZERO_THRESHOLD, -ZERO_THRESHOLD, np.nextafter(ZERO_THRESHOLD, 1), np.nextafter(-ZERO_THRESHOLD, -1)]
    columns = []
    for column in range(5):
        if column in CATEGORIES:
            pool = np.array([*range(-3, 100), 1e9, -1e9, *special[:5]])
        else:
            at = forest.thresholds[(forest.features == column) & ~forest.is_set]
            pool = np.concatenate([at, np.nextafter(at, np.inf), np.nextafter(at, -np.inf), special])
        columns.append(np.concatenate([pool, rng.choice(pool, 3000 - len(pool))])[rng.permutation(3000)])
    return np.column_stack(columns)


VARIANTS: dict[str, dict[str, object]] = {
    "plain": {},
    "zero as missing": {"zero_as_missing": True},
    "no missing": {"use_missing": False},
    "dart": {"boosting": "dart"},
    "random forest": {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7},
    "stumps without splits": {"min_data_in_leaf": NUM_ROWS},
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("objective", ["regression", "binary", "multiclass"])
def test_sums_are_equal_to_the_last_bit(objective, variant):
    model = booster(objective, seed=1, **VARIANTS[variant])
    forest = forest_from_text(model.model_to_string())
    rows = awkward_rows(forest, seed=2)
    graph = session(forest, rows.shape[1])
    ours = graph.run(None, {"numbers": rows})[0]
    theirs = model.predict(rows, raw_score=True, num_threads=1).reshape(len(rows), -1)
    assert np.array_equal(ours, theirs)
    one_by_one = np.vstack([graph.run(None, {"numbers": rows[i : i + 1]})[0] for i in range(200)])
    assert np.array_equal(one_by_one, theirs[:200])


@given(seed=st.integers(0, 10_000), objective=st.sampled_from(["regression", "binary", "multiclass"]))
def test_any_forest_is_equal_to_the_last_bit(seed, objective):
    model = booster(objective, seed)
    forest = forest_from_text(model.model_to_string())
    rows = awkward_rows(forest, seed)
    ours = session(forest, rows.shape[1]).run(None, {"numbers": rows})[0]
    assert np.array_equal(ours, model.predict(rows, raw_score=True, num_threads=1).reshape(len(rows), -1))


def test_categories_are_split_by_sets():
    forest = forest_from_text(booster("regression", seed=1).model_to_string())
    assert forest.is_set.any()
    assert forest.set_sizes.max() > 1


def test_linear_leaves_are_refused():
    model = booster("regression", seed=1, linear_tree=True)
    with pytest.raises(Exception, match="linear leaves"):
        forest_from_text(model.model_to_string())
