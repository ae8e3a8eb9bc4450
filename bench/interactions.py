"""Would columns made of two columns pay? What decision 0167 rests on.

    python bench/interactions.py --quick    # seven tables, two splits into four folds; about 15 minutes on one core
    python bench/interactions.py --full     # five splits

Every way learns from the same rows and answers the same folds. For boosted trees (medium trees, a learning rate of
0.1, stopped early): the pairs of numbers whose splits follow each other with the most gain in a first model of 60
small trees, as products, and as sums, differences and ratios in units of their deviations; the pairs of categories
that the same trees use together, as one category. For the linear model: products of its scaled columns, indicators
and squares among them, that go best with what a first fit leaves over. Printed for each: the mean loss (RMSE or
log-loss), and how much lower it is than without, with the 95 % interval over rows of the paired difference.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import lightgbm
import numpy as np
from automl import SHARED, TABLES

from lepton.core import Resources, Role, Work
from lepton.data import read
from lepton.data.steps import apply_steps
from lepton.training.features import tree_steps
from lepton.training.folds import make_folds
from lepton.training.interactions import used_together
from lepton.training.learners.linear import Linear
from lepton.training.prepared import prepare_table

WORK = Work(seed=0, resources=Resources(cpus=1))
NAMES = ("houses", "adult", "bikes", "credit", "heart", "titanic", "ocean")
MOST_ROWS = 8_000
BOOSTING = {"num_leaves": 40, "feature_fraction": 0.5, "learning_rate": 0.1, "lambda_l2": 1.0, "cat_smooth": 30.0}
BOOSTING |= {"cat_l2": 30.0, "num_threads": 1, "verbosity": -1, "seed": 0, "deterministic": True}


def losses_of(task, raw, target):
    """Of each row: the squared error, or the log-loss."""
    if task == "regression":
        return (raw[:, 0] - target) ** 2
    if task == "binary":
        return np.logaddexp(0, raw[:, 0]) - raw[:, 0] * target
    largest = raw.max(axis=1)
    return largest + np.log(np.exp(raw - largest[:, None]).sum(axis=1)) - raw[np.arange(len(raw)), target.astype(int)]


# --- boosted trees --------------------------------------------------------------------------------------------


def boosted(problem, features, target, held, truth, codes, **settings):
    """Raw scores of the rows that are held out, by trees that were stopped early on them."""
    objective = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}[problem.task]
    parameters = {**BOOSTING, "objective": objective, **settings}
    if problem.task == "multiclass":
        parameters["num_class"] = problem.num_classes
    data = lightgbm.Dataset(features, target, categorical_feature=list(codes), params=parameters)
    valid = lightgbm.Dataset(held, truth, reference=data)
    stop = lightgbm.early_stopping(40, verbose=False)
    model = lightgbm.train(parameters, data, 600, valid_sets=[valid], callbacks=[stop])
    return model.predict(held, raw_score=True).reshape(len(held), -1)


def pairs_of(problem, features, target, codes):
    """All pairs of columns that trees use together, the best first."""
    objective = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}[problem.task]
    parameters = {**BOOSTING, "objective": objective, "num_leaves": 16}
    if problem.task == "multiclass":
        parameters["num_class"] = problem.num_classes
    data = lightgbm.Dataset(features, target, categorical_feature=list(codes), params=parameters)
    trees = [tree["tree_structure"] for tree in lightgbm.train(parameters, data, 60).dump_model()["tree_info"]]
    return used_together(trees, range(features.shape[1]), features.shape[1] ** 2)


def of_numbers(features, pairs, ways, means, scales):
    made = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for first, second in pairs:
            a, b = features[:, first], features[:, second]
            c, d = ((features[:, i] - means[i]) / scales[i] for i in (first, second))
            all_ways = {"product": a * b, "difference": c - d, "sum": c + d, "ratio": a / b}
            made += [all_ways[way] for way in ways]
    made = np.column_stack(made)
    return np.where(np.isfinite(made), made, np.nan)


def of_categories(features, held, pairs):
    """Codes of pairs of categories that ten rows have; all others are one."""
    learned, answered = [], []
    for first, second in pairs:
        both = features[:, first] * 10_000 + features[:, second]
        known, counts = np.unique(both, return_counts=True)
        known = known[counts >= 10]
        for rows, codes in ((features, learned), (held, answered)):
            own = rows[:, first] * 10_000 + rows[:, second]
            place = np.searchsorted(known, own).clip(0, max(len(known) - 1, 0))
            codes.append(np.where(known[place] == own, place, np.nan) if len(known) else np.full(len(own), np.nan))
    return np.column_stack(learned), np.column_stack(answered)


def by_trees(problem, rows, held):
    """Raw scores by each way."""
    steps, block = tree_steps(problem, rows.block)
    features, answered = block.numbers, apply_steps(steps, held.block).numbers
    first_code = features.shape[1] - len(problem.categories)
    codes = range(first_code, features.shape[1])
    for part in (features, answered):
        part[:, first_code:][part[:, first_code:] < 0] = np.nan
    pairs = pairs_of(problem, features, rows.target, codes)
    numbers = [pair for pair in pairs if pair[1] < first_code]
    categories = [pair for pair in pairs if pair[0] >= first_code][:4]
    means, scales = np.nanmean(features, axis=0), np.nanstd(features, axis=0) + 1e-300

    def with_numbers(num_pairs, ways):
        of = {"pairs": numbers[:num_pairs], "ways": ways, "means": means, "scales": scales}
        added = of_numbers(features, **of), of_numbers(answered, **of)
        sides = [np.column_stack([made, part]) for made, part in zip(added, (features, answered), strict=True)]
        own = [code + added[0].shape[1] for code in codes]
        return boosted(problem, sides[0], rows.target, sides[1], held.target, own)

    yield "without", boosted(problem, features, rows.target, answered, held.target, codes)
    yield "another seed", boosted(problem, features, rows.target, answered, held.target, codes, seed=1)
    if numbers:
        for most in (4, 8):
            for ways in (("product", "difference", "ratio"), ("sum", "difference"), ("sum", "difference", "ratio")):
                yield f"{most} pairs: {', '.join(ways)}", with_numbers(most, ways)
    if categories:
        made, same = of_categories(features, answered, categories)
        own = range(first_code, features.shape[1] + made.shape[1])
        sides = np.column_stack([features, made]), np.column_stack([answered, same])
        yield "4 of categories", boosted(problem, sides[0], rows.target, sides[1], held.target, own)


# --- the linear model -----------------------------------------------------------------------------------------


def by_line(problem, rows, held):
    for products in (0, 10, 30, 100):
        for penalty in (1.0, 30.0):
            learner = Linear(problem, {"penalty": penalty, "products": products}, 0).fit(rows, valid=None, work=WORK)
            label = f"{products} products, penalty {penalty:g}" if products or penalty > 1.0 else "without"
            yield label, learner.raw(held.block)


# --- side by side ---------------------------------------------------------------------------------------------


def prepared(name):
    file, target, hidden = TABLES[name]
    table = read(SHARED / file).with_roles(dict.fromkeys(hidden, Role.IGNORED))
    return prepare_table(table, target, None, Work(60.0, seed=0))


def measured(name, way, num_splits):
    """Losses of each row by each way, over all splits."""
    table = prepared(name)
    losses = {}
    for seed in range(num_splits):
        random = np.random.default_rng(seed)
        drawn = np.sort(random.permutation(len(table.rows.target))[:MOST_ROWS])
        rows = table.rows.take(drawn)
        classes = None if table.problem.task == "regression" else rows.target.astype(np.int64)
        for fold in make_folds(len(drawn), 4, classes=classes, groups=None, order=None, seed=seed):
            held = rows.take(fold.valid)
            for label, raw in way(table.problem, rows.take(fold.train), held):
                losses.setdefault(label, []).append(losses_of(table.problem.task, raw, held.target))
    return table, {label: np.concatenate(each) for label, each in losses.items()}


def show(name, way, num_splits):
    table, losses = measured(name, way, num_splits)
    plain = losses["without"]
    root = table.problem.task == "regression"
    factor = table.scale.factor if root else 1.0
    for label, each in losses.items():
        gain = plain - each
        noise = 1.96 * gain.std() / np.sqrt(len(gain)) * np.sqrt(num_splits)
        share, noise = gain.mean() / plain.mean(), noise / plain.mean()
        if root:
            share, noise = 1 - np.sqrt(1 - share), noise / 2
        mean = factor * np.sqrt(each.mean()) if root else each.mean()
        print(f"{name:8} {way.__name__:9} {label:38} {mean:10.5g}  {share:+7.2%} ± {noise:.2%}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="two splits (the default)")
    size.add_argument("--full", action="store_true", help="five splits")
    parser.add_argument("--tables", nargs="*", choices=NAMES, help="these tables only")
    parser.add_argument("--learner", choices=("trees", "line"), help="this learner only")
    options = parser.parse_args()
    Linear.load()
    ways = {"trees": by_trees, "line": by_line}
    for name in options.tables or NAMES:
        for learner, way in ways.items():
            if options.learner in (None, learner):
                show(name, way, 5 if options.full else 2)


if __name__ == "__main__":
    main()
