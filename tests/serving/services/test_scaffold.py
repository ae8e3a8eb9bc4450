from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lepton.core import DataError, ErrorCode, UsageError
from lepton.serving.services.scaffold import write_service


def test_what_is_written_runs_at_once(tmp_path: Path):
    title, files = write_service(tmp_path / "corner-shop")
    assert title == "CornerShop"
    assert [path.name for path in files] == ["service.py", "test_service.py"]
    assert "lepton serve corner-shop/service.py:CornerShop" in files[0].read_text()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "corner-shop"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["2shop", "shöp", "a b", "class", "predict", "-x", ""])
def test_names_that_a_service_cannot_have(tmp_path: Path, name: str):
    with pytest.raises(UsageError, match="cannot be a service's") as caught:
        write_service(Path(f"/{name}") if not name else tmp_path / name)
    assert caught.value.code is ErrorCode.BAD_NAME


def test_nothing_is_overwritten(tmp_path: Path):
    write_service(tmp_path / "shop")
    with pytest.raises(DataError, match="is there already"):
        write_service(tmp_path / "shop")
