"""A server with one service, and calls of it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lepton.serving import Server
from lepton.serving.services.services import HostLimits
from tests.serving.wire import Answer, request

SHOP = f"{Path(__file__).parent / 'shop.py'}:Shop"
QUICK = HostLimits(check_every=0.05, check_time=1.0, first_pause=0.01, longest_pause=0.1, max_waiting=8)


def quick_server(*services: str, **options: Any) -> Server:
    """A server of services alone, which starts them again at once."""
    server = Server({}, port=0, services=services, **options)
    server.services.limits = QUICK
    return server


@pytest.fixture(scope="session")
def open_shop() -> Iterator[Server]:
    with quick_server(SHOP) as server:
        yield server


@pytest.fixture
def shop(open_shop: Server) -> Server:
    """The server, when its service is ready again after what another test did to it."""
    wait_until_ready(open_shop)
    return open_shop


def ask(server: Server, method: str, path: str, value: Any = None) -> Answer:
    body = value if isinstance(value, bytes) or value is None else json.dumps(value).encode()
    return request((server.host, server.port), method, path, body)


def call(server: Server, method: str, **parameters: Any) -> Answer:
    """Call a method of the shop."""
    return ask(server, "POST", f"/v2/services/shop/{method}", parameters)


def wait_for(found: Callable[[], Any], seconds: float = 60.0) -> Any:
    """What `found` gives as soon as it is anything."""
    ends = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < ends, "it never came"
        time.sleep(0.01)
    return value


def wait_until_ready(server: Server) -> None:
    wait_for(lambda: ask(server, "GET", "/v2/services/shop/ready").status == 200)
