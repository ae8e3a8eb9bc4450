"""One column of texts, pictures or sounds: which way of learning it was asked for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lepton.core import Work
from lepton.core.lazy import LazyModule
from lepton.data import Dataset
from lepton.training.tables import TrainingResult

if TYPE_CHECKING:
    from lepton.training.deep import run as media, texts
    from lepton.training.deep.backbones import run as backbones
else:
    media, texts, backbones = (LazyModule(f"lepton.training.deep.{name}") for name in ("run", "texts", "backbones.run"))

__all__ = ["train_cells"]


def train_cells(
    table: Dataset,
    *,
    files: str | None,
    text: str | None,
    group: str | None,
    backbone: str | None,
    tuning: str | None,
    work: Work,
    output: Path,
    **told: Any,
) -> TrainingResult:
    """Learn the column `files`, or where it is None the column `text`.

    Args:
        table: with the column.
        files: column of pictures or sounds.
        text: column of texts.
        group: column of groups that are held out together; for files.
        backbone: pre-trained network to begin with; None for one of our own.
        tuning: what of it learns.
        work: time, threads, seed, stop signal.
        output: model file to write.
        **told: what all of them take: target, task, metric, weight, class_weight.

    Raises:
        LeptonError: see `train_media`, `train_texts` and `train_backbone`.
    """
    told |= {"work": work, "output": output}
    if told["class_weight"] is not None and told["metric"] is None:
        told["metric"] = "roc_auc"  # as with tables, what is chosen by then does not depend on the shares of classes
    if files is not None and group is not None:
        table = table.with_roles({group: "group"})
    if backbone is not None:
        column, is_text = files or str(text), files is None
        return backbones.train_backbone(table, column=column, texts=is_text, backbone=backbone, tuning=tuning, **told)
    if files is None:
        return texts.train_texts(table, text=str(text), **told)
    return media.train_media(table, column=files, **told)
