"""`Recipe`: an ordered list of cleaning steps, the same in Python and in YAML, fitted once and repeated for years."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, LeptonError, Schema, SchemaError, TrainingError, UsageError, Work
from lepton.data.dataset import Dataset
from lepton.data.lineage import Lineage
from lepton.data.recipes.base import RECIPE_STEPS, BoundStep, RecipeStep, step_of
from lepton.data.recipes.prepared import Prepared
from lepton.data.recipes.run import bound_stage
from lepton.store.documents import read_yaml, write_yaml

__all__ = ["FORMAT", "Recipe", "bound_steps"]

FORMAT = "recipe/1"
_MAX_STEPS = 1_000
_KEYS = ("lepton", "steps", "columns", "learned")


@dataclass(frozen=True)
class Recipe:
    """Cleaning steps in order. Each step is a method; a recipe is never changed, each call gives a longer one.

    >>> import lepton
    >>> recipe = lepton.Recipe().drop_duplicates().rename({"preis": "price"})
    >>> recipe.fit_transform(lepton.read({"preis": [1.0, 2.0, 1.0]})).frame()["price"].to_list()
    [1.0, 2.0]

    Attributes:
        steps: as they are written.
        learned: what each step learned; None before `fit`.
        before: the columns that the recipe was fitted on; None before `fit`.
    """

    steps: tuple[RecipeStep, ...] = ()
    learned: tuple[Mapping[str, Any], ...] | None = None
    before: Schema | None = None

    # --- writing -------------------------------------------------------------------------------------------------

    def step(self, name: str, *arguments: Any, **parameters: Any) -> Recipe:
        """The recipe with one step more, which has learned nothing yet.

        Args:
            name: a step of the reference, or of a plug-in.
            arguments: its parameters in their order.
            parameters: its parameters by name.

        Raises:
            UsageError: there is no such step, or a parameter does not fit.
        """
        number = len(self.steps) + 1
        if name not in RECIPE_STEPS.names():
            raise _unknown(name, f"step {number}")
        fields = [each.name for each in dataclasses.fields(RECIPE_STEPS.load(name))]
        if len(arguments) > len(fields):
            raise UsageError(
                ErrorCode.BAD_RECIPE,
                f"step {number}: {name} got {len(arguments)} parameters",
                wanted=f"at most {len(fields)}: {', '.join(fields)}",
                fix="give several columns as a list",
            )
        given = dict(zip(fields, arguments, strict=False))
        if twice := set(given) & set(parameters):
            raise UsageError(ErrorCode.BAD_RECIPE, f"step {number}: {name} got {twice.pop()} twice")
        return Recipe((*self.steps, step_of(name, {**given, **parameters}, f"step {number}")))

    def __getattr__(self, name: str) -> Callable[..., Recipe]:
        if name.startswith("_") or name not in RECIPE_STEPS.names():
            close = difflib.get_close_matches(name, RECIPE_STEPS.names(), n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise AttributeError(f"a recipe has no step {name!r}{hint}")

        def call(*arguments: Any, **parameters: Any) -> Recipe:
            return self.step(name, *arguments, **parameters)

        made = RECIPE_STEPS.load(name)
        call.__name__, call.__qualname__, call.__doc__ = name, f"Recipe.{name}", made.__doc__
        call.__signature__ = inspect.signature(made)  # type: ignore[attr-defined]  # for help() and completion
        return call

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *RECIPE_STEPS.names()]

    def __len__(self) -> int:
        return len(self.steps)

    def __repr__(self) -> str:
        state = "not fitted" if self.learned is None else "fitted"
        return f"<Recipe of {len(self.steps)} steps, {state}: {', '.join(step.name for step in self.steps)}>"

    # --- using ---------------------------------------------------------------------------------------------------

    @property
    def is_fitted(self) -> bool:
        """Whether the steps have learned what they need."""
        return self.learned is not None

    def fit(self, table: Dataset, *, tables: Mapping[str, Dataset] | None = None, work: Work | None = None) -> Recipe:
        """The recipe with what its steps learn from the rows of `table`, now."""
        fitted: Recipe = _lineage_of(self.fit_transform(table, tables=tables, work=work)).recipe
        return fitted

    def fit_transform(
        self, table: Dataset, *, tables: Mapping[str, Dataset] | None = None, work: Work | None = None
    ) -> Dataset:
        """The cleaned table. Nothing runs until its rows or its schema are asked for.

        Args:
            table: the rows to learn from and to clean.
            tables: other tables by the names that steps such as `join` use.
            work: cancel, progress, seed, and the memory that may be used (`Resources.memory`).

        Raises:
            DataError: once it runs: a cell that a step cannot treat (step, column, file and row are named), or a
                column that a step needs and that is not there.
        """
        return _prepared(self, table, None, tables, work)

    def transform(
        self, table: Dataset, *, tables: Mapping[str, Dataset] | None = None, work: Work | None = None
    ) -> Dataset:
        """Other rows, cleaned by what was learned from those of `fit`.

        Columns that the recipe does not know are left out. Nothing runs until rows are asked for.

        Raises:
            TrainingError: the recipe is not fitted.
            SchemaError: a column is missing, or cannot be read as the kind that was learned.
        """
        if self.learned is None or self.before is None:
            raise TrainingError(ErrorCode.NOT_FITTED, "the recipe has learned nothing yet", fix="recipe.fit(table)")
        return _prepared(self, _as_learned(table, self), self.learned, tables, work)

    # --- keeping -------------------------------------------------------------------------------------------------

    def to_dict(self) -> dict[str, Any]:
        """Plain data, as it stands in files."""
        steps: list[Any] = []
        for step in self.steps:
            parameters = step.params()
            steps.append({step.name: parameters} if parameters else step.name)
        found: dict[str, Any] = {"lepton": FORMAT, "steps": steps}
        if self.learned is not None and self.before is not None:
            found["columns"] = self.before.to_dict()
            found["learned"] = [dict(each) for each in self.learned]
        return found

    @classmethod
    def from_dict(cls, data: Any) -> Recipe:
        """Read plain data: steps and parameters, and nothing else.

        Raises:
            UsageError: anything else; the message names the step.
        """
        if not isinstance(data, Mapping) or data.get("lepton") != FORMAT:
            came = f"it says lepton: {data.get('lepton')!r}" if isinstance(data, Mapping) else "it is no mapping"
            raise UsageError(ErrorCode.BAD_RECIPE, f"this is no recipe: {came}", wanted=f"lepton: {FORMAT}")
        if unknown := [key for key in data if key not in _KEYS]:
            raise UsageError(ErrorCode.BAD_RECIPE, f"the recipe has a key {unknown[0]!r}", wanted=", ".join(_KEYS))
        written = data.get("steps")
        if not isinstance(written, list) or len(written) > _MAX_STEPS:
            raise UsageError(ErrorCode.BAD_RECIPE, "steps is no list", wanted=f"at most {_MAX_STEPS:,} steps")
        steps = tuple(_written_step(number, each) for number, each in enumerate(written, 1))
        if "learned" not in data and "columns" not in data:
            return cls(steps)
        learned, columns = data.get("learned"), data.get("columns")
        if (
            not isinstance(learned, list)
            or len(learned) != len(steps)
            or not all(isinstance(e, Mapping) for e in learned)
        ):
            raise UsageError(ErrorCode.BAD_RECIPE, "learned does not fit the steps", wanted="one mapping for each step")
        try:
            before = Schema.from_dict(columns)  # type: ignore[arg-type]  # what it is not is refused
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(ErrorCode.BAD_RECIPE, f"columns cannot be read: {error}") from None
        return cls(steps, tuple(learned), before)

    def save(self, path: str | Path) -> Path:
        """Write the recipe, and what it learned, as YAML."""
        write_yaml(path, self.to_dict())
        return Path(path)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe from YAML or JSON. Whoever wrote it, it can do nothing but its steps."""
        return cls.from_dict(read_yaml(path))

    def __str__(self) -> str:
        lines = [repr(self)]
        for number, step in enumerate(self.steps, 1):
            words = ", ".join(f"{key}={value!r}" for key, value in step.params().items())
            lines.append(f"  {number}. {step.name}({words})")
        return "\n".join(lines)


def bound_steps(recipe: Recipe) -> list[tuple[RecipeStep, BoundStep]]:
    """Each step of a fitted recipe with its form on the columns that the recipe was fitted on.

    Raises:
        TrainingError: the recipe is not fitted.
    """
    if recipe.learned is None or recipe.before is None:
        raise TrainingError(ErrorCode.NOT_FITTED, "the recipe has learned nothing yet", fix="recipe.fit(table)")
    schema = recipe.before
    found = []
    for number, (step, learned) in enumerate(zip(recipe.steps, recipe.learned, strict=True), 1):
        stage = bound_stage(number, step, schema, learned)
        found.append((step, stage.bound))
        schema = stage.schema
    return found


def _unknown(name: Any, where: str) -> UsageError:
    close = difflib.get_close_matches(str(name), RECIPE_STEPS.names(), n=1)
    return UsageError(
        ErrorCode.BAD_RECIPE,
        f"{where}: there is no step {str(name)[:100]!r}",
        wanted="one of " + ", ".join(RECIPE_STEPS.names()),
        fix=f"did you mean {close[0]!r}?" if close else "",
    )


def _written_step(number: int, written: Any) -> RecipeStep:
    """A step as it stands in a file: its name, or one key with its parameters."""
    where = f"step {number}"
    if isinstance(written, str):
        written = {written: {}}
    if not isinstance(written, Mapping) or len(written) != 1:
        raise UsageError(ErrorCode.BAD_RECIPE, f"{where} is no step", wanted="a name, or a name with its parameters")
    ((name, parameters),) = written.items()
    if name not in RECIPE_STEPS.names():
        raise _unknown(name, where)
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, Mapping) or not all(isinstance(key, str) for key in parameters):
        raise UsageError(ErrorCode.BAD_RECIPE, f"{where}: the parameters of {name} are no mapping")
    return step_of(name, parameters, where)


def _as_learned(table: Dataset, recipe: Recipe) -> Dataset:
    """New rows with the columns that the recipe knows, read as the kinds that it has learned."""
    before = recipe.before
    assert before is not None  # noqa: S101 - checked by its caller
    if missing := [name for name in before.names if name not in table.schema]:
        name = missing[0]
        alike = next((other for other in table.schema.names if other.casefold() == name.casefold()), None)
        raise SchemaError(
            ErrorCode.MISSING_COLUMNS,
            f"the table has no column {name!r}" + (f" (nor {len(missing) - 1} more)" if len(missing) > 1 else ""),
            wanted=f"the columns that the recipe was fitted on; {_first_reader(recipe, name)}",
            fix=f"rename {alike!r}, which differs by case only" if alike else "",
            details={"columns": missing},
        )
    kinds = {c.name: c.kind for c in before if table.schema[c.name].kind is not c.kind}
    chosen = table.select(before.names)
    if not kinds:
        return chosen
    try:
        return chosen.with_kinds(kinds)
    except LeptonError as error:
        listed = ", ".join(
            f"{name!r} ({table.schema[name].kind}, not {kind})" for name, kind in list(kinds.items())[:10]
        )
        raise SchemaError(
            ErrorCode.WRONG_KIND,
            f"columns are of another kind than the recipe has learned: {listed}: {error.came}",
            wanted="columns of the kinds that the recipe was fitted on",
            details={"columns": list(kinds)},
        ) from None


def _first_reader(recipe: Recipe, column: str) -> str:
    for number, step in enumerate(recipe.steps, 1):
        if column in getattr(step, "columns", ()):
            return f"step {number} ({step.name}) needs it"
    return "it is part of the result"


def _lineage_of(table: Dataset) -> Lineage:
    assert table.lineage is not None  # noqa: S101 - made by a recipe
    return table.lineage


def _prepared(
    recipe: Recipe,
    table: Dataset,
    learned: Sequence[Mapping[str, Any]] | None,
    tables: Mapping[str, Dataset] | None,
    work: Work | None,
) -> Dataset:
    source = Prepared(recipe.steps, table, learned, dict(tables or {}), Work.of(work))

    def lineage() -> Lineage:
        pipeline = source.pipeline
        fitted = Recipe(recipe.steps, tuple(pipeline.learned), pipeline.before)
        return Lineage(fitted, pipeline.before, table)

    return source.dataset(lineage)
