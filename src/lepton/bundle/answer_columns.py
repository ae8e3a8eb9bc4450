"""Everything that a model answers as columns of a table, one row for each row that was asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import polars as pl
from numpy.typing import NDArray

from lepton.bundle.manifest import Manifest

__all__ = ["answer_columns", "stated_coverage", "stated_quantiles", "without_embedding"]

_BY_LABEL = frozenset({"prediction", "probabilities", "set"})
_PREFIXES = {"probabilities": "probability", "quantiles": "quantile"}


def answer_columns(
    manifest: Manifest, outputs: Mapping[str, NDArray[Any]], labels: Sequence[str], *, boolean: bool = False
) -> pl.DataFrame:
    """A column for every output, and of those with several values a row, one for each value.

    They are called as the outputs, but `probability_<label>`, `set_<label>` (whether the label is in the set) and
    `quantile_<share>`; a model of several labels has `prediction_<label>`.

    Args:
        manifest: of the model.
        outputs: name → array, the first dimension being the row.
        labels: of the model, as text.
        boolean: whether the graph's 0 and 1 are answers to a boolean target.
    """
    columns: list[pl.Series] = []
    for name, values in outputs.items():
        if values.ndim == 1:
            column = pl.Series(name, values, dtype=pl.String if values.dtype == object else None)
            columns.append(column.cast(pl.Boolean) if boolean and name == "prediction" else column)
            continue
        prefix = _PREFIXES.get(name, name)
        parts: Sequence[str] = labels if name in _BY_LABEL else ()
        if name == "quantiles":
            parts = [f"{level:g}" for level in stated_quantiles(manifest)]
        for place in range(values.shape[1]):
            part = parts[place] if place < len(parts) else str(place)
            column = pl.Series(f"{prefix}_{part}", values[:, place])
            columns.append(column.cast(pl.Boolean) if name in {"set", "prediction"} else column)
    return pl.DataFrame(columns)


def without_embedding(outputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
    """What a person wants to see of outputs: an embedding only where there is nothing else."""
    return {name: values for name, values in outputs.items() if name != "embedding"} or outputs


def stated_coverage(manifest: Manifest) -> float | None:
    """The share of rows whose truth is to be between `lower` and `upper`, or in `set`; None where nothing is said."""
    names = {output.name for output in manifest.outputs}
    if manifest.task == "quantile":
        levels = stated_quantiles(manifest)
        return round(levels[-1] - levels[0], 12) if "lower" in names and levels else None
    told = _options(manifest).get("coverage")
    return float(told) if names & {"lower", "set"} and isinstance(told, float) and 0.0 < told < 1.0 else None


def stated_quantiles(manifest: Manifest) -> tuple[float, ...]:
    """The shares that the columns of `quantiles` mean, rising; () where nothing is said."""
    told = _options(manifest).get("quantiles")
    known = isinstance(told, list) and all(isinstance(level, float) and 0.0 < level < 1.0 for level in told)
    return tuple(told) if known and told is not None else ()


def _options(manifest: Manifest) -> Mapping[str, Any]:
    found = manifest.lineage.get("options")
    return found if isinstance(found, Mapping) else {}
