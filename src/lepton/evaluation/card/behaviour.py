"""What a verification says of where a model is weak, how it treats groups, and how it takes worse rows and attacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton.evaluation.card.described import Reports
from lepton.evaluation.card.facts import Fact, Missing, Part, Told, list_of, mapping_of, number_of, text_of
from lepton.evaluation.card.measured import VERIFICATION, VERIFY, measured
from lepton.report import show_number

__all__ = ["fairness", "privacy", "robustness", "slices"]

_RATES = ("selection_rate", "true_positive_rate", "mean_error", "mean_absolute_error")


def slices(reports: Reports) -> Part:
    """Where it is weak."""
    facts: list[Fact] = []
    told, found = measured(reports, "slices")
    if told is not None and isinstance(found, Mapping):
        listed = list_of(found.get("found"), 20)
        facts += told.fact("weak parts that were found", len(list_of(found.get("found"), 100_000)))
        facts += told.fact("parts that were looked at", number_of(found.get("num_tested")))
        for each in map(mapping_of, listed):
            rows = number_of(each.get("num_rows"))
            note = "" if rows is None else f"{rows:,} rows; how much worse than the rest"
            facts += told.estimate(text_of(each.get("text"), 200) or "a part", each.get("loss"), note=note)
    told, found = measured(reports, "segments")
    if told is not None and found is not None:
        facts += told.all_of({"segments": found}, most=40)
    if "training" in reports:
        told = Told("training", reports["training"])
        for each in map(mapping_of, list_of(told.report.get("errors"), 20)):
            name = f"{text_of(each.get('column'), 80)}: {text_of(each.get('where'), 80)}"
            note = "times the loss of the other rows, out of fold"
            facts += told.fact(f"errs more where {name}", number_of(each.get("ratio")), note=note)
    missing: tuple[Missing, ...] = ()
    if not any(fact.source.report == VERIFICATION for fact in facts):
        missing = (Missing("Nobody has looked for parts of the rows where it is worse.", VERIFY + "'weak_slices'"),)
    return Part("slices", "Where it is weak", tuple(facts), missing)


def fairness(reports: Reports) -> Part:
    """How it treats groups of people."""
    facts: list[Fact] = []
    told, found = measured(reports, "fairness")
    if told is not None:
        facts += told.fact("favourable label", mapping_of(found).get("favourable"))
        for name, column in list(mapping_of(mapping_of(found).get("columns")).items())[:20]:
            own, title = mapping_of(column), text_of(str(name), 80)
            for group in map(mapping_of, list_of(own.get("groups"), 30)):
                rows = f"rows of {title} = {text_of(group.get('name'), 80)}"
                facts += told.fact(rows, number_of(group.get("num_rows")), note=text_of(group.get("note"), 100))
                for rate in _RATES:
                    name = f"{rate.replace('_', ' ')} of {title} = {text_of(group.get('name'), 80)}"
                    facts += told.estimate(name, mapping_of(group.get("measures")).get(rate))
            for measure, value in list(mapping_of(own.get("measures")).items())[:20]:
                differs = mapping_of(value).get("shown")
                shown = "groups differ" if differs is True else "no difference shown" if differs is False else ""
                facts += told.estimate(f"{title}: {text_of(str(measure), 60).replace('_', ' ')}", value, note=shown)
        for each in map(mapping_of, list_of(mapping_of(found).get("proxies"), 20)):
            name = f"{text_of(each.get('column'), 80)} tells {text_of(each.get('protected'), 80)}"
            facts += told.fact(name, number_of(each.get("association")), note="association")
    if "mitigation" in reports:
        told = Told("mitigation", reports["mitigation"])
        for step in map(mapping_of, list_of(told.report.get("steps"), 20)):
            names = step.get("protected") if isinstance(step.get("protected"), list) else [step.get("column")]
            of = ", ".join(filter(None, (text_of(each, 80) for each in list_of(names, 10))))
            facts += told.fact(f"mitigation: {text_of(step.get('kind'), 40)}", of)
            facts += told.estimate("what it costs a row", step.get("cost_change"))
    missing: tuple[Missing, ...] = ()
    if not any(fact.source.report == VERIFICATION for fact in facts):
        missing = (Missing("Nobody has compared how it treats groups of people.", VERIFY + "'fairness'"),)
    return Part("fairness", "How it treats groups of people", tuple(facts), missing)


def robustness(reports: Reports) -> Part:
    """How it takes worse rows."""
    facts: list[Fact] = []
    told, found = measured(reports, "robustness")
    if told is not None:
        metric = text_of(mapping_of(found).get("metric"), 80) or "metric"
        facts += told.estimate(f"{metric}, rows as they are", mapping_of(found).get("value"))
        for curve in map(mapping_of, list_of(mapping_of(found).get("curves"), 20)):
            facts += _curve(told, metric, curve)
    told, found = measured(reports, "metamorphic")
    if told is not None:
        for rule in map(mapping_of, list_of(mapping_of(found).get("results"), 50)):
            broken, rows = number_of(rule.get("num_broken")), number_of(rule.get("num_rows"))
            note = "" if broken is None or rows is None else f"broken in {broken:,} of {rows:,} rows"
            facts += told.fact(f"rule: {text_of(rule.get('says'), 120)}", rule.get("passed"), note=note)
            facts += told.estimate("share of rows that break it", rule.get("share"))
    missing: tuple[Missing, ...] = ()
    if not facts:
        never = "Nobody has tried how it answers rows that are damaged or shifted."
        missing = (Missing(never, VERIFY + "'robustness' or 'metamorphic'"),)
    return Part("robustness", "How it takes worse rows", tuple(facts), missing)


def _curve(told: Told, metric: str, curve: Mapping[str, Any]) -> list[Fact]:
    """A value for each strength; the reason, where there are none."""
    name = text_of(curve.get("title"), 80) or text_of(curve.get("name"), 80) or "a change"
    strengths, losses = list_of(curve.get("strengths"), 10), list_of(curve.get("losses"), 10)
    facts = []
    for place, value in enumerate(list_of(curve.get("values"), 10)):
        strength = number_of(strengths[place]) if place < len(strengths) else None
        loss = number_of(mapping_of(losses[place]).get("value")) if place < len(losses) else None
        note = "" if loss is None else f"worse by {show_number(loss)}"
        at = "" if strength is None else f", strength {show_number(strength)}"
        facts += told.estimate(f"{metric}, {name}{at}", value, note=note)
    return facts or told.fact(name, curve.get("reason"))


def privacy(reports: Reports) -> Part:
    """Whether its answers give away who was learned from."""
    told, found = measured(reports, "privacy")
    facts = told.all_of({"privacy": found}, most=20) if told is not None and found is not None else []
    missing = () if facts else (
        Missing("Nobody has attacked it to see whether rows of its training can be told.", VERIFY + "'membership'"),
    )  # fmt: skip
    return Part("privacy", "What its answers give away", tuple(facts), missing)
