"""Opened models that several tests of traffic share."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton.serving import ModelStore
from lepton.serving.repository import Repository
from lepton.serving.sources import Sources
from tests.serving.models import write_price, write_scaled, write_sold
from tests.serving.traffic.bundles import write_sum, write_two_classes


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`a` in versions 1 and 3, `b` like it, and others that can be combined."""
    folder = tmp_path_factory.mktemp("traffic")
    (folder / "a").mkdir()
    for version in (1, 3):
        write_scaled(folder / "a" / f"{version}.lepton", float(version))
    write_scaled(folder / "b.lepton", 10.0)
    write_price(folder)
    write_sold(folder)
    write_sum(folder / "area.lepton", {"width": 2.0}, target="area")
    write_sum(folder / "cost.lepton", {"area": 100.0, "rooms": 1.0})
    write_sum(folder / "fee.lepton", {"rooms": 1.0}, yes=1000.0, no=0.0)
    write_two_classes(folder / "low.lepton", -1.0)
    write_two_classes(folder / "high.lepton", 2.0)
    return folder


@pytest.fixture(scope="session")
def models(folder: Path) -> ModelStore:
    store = ModelStore.empty()
    Repository(Sources([folder]), store).open_all()
    return store
