"""Which settings are tried, in groups: the best of one group is what the next one goes on from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lepton.bundle.settings import RuntimeSettings
from lepton.core import Resources

__all__ = ["Group", "groups"]

_MOST_THREADS = 16


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives to each other.

    Attributes:
        name: for people.
        changes: name for people → what is set.
    """

    name: str
    changes: Sequence[tuple[str, Mapping[str, Any]]]

    def settings(self, current: RuntimeSettings) -> list[tuple[str, RuntimeSettings]]:
        """What is tried on top of `current`, but what it is already."""
        made = [(text, replace(current, **change)) for text, change in self.changes]
        return [(text, settings) for text, settings in made if settings != current]


def groups(resources: Resources, *, single: bool) -> tuple[Group, ...]:
    """All that is tried on the CPU.

    Args:
        resources: whose cores bound the threads.
        single: whether the calls are of one row.
    """
    counts = sorted({2**power for power in range(1, 8)} | {resources.cpus})
    counts = [count for count in counts if 1 < count <= min(resources.cpus, _MOST_THREADS)]
    threads = [
        (f"{count} threads" + text, {"threads": count, "spinning": spinning})
        for count in counts
        for text, spinning in (("", "always"), (", awake in runs alone", "in-runs"), (", asleep between", "never"))
    ]
    return (
        Group("calls", [("memory bound once", {"bound": True})] if single else []),
        Group("threads", threads),
        Group("graph", [(f"graph optimisation {level}", {"level": level}) for level in ("extended", "basic")]),
        Group(
            "memory",
            [
                ("no memory pattern", {"memory_pattern": False}),
                ("no arena", {"arena": False}),
                *([("nodes side by side", {"parallel": True})] if resources.cpus > 1 else []),
            ],
        ),
    )
