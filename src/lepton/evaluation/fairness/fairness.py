"""How a model treats groups of people: rates of each group, and how far they lie apart, with intervals.

Sources: selection rate and its ratio are those of demographic parity (Calders et al. 2009); equal opportunity and
equalised odds those of Hardt, Price & Srebro, "Equality of opportunity in supervised learning" (2016); predictive
parity that of Chouldechova, "Fair prediction with disparate impact" (2017); calibration within groups that of
Kleinberg, Mullainathan & Raghavan (2016). Differences and ratios are defined as fairlearn defines them: between the
greatest and the least rate of any group.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.bundle import Predictor
from lepton.core import DataError, ErrorCode, Role, UsageError, Work, printable
from lepton.data import Dataset
from lepton.evaluation.answers import Answers, gather
from lepton.evaluation.bootstrap import Estimate
from lepton.evaluation.classification import Floats
from lepton.evaluation.curves import calibration
from lepton.evaluation.fairness.groups import LEAST_ROWS, Parts, crossed, names_of, parts_by, unknown_column
from lepton.evaluation.fairness.proxies import MEASURED, Proxy, proxies_of
from lepton.evaluation.fairness.rates import Family, Rates, difference_of, ratio_of, resampled_rates
from lepton.evaluation.fairness.result import Fairness, Group, GroupMeasures
from lepton.report import plural

__all__ = ["Asked", "asked_of", "fairness", "fairness_of"]

_PROXY_ROWS = 5_000
_NO_TRUTH = "the data does not say what was true"
_CLASSES = {
    "selection_rate": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
    "predictive_parity": ("precision",),
}


class Asked:
    """What is judged in every row: truth, answer and probability of the favourable label, or two numbers.

    Attributes:
        favourable: the label; None for numbers.
        true: favourable in truth [N], or the numbers that are true.
        given: favourable by the model's answer [N], or its numbers.
        probability: of the favourable label [N], or None.
    """

    def __init__(
        self, favourable: str | int | None, true: NDArray[Any], given: NDArray[Any], probability: Floats | None
    ) -> None:
        self.favourable, self.true, self.given, self.probability = favourable, true, given, probability


def asked_of(answers: Answers, favourable: Any = None) -> Asked:
    """What of the answers is judged.

    Raises:
        UsageError: a task that has no such answer; more than two labels and none named; a label that is none.
    """
    if answers.task in ("ranking",):
        raise UsageError(
            ErrorCode.USAGE, f"got a model for {answers.task}", wanted="a model that answers with labels or numbers"
        )
    if not answers.labels:
        if favourable is not None:
            raise UsageError(ErrorCode.USAGE, f"got favourable={favourable!r} for a model that answers numbers")
        return Asked(None, answers.y, answers.predicted, None)
    place = _place(answers, favourable)
    label = answers.labels[place]
    probability = None if answers.probabilities is None else answers.probabilities[:, place]
    if answers.y.ndim == 2:
        return Asked(label, answers.y[:, place] > 0, answers.predicted[:, place] > 0, probability)
    return Asked(label, answers.y == place, answers.predicted == place, probability)


def _place(answers: Answers, favourable: Any) -> int:
    labels, names = list(answers.labels), [str(label) for label in answers.labels]
    known = ", ".join(printable(repr(label)) for label in labels[:10])
    if favourable is None:
        if len(labels) == 2 and answers.y.ndim == 1:
            return 1
        raise UsageError(
            ErrorCode.USAGE,
            f"the model has {len(labels)} labels",
            wanted="the one that is good for people: it is judged against the rest",
            fix=f"favourable= one of {known}",
        )
    if str(favourable) not in names:
        raise UsageError(ErrorCode.USAGE, f"the model has no label {favourable!r}", wanted=f"one of {known}")
    return names.index(str(favourable))


def fairness(
    answers: Answers,
    protected: Sequence[str],
    *,
    favourable: Any = None,
    within: int = LEAST_ROWS,
    edges: Mapping[str, Sequence[float]] | None = None,
    intersections: bool = False,
    labelled: bool = True,
    model: str = "",
    seed: int = 0,
    work: Work | None = None,
) -> Fairness:
    """How groups fare by answers that were gathered.

    Args:
        answers: of `gather`, with the protected columns among its `columns`.
        protected: names of columns that say who belongs to which group.
        favourable: the label that is good for people; by default the second of two.
        within: least rows of a group of which something is said; at least 2.
        edges: column of numbers → rising places to cut it at; by default its quartiles.
        intersections: judge the groups of each pair of these columns too.
        labelled: whether the answers hold the truth; where not, only what needs none is told.
        model: name for titles.
        seed: of the bootstrap.
        work: cancel and progress.

    Raises:
        DataError: no such column.
        UsageError: edges, labels or sizes that cannot be meant.
    """
    work = Work.of(work)
    names, cuts = names_of(protected), dict(edges or {})
    if type(within) is not int or within < 2:
        raise UsageError(ErrorCode.USAGE, f"got within={within!r}", wanted="the least rows of a group, 2 or more")
    if strange := [name for name in cuts if name not in names]:
        raise UsageError(
            ErrorCode.USAGE,
            f"got edges for {printable(str(strange[0]))!r}",
            wanted="edges of protected columns: " + ", ".join(map(printable, names)),
        )
    asked = asked_of(answers, favourable)
    parts: dict[str, Parts] = {}
    for name in names:
        if name not in answers.columns.columns:
            raise unknown_column(name, answers.columns.columns, taken=False)
        parts[name] = parts_by(answers.columns[name], cuts.get(name))
    if intersections:
        parts |= crossed(parts)
    families = _families(asked, labelled)
    columns = {}
    for number, (name, groups) in enumerate(parts.items()):
        work.check()
        columns[name] = _column(name, groups, answers, asked, families, within, seed, work)
        work.report(number + 1, len(parts), "columns", note="comparing groups")
    return Fairness(
        model,
        answers.target,
        asked.favourable,
        answers.num_rows,
        columns,
        notes=tuple(_notes(answers, asked, labelled)),
    )


def fairness_of(
    predictor: Predictor,
    dataset: Dataset,
    protected: Sequence[str] = (),
    *,
    target: str | None = None,
    weight: str | None = None,
    favourable: Any = None,
    within: int = LEAST_ROWS,
    edges: Mapping[str, Sequence[float]] | None = None,
    intersections: bool = False,
    seed: int = 0,
    work: Work | None = None,
) -> Fairness:
    """How a model treats groups of people, by rows that it was not trained on.

    Args:
        predictor: an opened model.
        dataset: rows with the protected columns; the model need not take these. Without a target, what needs no truth
            is told.
        protected: columns that say who belongs to which group; by default those whose role is protected in the data,
            else those of which that was said in training.
        target: column of the truth; by default the one that the model was trained to predict.
        weight: column of sample weights; by default the one whose role is weight, if there is one.
        favourable: the label that is good for people; by default the second of two.
        within: least rows of a group of which something is said.
        edges: column of numbers → rising places to cut it at; by default its quartiles.
        intersections: judge the groups of each pair of these columns too.
        seed: of the bootstrap.
        work: cancel and progress.

    Raises:
        DataError: a column that is not there, with the closest name; no rows.
        UsageError: no protected column, or the target as one; a model that answers neither labels nor numbers.
    """
    names = names_of(protected or _declared(predictor, dataset))
    taken = [column.name for column in predictor.manifest.inputs]
    for name in names:
        if name not in dataset.schema:
            raise unknown_column(name, dataset.schema.names, taken=name in taken)
    known = target or (None if predictor.manifest.target is None else predictor.manifest.target.name)
    if known in names:
        raise UsageError(
            ErrorCode.USAGE,
            f"the target {printable(str(known))!r} is named as protected",
            wanted="columns that say who belongs to which group",
        )
    labelled = target is not None or _has_truth(predictor, dataset, known)
    answers = gather(predictor, dataset, target=target, weight=weight, columns=names, labelled=labelled, work=work)
    found = fairness(
        answers,
        names,
        favourable=favourable,
        within=within,
        edges=edges,
        intersections=intersections,
        labelled=labelled,
        model=predictor.manifest.name,
        seed=seed,
        work=work,
    )
    absent = [name for name in names if name not in taken]
    said = [f"The model does not take {_listed(absent)}."] if absent else []
    used = [name for name in names if name in taken]
    said += [f"The model takes {_listed(used)}, so its answers may differ by it directly."] if used else []
    return replace(found, proxies=_proxies(predictor, dataset, names, seed), notes=(*said, *found.notes))


def _declared(predictor: Predictor, dataset: Dataset) -> tuple[str, ...]:
    """Columns whose role is protected, here or in training."""
    if here := dataset.schema.of_role(Role.PROTECTED):
        return tuple(column.name for column in here)
    roles = predictor.manifest.lineage.get("roles")
    known = roles.items() if isinstance(roles, Mapping) else ()
    return tuple(str(name) for name, role in known if role == Role.PROTECTED and name in dataset.schema)


def _proxies(predictor: Predictor, dataset: Dataset, names: Sequence[str], seed: int) -> tuple[Proxy, ...]:
    """Measured on a sample of the rows, without columns of files and free texts."""
    taken = [column.name for column in predictor.manifest.inputs if column.name in dataset.schema]
    inputs = [dataset.schema[name] for name in taken if name not in names and dataset.schema[name].kind in MEASURED]
    if not inputs:
        return ()
    if dataset.num_rows > _PROXY_ROWS:
        _, dataset = dataset.split(_PROXY_ROWS / dataset.num_rows, method="random", seed=seed)
    rows = dataset.frame([*names, *(column.name for column in inputs)])
    return proxies_of(rows, [dataset.schema[name] for name in names], inputs)


def _has_truth(predictor: Predictor, dataset: Dataset, target: str | None) -> bool:
    if predictor.task.several:
        return all(label in dataset.schema for label in predictor.label_names)
    return bool(dataset.schema.of_role(Role.TARGET)) if target is None else target in dataset.schema


def _families(asked: Asked, labelled: bool) -> tuple[Family, ...]:
    everyone = np.ones(len(asked.given), dtype=bool)
    if asked.favourable is None:
        error = asked.given - asked.true
        told = [Family("mean_prediction", asked.given, everyone, is_share=False)]
        if labelled:
            told.append(Family("mean_error", error, everyone, is_share=False))
            told.append(Family("mean_absolute_error", np.abs(error), everyone, is_share=False))
        return tuple(told)
    given, true = asked.given.astype(np.float64), asked.true.astype(np.float64)
    if not labelled:
        return (Family("selection_rate", given, everyone),)
    told = [
        Family("base_rate", true, everyone),
        Family("selection_rate", given, everyone),
        Family("true_positive_rate", given, asked.true, undefined="no row is favourable in truth"),
        Family("false_positive_rate", given, ~asked.true, undefined="every row is favourable in truth"),
        Family("precision", true, asked.given, undefined="no row is answered favourably"),
    ]
    if asked.probability is not None and np.isfinite(asked.probability).all():
        told.append(Family("calibration_gap", true - asked.probability, everyone, is_share=False))
    return tuple(told)


def _column(
    name: str,
    parts: Parts,
    answers: Answers,
    asked: Asked,
    families: tuple[Family, ...],
    within: int,
    seed: int,
    work: Work,
) -> GroupMeasures:
    sizes = [int(rows.sum()) for _, rows in parts]
    large = [place for place, size in enumerate(sizes) if size >= within]
    group = np.full(answers.num_rows, -1, dtype=np.int64)
    for number, place in enumerate(large):
        group[parts[place][1]] = number
    rates: dict[str, Rates] = {}
    if large:
        rates = resampled_rates(
            families, group, len(large), weight=answers.weight, clusters=answers.groups, seed=seed, work=work
        )
    groups = []
    for place, ((value, rows), size) in enumerate(zip(parts, sizes, strict=True)):
        if place not in large:
            note = f"nothing can be concluded: {plural(size, 'row')}, under {within}"
            groups.append(Group(value, size, {}, note))
            continue
        measures = {each: found.estimates[large.index(place)] for each, found in rates.items()}
        curve = None
        if asked.probability is not None and "calibration_gap" in measures:
            weight = None if answers.weight is None else answers.weight[rows]
            error = Estimate(None, reason="the rows weigh nothing")
            if weight is None or weight.any():
                curve = calibration(asked.probability[rows], asked.true[rows], weight, f"{value}")
                error = Estimate(curve.error, reason="no interval: chance raises it in small groups")
            measures["calibration_error"] = error
        groups.append(Group(value, size, measures, calibration=curve))
    return GroupMeasures(name, tuple(groups), _measures(asked, rates, len(large), within), _limits(groups, rates))


def _measures(asked: Asked, rates: Mapping[str, Rates], num_large: int, within: int) -> dict[str, Estimate]:
    """How far the groups lie apart: every measure of the task, with the reason where it cannot be told."""
    shares = _CLASSES if asked.favourable is not None else {}
    numbers = ("mean_prediction", "mean_error", "mean_absolute_error") if asked.favourable is None else ()
    wanted: dict[str, tuple[str, ...]] = {**shares, **{each: (each,) for each in numbers}}
    if asked.probability is not None:
        wanted["calibration"] = ("calibration_gap",)
    found: dict[str, Estimate] = {}
    for name, needs in wanted.items():
        kinds = ("difference",) if name in ("calibration", "mean_prediction", "mean_error") else ("difference", "ratio")
        for kind in kinds:
            if num_large < 2:
                reason = f"nothing can be concluded: fewer than two groups have {within} rows"
                found[f"{name}_{kind}"] = Estimate(None, reason=reason)
            elif any(each not in rates for each in needs):
                found[f"{name}_{kind}"] = Estimate(None, reason=_NO_TRUTH)
            else:
                compared = [rates[each] for each in needs]
                found[f"{name}_{kind}"] = difference_of(compared) if kind == "difference" else ratio_of(compared)
    return found


def _limits(groups: Sequence[Group], rates: Mapping[str, Rates]) -> tuple[str, ...]:
    said = []
    small = [each for each in groups if not each.measures]
    if small:
        num = sum(each.num_rows for each in small)
        said.append(f"Not compared, too few rows: {_listed([each.name for each in small])} ({num:,} rows).")
    for name in ("true_positive_rate", "false_positive_rate", "precision"):
        lacking = [
            each.name for each in groups if each.measures and name in rates and each.measures[name].value is None
        ]
        if lacking:
            said.append(f"Without a {name.replace('_', ' ')}, so not compared by it: {_listed(lacking)}.")
    return tuple(said)


def _notes(answers: Answers, asked: Asked, labelled: bool) -> list[str]:
    said = []
    if not labelled:
        said.append("The data has no truth: only what needs none is told.")
    if len(answers.labels) > 2:
        said.append(f"The label {printable(str(asked.favourable), 60)!r} is judged against the rest.")
    if answers.num_missing:
        said.append(f"{answers.num_missing:,} rows were left out: their target is missing or infinite.")
    if answers.unseen:
        said.append(f"{sum(answers.unseen.values()):,} rows were left out: the model does not know their label.")
    if answers.groups is not None:
        said.append(f"Intervals draw whole groups of rows, {int(answers.groups.max()) + 1:,} of them, not single rows.")
    if not np.isfinite(np.asarray(asked.given, dtype=np.float64)).all():
        raise DataError(ErrorCode.BAD_VALUE, "the model's answer is not a finite number in some rows")
    said.append(
        "Intervals of differences allow for all pairs of groups; that several measures are looked at, they do not."
    )
    return said


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(repr(printable(name, 60)) for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5:,} more"
