"""Files that somebody made to do harm: each is refused with a clear word, quickly, with little memory; nothing runs.

The numbers are those of the project's catalogue of hostile inputs.
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

from lepton.bundle import check_bundle, extract_bundle, files, migrate_bundle, read_bundle
from lepton.bundle.archive import open_archive, write_archive
from lepton.core import BundleError, ErrorCode, LeptonError
from tests.bundle.small import REPORT, small_manifest, write_small

OPENERS: list[Callable[[Path], Any]] = [
    read_bundle,
    lambda path: extract_bundle(path, path.parent / "out"),
    lambda path: migrate_bundle(path, path.parent / "new.lepton"),
    lambda path: files.add_report(path, "speed", REPORT),
]


def assert_refused(path: Path, stopwatch: Callable[[float], Any], limit: float = 2.0) -> LeptonError:
    """Every way to open `path` refuses it: within 2 s and 64 MiB, with nothing written and no path in the message."""
    before = path.read_bytes() if path.stat().st_size < 10**7 else None
    names = {entry.name for entry in path.parent.iterdir()}
    for opener in OPENERS:
        tracemalloc.start()
        with stopwatch(limit), pytest.raises(BundleError) as caught:
            opener(path)
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
        tracemalloc.stop()
        assert str(path.parent) not in str(caught.value)
        assert len(str(caught.value)) < 1000
        assert str(caught.value).isprintable()
    assert not check_bundle(path).passed
    assert {entry.name for entry in path.parent.iterdir()} == names
    assert before is None or path.read_bytes() == before
    return caught.value


def good_members(folder: Path) -> dict[str, bytes]:
    write_small(folder / "good.lepton")
    with open_archive(folder / "good.lepton") as opened:
        members = {name: opened.read(name) for name in opened.names}
    (folder / "good.lepton").unlink()
    return members


def zipped(path: Path, members: dict[str, bytes], **options: Any) -> Path:
    """The members as `zipfile` writes them."""
    with zipfile.ZipFile(path, "w", **options) as out:
        for name, data in members.items():
            out.writestr(zipfile.ZipInfo(name), data, compress_type=options.get("compression", 0))
    return path


# --- archives (H014, H021, H024-H029) ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "../canary",
        "/tmp/canary",
        "assets/../../canary",
        "..\\canary",
        "C:\\canary",
        "assets/a/b/c",
        "assets/",
        "layers/../../x",
        "nul",
    ],
)
def test_members_that_would_leave_the_folder(name, tmp_path, stopwatch):
    path = zipped(tmp_path / "a.lepton", good_members(tmp_path) | {name: b"canary"})
    assert_refused(path, stopwatch)
    assert not (tmp_path.parent / "canary").exists()


def test_links_devices_and_modes(tmp_path, stopwatch):
    for mode in (0o120777, 0o010644, 0o060777, 0o104755):
        path = tmp_path / "a.lepton"
        with zipfile.ZipFile(path, "w") as out:
            info = zipfile.ZipInfo("assets/link")
            info.create_system, info.external_attr = 3, mode << 16
            out.writestr(info, "/etc/passwd")
        assert assert_refused(path, stopwatch).code == ErrorCode.BUNDLE_UNSAFE


def test_bombs(tmp_path, stopwatch):
    zeros = bytes(50 * 2**20)
    path = zipped(tmp_path / "a.lepton", {"assets/zeros": zeros}, compression=zipfile.ZIP_DEFLATED)
    del zeros
    assert path.stat().st_size < 60_000
    assert_refused(path, stopwatch)
    nested = zipped(tmp_path / "b.lepton", {"assets/inner.zip": path.read_bytes()}, compression=zipfile.ZIP_DEFLATED)
    assert_refused(nested, stopwatch)


def test_overlapping_members(tmp_path, stopwatch):
    """A better zip bomb: many directory entries that share the data of one."""
    file = io.BytesIO()
    write_archive(file, {"assets/a": [b"x" * 10_000]})
    data = file.getvalue()
    start = data.rindex(b"PK\1\2")
    entry = data[start : data.rindex(b"PK\5\6")]
    entries = b"".join(entry.replace(b"assets/a", b"assets/" + bytes([97 + i])) for i in range(26))
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 26, 26, len(entries), start, 0)
    path = tmp_path / "a.lepton"
    path.write_bytes(data[:start] + entries + end)
    assert "offset of its member assets/b" in str(assert_refused(path, stopwatch))


def test_doubles_and_names_that_differ_in_case(tmp_path, stopwatch):
    members = good_members(tmp_path)
    for name in ("Model.onnx", "assets", "model.onnx/x"):
        assert_refused(zipped(tmp_path / "a.lepton", members | {name: b"other"}), stopwatch)
    path = tmp_path / "a.lepton"
    with zipfile.ZipFile(path, "w") as out:
        for member, data in members.items():
            out.writestr(zipfile.ZipInfo(member), data)
        with pytest.warns(UserWarning, match="Duplicate name"):
            out.writestr(zipfile.ZipInfo("model.onnx"), b"other")
    assert_refused(path, stopwatch)


def test_a_hundred_thousand_members_and_deep_folders(tmp_path, stopwatch):
    path = zipped(tmp_path / "a.lepton", {f"assets/{i}": b"" for i in range(100_000)})
    assert_refused(path, stopwatch)
    deep = zipped(tmp_path / "b.lepton", {"a/" * 1000 + "x": b""})
    assert_refused(deep, stopwatch)


def test_a_directory_that_claims_gigabytes(tmp_path, stopwatch):
    path = tmp_path / "a.lepton"
    path.write_bytes(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10_000, 10_000, 2**32 - 23, 0, 0))
    assert_refused(path, stopwatch)
    path.unlink()
    with path.open("wb") as file:  # a sparse file of 3 GB
        file.truncate(3_000_000_000)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 10_000, 10_000, 2_999_000_000, 1_000_000, 0))
    assert "its directory has 2999000000 bytes" in str(assert_refused(path, stopwatch))


def test_encrypted_streamed_and_zip64(tmp_path, stopwatch):
    members = good_members(tmp_path)
    path = tmp_path / "a.lepton"
    file = io.BytesIO()
    write_archive(file, {name: [data] for name, data in members.items()})
    encrypted = bytearray(file.getvalue())
    for at in (encrypted.index(b"PK\3\4") + 6, encrypted.index(b"PK\1\2") + 8):
        encrypted[at] = 1
    path.write_bytes(encrypted)
    assert "the flags of its member assets/vocabulary.json is 1" in str(assert_refused(path, stopwatch))
    with zipfile.ZipFile(path, "w") as out, out.open("model.onnx", "w", force_zip64=True) as member:
        member.write(b"x")
    assert_refused(path, stopwatch)
    end64 = b"PK\6\6" + struct.pack("<Q2H2L4Q", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    locator = b"PK\6\7" + struct.pack("<LQL", 0, 0, 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 2**32 - 1, 2**32 - 1, 0)
    path.write_bytes(end64 + locator + end)
    assert_refused(path, stopwatch)


def test_cut_and_lengthened_files(tmp_path, stopwatch):
    write_small(tmp_path / "a.lepton")
    path = tmp_path / "a.lepton"
    good = path.read_bytes()
    with open_archive(path) as opened:
        ends = [entry.offset + entry.size for entry in opened.index.entries.values()]
    starts = [good.index(b"PK\3\4", end) for end in ends[:-1]]
    for place in [0, 1, 22, *ends, *starts, good.index(b"PK\1\2"), len(good) - 22, len(good) - 1]:
        path.write_bytes(good[:place])
        with pytest.raises(BundleError):
            read_bundle(path)
    for bad in (good + b"\0", b"\0" + good, b"\x89PNG\r\n\x1a\n" + good, good + good, good[:-2] + b"\4\0\0\0\0\0"):
        path.write_bytes(bad)
        assert_refused(path, stopwatch)


# --- what runs, and what is read ---------------------------------------------------------------------------------


class _Payload:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pwned",)


SPY = """
import pickle, sys
seen = []
WATCHED = ("pickle.", "marshal.", "exec", "compile", "subprocess", "os.system", "socket.")
sys.addaudithook(lambda event, args: seen.append(event) if event.startswith(WATCHED) else None)
from lepton.bundle import check_bundle, read_bundle
from lepton.core import BundleError
pickle.loads(pickle.dumps(BundleError))
print("control", "pickle.find_class" in seen)
del seen[:]
for path in sys.argv[1:]:
    try:
        print("opened", sorted(read_bundle(path).names))
    except BundleError as error:
        print("refused", error.code)
    check_bundle(path)
print("events", seen)
"""


def test_nothing_is_unpickled(tmp_path):
    """H031, H032: pickles under every name; a hook of the interpreter counts what would run code."""
    payload = pickle.dumps(_Payload())
    paths = [
        tmp_path / name
        for name in ("pickle.lepton", "report.lepton", "manifest.lepton", "graph.lepton", "asset.lepton")
    ]
    paths[0].write_bytes(payload)
    members = good_members(tmp_path)
    for path, name in zip(paths[1:4], ("reports/metrics.json", "manifest.json", "model.onnx"), strict=True):
        with path.open("wb") as file:
            write_archive(file, {member: [data] for member, data in (members | {name: payload}).items()})
    write_small(paths[4], assets={"tokenizer.pkl": payload}, training={"net.pt": payload})
    done = subprocess.run(
        [sys.executable, "-c", SPY, *map(str, paths)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    assert lines[0] == "control True"
    assert [line.split()[0] for line in lines[1:]] == ["refused"] * 4 + ["opened", "events"]
    assert lines[-1] == "events []"
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    "start",
    [
        b"\x80\x04\x95",
        b"\x89HDF\r\n\x1a\n",
        b"\x1f\x8b\x08",
        b"\x08\x0a\x12",
        b"<html>",
        b"%PDF-1.7",
        b"\x7fELF",
        b"\0" * 100,
    ],
)
def test_other_files_called_lepton(start, tmp_path, stopwatch):
    path = tmp_path / "a.lepton"
    path.write_bytes(start)
    assert f"begin with {start[:8].hex(' ')}" in str(assert_refused(path, stopwatch))


# --- graphs (H037, H038) -----------------------------------------------------------------------------------------


def model_of(nodes: list[Any], constants: list[Any] | None = None) -> bytes:
    numbers = helper.make_tensor_value_info("numbers", TensorProto.DOUBLE, ["N", 2])
    strings = helper.make_tensor_value_info("strings", TensorProto.STRING, ["N", 1])
    answer = helper.make_tensor_value_info("prediction", TensorProto.DOUBLE, ["N"])
    graph = helper.make_graph(nodes, "graph", [numbers, strings], [answer], constants or [])
    serialized: bytes = helper.make_model(
        graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)]
    ).SerializeToString()
    return serialized


def external(**entries: str) -> bytes:
    tensor = TensorProto(name="w", data_type=TensorProto.DOUBLE, dims=[1], data_location=TensorProto.EXTERNAL)
    for key, value in entries.items():
        tensor.external_data.add(key=key, value=value)
    return model_of([helper.make_node("Identity", ["w"], ["prediction"])], [tensor])


def endless(trips: int) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Identity", ["c"], ["d"])],
        "body",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("c", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, [])],
    )
    count = helper.make_tensor("m", TensorProto.INT64, [], [trips])
    return model_of([helper.make_node("Loop", ["m", ""], [], body=body)], [count])


def cycle() -> bytes:
    first = helper.make_node("Add", ["b", "numbers"], ["a"])
    return model_of(
        [first, helper.make_node("Identity", ["a"], ["b"]), helper.make_node("Identity", ["a"], ["prediction"])]
    )


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (external(location="../../etc/passwd"), "names external data"),
        (external(location="/etc/passwd", offset="-1", length=str(2**50)), "names external data"),
        (external(location="C:\\x", __class__="os"), "names external data"),
        (external(), "a tensor's data lie elsewhere"),
        (cycle(), "takes 'b', which no earlier one makes"),
        (endless(2**62), "a Loop runs its body 4611686018427387904 times"),
        (b"\x80\x04\x95", "the model holds the field"),
        (b"", "the model has IR version 0"),
    ],
)
def test_graphs_with_good_hashes_are_refused_before_they_run(graph, message, tmp_path, stopwatch, monkeypatch):
    path = tmp_path / "a.lepton"
    with monkeypatch.context() as patch:
        patch.setattr(files, "summarize_graph", lambda data: None)
        patch.setattr(files, "check_interface", lambda manifest, summary: None)
        write_small(path, graph=graph, manifest=small_manifest(inner={}))
    refusal = assert_refused(path, stopwatch)
    assert refusal.code == ErrorCode.GRAPH_REFUSED
    assert message in str(refusal)


def test_a_million_nodes_and_more(tmp_path, stopwatch, monkeypatch):
    nodes = b"\x0a\x00" * 1_000_001
    size = len(nodes)
    graph = b"\x08\x0a\x3a" + bytes([size & 0x7F | 0x80, size >> 7 & 0x7F | 0x80, size >> 14]) + nodes
    path = tmp_path / "a.lepton"
    with monkeypatch.context() as patch:
        patch.setattr(files, "summarize_graph", lambda data: None)
        patch.setattr(files, "check_interface", lambda manifest, summary: None)
        write_small(path, graph=graph, manifest=small_manifest(inner={}))
    with stopwatch(2.0), pytest.raises(BundleError, match="more than 100000 nodes"):
        read_bundle(path)


# --- damage ------------------------------------------------------------------------------------------------------


def test_every_flipped_byte_of_a_bundle_is_refused(tmp_path):
    path = tmp_path / "a.lepton"
    write_small(path, baseline={}, assets={}, training={})
    good = path.read_bytes()
    for position in range(0, len(good), 3):
        path.write_bytes(good[:position] + bytes([good[position] ^ 0x20]) + good[position + 1 :])
        with pytest.raises(BundleError):
            read_bundle(path)
