"""What a training did, epoch by epoch: numbers, a picture of the curves, a page for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lepton.report import Facts, Figure, Page, Points, Table, lines, show_number

__all__ = ["History"]


class History:
    """The curves of a training; `Trainer.fit` gives one.

    Attributes:
        history: name → value of each epoch (`loss`, `accuracy`, `val_loss`, …), as Keras has it.
        epoch: numbers of the epochs, from 0.
        seconds: how long each epoch took, validation included.
        stopped: why it ended before the last epoch, or "".
        notes: what is worth knowing, in sentences.
    """

    def __init__(self) -> None:
        self.history: dict[str, list[float]] = {}
        self.epoch: list[int] = []
        self.seconds: list[float] = []
        self.stopped = ""
        self.notes: list[str] = []

    def append(self, epoch: int, logs: Mapping[str, float], seconds: float) -> None:
        """Add an epoch; what an earlier epoch did not have is NaN there."""
        for name in logs:
            self.history.setdefault(name, [float("nan")] * len(self.epoch))
        for name, values in self.history.items():
            values.append(float(logs.get(name, float("nan"))))
        self.epoch.append(epoch)
        self.seconds.append(seconds)

    def __len__(self) -> int:
        return len(self.epoch)

    def __repr__(self) -> str:
        last = ", ".join(f"{name} {show_number(values[-1])}" for name, values in self.history.items() if values)
        told = f"; {self.stopped}" if self.stopped else ""
        return f"History({len(self)} epochs{': ' + last if last else ''}{told})"

    def figures(self) -> tuple[Figure, ...]:
        """The curves: what belongs to a metric, of training and validation, in one figure."""
        names = [name for name in self.history if not name.startswith("val_")]
        names += [name[4:] for name in self.history if name.startswith("val_") and name[4:] not in names]
        found = []
        epochs = [number + 1 for number in self.epoch]
        for name in names:
            pairs = {"training": self.history.get(name), "validation": self.history.get("val_" + name)}
            series = {label: (epochs, values) for label, values in pairs.items() if values}
            found.append(lines(series, title=name, x_label="epoch", y_label=name))
        return tuple(found)

    def page(self, title: str = "Training") -> Page:
        """The curves and the numbers as one page."""
        page = Page(title, self.stopped or f"{len(self)} epochs in {sum(self.seconds):.1f} s")
        if self.epoch:
            page.section("The last epoch", Facts({name: values[-1] for name, values in self.history.items()}))
            page.section("Curves", *self.figures())
        if self.notes:
            page.section("Notes", Points(self.notes))
        rows: list[list[Any]] = [
            [number + 1, *(values[place] for values in self.history.values()), f"{self.seconds[place]:.2f}"]
            for place, number in enumerate(self.epoch)
        ]
        return page.section("Epochs", Table(["epoch", *self.history, "seconds"], rows))

    def _repr_html_(self) -> str:
        return self.page()._repr_html_()

    def to_dict(self) -> dict[str, Any]:
        """All of it, ready for JSON but for NaN."""
        return {
            "history": {name: list(values) for name, values in self.history.items()},
            "epoch": list(self.epoch),
            "seconds": list(self.seconds),
            "stopped": self.stopped,
            "notes": list(self.notes),
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> History:
        """The history that `to_dict` told."""
        found = cls()
        found.history = {
            name: [float("nan") if value is None else value for value in values]
            for name, values in record["history"].items()
        }
        found.epoch, found.seconds = list(record["epoch"]), list(record["seconds"])
        found.stopped, found.notes = record["stopped"], list(record["notes"])
        return found
