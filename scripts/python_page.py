"""The page docs/reference/python.md, from the signatures and docstrings of the public names."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from typing import Any

import lepton
from lepton.bundle.neighbours import Index
from lepton.client import RemoteService, RemoteTask
from lepton.data import Description
from lepton.data.media.convert import Converted
from lepton.data.quality import Agreement, Check, Consensus, LabelErrors, LabelSpellings, Leakage
from lepton.data.recipes import Changes
from lepton.data.suggest import Suggestions
from lepton.data.versions.diff import TableDiff
from lepton.data.versions.forget import Forgotten
from lepton.data.versions.manifest import TableVersion
from lepton.evaluation import Comparison, Evaluation, Importance
from lepton.evaluation.card import Card
from lepton.evaluation.explain import Cases, Counterfactuals, Effect, Explanation, FileExplanation, Overview
from lepton.evaluation.fairness import Fairness
from lepton.evaluation.robustness import Robustness
from lepton.evaluation.verify import Verification
from lepton.evaluation.weak import WeakPlaces
from lepton.optimization.accelerate import Acceleration, Profile
from lepton.optimization.lean.report import Compression
from lepton.report import Page
from lepton.serving import Server
from lepton.training import Leaderboard

__all__ = ["as_markdown", "fenced", "python_page"]

GROUPS = {
    "Verbs": (
        "read",
        "describe",
        "suggest",
        "check",
        "diff",
        "versions",
        "forget",
        "find_label_errors",
        "unify_labels",
        "measure_agreement",
        "consensus_labels",
        "find_leakage",
        "train",
        "search",
        "import_model",
        "load",
        "predict",
        "evaluate",
        "compare",
        "explain",
        "verify",
        "card",
        "compress",
        "accelerate",
        "profile",
        "export",
        "serve",
    ),
    "Models and tables": ("Model", "Dataset", "Recipe", "FileSteps"),
    "A client of a server": ("Client",),
    "Services": ("Service", "method"),
    "Long work and errors": ("Work", "Resources", "LeptonError"),
    "Estimators": ("LinearRegression", "Ridge", "LogisticRegression", "KMeans"),
    "Networks": ("LeptonNet", "Trainer"),
    "Version": ("__version__",),
}
HELD = (
    Description,
    Suggestions,
    Check,
    LabelErrors,
    LabelSpellings,
    Agreement,
    Consensus,
    Leakage,
    Changes,
    Converted,
    TableVersion,
    TableDiff,
    Forgotten,
    Leaderboard,
    Evaluation,
    Importance,
    Explanation,
    FileExplanation,
    Counterfactuals,
    Cases,
    Effect,
    Overview,
    WeakPlaces,
    Fairness,
    Robustness,
    Verification,
    Card,
    Index,
    Comparison,
    Compression,
    Acceleration,
    Profile,
    Page,
    Server,
    RemoteService,
    RemoteTask,
)
"""Objects that the verbs give; nobody makes one."""

INTRODUCTION = """\
What `import lepton` holds, and the objects that its verbs give. What takes long takes `work`. Whatever is refused
raises a `LeptonError`: [errors](errors.md) lists them.
"""

_WIDTH = 100
_SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises):[ ]*$")
_ENTRY = re.compile(r"^([\w*, `]+(?:\([^)]*\))?): (.*)$")


def python_page() -> str:
    """The whole page, but for the notice."""
    parts = [INTRODUCTION]
    for title, names in GROUPS.items():
        parts.append(f"## {title}\n")
        parts += [_public(name) for name in names]
    parts.append("## What the verbs give\n")
    parts += [_class(held.__name__, held, made_by_users=False) for held in HELD]
    return "\n".join(parts)


def _public(name: str) -> str:
    value = getattr(lepton, name)
    if inspect.isclass(value):
        return _class(f"lepton.{name}", value, made_by_users=name != "Dataset")
    if callable(value):
        return _callable(f"### lepton.{name}", f"lepton.{name}", value)
    return f"### lepton.{name}\n\nThe version of the package, as text.\n"


def _class(title: str, kind: type, *, made_by_users: bool) -> str:
    parts = [f"### {title}\n"]
    if made_by_users:
        parts.append(fenced(_signature(title, kind)))
    parts.append(as_markdown(inspect.getdoc(kind) or ""))
    methods: list[str] = []
    properties: list[tuple[str, str]] = []
    for name in (name for base in reversed(kind.__mro__) for name in vars(base)):
        value = inspect.getattr_static(kind, name)
        if name.startswith("_") or name in methods or name in dict(properties) or not inspect.getdoc(value):
            continue
        if isinstance(value, property) or type(value).__name__ == "cached_property":
            properties.append((name, " ".join((inspect.getdoc(value) or "").split())))
        elif inspect.isfunction(value) or isinstance(value, classmethod | staticmethod):
            methods.append(name)
    if properties:
        parts.append(
            "**Properties**\n\n" + "\n".join(f"- `{name}`: {text}" for name, text in sorted(properties)) + "\n"
        )
    parts += [_callable(f"#### {kind.__name__}.{name}", name, getattr(kind, name)) for name in sorted(methods)]
    return "\n".join(parts)


def _callable(heading: str, shown: str, function: Any) -> str:
    return "\n".join((heading + "\n", fenced(_signature(shown, function)), as_markdown(inspect.getdoc(function) or "")))


def fenced(code: str, language: str = "python no-run") -> str:
    """A block of code."""
    return f"```{language}\n{code}\n```\n"


def _signature(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    parts: list[str] = []
    seen_star = False
    for parameter in signature.parameters.values():
        if parameter.name == "self":
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not seen_star:
            parts.append("*")
        seen_star |= parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
        if parameter.annotation is not parameter.empty:
            text += f": {_type(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            shown = repr(parameter.default)  # of a function, it would be its address in memory
            text += f" = {'...' if shown.startswith('<') else shown}"
        parts.append(text)
    gives = "" if inspect.isclass(function) or not signature.return_annotation else signature.return_annotation
    arrow = f" -> {_type(gives)}" if gives not in ("", inspect.Signature.empty) else ""
    line = f"{name}({', '.join(parts)}){arrow}"
    return line if len(line) <= _WIDTH else "\n".join((f"{name}(", *(f"    {part}," for part in parts), f"){arrow}"))


def _type(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"\b(?:evaluation|data|serving|training|bundle|dt|np|pl)\.(?=[A-Z])", "", text).strip("'")


def as_markdown(doc: str) -> str:
    """A docstring in Google style as Markdown: sections become lists, examples become blocks."""
    parts: list[str] = []
    lines = doc.splitlines()
    while lines:
        if section := _SECTION.match(lines[0]):
            body, lines = _indented(lines[1:])
            parts.append(_section(section[1], textwrap.dedent("\n".join(body)).splitlines()))
        elif lines[0].startswith((">>>", "    ")):
            code, lines = _until(lines, lambda line: not line.strip())
            shown = textwrap.dedent("\n".join(re.sub(r"\s*# doctest: .*", "", line) for line in code))
            parts.append(fenced(shown, "pycon" if code[0].startswith(">>>") else "python no-run"))
        elif lines[0].strip():
            paragraph, lines = _until(lines, lambda line: not line.strip() or _SECTION.match(line) is not None)
            parts.append("\n".join(paragraph) + "\n")
        else:
            lines = lines[1:]
    return "\n".join(parts)


def _section(title: str, lines: list[str]) -> str:
    entries: list[str] = []
    for line in lines:
        entry = _ENTRY.match(line) if title not in ("Returns", "Yields") else None
        if entry:
            entries.append(f"- `{entry[1].strip('`')}`: {entry[2]}")
        elif entries:
            entries[-1] += f" {line.strip()}"
        else:
            entries.append(line.strip())
    return f"**{title}**\n\n" + "\n".join(entries) + "\n"


def _indented(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines that belong to a section, and the rest."""
    return _until(lines, lambda line: bool(line.strip()) and not line.startswith(" "))


def _until(lines: list[str], ends: Callable[[str], bool]) -> tuple[list[str], list[str]]:
    """The first line and those after it up to the one that `ends` says, and the rest."""
    count = next((number for number, line in enumerate(lines) if number and ends(line)), len(lines))
    return lines[:count], lines[count:]
