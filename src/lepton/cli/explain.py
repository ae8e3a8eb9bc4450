"""`lepton explain`: why a model answered so, what would change it, and what it has learned."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lepton import verbs
from lepton.cli.options import Injected, ReadOptions, Seed, Workers
from lepton.cli.output import Result
from lepton.core import DataError, ErrorCode, Kind, UsageError, Work, printable
from lepton.core.lazy import LazyModule
from lepton.store.files import open_read

if TYPE_CHECKING:
    from lepton.store import documents
    from lepton.verbs import trusting
else:
    # who asks for help does not wait for them
    documents, trusting = LazyModule("lepton.store.documents"), LazyModule("lepton.verbs.trusting")

__all__ = ["explain"]

_DOCUMENTS = (".json", ".yaml", ".yml")
_TABLES = (".csv", ".tsv", ".parquet", ".jsonl", ".arrow", ".xlsx")
_MOST_ROWS = 20
_MOST_TEXT = 100_000
_DEFAULT_CHANGES = 3
_ENDS = re.compile(r"[-+.\deE]*:[-+.\deE]*")


@Parameter(name="*")
@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """Which changes of a row are looked for."""

    counterfactuals: int | None = None
    "How many rows to look for that are near and answered otherwise; by default 3 for one row of a table, and a label."
    wanted: str | None = None
    "Label that these are to get, or for numbers LEAST:MOST."
    immutable: tuple[str, ...] = ()
    "Column that must stay as it is; may be given several times."
    limits: Annotated[tuple[str, ...], Parameter(name="--range")] = ()
    "COLUMN=LEAST:MOST, what a column may become, either end left open; may be given several times."

    @property
    def is_asked(self) -> bool:
        """Whether anything of it was given."""
        return self != ChangeOptions()

    def arguments(self) -> dict[str, Any]:
        """The arguments of `counterfactuals` that they mean."""
        wanted: Any = self.wanted
        if wanted is not None and _ENDS.fullmatch(wanted):
            wanted = _ends(wanted, f"--wanted {wanted!r}")
        return {"wanted": wanted, "immutable": self.immutable, "ranges": dict(map(_range, self.limits))}


def explain(
    model: Path,
    *,
    row: str | None = None,
    text: str | None = None,
    data: str | None = None,
    label: str | None = None,
    changes: ChangeOptions | None = None,
    similar: int = 0,
    effect: tuple[str, ...] = (),
    protected: tuple[str, ...] = (),
    within: str | None = None,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Why a model answers a row as it does, and what would change the answer; without a row, what it has learned.

    Args:
        model: a .lepton file.
        row: what to explain: a JSON file of a row, or of a list of them; a table; a picture, sound or text file.
        text: what to explain, of a model of texts.
        data: rows with the target that the model was not trained on: what a row is compared with and, without a row,
            what the whole is shown on. By default such as the statistics in the file say.
        label: the label whose probability is explained.
        changes: what may change.
        similar: how many rows of the data to show that the model sees as most alike.
        effect: column whose effect is drawn; given twice, how the two act together.
        protected: column that says who belongs to which group of people: how the model treats them; several times.
        within: time allowed.
        report: HTML page to write.
        reading: how to read the tables.
        seed: of what is sampled.
        workers: threads to use.
        context: given by the command line.
    """
    changes = changes or ChangeOptions()
    is_row = row is not None or text is not None
    _check_asked(row, text, data, changes, {"--effect": effect, "--protected": protected}, similar)
    with context.work(within, seed=seed, workers=workers) as work:
        opened = verbs.load(model, resources=work.resources)
        options = reading or ReadOptions()
        table = None if data is None else options.read(data, work)
        if is_row:
            cells = [text] if text is not None else _cells(opened, Path(str(row)), options, work)
            told = _of_rows(opened, cells, table, label, changes, similar, work)
        else:
            told = _of_the_whole(opened, table, effect, protected, label, work)
    page, *others = (each.page() for each in told.values())
    for other in others:
        page.extend(other)
    shown = "\n\n".join(each.text() for each in told.values())
    if report is not None:
        page.write(report)
        shown += f"\n\nPage written: {report}"
    facts = {"model": str(model), "model_id": opened.model_id}
    following = () if report else (f"lepton explain {model} … --report why.html",)
    return Result({**facts, **{name: each.to_dict() for name, each in told.items()}}, shown, next=following)


def _check_asked(
    row: str | None,
    text: str | None,
    data: str | None,
    changes: ChangeOptions,
    of_the_whole: dict[str, tuple[str, ...]],
    similar: int,
) -> None:
    """Refuse what does not go together before anything is read."""
    if row is not None and text is not None:
        raise UsageError(ErrorCode.USAGE, "got --row and --text", wanted="one of them")
    is_row = row is not None or text is not None
    if not is_row and (changes.is_asked or similar):
        raise UsageError(ErrorCode.USAGE, "got options about a row, and no row", wanted="--row FILE or --text TEXT")
    if is_row and (given := [name for name, value in of_the_whole.items() if value]):
        raise UsageError(ErrorCode.USAGE, f"got {given[0]} and a row", wanted="either: it speaks of the whole model")
    if len(of_the_whole["--effect"]) > 2:
        raise UsageError(ErrorCode.USAGE, "got --effect more than twice", wanted="one column, or two")
    if data is None and (similar or of_the_whole["--protected"]):
        missing = "--similar" if similar else "--protected"
        raise UsageError(ErrorCode.USAGE, f"got {missing} and no rows", wanted="--data TABLE")


def _of_rows(
    model: verbs.Model, cells: Any, table: Any, label: Any, changes: ChangeOptions, similar: int, work: Work
) -> dict[str, Any]:
    """Why these rows are answered so, what would change it, and which rows are like them."""
    found: Any = verbs.explain(model, cells, data=table, label=label, work=work)
    told = {"explanation": found}
    count = changes.counterfactuals
    if count is None:  # of a number nobody knows which other one is wanted
        is_clear = hasattr(found, "counterfactuals") and model.labels is not None and len(found.values) == 1
        count = _DEFAULT_CHANGES if is_clear or changes.is_asked else 0
    if count and not hasattr(found, "counterfactuals"):
        came = "got options about changes, and a model of files or texts"
        raise UsageError(ErrorCode.USAGE, came, wanted="a model of a table, whose columns can become others")
    if count:
        options = {**changes.arguments(), "seed": work.seed, "work": work}
        told["counterfactuals"] = trusting.counterfactuals(model, cells, data=table, k=count, **options)
    if similar:
        told["similar"] = trusting.similar(model, cells, table, k=similar, work=work)
    return told


def _of_the_whole(
    model: verbs.Model, table: Any, effect: tuple[str, ...], protected: tuple[str, ...], label: Any, work: Work
) -> dict[str, Any]:
    """What the model has learned, on which rows it is weak, and how it treats groups."""
    options = {"seed": work.seed, "work": work}
    if effect:
        other = effect[1] if len(effect) > 1 else None
        return {"effect": model.effect(effect[0], table, other=other, label=label, **options)}
    told: dict[str, Any] = {"overview": model.overview(table, label=label, **options)}
    if table is not None and model.target in table.schema.names:
        told["segments"] = model.segments(table, **options)
    if protected:
        told["fairness"] = model.fairness(table, protected, **options)
    return told


def _cells(model: verbs.Model, path: Path, options: ReadOptions, work: Work) -> Any:
    """The rows of a JSON or YAML file or of a table; of a model of files the path, or the text that stands there."""
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        return _few(options.read(str(path), work))
    if suffix not in _DOCUMENTS:
        if [column.kind for column in model.inputs] == [Kind.TEXT]:
            return [_text(path)]
        with open_read(path):  # a file that is not there is told as such
            return [str(path)]
    found = documents.read_yaml(path)
    rows = found if isinstance(found, list) else [found]
    if not rows or not all(isinstance(each, dict) for each in rows):
        raise DataError(
            ErrorCode.BAD_VALUE,
            f"{path.name} holds {json.dumps(found, default=str)[:100]}",
            wanted='a row such as {"age": 41, "income": 38000}, or a list of them',
        )
    return rows


def _text(path: Path) -> str:
    with open_read(path) as file:
        data = file.read(_MOST_TEXT)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        came = f"'{printable(path.name)}' is no text in UTF-8"
        raise DataError(ErrorCode.UNREADABLE, came, wanted="a text, which the model answers") from None


def _few(table: Any) -> Any:
    if table.num_rows > _MOST_ROWS:
        raise UsageError(
            ErrorCode.USAGE,
            f"got {table.num_rows:,} rows to explain one by one",
            wanted=f"at most {_MOST_ROWS}",
            fix="explain the whole with --data, without --row",
        )
    return table.frame()


def _range(text: str) -> tuple[str, tuple[float | None, float | None]]:
    column, equals, ends = text.partition("=")
    if not column or not equals:
        raise UsageError(ErrorCode.USAGE, f"got --range {text!r}", wanted="COLUMN=LEAST:MOST, as in age=18:")
    return column, _ends(ends, f"--range {text!r}")


def _ends(text: str, came: str) -> tuple[float | None, float | None]:
    least, colon, most = text.partition(":")
    try:
        ends = (float(least) if least else None, float(most) if most else None)
    except ValueError:
        ends = (None, None)
    if not colon or ends == (None, None):
        raise UsageError(ErrorCode.USAGE, f"got {came}", wanted="LEAST:MOST, either end left open, as in 18:")
    return ends
