"""The reference page is enough to read and to write a bundle."""

from __future__ import annotations

import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path

from lepton.bundle.archive import MAX_MEMBERS, open_archive
from lepton.bundle.documents import MAX_DOCUMENT
from lepton.bundle.files import MAX_GRAPH
from lepton.bundle.graph import MAX_NODES
from lepton.bundle.manifest import Manifest
from lepton.bundle.wire import MAX_FIELDS
from tests.bundle.small import write_small

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "bundle-format.md"


def test_the_reader_of_the_page_reads(tmp_path):
    model_id = write_small(tmp_path / "houses.lepton")
    blocks = re.findall(r"```python no-run\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", blocks[0]], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[0] == model_id
    assert "'prediction': array([3.4e+15])" in done.stdout


def test_a_writer_made_from_the_page_writes_the_same_bytes(tmp_path):
    write_small(tmp_path / "houses.lepton")
    with open_archive(tmp_path / "houses.lepton") as archive:
        members = {name: archive.read(name) for name in archive.names}
    body, directory = b"", b""
    for name, data in sorted(members.items()):
        sizes = struct.pack("<LLL", zlib.crc32(data), len(data), len(data)) + struct.pack("<H", len(name))
        common = struct.pack("<HHHH", 0, 0, 0, 0x21) + sizes
        zeros = -(len(body) + 30 + len(name) + 6) % 64
        extra = b"\x35\xd9" + struct.pack("<HH", 2 + zeros, 64) + bytes(zeros)
        directory += (
            b"PK\1\2" + struct.pack("<HH", 10, 10) + common + bytes(12) + struct.pack("<L", len(body)) + name.encode()
        )
        body += (
            b"PK\3\4" + struct.pack("<H", 10) + common + struct.pack("<H", len(extra)) + name.encode() + extra + data
        )
    end = b"PK\5\6" + bytes(4) + struct.pack("<HHLL", len(members), len(members), len(directory), len(body)) + bytes(2)
    assert body + directory + end == (tmp_path / "houses.lepton").read_bytes()


def test_the_page_names_the_bounds_and_every_field():
    text = PAGE.read_text("utf-8")
    for bound in (MAX_MEMBERS, MAX_DOCUMENT, MAX_GRAPH, MAX_NODES, MAX_FIELDS):
        assert f"{bound:,}" in text
    for field in Manifest.__dataclass_fields__:
        assert f"| `{field}` |" in text
