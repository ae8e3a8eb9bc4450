"""How onnxruntime runs a graph on the machine at hand: settings that were measured there, kept in a report.

A report may come from a stranger, so it is a wish and no order: names and values are of closed lists, threads are no
more than the process has, and what is not understood leaves the defaults in place.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import onnxruntime

from lepton.bundle.machines import machine_type
from lepton.core import ErrorCode, Resources, UsageError, printable

__all__ = ["CPU", "LEVELS", "PROVIDERS", "REPORT", "RuntimeSettings", "recorded_settings"]

REPORT = "settings"
"""Name of the report that holds them."""

CPU = "CPUExecutionProvider"

PROVIDERS: Mapping[str, Mapping[str, frozenset[str]]] = {
    CPU: {},
    "CUDAExecutionProvider": {"device_id": frozenset(map(str, range(16)))},
    "TensorrtExecutionProvider": {"device_id": frozenset(map(str, range(16)))},
    "MIGraphXExecutionProvider": {"device_id": frozenset(map(str, range(16)))},
    "OpenVINOExecutionProvider": {"device_type": frozenset({"CPU", "GPU", "NPU"})},
    "DmlExecutionProvider": {"device_id": frozenset(map(str, range(16)))},
    "CoreMLExecutionProvider": {},
    "DnnlExecutionProvider": {},
    "XnnpackExecutionProvider": {},
    "VitisAIExecutionProvider": {},
}
"""Execution provider → its options that a report may name, with their values."""

LEVELS: Mapping[str, Any] = {
    "none": onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
    "basic": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "extended": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "all": onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
}
"""What onnxruntime may do to a graph when it opens it."""

SPINNING = ("always", "in-runs", "never")
"""When idle threads wait by asking again: at all times, while a graph runs, or never."""

_NAMES = {
    "level": "graph optimisation",
    "bound": "memory bound once",
    "memory_pattern": "memory pattern",
    "parallel": "nodes side by side",
    "provider_options": "with",
}
_MOST_THREADS = 64
_MOST_MACHINES = 100
_logger = logging.getLogger("lepton.bundle")


@dataclass(frozen=True, slots=True)
class RuntimeSettings:
    """How a graph is run; the defaults are safe everywhere.

    >>> RuntimeSettings(threads=2).to_dict()
    {'threads': 2}

    Attributes:
        threads: that share the work of one node. With one, large batches are cut and the parts shared among threads.
        spinning: of `SPINNING`; of no meaning with one thread.
        level: of `LEVELS`.
        bound: whether single rows run in memory that was bound once, where the graph's shapes allow it.
        arena: whether memory is kept from run to run.
        memory_pattern: whether the memory of a run is laid out beforehand.
        parallel: whether nodes that do not need each other may run at once.
        provider: of `PROVIDERS`; what it cannot run, the CPU does.
        provider_options: of it.
    """

    threads: int = 1
    spinning: str = "always"
    level: str = "all"
    bound: bool = False
    arena: bool = True
    memory_pattern: bool = True
    parallel: bool = False
    provider: str = CPU
    provider_options: tuple[tuple[str, str], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """What differs from the defaults, ready for JSON."""
        default = RuntimeSettings()
        told = {name: value for name, value in asdict(self).items() if value != getattr(default, name)}
        if self.provider_options:
            told["provider_options"] = dict(self.provider_options)
        return told

    @classmethod
    def from_dict(cls, raw: object) -> RuntimeSettings:
        """The settings that `to_dict` has told.

        Raises:
            UsageError: a name or a value that is not of the lists.
        """
        if not isinstance(raw, Mapping) or not all(isinstance(name, str) for name in raw):
            raise _refusal(raw)
        values = dict(raw)
        provider = values.get("provider", CPU)
        options = values.pop("provider_options", {})
        if not isinstance(provider, str) or provider not in PROVIDERS or not isinstance(options, Mapping):
            raise _refusal(raw)
        allowed = PROVIDERS[provider]
        if any(not isinstance(value, str) or value not in allowed.get(name, ()) for name, value in options.items()):
            raise _refusal(raw)
        types = {each.name: type(each.default) for each in fields(cls)}
        if not all(name in types and type(value) is types[name] for name, value in values.items()):
            raise _refusal(raw)
        made = cls(**values, provider_options=tuple(sorted(options.items())))
        if not 1 <= made.threads <= _MOST_THREADS or made.level not in LEVELS or made.spinning not in SPINNING:
            raise _refusal(raw)
        return made

    def session_options(self, resources: Resources) -> onnxruntime.SessionOptions:
        """What onnxruntime is told; never more threads than `resources` has."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(self.threads, resources.cpus)
        options.inter_op_num_threads = min(2, resources.cpus) if self.parallel else 1
        if self.parallel:
            options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
        options.graph_optimization_level = LEVELS[self.level]
        options.enable_cpu_mem_arena = self.arena
        options.enable_mem_pattern = self.memory_pattern
        options.log_severity_level = 4  # what goes wrong is raised, so nothing needs to be printed
        if self.spinning == "never":
            options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        elif self.spinning == "in-runs":
            options.add_session_config_entry("session.force_spinning_stop", "1")
        return options

    def providers(self) -> list[Any]:
        """What onnxruntime is given to run on, in order."""
        if self.provider == CPU:
            return [CPU]
        return [(self.provider, dict(self.provider_options)), CPU]

    def text(self) -> str:
        """For a person: what differs from the defaults."""
        shown = [
            _NAMES.get(name, name) if value is True else f"{_NAMES.get(name, name)} {_shown(value)}"
            for name, value in self.to_dict().items()
        ]
        return ", ".join(shown) or "the defaults"


def recorded_settings(reports: Mapping[str, Mapping[str, Any]]) -> RuntimeSettings:
    """The settings that a bundle's reports hold for this type of machine; the defaults where there are none.

    What is wrong with a report, or not to be had here, is logged and left.
    """
    report = reports.get(REPORT)
    if report is None:
        return RuntimeSettings()
    here, records = machine_type(), report.get("machines")
    for record in records[:_MOST_MACHINES] if isinstance(records, list) else ():
        if not isinstance(record, Mapping) or record.get("machine") != here:
            continue
        try:
            settings = RuntimeSettings.from_dict(record.get("settings"))
        except UsageError as error:
            _logger.warning("the report 'settings' is left aside: %s", error.came)
            return RuntimeSettings()
        if settings.provider not in onnxruntime.get_available_providers():
            _logger.warning("%s is recorded for this machine, and not installed: the CPU answers", settings.provider)
            return RuntimeSettings()
        return settings
    return RuntimeSettings()


def _shown(value: object) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{name}={each}" for name, each in value.items())
    return "off" if value is False else str(value)


def _refusal(raw: object) -> UsageError:
    return UsageError(
        ErrorCode.BAD_SETTING,
        f"got the runtime settings {printable(repr(raw), 200)}",
        wanted="those that lepton accelerate writes",
    )
