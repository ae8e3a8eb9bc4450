"""Verbs about how quick a model is: accelerate and profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import Work
from lepton.verbs.model import Model, opened

if TYPE_CHECKING:
    from lepton.optimization.accelerate import Profile

__all__ = ["accelerate", "profile"]


def accelerate(
    model: Model | str | Path,
    source: Any = None,
    *,
    within: str | float = "60s",
    batch: int | Sequence[int] = 1,
    python: str | Path | None = None,
    output: str | Path | None = None,
    seed: int = 0,
    work: Work | None = None,
) -> Model:
    """`Model.accelerate`: as quick as this machine can, kept in the reports of the file.

    Args:
        model: a `Model` or the path of one.
        source: rows to measure with; by default such as the file's statistics and schema say.
        within: time allowed.
        batch: rows of a call; several sizes count alike.
        python: interpreter of another environment, whose execution providers are measured too.
        output: a file to write in place of the model's own.
        seed: of rows that are made.
        work: time, cancel, progress and resources; replaces `within` and `seed`.

    Raises:
        UsageError: a batch that cannot be.
        DataError: there is no such interpreter.
        Interrupted: the work was asked to stop; nothing is written.
    """
    return opened(model).accelerate(
        source, within=within, batch=batch, python=python, output=output, seed=seed, work=work
    )


def profile(
    model: Model | str | Path, source: Any = None, *, batch: int = 1, seed: int = 0, work: Work | None = None
) -> Profile:
    """`Model.profile`: where the time of a call goes, by operator and node.

    Args:
        model: a `Model` or the path of one.
        source: rows to measure with; by default such as the file's statistics and schema say.
        batch: rows of a call.
        seed: of rows that are made.
        work: cancel and resources; replaces `seed`.

    Raises:
        UsageError: a batch that cannot be.
    """
    return opened(model).profile(source, batch=batch, seed=seed, work=work)
