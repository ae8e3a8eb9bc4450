"""What the steps of compression take and give: a draft of a model in, another draft out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from enum import IntEnum
from pathlib import Path
from typing import Any, ClassVar

from lepton.bundle import Bundle, Manifest, Predictor, open_model, write_bundle
from lepton.core import Resources, Work
from lepton.evaluation import Metric
from lepton.optimization.lean.rows import Rows
from lepton.store import scratch_folder

__all__ = ["Draft", "Setting", "Stage", "Step", "Subject"]


class Stage(IntEnum):
    """When a step has its turn: what is left over after one stage is what the next one works on."""

    CLEAN = 0
    """The same answers from fewer nodes and bytes; always tried first."""

    STRUCTURE = 1
    """Fewer channels, layers, trees, members or words: alternatives to each other, the slowest to try."""

    RANK = 2
    """The same structure from fewer numbers: factors of matrices, zeros."""

    PRECISION = 3
    """The same numbers in fewer bits."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How strongly a step is applied.

    Attributes:
        text: as a person reads it, such as `half of the channels`.
        values: what the step reads, ready for JSON.
    """

    text: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """A model on its way: what its bundle will hold, and the steps that led there from the original.

    Attributes:
        manifest: what the bundle says of itself; its inputs, outputs and labels are those of the original.
        graph: the serialized graph.
        assets: name without folder → data.
        baseline: as `assets`.
        training: as `assets`; what goes on learning must belong to the graph, so a step that changes the graph alone
            leaves `{"kind": b"none"}`.
        steps: step and setting, in order.
    """

    manifest: Manifest
    graph: bytes
    assets: Mapping[str, bytes]
    baseline: Mapping[str, bytes]
    training: Mapping[str, bytes]
    steps: tuple[tuple[str, Setting], ...] = ()

    @classmethod
    def of(cls, bundle: Bundle) -> Draft:
        """The model of a file, unchanged."""
        folders: dict[str, dict[str, bytes]] = {"assets": {}, "baseline": {}, "training": {}}
        for name in bundle.names:
            folder, _, rest = name.partition("/")
            if folder in folders:
                folders[folder][rest] = bundle.member(name)
        return cls(bundle.manifest, bundle.graph, folders["assets"], folders["baseline"], folders["training"])

    def changed(
        self,
        step: str,
        setting: Setting,
        *,
        graph: bytes,
        training: Mapping[str, bytes] | None = None,
        assets: Mapping[str, bytes] | None = None,
        inner: Mapping[str, str] | None = None,
    ) -> Draft:
        """The draft that a step makes of this one.

        Args:
            step: its name.
            setting: how strongly.
            graph: the new graph.
            training: what goes on learning from it; None where nothing does.
            assets: where they change.
            inner: inner points of the graph, where they change.
        """
        return replace(
            self,
            manifest=self.manifest if inner is None else replace(self.manifest, inner=inner),
            graph=graph,
            assets=self.assets if assets is None else assets,
            training={"kind": b"none"} if training is None else training,
            steps=(*self.steps, (step, setting)),
        )

    def write(self, path: str | Path, reports: Mapping[str, Mapping[str, Any]] | None = None) -> str:
        """Write the bundle, whole or not at all; its `model_id`."""
        return write_bundle(
            path,
            manifest=self.manifest,
            graph=self.graph,
            assets=self.assets,
            baseline=self.baseline,
            training=self.training,
            reports=reports,
        )

    @contextmanager
    def opened(self, resources: Resources | None = None) -> Iterator[Predictor]:
        """The draft at work, from a file that is gone afterwards."""
        with scratch_folder() as folder:
            path = folder / "draft.lepton"
            self.write(path)
            yield open_model(path, resources=resources)


@dataclass(frozen=True, slots=True)
class Subject:
    """What is compressed, and by which rows.

    Attributes:
        original: the model as it came.
        learn: rows that steps may learn and calibrate from.
        choose: rows that the search judges drafts by; steps do not see them.
        metric: what a loss is told in.
    """

    original: Draft
    learn: Rows
    choose: Rows
    metric: Metric


class Step(ABC):
    """One way of making a model smaller.

    Steps are plain objects without state: everything is in what they are given, so that they run in any process.

    Attributes:
        name: as it is asked for and told.
        stage: when it has its turn.
        learns: whether it trains, which takes most of the time there is.
        brief: whether it takes little time for what it gives, so that it has its turn first.
        instead_of: steps that it does not follow, for it does what they do.
    """

    name: ClassVar[str]
    stage: ClassVar[Stage]
    learns: ClassVar[bool] = False
    brief: ClassVar[bool] = False
    instead_of: ClassVar[frozenset[str]] = frozenset()

    @abstractmethod
    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """Why the step has nothing to do here, for a person to read; None where it has. Quick: it opens no session."""

    @abstractmethod
    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """The settings worth trying, from mild to strong: each should give a smaller file than the one before."""

    @abstractmethod
    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """A smaller draft; the one it was given stays as it is.

        Args:
            subject: what is compressed; of its rows, `learn` alone may be used.
            draft: to work on.
            setting: one of `settings`, or one between them.
            work: the time that this one try has, cancel, resources and seed.

        Raises:
            LeptonError: it cannot be done; the search tells why and goes on without it.
            Interrupted: the time is over before anything of use is there.
        """
