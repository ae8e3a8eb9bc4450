"""The confined process: gives up its rights, then calls the function that it was asked for, and answers once.

Nothing is unpickled on either side: questions and answers are JSON with arrays and bytes beside it.
"""

from __future__ import annotations

import errno
import importlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lepton.compute.confine import confine
from lepton.core.imports import own_process

__all__ = ["main", "read_frame", "write_frame"]

_FORBIDDEN = frozenset({errno.EPERM, errno.EACCES, errno.EROFS})
_MAX_HEAD = 16_000_000
_LONGEST = 2_000


def main() -> None:
    """Answer the question on standard input."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed must not get among the answer
    head, parts = read_frame(sys.stdin.buffer, limit=2**31)
    os.chdir(head["scratch"])
    confine([Path(place) for place in head["readable"]], Path(head["scratch"]), file_size=head["file_size"])
    own_process()
    try:
        module, _, name = head["entry_point"].partition(":")
        function = getattr(importlib.import_module(module), name)
        answer, found = function(parts=parts, **head["arguments"])
    except BaseException as error:  # noqa: BLE001 - whatever the code of a stranger raises, SystemExit too
        answer, found = {"failed": _failure(error)}, {}
    else:
        answer = {"answer": answer}
    write_frame(answers, answer, found)
    answers.flush()
    os._exit(0)  # no code of a stranger runs at the end


def _failure(error: BaseException) -> dict[str, Any]:
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    denied = next((e for e in chain if isinstance(e, OSError) and e.errno in _FORBIDDEN), None)
    shown = denied or error
    code = getattr(error, "code", None)
    told = {"type": type(shown).__name__, "text": str(shown)[:_LONGEST], "denied": denied is not None}
    if denied is None and isinstance(code, str) and hasattr(error, "to_dict"):
        told["error"] = {key: str(getattr(error, key, ""))[:_LONGEST] for key in ("came", "wanted", "fix")} | {
            "code": str(code)
        }
    return told


def write_frame(file: BinaryIO, head: Mapping[str, Any], parts: Mapping[str, bytes]) -> None:
    """Write one question or answer: the length of the head, the head, the parts."""
    described = {**head, "parts": [[name, len(data)] for name, data in parts.items()]}
    data = json.dumps(described).encode()
    file.write(len(data).to_bytes(8, "big"))
    file.write(data)
    for part in parts.values():
        file.write(part)


def read_frame(file: BinaryIO, *, limit: int) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Read what `write_frame` wrote.

    Raises:
        ValueError: it is something else, or larger than `limit` bytes.
    """
    size = int.from_bytes(_exactly(file, 8), "big")
    if size > _MAX_HEAD:
        raise ValueError(f"a head of {size} bytes")
    head = json.loads(_exactly(file, size))
    if not isinstance(head, dict) or not isinstance(described := head.pop("parts", None), list):
        raise ValueError("no head")
    parts: dict[str, bytes] = {}
    for each in described:
        name, length = each
        if not isinstance(name, str) or type(length) is not int or not 0 <= length <= limit:
            raise ValueError("a part without a size")
        limit -= length
        parts[name] = _exactly(file, length)
    return head, parts


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise ValueError("cut short")
    return data
