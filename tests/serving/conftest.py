"""Models and a running server for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.bundle import Predictor
from lepton.serving import ModelStore, Server
from tests.serving.models import write_price, write_sold


@pytest.fixture(scope="session")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two models, and one that is cut short."""
    folder = tmp_path_factory.mktemp("bundles")
    models = {"price": write_price(folder), "sold": write_sold(folder)}
    damaged = folder / "damaged.lepton"
    damaged.write_bytes(models["sold"].read_bytes()[:-100])
    return {**models, "damaged": damaged}


@pytest.fixture(scope="session")
def store(bundles: dict[str, Path]) -> ModelStore:
    store = ModelStore(bundles)
    store.open_all()
    return store


@pytest.fixture(scope="session")
def sold(store: ModelStore) -> Predictor:
    return store["sold"].predictor


@pytest.fixture(scope="session")
def server(bundles: dict[str, Path]) -> Iterator[Server]:
    with Server(bundles, port=0) as server:
        yield server
