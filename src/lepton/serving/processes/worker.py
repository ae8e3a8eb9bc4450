"""A worker: a process with a server of its own, whose connections its supervisor hands over."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

from lepton.core import LeptonError, Resources
from lepton.core.imports import own_process
from lepton.serving.http import Limits
from lepton.serving.processes.link import Link
from lepton.serving.server import Server
from lepton.serving.sources import Sources
from lepton.serving.strict_json import parse
from lepton.serving.tls import Tls
from lepton.serving.watching.logs import follow_log_form

__all__ = ["main", "sources_of", "sources_record"]


def main() -> None:
    """Serve until the supervisor says stop, or is gone."""
    own_process()
    for number in (signal.SIGTERM, signal.SIGINT):  # the supervisor says when, also where all processes are told
        signal.signal(number, _pass_over)
    channel, door = (_inherited(int(file)) for file in sys.argv[1:])
    with channel.dup().makefile("rb") as stream:
        told: dict[str, Any] = parse(stream.readline(), "the supervisor's first line")
    follow_log_form(told["log"])
    link = Link(channel, door, told["share"], None if told["tasks"] is None else Path(told["tasks"]))
    try:
        server = Server(
            sources_of(told["sources"]),
            limits=Limits(**told["limits"]),
            resources=Resources(**told["resources"]),
            unix=None if told["unix"] is None else Path(told["unix"]),
            tls=None if told["tls"] is None else Tls.from_dict(told["tls"]),
            link=link,
            **told["options"],
        )
        server.serve_forever(lambda _: link.opened())
    except LeptonError as error:
        link.failed(error)
        sys.exit(error.exit_code)


def sources_record(sources: Sources) -> dict[str, Any]:
    """Sources in JSON, from which `sources_of` makes them again."""
    return {
        "files": {name: str(file) for name, file in sources.files.items()},
        "folders": [str(folder) for folder in sources.folders],
    }


def sources_of(record: dict[str, Any]) -> Sources:
    """The sources of a record."""
    sources = Sources(record["folders"])
    sources.files = {name: Path(file) for name, file in record["files"].items()}
    return sources


def _inherited(file: int) -> socket.socket:
    os.set_inheritable(file, False)
    return socket.socket(fileno=file)


def _pass_over(*_: object) -> None:
    """What a worker does on a signal that its supervisor hears too."""
