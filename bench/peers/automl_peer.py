"""One training of one system in its own environment: reads tables, writes answers. Run by bench/automl.py."""

import json
import pickle
import re
import resource
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd


def folder_size(folder):
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def autogluon(train, target, task, within, seed, folder, preset, strategy):
    from autogluon.tabular import TabularPredictor

    metric = "root_mean_squared_error" if task == "regression" else "log_loss"
    path = Path(folder) / "predictor"  # must not be there
    predictor = TabularPredictor(target, problem_type=task, eval_metric=metric, path=str(path), verbosity=0)
    options = {"ag_args_ensemble": {"fold_fitting_strategy": strategy}} if strategy else {}
    predictor.fit(train, presets=preset, time_limit=within, num_cpus=2, **options)
    predictor.save_space()
    if task == "regression":
        return lambda rows: predictor.predict(rows).to_numpy(), None, lambda: folder_size(folder)
    labels = predictor.class_labels
    return lambda rows: predictor.predict_proba(rows)[labels].to_numpy(), labels, lambda: folder_size(folder)


def flaml(train, target, task, within, seed, folder):
    from flaml import AutoML

    learner = AutoML()
    features = train.drop(columns=[target])
    wanted = "regression" if task == "regression" else "classification"
    metric = "rmse" if task == "regression" else "log_loss"
    learner.fit(features, train[target], task=wanted, metric=metric, time_budget=within, seed=seed, n_jobs=2, verbose=0)
    file = Path(folder) / "flaml.pkl"
    with file.open("wb") as handle:
        pickle.dump(learner, handle)
    answers = learner.predict if task == "regression" else learner.predict_proba
    labels = None if task == "regression" else list(learner.classes_)
    return answers, labels, file.stat().st_size.__int__


def date_columns(table):
    """Columns of texts that are dates."""
    texts = [c for c in table.columns if not pd.api.types.is_numeric_dtype(table[c])]
    return [c for c in texts if pd.to_datetime(table[c], errors="coerce", format="ISO8601").notna().mean() > 0.9]


def without_dates(table, columns):
    """Dates as numbers that trees can use: what a person who tunes LightGBM by hand would make of them."""
    for column in columns:
        dates = pd.to_datetime(table[column], errors="coerce", format="ISO8601").dt
        parts = {part: getattr(dates, part) for part in ("year", "month", "day", "dayofweek", "hour")}
        table = table.drop(columns=[column]).assign(**{f"{column} {part}": of for part, of in parts.items()})
    return table


def optuna(train, target, task, within, seed, folder):
    import lightgbm
    import optuna
    from sklearn.model_selection import KFold, StratifiedKFold

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    start = time.monotonic()
    features = train.drop(columns=[target])
    dates = date_columns(features)
    features = without_dates(features, dates)
    kinds = {c: features[c].astype("category").dtype for c in features.columns if features[c].dtype == object}
    labels = None if task == "regression" else sorted(train[target].unique().tolist())
    y = train[target] if labels is None else train[target].map({label: i for i, label in enumerate(labels)})
    fixed = {"objective": task, "verbosity": -1, "seed": seed, "num_threads": 2, "bagging_freq": 1}
    if task == "multiclass":
        fixed["num_class"] = len(labels)
    splitter = KFold if labels is None else StratifiedKFold
    splits = list(splitter(5, shuffle=True, random_state=seed).split(features, y))
    x = features.astype(kinds)

    def objective(trial):
        parameters = fixed | {
            "num_leaves": trial.suggest_int("num_leaves", 4, 255, log=True),
            "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
            "min_data_in_leaf": trial.suggest_int("min_data_in_leaf", 2, 100, log=True),
            "feature_fraction": trial.suggest_float("feature_fraction", 0.4, 1.0),
            "bagging_fraction": trial.suggest_float("bagging_fraction", 0.5, 1.0),
            "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
            "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
        }
        losses, rounds = [], []
        for learned, held in splits:
            if time.monotonic() - start > 0.85 * within:
                trial.study.stop()
                raise optuna.TrialPruned
            data = lightgbm.Dataset(x.iloc[learned], y.iloc[learned])
            valid = lightgbm.Dataset(x.iloc[held], y.iloc[held], reference=data)
            callbacks = [lightgbm.early_stopping(50, verbose=False)]
            booster = lightgbm.train(parameters, data, 2000, valid_sets=[valid], callbacks=callbacks)
            losses.append(next(iter(booster.best_score["valid_0"].values())))
            rounds.append(booster.best_iteration)
        trial.set_user_attr("rounds", int(np.median(rounds)))
        return float(np.mean(losses))

    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.optimize(objective, n_trials=30)
    best = fixed | study.best_trial.params
    booster = lightgbm.train(best, lightgbm.Dataset(x, y), study.best_trial.user_attrs["rounds"])
    file = Path(folder) / "lightgbm.txt"
    booster.save_model(file)

    def answers(rows):
        given = booster.predict(without_dates(rows, dates).astype(kinds))
        return np.column_stack([1 - given, given]) if task == "binary" else given

    return answers, labels, file.stat().st_size.__int__


def own_peak():
    """kB; `getrusage` of a process that was started by another one begins with what that one had."""
    told = Path("/proc/self/status").read_text("ascii")
    return int(re.search(r"VmHWM:\s+(\d+)", told)[1])


SYSTEMS = {
    "autogluon-best": lambda *call: autogluon(*call, "best_quality", None),
    "autogluon-best-sequential": lambda *call: autogluon(*call, "best_quality", "sequential_local"),
    "autogluon-good": lambda *call: autogluon(*call, "good_quality", None),
    "flaml": flaml,
    "lightgbm-optuna": optuna,
}


def main():
    call = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    folder = Path(call["folder"])
    text = dict.fromkeys(call["texts"], str)
    train, test = (
        pd.read_csv(folder / f"{part}.csv", dtype=text, keep_default_na=False, na_values=[""])
        for part in ("train", "test")
    )
    for name in call["texts"]:
        train[name], test[name] = train[name].astype(object), test[name].astype(object)
    (folder / "model").mkdir()
    start = time.monotonic()
    answers, labels, size = SYSTEMS[call["system"]](
        train, call["target"], call["task"], call["within"], call["seed"], folder / "model"
    )
    seconds = time.monotonic() - start
    features = test.drop(columns=[call["target"]])
    given = np.asarray(answers(features), dtype=float)
    one, times = features.iloc[:1], []
    for _ in range(30):
        begin = time.perf_counter()
        answers(one)
        times.append(time.perf_counter() - begin)
    np.save(folder / "answers.npy", given)
    usage = max(own_peak(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
    facts = {
        "seconds": seconds,
        "bytes": size(),
        "predict_us": float(np.median(times[5:])) * 1e6,
        "peak_mb": usage / 1000,
        "labels": None if labels is None else [str(label) for label in labels],
    }
    (folder / "facts.json").write_text(json.dumps(facts), "utf-8")


main()
