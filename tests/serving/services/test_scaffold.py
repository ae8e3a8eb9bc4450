from __future__ import annotations

import inspect
import runpy
from pathlib import Path

import pytest

from lepton.core import DataError, ErrorCode, UsageError
from lepton.serving.services.scaffold import write_service


def test_what_is_written_runs_at_once(tmp_path: Path):
    title, files = write_service(tmp_path / "corner-shop")
    assert title == "CornerShop"
    assert [path.name for path in files] == ["service.py", "test_service.py"]
    assert "lepton serve corner-shop/service.py:CornerShop" in files[0].read_text()
    test = runpy.run_path(str(files[1]))
    clients = inspect.unwrap(test["client"])()  # the fixture, as pytest calls it
    client = next(clients)
    names = [name for name in test if name.startswith("test_")]
    assert names == ["test_greet", "test_lengths", "test_count"]
    for name in names:
        test[name](client)
    assert next(clients, "closed") == "closed"


@pytest.mark.parametrize("name", ["2shop", "shöp", "a b", "class", "predict", "-x", ""])
def test_names_that_a_service_cannot_have(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match="cannot be a service's") as caught:
        write_service(Path(f"/{name}") if not name else tmp_path / name)
    assert caught.value.code is ErrorCode.BAD_NAME


def test_nothing_is_overwritten(tmp_path: Path):
    write_service(tmp_path / "shop")
    with pytest.raises(DataError, match="is there already"):
        write_service(tmp_path / "shop")
