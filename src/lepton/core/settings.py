"""Settings: a file, the environment and flags, in rising order; unknown keys are refused."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lepton.core.budgets import parse_size
from lepton.core.errors import ErrorCode, UsageError

__all__ = ["Settings", "cache_folder", "load_settings"]

_RESERVED = {"LEPTON_CONFIG", "LEPTON_PSEUDONYM_KEY", "LEPTON_PSEUDONYM_KEY_FILE"}  # keys are no settings


def cache_folder() -> Path:
    """The one place for caches: `LEPTON_CACHE`, else `$XDG_CACHE_HOME/lepton`, else `~/.cache/lepton`."""
    if chosen := os.environ.get("LEPTON_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lepton"


@dataclass(frozen=True, slots=True)
class Settings:
    """Every setting, with its default. File: `lepton.toml`, table `[lepton]`. Environment: `LEPTON_<NAME>`.

    Attributes:
        workers: threads that may be used; 0 means every core this process may run on.
        memory: bytes of memory to stay under where work can spill, 0 for no limit; texts such as "4GB" are taken.
        seed: default of every `seed` argument.
        log: level of the log: `debug`, `info`, `warning`, `error`.
        host: address that servers bind.
        port: port that servers bind.
        cache: folder of caches; "" means the default of `cache_folder()`.
    """

    workers: int = 0
    memory: int = 0
    seed: int = 0
    log: str = "warning"
    host: str = "127.0.0.1"
    port: int = 8080
    cache: str = ""

    @property
    def cache_path(self) -> Path:
        """The folder of caches."""
        return Path(self.cache) if self.cache else cache_folder()


def load_settings(
    file: str | os.PathLike[str] | None = None,
    environ: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Settings:
    """Settings from `file` (else `LEPTON_CONFIG`, else `./lepton.toml` if there), then environment, then flags.

    Raises:
        UsageError: an unknown key (the closest is named), a value of another type, a file that is not TOML.
    """
    environ = os.environ if environ is None else environ
    settings = Settings()
    named = file or environ.get("LEPTON_CONFIG")
    path = Path(named) if named else Path("lepton.toml")
    if path.is_file():
        try:
            raw = tomllib.loads(path.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(ErrorCode.BAD_SETTING, f"{path.name} is not valid TOML: {error}") from None
        table = raw.get("lepton", {})
        if not isinstance(table, dict):
            raise UsageError(ErrorCode.BAD_SETTING, f"{path.name} sets lepton to {table!r}", wanted="a table [lepton]")
        settings = _laid_over(settings, table, path.name)
    elif named:
        raise UsageError(ErrorCode.BAD_SETTING, f"there is no settings file {path.name!r}")
    prefix = "LEPTON_"
    named_here = {key for key in environ if key.startswith(prefix)} - _RESERVED
    given = {key.removeprefix(prefix).lower(): environ[key] for key in sorted(named_here)}
    settings = _laid_over(settings, given, "the environment")
    return _laid_over(settings, {k: v for k, v in (flags or {}).items() if v is not None}, "the command line")


def _laid_over(settings: Settings, values: Mapping[str, Any], source: str) -> Settings:
    types = {f.name: type(getattr(settings, f.name)) for f in fields(Settings)}
    changes: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            close = difflib.get_close_matches(key, types, n=1)
            raise UsageError(
                ErrorCode.BAD_SETTING,
                f"{source} has the unknown setting {key!r}",
                wanted="one of " + ", ".join(types),
                fix=f"did you mean {close[0]!r}?" if close else "",
            )
        changes[key] = _converted(key, value, types[key], source)
    return replace(settings, **changes)


def _converted(key: str, value: Any, wanted: type, source: str) -> Any:
    if key == "memory" and isinstance(value, str) and not value.isdigit():
        return parse_size(value, "memory")
    if wanted is int and isinstance(value, int | str) and not isinstance(value, bool):
        try:
            number = int(value)
        except ValueError:
            number = -1
        if number >= 0 and (key != "port" or number <= 65535):
            return number
    elif key == "log":
        if str(value).lower() in {"debug", "info", "warning", "error"}:
            return str(value).lower()
    elif isinstance(value, str):
        return value
    raise UsageError(ErrorCode.BAD_SETTING, f"{source} sets {key} to {value!r}", wanted=_wanted(key, wanted))


def _wanted(key: str, kind: type) -> str:
    if key == "log":
        return "debug, info, warning or error"
    if key == "port":
        return "a whole number from 0 to 65535"
    return "a whole number of at least 0" if kind is int else "a text"
