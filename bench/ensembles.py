"""Would distilling or stacking pay? What decision 0166 rests on.

    python bench/ensembles.py --quick    # credit, houses, adult, bikes; about 8 minutes on one core
    python bench/ensembles.py --full     # and titanic, heart

Distilling: one fold is held out; the teacher is the mean of two LightGBM and an XGBoost of known configurations, the
student LightGBM with 31 leaves. It learns the labels, what the teacher says of rows of its own training ("soft"), what
it says of rows it has not seen ("out of fold"), or the mean of that and the labels ("half"). Stacking: eight models of
known configurations; their weights are chosen without the fold that is scored. Losses are RMSE or log-loss.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lightgbm
import numpy as np
from automl import split
from scipy.optimize import minimize

from lepton.core import Resources, Work
from lepton.data.steps import apply_steps
from lepton.evaluation import metric as metric_named
from lepton.training.automl.greedy import greedy_weights
from lepton.training.learners.forest import RandomForest
from lepton.training.learners.lightgbm import LightGBM
from lepton.training.learners.linear import Linear
from lepton.training.learners.xgboost import XGBoost
from lepton.training.portfolio import Portfolio
from lepton.training.prepared import folds_of, prepare_table

WORK = Work(seed=0, resources=Resources(cpus=1))
QUICK = ("credit", "houses", "adult", "bikes")
FULL = ("titanic", "heart", *QUICK)
STUDENT = {"num_leaves": 31, "lambda_l2": 1.0, "verbosity": -1, "num_threads": 1}


def portfolio_of(name):
    """What is learned of the first split of a table, and the folds to score it in."""
    _, target, learned, _ = split(name, 0)
    table = prepare_table(learned, target, None, WORK)
    problem = table.problem
    return Portfolio(
        problem=problem,
        rows=table.rows,
        folds=folds_of(table, WORK)[0],
        metric=metric_named("rmse" if problem.task == "regression" else "log_loss", problem.task),
        truth=table.target.values if table.target.labels is None else table.target.values.astype(np.int64),
        scale=table.scale,
        groups=None,
        saving_seconds=0.0,
        measure=None,
        work=WORK,
    )


def fitted(problem, learner, configuration, rows, valid):
    return learner(problem, configuration, 1).fit(rows, valid=valid, work=WORK)


def raw_of(problem, learner, configuration, rows, parts):
    """Raw scores of rows by models that did not learn from their part, and the settled configuration."""
    models = [
        fitted(problem, learner, configuration, rows.take(np.flatnonzero(parts != part)), rows.take(own))
        for part in range(parts.max() + 1)
        for own in [np.flatnonzero(parts == part)]
    ]
    settled = learner.settled(configuration, models)
    raw = np.zeros((len(parts), problem.num_scores))
    for part, model in enumerate(models):
        own = np.flatnonzero(parts == part)
        raw[own] = model.limited(settled).raw(rows.take(own).block)
    return raw, settled


# --- distilling -----------------------------------------------------------------------------------------------


def teachers(problem):
    trees, boosted = LightGBM.configurations(problem), XGBoost.configurations(problem)
    return [(LightGBM, trees[2]), (LightGBM, trees[3]), (XGBoost, boosted[0])]


def student_loss(portfolio, held, features, target, rounds, is_soft):
    task = portfolio.problem.task
    objective = "regression" if task == "regression" else "cross_entropy" if is_soft else "binary"
    parameters = {**STUDENT, "objective": objective, "learning_rate": min(0.3, 6 / rounds)}
    model = lightgbm.train(parameters, lightgbm.Dataset(features, target), rounds)
    return portfolio.loss_of([model.predict(held, raw_score=True)[:, None]])


def distilled(portfolio):
    """Lines of the table of students."""
    problem, fold = portfolio.problem, portfolio.folds[0]
    rows, held = portfolio.rows.take(fold.train), portfolio.rows.take(fold.valid)
    parts = np.random.default_rng(0).integers(0, 4, len(fold.train))
    seen, unseen, answers = [], [], []
    for learner, configuration in teachers(problem):
        raw, settled = raw_of(problem, learner, configuration, rows, parts)
        model = fitted(problem, learner, settled, rows, None)
        unseen.append(raw[:, 0])
        seen.append(model.raw(rows.block)[:, 0])
        answers.append(model.raw(held.block))
    yield f"teacher {portfolio.loss_of([np.mean(answers, axis=0)]):.6g}"

    def soft(scores):
        mean = np.mean(scores, axis=0)
        return mean if problem.task == "regression" else 1.0 / (1.0 + np.exp(-mean))

    steps = fitted(problem, LightGBM, {**LightGBM.configurations(problem)[0], "max_rounds": 1}, rows, None).steps
    inside, outside = apply_steps(steps, rows.block).numbers, apply_steps(steps, held.block).numbers
    targets = {
        "labels": rows.target,
        "soft": soft(seen),
        "half soft": 0.5 * (soft(seen) + rows.target),
        "out of fold": soft(unseen),
        "half out of fold": 0.5 * (soft(unseen) + rows.target),
    }
    for rounds in (20, 60, 150):
        losses = [
            f"{name} {student_loss(portfolio, outside, inside, target, rounds, name != 'labels'):.6g}"
            for name, target in targets.items()
        ]
        yield f"{rounds:4} rounds: " + ", ".join(losses)


# --- stacking -------------------------------------------------------------------------------------------------


def stacked(portfolio):
    """The loss by each way to choose weights."""
    problem = portfolio.problem
    known = [(LightGBM, each) for each in LightGBM.configurations(problem)[1:4]]
    known += [(XGBoost, each) for each in XGBoost.configurations(problem)[:2]]
    known += [(RandomForest, each) for each in RandomForest.configurations(problem)]
    known += [(Linear, Linear.configurations(problem)[0])]
    rows = portfolio.scored_rows()
    parts = np.repeat(np.arange(len(portfolio.folds)), [len(fold.valid) for fold in portfolio.folds])
    raw = np.stack([raw_of(problem, *each, portfolio.rows.take(rows), parts)[0] for each in known])
    truth = portfolio.rows.target[rows]

    def loss(scores, among):
        return portfolio.loss_of(scores, among=among)

    def best(among):
        return np.eye(len(raw))[np.argmin([loss(each[among], among) for each in raw])]

    def greedy(among):
        return greedy_weights(
            [each[among] for each in raw], lambda scores: loss(scores, among), max_members=10, least_gain=0.0005
        )

    def linear(among, lowest):
        equal = np.full(len(raw), 1 / len(raw))
        pull = 1e-3 * smooth_loss(problem, equal, raw[:, among], truth[among])

        def costs(weights):
            return smooth_loss(problem, weights, raw[:, among], truth[among]) + pull * ((weights - equal) ** 2).sum()

        return minimize(costs, equal, method="L-BFGS-B", bounds=[(lowest, None)] * len(raw)).x

    ways = {
        "best alone": best,
        "greedy": greedy,
        "bounded": lambda a: linear(a, 0.0),
        "free": lambda a: linear(a, None),
    }
    for name, way in ways.items():
        crossed = np.empty_like(raw[0])
        for part in range(parts.max() + 1):
            weights = way(np.flatnonzero(parts != part))
            crossed[parts == part] = np.tensordot(weights, raw[:, parts == part], 1)
        yield f"{name} {portfolio.loss_of(crossed):.6g}"


def smooth_loss(problem, weights, raw, truth):
    scores = np.tensordot(weights, raw, 1)
    if problem.task == "regression":
        return ((scores[:, 0] - truth) ** 2).mean()
    if problem.task == "binary":
        return (np.logaddexp(0, scores[:, 0]) - scores[:, 0] * truth).mean()
    largest = scores.max(axis=1, keepdims=True)
    own = scores[np.arange(len(truth)), truth.astype(int)]
    return (largest[:, 0] + np.log(np.exp(scores - largest).sum(axis=1)) - own).mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="four tables (the default)")
    size.add_argument("--full", action="store_true", help="six tables")
    parser.add_argument("--tables", nargs="*", choices=FULL, help="these tables only")
    options = parser.parse_args()
    for learner in (LightGBM, XGBoost, RandomForest, Linear):
        learner.load()
    for name in options.tables or (FULL if options.full else QUICK):
        portfolio = portfolio_of(name)
        print(f"{name}, weights: " + ", ".join(stacked(portfolio)), flush=True)
        if portfolio.problem.task != "multiclass":
            for line in distilled(portfolio):
                print(f"{name}, students: {line}", flush=True)


if __name__ == "__main__":
    main()
