"""`lepton.Client` and the methods of services."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.client import Client
from lepton.core import ErrorCode, Interrupted, LeptonError, ServingError
from lepton.serving import Server


@pytest.fixture
def client(shop: Server) -> Iterator[Client]:
    with Client(shop.url) as client:
        yield client


def test_a_method_is_called_by_its_name(client: Client):
    assert client.shop.box(box={"width": 1}, kind="b") == {"width": 2.0, "name": "b"}
    assert client.service("shop").echo() is None
    assert repr(client.shop).startswith("<service shop: box, ")
    assert "rank" in dir(client.shop)


def test_a_method_has_its_docs(client: Client):
    assert client.shop.rank.__doc__ == "shop.rank(user, items)\n\nLength of each item."
    assert client.shop.echo.__doc__ == "shop.echo(value=…)"
    assert client.shop.doc == "Ranks, boxes and mischief."


def test_what_is_wrong_is_raised(client: Client):
    with pytest.raises(ServingError, match=r"'items\[1\]' is 2\. Wanted: text") as caught:
        client.shop.rank(user="me", items=["a", 2])
    assert caught.value.code is ErrorCode.BAD_PARAMETER
    with pytest.raises(AttributeError, match="no method 'sell'; it has box, "):
        client.shop.sell()
    with pytest.raises(AttributeError, match="'bakery'"):
        client.bakery.buy()
    assert not hasattr(client, "_private")


def test_a_task_is_waited_for(client: Client, tmp_path: Path):
    task = client.shop.count(steps=2)
    assert client.task(task.id).result() == 2
    assert task.result(timeout=60) == 2
    assert repr(task) == f"<task {task.id}: done>"
    held = client.shop.count(steps=1, marker=str(tmp_path / "never"))
    with pytest.raises(ServingError, match=r"the task is (running|queued) after 0\.2 s"):
        held.result(timeout=0.2)
    held.cancel()
    with pytest.raises(Interrupted, match="the task was cancelled"):
        held.result()
    with pytest.raises(LeptonError) as caught:
        client.shop.fail(die=False).result()
    assert caught.value.code is ErrorCode.SERVICE_FAILED
    assert held.refresh()["state"] == "cancelled"
