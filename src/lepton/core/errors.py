"""The error tree and its catalogue: one table maps a code to an HTTP status, an exit code and a public title.

Every refusal that a user can meet is a `LeptonError`. Its message says what came, what was wanted and how to fix
it; its code is stable and documented in `docs/reference/errors.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = [
    "CATALOGUE",
    "BudgetError",
    "BundleError",
    "CatalogueRecord",
    "DataError",
    "ErrorCode",
    "Interrupted",
    "LeptonError",
    "MissingExtraError",
    "SchemaError",
    "SecurityError",
    "ServingError",
    "StoreError",
    "TrainingError",
    "UsageError",
    "WorkerError",
]


class ErrorCode(StrEnum):
    """Stable codes of everything that can be refused; each is a row of `CATALOGUE`."""

    INTERNAL = "internal"
    # usage: the call's own words
    USAGE = "usage"
    BAD_NAME = "bad-name"
    BAD_SETTING = "bad-setting"
    BAD_BUDGET = "bad-budget"
    UNKNOWN_PLUGIN = "unknown-plugin"
    BAD_RECIPE = "bad-recipe"
    BAD_RULE = "bad-rule"
    BAD_SERVICE = "bad-service"
    BAD_TRAFFIC = "bad-traffic"
    MISSING_EXTRA = "missing-extra"
    # data: what was read
    NOT_FOUND = "not-found"
    NOT_A_FILE = "not-a-file"
    EMPTY_DATA = "empty-data"
    UNREADABLE = "unreadable"
    BAD_ENCODING = "bad-encoding"
    RAGGED_ROWS = "ragged-rows"
    BAD_COLUMN_NAMES = "bad-column-names"
    TOO_WIDE = "too-wide"
    TOO_FEW_ROWS = "too-few-rows"
    CHANGED_WHILE_READ = "changed-while-read"
    UNKNOWN_COLUMN = "unknown-column"
    BAD_VALUE = "bad-value"
    BAD_TARGET = "bad-target"
    NO_GRAPH_FORM = "no-graph-form"
    RULES_BROKEN = "rules-broken"
    BAD_VERSION = "bad-version"
    # schema: rows offered to a model
    MISSING_COLUMNS = "missing-columns"
    EXTRA_COLUMNS = "extra-columns"
    WRONG_KIND = "wrong-kind"
    WRONG_SHAPE = "wrong-shape"
    # bundle
    BUNDLE_DAMAGED = "bundle-damaged"
    BUNDLE_UNSAFE = "bundle-unsafe"
    BUNDLE_TOO_NEW = "bundle-too-new"
    BUNDLE_TOO_OLD = "bundle-too-old"
    GRAPH_REFUSED = "graph-refused"
    CHECK_FAILED = "check-failed"
    NOT_VERIFIED = "not-verified"
    NOT_JUDGED = "not-judged"
    # security
    BAD_KEY = "bad-key"
    BAD_SIGNATURE = "bad-signature"
    UNTRUSTED = "untrusted"
    FORBIDDEN_URL = "forbidden-url"
    # work
    TRAINING_FAILED = "training-failed"
    NOT_FITTED = "not-fitted"
    BUDGET_MISSED = "budget-missed"
    INTERRUPTED = "interrupted"
    WORKER_DIED = "worker-died"
    OUT_OF_MEMORY = "out-of-memory"
    # store
    STORE_FULL = "store-full"
    STORE_FAILED = "store-failed"
    FETCH_FAILED = "fetch-failed"
    # serving
    BAD_REQUEST = "bad-request"
    UNKNOWN_MODEL = "unknown-model"
    UNKNOWN_ROUTE = "unknown-route"
    METHOD_NOT_ALLOWED = "method-not-allowed"
    UNSUPPORTED_MEDIA_TYPE = "unsupported-media-type"
    TOO_LARGE = "too-large"
    HEADERS_TOO_LARGE = "headers-too-large"
    REQUEST_TIMEOUT = "request-timeout"
    FORBIDDEN_ORIGIN = "forbidden-origin"
    UNAUTHENTICATED = "unauthenticated"
    NOT_READY = "not-ready"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate-limited"
    DEADLINE_PASSED = "deadline-passed"
    ADDRESS_IN_USE = "address-in-use"
    UNKNOWN_SERVICE = "unknown-service"
    UNKNOWN_TASK = "unknown-task"
    UNKNOWN_REQUEST = "unknown-request"
    DUPLICATE_FEEDBACK = "duplicate-feedback"
    WATCHING_OFF = "watching-off"
    BAD_PARAMETER = "bad-parameter"
    SERVICE_FAILED = "service-failed"
    SERVICE_DIED = "service-died"
    SERVICE_TIMEOUT = "service-timeout"


class LeptonError(Exception):
    """Root of everything that Lepton refuses.

    Args:
        code: the row of the catalogue.
        came: what came, with the received value.
        wanted: what was wanted.
        fix: how to fix it, a command or an argument where there is one.
        details: JSON-ready facts for programs (column names, counts).
    """

    def __init__(
        self,
        code: ErrorCode,
        came: str,
        *,
        wanted: str = "",
        fix: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.came = came
        self.wanted = wanted
        self.fix = fix
        self.details = dict(details or {})
        parts = [_sentence(came)]
        if wanted:
            parts.append("Wanted: " + _sentence(wanted))
        if fix:
            parts.append("Fix: " + _sentence(fix))
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.code, self.came, self.wanted, self.fix, self.details)

    @property
    def http_status(self) -> int:
        """HTTP status of the catalogue."""
        return CATALOGUE[self.code].http_status

    @property
    def exit_code(self) -> int:
        """Exit code of the catalogue."""
        return CATALOGUE[self.code].exit_code

    @property
    def title(self) -> str:
        """Public title of the catalogue: safe to show to anybody."""
        return CATALOGUE[self.code].title

    def to_dict(self) -> dict[str, Any]:
        """The one JSON shape of an error, for `--format json` and REST."""
        return {
            "code": str(self.code),
            "title": self.title,
            "message": str(self),
            "wanted": self.wanted,
            "fix": self.fix,
            "details": self.details,
        }


def _rebuild(
    kind: type[LeptonError], code: ErrorCode, came: str, wanted: str, fix: str, details: dict[str, Any]
) -> LeptonError:
    return kind(code, came, wanted=wanted, fix=fix, details=details)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else text + "."


class UsageError(LeptonError, ValueError):
    """An argument, name, setting or budget that cannot be meant."""


class MissingExtraError(LeptonError, ImportError):
    """An optional library is not installed; the message names it and the command that installs it.

    `extra` is "" for a library that is in none.
    """

    def __init__(self, library: str, extra: str, purpose: str) -> None:
        super().__init__(
            ErrorCode.MISSING_EXTRA,
            f"{purpose} needs the library {library!r}, which is not installed",
            fix=f"pip install 'lepton-ai[{extra}]'" if extra else f"pip install {library}",
            details={"library": library, "extra": extra},
        )

    def __reduce__(self) -> tuple[Any, ...]:
        purpose = self.came.split(" needs the library ", 1)[0]
        return MissingExtraError, (self.details["library"], self.details["extra"], purpose)


class DataError(LeptonError, ValueError):
    """Data that cannot be read or used as it is."""


class SchemaError(DataError):
    """Rows that do not fit what a model or a recipe takes."""


class BundleError(LeptonError, ValueError):
    """A model file that is damaged, unsafe or of another format."""


class SecurityError(LeptonError):
    """A key, signature, address or caller that is not trusted."""


class TrainingError(LeptonError):
    """Training could not give a model."""


class BudgetError(LeptonError):
    """A budget that could not be kept; the best that was found is named in `details`."""


class Interrupted(LeptonError):
    """Work that was asked to stop before it had anything to give."""


class WorkerError(LeptonError):
    """A child process that died, hung or ran out of memory."""


class StoreError(LeptonError):
    """Disk or network storage that failed; nothing half written is left."""


class ServingError(LeptonError):
    """A request that an inference server refuses, or a server that cannot start."""


@dataclass(frozen=True, slots=True)
class CatalogueRecord:
    """One row of the catalogue."""

    family: type[LeptonError]
    http_status: int
    exit_code: int
    title: str


_C = CatalogueRecord
CATALOGUE: Mapping[ErrorCode, CatalogueRecord] = {
    ErrorCode.INTERNAL: _C(LeptonError, 500, 1, "An error inside Lepton"),
    ErrorCode.USAGE: _C(UsageError, 400, 2, "The call is not understood"),
    ErrorCode.BAD_NAME: _C(UsageError, 400, 2, "A name that cannot be used"),
    ErrorCode.BAD_SETTING: _C(UsageError, 400, 2, "A setting that cannot be used"),
    ErrorCode.BAD_BUDGET: _C(UsageError, 400, 2, "A budget that cannot be meant"),
    ErrorCode.UNKNOWN_PLUGIN: _C(UsageError, 400, 2, "Nothing is registered under that name"),
    ErrorCode.BAD_RECIPE: _C(UsageError, 400, 2, "A cleaning recipe that cannot be meant"),
    ErrorCode.BAD_RULE: _C(UsageError, 400, 2, "A rule that cannot be meant"),
    ErrorCode.BAD_SERVICE: _C(UsageError, 400, 2, "A service that cannot be meant"),
    ErrorCode.BAD_TRAFFIC: _C(UsageError, 400, 2, "Rules of traffic that cannot be meant"),
    ErrorCode.MISSING_EXTRA: _C(MissingExtraError, 501, 6, "An optional part is not installed"),
    ErrorCode.NOT_FOUND: _C(DataError, 404, 3, "Not found"),
    ErrorCode.NOT_A_FILE: _C(DataError, 400, 3, "Not a readable file"),
    ErrorCode.EMPTY_DATA: _C(DataError, 422, 3, "No data"),
    ErrorCode.UNREADABLE: _C(DataError, 422, 3, "The data cannot be read"),
    ErrorCode.BAD_ENCODING: _C(DataError, 422, 3, "The text encoding is not what was expected"),
    ErrorCode.RAGGED_ROWS: _C(DataError, 422, 3, "Rows of different lengths"),
    ErrorCode.BAD_COLUMN_NAMES: _C(DataError, 422, 3, "Column names that cannot be used"),
    ErrorCode.TOO_WIDE: _C(DataError, 422, 3, "Too many columns"),
    ErrorCode.TOO_FEW_ROWS: _C(DataError, 422, 3, "Too few rows"),
    ErrorCode.CHANGED_WHILE_READ: _C(DataError, 409, 3, "The file changed while it was read"),
    ErrorCode.UNKNOWN_COLUMN: _C(DataError, 422, 3, "No such column"),
    ErrorCode.BAD_VALUE: _C(DataError, 422, 3, "A value that cannot be used"),
    ErrorCode.BAD_TARGET: _C(DataError, 422, 3, "A target that cannot be learned"),
    ErrorCode.NO_GRAPH_FORM: _C(DataError, 422, 3, "A step that a model file cannot hold"),
    ErrorCode.RULES_BROKEN: _C(DataError, 422, 10, "The data breaks its rules"),
    ErrorCode.BAD_VERSION: _C(DataError, 422, 3, "A version of a table that cannot be used"),
    ErrorCode.MISSING_COLUMNS: _C(SchemaError, 422, 3, "Columns are missing"),
    ErrorCode.EXTRA_COLUMNS: _C(SchemaError, 422, 3, "Columns that the model does not know"),
    ErrorCode.WRONG_KIND: _C(DataError, 422, 3, "A column of another kind"),
    ErrorCode.WRONG_SHAPE: _C(DataError, 422, 3, "A shape that does not fit"),
    ErrorCode.BUNDLE_DAMAGED: _C(BundleError, 422, 4, "The model file is damaged"),
    ErrorCode.BUNDLE_UNSAFE: _C(BundleError, 422, 4, "The model file holds what it must not"),
    ErrorCode.BUNDLE_TOO_NEW: _C(BundleError, 422, 4, "The model file is of a newer format"),
    ErrorCode.BUNDLE_TOO_OLD: _C(BundleError, 422, 4, "The model file is of an older format"),
    ErrorCode.GRAPH_REFUSED: _C(BundleError, 422, 4, "The graph is refused"),
    ErrorCode.CHECK_FAILED: _C(BundleError, 422, 10, "The check found differences"),
    ErrorCode.NOT_VERIFIED: _C(BundleError, 422, 10, "The model does not keep the rules of its release"),
    ErrorCode.NOT_JUDGED: _C(BundleError, 422, 11, "Rules of the release could not be judged"),
    ErrorCode.BAD_KEY: _C(SecurityError, 400, 4, "A key that cannot be used"),
    ErrorCode.BAD_SIGNATURE: _C(SecurityError, 422, 4, "The signature does not hold"),
    ErrorCode.UNTRUSTED: _C(SecurityError, 403, 4, "Not trusted"),
    ErrorCode.FORBIDDEN_URL: _C(SecurityError, 400, 4, "An address that is not allowed"),
    ErrorCode.TRAINING_FAILED: _C(TrainingError, 422, 8, "Training gave no model"),
    ErrorCode.NOT_FITTED: _C(TrainingError, 409, 8, "Not fitted yet"),
    ErrorCode.BUDGET_MISSED: _C(BudgetError, 422, 5, "A budget was not kept"),
    ErrorCode.INTERRUPTED: _C(Interrupted, 499, 130, "Interrupted"),
    ErrorCode.WORKER_DIED: _C(WorkerError, 503, 8, "A worker died"),
    ErrorCode.OUT_OF_MEMORY: _C(WorkerError, 503, 8, "Out of memory"),
    ErrorCode.STORE_FULL: _C(StoreError, 507, 7, "No space left"),
    ErrorCode.STORE_FAILED: _C(StoreError, 503, 7, "Storage failed"),
    ErrorCode.FETCH_FAILED: _C(StoreError, 502, 7, "Fetching failed"),
    ErrorCode.BAD_REQUEST: _C(ServingError, 400, 3, "The request is not understood"),
    ErrorCode.UNKNOWN_MODEL: _C(ServingError, 404, 3, "No such model"),
    ErrorCode.UNKNOWN_ROUTE: _C(ServingError, 404, 3, "No such address"),
    ErrorCode.METHOD_NOT_ALLOWED: _C(ServingError, 405, 3, "Not a method of this address"),
    ErrorCode.UNSUPPORTED_MEDIA_TYPE: _C(ServingError, 415, 3, "A content type that is not taken"),
    ErrorCode.TOO_LARGE: _C(ServingError, 413, 3, "The request is too large"),
    ErrorCode.HEADERS_TOO_LARGE: _C(ServingError, 431, 3, "The request's headers are too large"),
    ErrorCode.REQUEST_TIMEOUT: _C(ServingError, 408, 9, "The request did not arrive in time"),
    ErrorCode.FORBIDDEN_ORIGIN: _C(ServingError, 403, 3, "A caller that is not allowed"),
    ErrorCode.UNAUTHENTICATED: _C(ServingError, 401, 3, "A token is needed"),
    ErrorCode.NOT_READY: _C(ServingError, 503, 9, "Not ready"),
    ErrorCode.OVERLOADED: _C(ServingError, 503, 9, "Too busy"),
    ErrorCode.RATE_LIMITED: _C(ServingError, 429, 9, "More than a token allows"),
    ErrorCode.DEADLINE_PASSED: _C(ServingError, 504, 9, "Not begun in time"),
    ErrorCode.ADDRESS_IN_USE: _C(ServingError, 503, 9, "The address is in use"),
    ErrorCode.UNKNOWN_SERVICE: _C(ServingError, 404, 3, "No such service or method"),
    ErrorCode.UNKNOWN_TASK: _C(ServingError, 404, 3, "No such task"),
    ErrorCode.UNKNOWN_REQUEST: _C(ServingError, 404, 3, "No answer is kept of this request"),
    ErrorCode.DUPLICATE_FEEDBACK: _C(ServingError, 409, 3, "Another truth is known already"),
    ErrorCode.WATCHING_OFF: _C(ServingError, 409, 3, "The server keeps no state"),
    ErrorCode.BAD_PARAMETER: _C(ServingError, 422, 3, "A parameter that does not fit"),
    ErrorCode.SERVICE_FAILED: _C(ServingError, 500, 8, "A service failed"),
    ErrorCode.SERVICE_DIED: _C(ServingError, 503, 9, "The process of a service ended"),
    ErrorCode.SERVICE_TIMEOUT: _C(ServingError, 504, 9, "A service took too long"),
}
