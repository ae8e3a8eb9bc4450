"""The pages docs/reference/recipe-steps.md, rules.md and release-rules.md, from what is registered."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from typing import Any

from python_page import as_markdown, fenced

from lepton.core import LeptonError, Registry
from lepton.data.quality import RULES
from lepton.data.recipes import RECIPE_STEPS, Scope
from lepton.evaluation.verify import RULES as RELEASE_RULES

__all__ = ["recipe_steps_page", "release_rules_page", "rules_page"]

_SCOPES = {
    Scope.ROW: "Each row is treated by itself, so the step also acts on the rows that a model is asked about.",
    Scope.TABLE: "It looks at the whole table: it acts when data is prepared, not on rows that a model is asked about.",
}

INTRODUCTION = """\
The steps of a [recipe](../how-to/clean-a-table.md), in the order of the registry. In Python a step is a method of
`lepton.Recipe`; in YAML it is a name, or a name with its parameters. One text stands for a list of one.

```yaml
lepton: recipe/1
steps:
- drop_duplicates
- fill: {columns: income, value: median}
- clip: {columns: amount, q: [0.01, 0.99]}
```

Where a step has `on_error`, it says what becomes of a cell that the step cannot treat: `fail` (the error names step,
column, file and row), `flag` (the cell is missing, and a column "... is bad" marks it), `missing` (the cell is missing,
and counted) or `drop` (the row goes).

A third party adds steps through the entry-point group `lepton.recipe_steps`.
"""


RULES_INTRODUCTION = """\
The rules of [a check](../how-to/check-a-table.md), in the order of the registry. In YAML a rule is its name with its
parameters; one text stands for a list of one.

```yaml
lepton: rules/1
rules:
- not_missing: {columns: [town, price]}
- in_range: {columns: price, least: 0, severity: warn}
- holds: {expression: "rooms <= 20 or kind == 'castle'", allowed: 0.01}
```

Every rule takes `severity` (`error`, by default, or `warn`, which is told but breaks nothing) and `allowed`, the share
of rows that may break it. A missing value breaks `not_missing` alone.

A third party adds rules through the entry-point group `lepton.rules`.
"""


RELEASE_RULES_INTRODUCTION = """\
The rules of [a verification](../how-to/verify-a-model.md), in the order of the registry. In YAML a rule is its name
with its parameters, or the name alone; one text stands for a list of one.

```yaml
lepton: release-rules/1
valid_for: 90d
rules:
- metric: {metric: roc_auc, least: 0.85, why: "what the old score card reached"}
- fairness: {column: sex, measure: selection_rate_difference, most: 0.1}
- licence: {one_of: [CC0-1.0, CC-BY-4.0], if_unknown: pass}
- finite_answers
```

Every rule takes `if_unknown` (`fail`, by default, or `pass`: the model may go live although the rule cannot be judged)
and `why`, words that stand in the report. `valid_for` is how long the verification is good; without it, for ever.

Where a bound is kept `by: interval`, the unfavourable end of the 95 % interval must keep it: a model that may well be
below the bound does not pass. `by: value` asks of the value alone.

A third party adds rules through the entry-point group `lepton.release_rules`: a frozen dataclass that inherits from
`lepton.evaluation.verify.Rule` and gives a `Finding`, or raises `Unknown`.
"""


def release_rules_page() -> str:
    """The whole page, but for the notice."""
    return _page_of_rules(RELEASE_RULES_INTRODUCTION, RELEASE_RULES, ("if_unknown", "why"))


def rules_page() -> str:
    """The whole page, but for the notice."""
    return _page_of_rules(RULES_INTRODUCTION, RULES, ("severity", "allowed"))


def _page_of_rules(introduction: str, registry: Registry, common: tuple[str, ...]) -> str:
    found = dict(_built_in(registry))
    parts = [introduction, "| rule | what it asks |\n|---|---|"]
    parts += [f"| [`{name}`](#{name}) | {_summary(rule)} |" for name, rule in found.items()]
    parts.append("")
    for name, rule in found.items():
        own = [each for each in dataclasses.fields(rule) if each.name not in common]
        words = ", ".join(f"{each.name}: ..." for each in own)
        parts += [f"## {name}\n", fenced(f"- {name}: {{{words}}}" if words else f"- {name}", "yaml")]
        parts.append(as_markdown(inspect.getdoc(rule) or "").replace("**Attributes**", "**Parameters**"))
    return "\n".join(parts)


def _summary(registered: Any) -> str:
    return (inspect.getdoc(registered) or "").split("\n\n")[0].replace("\n", " ").replace("|", "\\|")


def recipe_steps_page() -> str:
    """The whole page, but for the notice."""
    found = dict(_built_in(RECIPE_STEPS))
    parts = [INTRODUCTION, "| step | scope | what it does |\n|---|---|---|"]
    for name, step in found.items():
        parts.append(f"| [`{name}`](#{name}) | {step.scope} | {_summary(step)} |")
    parts.append("")
    for name, step in found.items():
        parts += [f"## {name}\n", fenced(_call(name, step), "text"), _SCOPES[step.scope] + "\n"]
        parts.append(as_markdown(inspect.getdoc(step) or "").replace("**Attributes**", "**Parameters**"))
    return "\n".join(parts)


def _built_in(registry: Registry) -> list[tuple[str, Any]]:
    """Name and class of each entry of this package; one that cannot be imported is told and left out."""
    found = []
    for name in registry.names():
        if not registry.address(name).startswith("lepton."):
            continue
        try:
            found.append((name, registry.load(name)))
        except LeptonError as error:
            print(f"the page of {registry.group} leaves out {name}: {error}", file=sys.stderr)
    return found


def _call(name: str, step: Any) -> str:
    words = []
    for each in dataclasses.fields(step):
        default = each.default if each.default_factory is dataclasses.MISSING else each.default_factory()
        words.append(each.name if default is dataclasses.MISSING else f"{each.name}={_shown(default)}")
    return f"recipe.{name}({', '.join(words)})"


def _shown(value: Any) -> str:
    return repr(str(value)) if isinstance(value, str) else repr(value)
