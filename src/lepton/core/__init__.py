"""Nouns, contracts and errors that every room shares; imports the standard library only."""

from lepton.core.budgets import BudgetVerdict, parse_duration, parse_size, show_duration, show_size, time_allowed
from lepton.core.errors import (
    CATALOGUE,
    BudgetError,
    BundleError,
    DataError,
    ErrorCode,
    Interrupted,
    LeptonError,
    MissingExtraError,
    SchemaError,
    SecurityError,
    ServingError,
    StoreError,
    TrainingError,
    UsageError,
    WorkerError,
)
from lepton.core.names import check_label, check_name, printable
from lepton.core.registry import Registry
from lepton.core.schema import ColumnRecord, Kind, Role, Schema
from lepton.core.settings import Settings, cache_folder, load_settings
from lepton.core.tasks import OUTPUT_ORDER, TASKS, TaskRecord, task_record
from lepton.core.work import ProgressRecord, Reporter, Resources, Work

__all__ = [
    "CATALOGUE",
    "OUTPUT_ORDER",
    "TASKS",
    "BudgetError",
    "BudgetVerdict",
    "BundleError",
    "ColumnRecord",
    "DataError",
    "ErrorCode",
    "Interrupted",
    "Kind",
    "LeptonError",
    "MissingExtraError",
    "ProgressRecord",
    "Registry",
    "Reporter",
    "Resources",
    "Role",
    "Schema",
    "SchemaError",
    "SecurityError",
    "ServingError",
    "Settings",
    "StoreError",
    "TaskRecord",
    "TrainingError",
    "UsageError",
    "Work",
    "WorkerError",
    "cache_folder",
    "check_label",
    "check_name",
    "load_settings",
    "parse_duration",
    "parse_size",
    "printable",
    "show_duration",
    "show_size",
    "task_record",
    "time_allowed",
]
