from __future__ import annotations

import asyncio
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from lepton.core import ErrorCode, Resources, UsageError
from lepton.serving.services import process as process_module
from lepton.serving.services.frames import Frames, frame
from lepton.serving.services.process import ServiceProcess, ServiceSource, _spawned, is_service, source_of


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("service.py:Shop", True),
        ("a=folder/service.py:Shop", True),
        ("service.py", False),
        ("houses.lepton", False),
        ("models:x", False),
        ("service.py:a/b", False),
    ],
)
def test_which_words_name_a_service(given: str, found: bool):
    assert is_service(given) is found


def test_a_name_comes_from_the_class_or_from_the_operator(tmp_path: Path):
    path = tmp_path / "service.py"
    path.touch()
    assert source_of(f"{path}:MyShop").name == "myshop"
    found = source_of(f"corner shop={path}:MyShop")
    assert (found.name, found.path, found.class_name) == ("corner shop", path, "MyShop")


@pytest.mark.parametrize(
    ("given", "code", "message"),
    [
        ("missing.py:Shop", ErrorCode.BAD_SERVICE, "there is no file 'missing.py'"),
        ("service.py:2", ErrorCode.BAD_SERVICE, "got 'service.py:2'"),
        ("service.py:", ErrorCode.BAD_SERVICE, "got 'service.py:'"),
        ("a\u202e=service.py:Shop", ErrorCode.BAD_NAME, "hidden"),
        (".a=service.py:Shop", ErrorCode.BAD_NAME, "cannot be used"),
    ],
)
def test_words_that_name_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, code: ErrorCode, message: str
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "service.py").touch()
    with pytest.raises(UsageError, match=message) as caught:
        source_of(given)
    assert caught.value.code is code


def test_a_process_ends_when_its_server_is_gone():
    ours, theirs = socket.socketpair()
    source = ServiceSource("shop", Path(__file__).with_name("shop.py"), "Shop")
    with theirs:
        process = _spawned(source, Resources(cpus=1), theirs)
    frames = Frames()
    while not (found := list(frames.feed(ours.recv(65536)))):
        pass
    assert found[0][0]["kind"] == "ready"
    ours.close()
    assert process.wait(60) == -signal.SIGKILL  # it ends its whole group


@pytest.mark.parametrize(
    "data",
    [b"\xff" * 8, frame({}), frame({"kind": "answer"}), frame({"kind": "answer", "id": 1, "statuses": []}, [b""])],
)
def test_a_process_that_does_not_speak_as_agreed_is_ended(data: bytes):
    async def spoken() -> str:
        def take(head: dict[str, Any], parts: list[bytes]) -> None:
            for _ in zip(head["statuses"], parts, strict=True):
                assert head["id"] == 1

        process = ServiceProcess(take, asyncio.get_running_loop())
        process.data_received(data)
        return await asyncio.wait_for(process.ended, 60)

    assert asyncio.run(spoken()).startswith("it no longer speaks as agreed")


def test_a_process_that_cannot_be_started_is_told_and_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: Any) -> None:
        raise OSError(11, "no more processes")

    async def started() -> None:
        process = ServiceProcess(lambda *_: None, asyncio.get_running_loop())
        with pytest.raises(OSError, match="no more processes"):
            await process.start(ServiceSource("shop", Path("shop.py"), "Shop"), Resources(cpus=1))
        await process.close("it was not started")

    monkeypatch.setattr(process_module, "_spawned", refuse)
    asyncio.run(started())
