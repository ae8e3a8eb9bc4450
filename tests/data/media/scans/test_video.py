"""Videos as tables of frames, decoded in a process of their own."""

from __future__ import annotations

import importlib.util
from types import SimpleNamespace

import numpy as np
import pytest

from lepton.compute import LocalEngine
from lepton.core import DataError, Interrupted, MissingExtraError, Role, Work
from lepton.data import read
from lepton.data.media.images import decode_image
from lepton.data.media.scans import video
from tests.data.media.making import put
from tests.data.media.scans.making import write_video


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Two classes of videos of 2 s, a truncated one, and what is none."""
    root = tmp_path_factory.mktemp("videos")
    put(root, {"none/list.mp4": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", "none/empty.avi": b""})
    put(root, {"cut/.keep": b"", "whole/.keep": b"", "none/claims.mp4": b"\0\0\0\x20ftypisom" + bytes(200)})
    whole = write_video(root / "whole" / "a.avi")
    write_video(root / "whole" / "b %d.mp4", code="mp4v")
    data = whole.read_bytes()
    (root / "cut" / "c.avi").write_bytes(data[: len(data) * 2 // 3])
    return root


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """All videos of these tests are decoded by one process, which is started once."""
    with LocalEngine(workers=1) as engine, pytest.MonkeyPatch.context() as patch:
        patch.setattr(video, "LocalEngine", lambda workers: SimpleNamespace(submit=engine.submit, close=lambda: None))
        yield


@pytest.fixture(scope="module")
def table(videos):
    return read(videos, media={"rate": 2})


def test_frames_at_a_rate_are_rows(table):
    frame = table.frame()
    whole = frame.filter(frame["label"] == "whole")
    assert whole["video"].to_list() == ["whole/a.avi"] * 4 + ["whole/b %d.mp4"] * 4
    assert whole["frame"].to_list() == [1, 6, 11, 16] * 2
    assert whole["time"].round(3).to_list() == [0.0, 0.5, 1.0, 1.5] * 2
    assert whole.select("width", "height").unique().rows() == [(32, 24)]
    assert table.schema["video"].role is Role.GROUP
    levels = [np.asarray(decode_image(table.references.read(cell))[0]).mean() for cell in whole["path"]]
    assert np.allclose(levels, [20, 70, 120, 170] * 2, atol=6)


def test_a_truncated_video_gives_what_can_be_read_and_says_so(table):
    frame = table.frame()
    assert frame.filter(frame["label"] == "cut")["frame"].to_list() == [1]
    told = [each for each in table.decisions if each.what == "truncated"]
    assert told[0].evidence.startswith("1 videos, such as 'cut/c.avi': ")
    assert told[0].evidence.endswith(" of 20 frames")


def test_what_is_no_video_is_left_out(table):
    told = {each.decided: each.evidence for each in table.decisions if each.what == "left out"}
    assert told["refused: it begins as no video that is read"] == "1 files, such as 'none/list.mp4'"
    assert told["empty: it begins as no video that is read"] == "1 files, such as 'none/empty.avi'"
    assert any(decided.startswith("damaged") and "claims.mp4" in why for decided, why in told.items())


def test_a_long_video_is_cut_and_that_is_said(videos):
    short = read(videos / "whole" / "a.avi", media={"most_frames": 3, "rate": 100})
    assert short.frame()["frame"].to_list() == [1, 2, 3]
    assert [each.decided for each in short.decisions if each.what == "cut"] == ["3 frames"]


def test_room_and_time_are_bounded(videos):
    with pytest.raises(DataError, match="max_download"):
        read(videos / "whole" / "a.avi", max_download=100)
    with pytest.raises(Interrupted):
        read(videos / "whole", work=Work(within=0.001))


def test_a_library_that_is_not_there_is_named(videos, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[media\]"):
        read(videos)
