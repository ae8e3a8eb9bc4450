"""A systemd unit: a user of its own, nothing to write, nothing to see but its files."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from lepton.serving.deploying.asked import SECRETS, Asked

__all__ = ["systemd_unit"]

_NAME = "lepton"
_UNSEEN = tuple(map(Path, ("/home", "/root", "/run/user", "/tmp", "/var/tmp")))  # noqa: S108 - hidden, not used

_HARDENING = """\
DynamicUser=yes
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=tmpfs
PrivateTmp=yes
PrivateDevices=yes
PrivateMounts=yes
ProtectProc=invisible
ProtectClock=yes
ProtectHostname=yes
ProtectControlGroups=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RemoveIPC=yes
LockPersonality=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
"""


def systemd_unit(asked: Asked, host: str) -> str:
    """The unit of a server that was asked for.

    Args:
        asked: the command.
        host: that it binds.

    Raises:
        UsageError: it would make a token at each start.
    """
    asked.check_guarded(host)
    credentials: list[str] = []
    visible = [Path(sys.prefix), Path(sys.base_prefix), *(path.absolute() for path in asked.sources())]

    def file(option: str, path: Path) -> str:
        if option in SECRETS:
            credentials.append(f"LoadCredential={option}:{_escaped(str(path.absolute()))}")
            return f"${{CREDENTIALS_DIRECTORY}}/{option}"
        if option == "state":
            return f"/var/lib/{_NAME}"
        visible.append(path.absolute())
        return _quoted(str(path.absolute()))

    words = asked.words(lambda path: str(Path(path).absolute()), file, _quoted, host=host, port=str(asked.port))
    command = " ".join([_quoted(sys.executable), "-m", "lepton", "serve", *words])
    hidden = sorted({p for p in visible if any(p.is_relative_to(home) for home in _UNSEEN)})
    parts = [
        f"# /etc/systemd/system/{_NAME}.service; then: systemctl daemon-reload && systemctl enable --now {_NAME}",
        "# It has a user of its own: models must be readable by others; files with secrets are handed to it.",
        "[Unit]",
        "Description=Lepton inference server",
        "Wants=network-online.target",
        "After=network-online.target",
        "",
        "[Service]",
        f"ExecStart={command}",
        f"Environment=LEPTON_CACHE=%C/{_NAME}",
        *sorted(set(credentials)),
        f"CacheDirectory={_NAME}",
        *([f"StateDirectory={_NAME}"] if "state" in asked.options else []),
        *[f"BindReadOnlyPaths={_quoted(str(path))}" for path in hidden],
        f"MemoryMax={asked.memory}",
        "Restart=on-failure",
        "RestartSec=2",
        "TimeoutStopSec=30",
        _HARDENING.rstrip(),
        *_capabilities(asked),
        "",
        "[Install]",
        "WantedBy=multi-user.target",
    ]
    return "\n".join(parts) + "\n"


def _capabilities(asked: Asked) -> list[str]:
    """None, but for ports that belong to the system."""
    low = min(asked.port, asked.grpc_port or asked.port) < 1024
    return [
        f"{kind}={'CAP_NET_BIND_SERVICE' if low else ''}" for kind in ("CapabilityBoundingSet", "AmbientCapabilities")
    ]


def _escaped(text: str) -> str:
    """A path in a setting: `%` begins what systemd puts in."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """A word of a command."""
    escaped = _escaped(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return escaped if re.fullmatch(r"[\w@%+=:,./-]+", escaped) else f'"{escaped}"'
