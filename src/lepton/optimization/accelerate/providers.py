"""Execution providers: which are present, which of them work with a graph, and what those of another Python would give.

Each is first tried in a child process: one that is present but broken may take a process down, and is told as that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnxruntime
from numpy.typing import NDArray

from lepton.bundle import Bundle
from lepton.bundle.settings import CPU, PROVIDERS
from lepton.core import LeptonError, Resources, printable
from lepton.optimization.accelerate.answers import TOLERANCE, Answers, what_differs
from lepton.optimization.accelerate.child import Child, ChildContestant
from lepton.optimization.accelerate.race import Contestant, race
from lepton.optimization.accelerate.result import Trial
from lepton.store import scratch_folder, write_bytes

__all__ = ["elsewhere", "present_providers", "why_not"]

_REMOTE = {"AzureExecutionProvider"}  # sends rows away
_OPENING_SECONDS = 60.0
Tensors = Mapping[str, NDArray[Any]]
MakeChild = Callable[[str | Path | None, Resources], Child]


def present_providers() -> tuple[str, ...]:
    """Those of this onnxruntime that a bundle may name, beside the CPU."""
    return tuple(name for name in onnxruntime.get_available_providers() if name in PROVIDERS and name != CPU)


def why_not(
    provider: str, bundle: Bundle, rows: Tensors, wanted: Answers, resources: Resources, make: MakeChild = Child
) -> str:
    """What is wrong with a provider that is present, for a person; "" where it answers as the CPU does.

    Args:
        provider: its name.
        bundle: whose graph it is to run.
        rows: to answer.
        wanted: what the CPU answers.
        resources: that the child may use.
        make: starts a child.
    """
    try:
        with _ready(None, bundle, rows, resources, make) as (child, graph):
            return _tried(child, graph, provider, wanted, resources)[1]
    except LeptonError as error:
        return f"present but broken: {error.came}"


def elsewhere(
    python: str | Path,
    bundle: Bundle,
    rows: Tensors,
    wanted: Answers,
    reference: Contestant,
    *,
    calls: int,
    batch: int,
    resources: Resources,
    stopped: Callable[[], bool],
    make: MakeChild = Child,
) -> tuple[Trial, ...]:
    """What each execution provider of another Python would give.

    Args:
        python: its interpreter; the environment needs onnxruntime.
        bundle: whose graph is run.
        rows: to answer, the first `batch` of them to time.
        wanted: what the CPU answers here.
        reference: what it is compared with, in this process.
        calls: of a block.
        batch: rows of a call.
        resources: that the child may use.
        stopped: asked between rounds.
        make: starts a child.

    Raises:
        DataError: there is no such interpreter.
        WorkerError: it has no onnxruntime.
    """
    with _ready(python, bundle, rows, resources, make) as (child, graph):
        about = child.ask({"do": "about"})
        names = [printable(str(name)) for name in about.get("providers", ()) if name not in _REMOTE]
        version = printable(str(about.get("onnxruntime", "")))
        trials = []
        for name in names:
            try:
                number, problem = _tried(child, graph, name, wanted, resources)
            except LeptonError as error:
                number, problem = None, f"present but broken: {error.came}"
            if number is None or problem:
                trials.append(Trial(name, None, problem))
                continue
            contestant = ChildContestant(name, child, number, calls, batch)
            try:
                standings = race(reference, [contestant], stopped=stopped)
            except LeptonError as error:
                trials.append(Trial(name, None, f"broke off: {error.came}"))
                continue
            trials += [Trial(f"{name}, onnxruntime {version}", each) for each in standings]
        return tuple(trials)


@contextmanager
def _ready(
    python: str | Path | None, bundle: Bundle, rows: Tensors, resources: Resources, make: MakeChild
) -> Iterator[tuple[Child, str]]:
    """A child that has the rows, and the path of a file with the graph."""
    with scratch_folder(resources.scratch) as folder, make(python, resources) as child:
        graph = folder / "model.onnx"
        write_bytes(graph, bundle.graph)
        child.send_rows(rows)
        yield child, str(graph)


def _tried(child: Child, graph: str, provider: str, wanted: Answers, resources: Resources) -> tuple[int | None, str]:
    """Number of the session of a provider, and what is wrong with it."""
    providers: Sequence[str] = [provider] if provider == CPU else [provider, CPU]
    request = {"do": "open", "graph": graph, "providers": providers, "threads": resources.cpus}
    opened = child.ask(request, _OPENING_SECONDS)
    number = opened.get("id")
    if provider not in opened.get("providers", ()) or not isinstance(number, int):
        return None, "present, and not able to start: the CPU took its place"
    given = child.answers(number)
    if given.keys() != wanted.together.keys():
        return None, "answers other outputs"
    problem = what_differs(Answers(given, given), Answers(wanted.together, wanted.together))
    return number, f"{problem}; {TOLERANCE:g} of the largest is taken" if problem else ""
