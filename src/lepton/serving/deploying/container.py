"""A container file: models inside, secrets and state outside, no root, nothing to write."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath

from lepton.core import ErrorCode, UsageError, printable
from lepton.serving.deploying.asked import SECRETS, Asked, health_check
from lepton.version import __version__

__all__ = ["SECRETS_FOLDER", "USER", "container_file", "container_words", "token_path"]

USER = 10_001
"""Number of the user and group in the image."""

SECRETS_FOLDER = "/run/lepton"
"""Where files with secrets are in a container."""

_MODELS, _CONFIGURATION, _STATE = "/models", "/etc/lepton", "/var/lib/lepton"
_COPIED = ("traffic", "trusted")


def container_words(asked: Asked, models: str | None = None) -> list[str]:
    """The words behind `lepton serve` in a container.

    Args:
        asked: the command here.
        models: folder to serve in place of the models that were given.

    Raises:
        UsageError: it would make a token at each start, or two files have one name.
    """
    asked.check_guarded("0.0.0.0")  # noqa: S104 - a container is reached at no other address
    there = [_inside(str(path)) for path in asked.sources()]
    if models is None and len(set(there)) < len(there):
        raise UsageError(
            ErrorCode.USAGE,
            "two models have files of one name",
            wanted="other names: in a container they are side by side",
        )
    inside = asked if models is None else Asked((models,), asked.options, asked.port)
    return inside.words(
        lambda path: path if models is not None else _inside(path),
        _file,
        host="0.0.0.0",  # noqa: S104 - as above
        port=str(asked.port),
    )


def container_file(asked: Asked) -> str:
    """The container file of a server that was asked for.

    Raises:
        UsageError: as of `container_words`, or a file that stands outside of this folder.
    """
    words = ["lepton", "serve", *container_words(asked)]
    copied = [(path, _inside(str(path))) for path in asked.sources()]
    copied += [(v, _file(o, v)) for o, v in asked.options.items() if isinstance(v, Path) and o in _COPIED]
    secrets = [option for option in asked.options if option in SECRETS]
    run = ["podman run --read-only --tmpfs /tmp --cap-drop all --security-opt no-new-privileges"]
    run += [f"--memory {asked.memory} -p 127.0.0.1:{asked.port}:{asked.port}"]
    run += [f"--secret {option},target={SECRETS_FOLDER}/{option}" for option in secrets] + (
        ["-v lepton-state:" + _STATE] if "state" in asked.options else []
    )
    package = f"lepton-ai{'[grpc]' if asked.grpc_port else ''}=={__version__}"
    probe = health_check(asked, "/v2/health/ready", token_path(asked)) if asked.can_be_asked else None
    lines = [
        "# podman build -t lepton -f Containerfile .",
        *[f"# podman secret create {option} {_comment(asked.options[option])}" for option in secrets],
        f"# {' '.join(run)} lepton",
        "FROM python:3.12-slim",
        f"RUN pip install --no-cache-dir '{package}'",
        *[f"COPY {json.dumps([_context(path), there])}" for path, there in copied],
        f"RUN chmod -R a+rX {' '.join(dict.fromkeys(str(PurePosixPath(there).parent) for _, there in copied))}",
        "ENV LEPTON_CACHE=/tmp/lepton PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1",
        *([f"RUN install -d -o {USER} -g {USER} {_STATE}", f"VOLUME {_STATE}"] if "state" in asked.options else []),
        f"USER {USER}:{USER}",
        "EXPOSE " + " ".join(str(port) for port in (asked.port, asked.grpc_port) if port),
        *([f"HEALTHCHECK --interval=10s --start-period=30s CMD {json.dumps(probe)}"] if probe else []),
        "STOPSIGNAL SIGTERM",
        f"ENTRYPOINT {json.dumps(words)}",
    ]
    return "\n".join(lines) + "\n"


def token_path(asked: Asked) -> str | None:
    """Where the token is in a container."""
    return f"{SECRETS_FOLDER}/token_file" if "token_file" in asked.options else None


def _inside(path: str) -> str:
    return str(PurePosixPath(_MODELS, Path(path).absolute().name))


def _file(option: str, path: Path) -> str:
    if option == "state":
        return _STATE
    return f"{SECRETS_FOLDER}/{option}" if option in SECRETS else f"{_CONFIGURATION}/{path.name}"


def _context(path: Path) -> str:
    """A path that a build may copy."""
    if path.is_absolute() or ".." in path.parts:
        raise UsageError(
            ErrorCode.USAGE,
            f"got {printable(str(path))!r}, which a container file cannot copy",
            wanted="paths below the folder in which the image is built",
        )
    return str(path)


def _comment(path: Path) -> str:
    return " ".join(str(path).split())
