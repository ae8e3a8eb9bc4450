"""What `lepton serve` was asked for, in the words of another place: its files have other addresses there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import ErrorCode, UsageError, parse_size, printable
from lepton.serving.guard import is_loopback

__all__ = ["SECRETS", "Asked", "health_check"]

SECRETS = ("token_file", "token_limits", "tls_cert", "tls_key", "tls_client_ca")
"""Options that name files which must not stand in an image or be read by others."""

_BESIDE_MODELS = 512 * 2**20
_USUAL_MEMORY = 2 * 2**30


@dataclass(frozen=True, slots=True)
class Asked:
    """A command `lepton serve`.

    Attributes:
        models: files, folders, `name=file` and services, as they were given.
        options: option → value of those that were given; True for a switch.
        port: of HTTP.
    """

    models: tuple[str, ...]
    options: Mapping[str, Any]
    port: int

    def __post_init__(self) -> None:
        if self.port == 0 or self.options.get("grpc_port") == 0:
            raise UsageError(ErrorCode.USAGE, "port 0 takes another port each time", wanted="a port that is known")
        if "unix" in self.options:
            raise UsageError(
                ErrorCode.USAGE,
                "got --unix",
                wanted="a port: a server of a user of its own is reached by no other there",
            )
        for word in (*self.models, *map(str, self.options.values())):
            if not word.isprintable():
                raise UsageError(ErrorCode.USAGE, f"got {printable(word)!r}", wanted="words without control characters")

    @property
    def memory(self) -> int:
        """Bytes that the whole server may take."""
        most = self.options.get("max_memory")
        return _USUAL_MEMORY if most is None else parse_size(most, "max_memory") + _BESIDE_MODELS

    @property
    def grpc_port(self) -> int | None:
        """Of gRPC, where it is served."""
        return self.options.get("grpc_port")

    @property
    def has_tls(self) -> bool:
        """Whether HTTP is behind TLS."""
        return "tls_cert" in self.options

    @property
    def can_be_asked(self) -> bool:
        """Whether a probe can be answered: it has no certificate, and no token but the server's own."""
        return "tls_client_ca" not in self.options and (
            "token_file" in self.options or "token_limits" not in self.options
        )

    def check_guarded(self, host: str) -> None:
        """Refuse what would make a token at each start, which nobody could know but by reading the log.

        Raises:
            UsageError: a token is needed, and none is given.
        """
        strangers = not is_loopback(host) and "tls_client_ca" not in self.options
        needed = "require_token" in self.options or (strangers and "insecure_no_token" not in self.options)
        if needed and not {"token_file", "token_limits"} & set(self.options):
            raise UsageError(
                ErrorCode.USAGE,
                "callers need a token, and a server that makes one would log it at each start",
                wanted="--token-file FILE, or --tls-client-ca FILE",
                fix="head -c 32 /dev/urandom | base64 > token, and --token-file token",
            )

    def words(
        self,
        model: Callable[[str], str],
        file: Callable[[str, Path], str],
        word: Callable[[str], str] = str,
        **replaced: str,
    ) -> list[str]:
        """The words behind `lepton serve` in another place.

        Args:
            model: path of a model, folder or service here → there.
            file: option and its path here → its word there.
            word: any other word → as it is written there.
            replaced: option → value to give in place of the one that was given, if any.
        """
        out = []
        for given in self.models:
            name, equals, rest = given.rpartition("=")
            out.append(word(f"{name}{equals}{moved(rest, model)}"))
        options = {**self.options, **replaced}
        for option, value in options.items():
            out.append("--" + option.replace("_", "-"))
            if isinstance(value, Path):
                out.append(file(option, value))
            elif value is not True:
                out.append(word(str(value)))
        return out

    def sources(self) -> tuple[Path, ...]:
        """Files and folders of models and services here."""
        return tuple(dict.fromkeys(Path(source_path(given.rpartition("=")[2])) for given in self.models))


def source_path(given: str) -> str:
    """The file of a model or of a service."""
    head, colon, _ = given.rpartition(":")
    return head if colon and head.endswith(".py") else given


def moved(given: str, model: Callable[[str], str]) -> str:
    """A model or service with its file elsewhere."""
    path = source_path(given)
    return model(path) + given[len(path) :]


def health_check(asked: Asked, path: str, token: str | None) -> list[str]:
    """A command that succeeds if the server of this machine says so; it shows the token in the file `token`."""
    scheme, trust = ("https", ", context=ssl._create_unverified_context()") if asked.has_tls else ("http", "")
    shown = (
        ""
        if token is None
        else f", headers={{'authorization': 'Bearer ' + pathlib.Path({token!r}).read_text().strip()}}"
    )
    code = (
        f"import pathlib, ssl, urllib.request as web; "
        f"web.urlopen(web.Request('{scheme}://127.0.0.1:{asked.port}{path}'{shown}), timeout=5{trust})"
    )
    return ["python", "-c", code]
