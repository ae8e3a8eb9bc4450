"""Which files are what."""

from __future__ import annotations

import pytest

from lepton.data.media.signatures import KIND_OF_FORMAT, format_of_bytes, format_of_name, looks_like_text
from tests.data.media.making import image_bytes, picture, tone, wav_bytes


@pytest.mark.parametrize("form", ["JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF"])
def test_images_are_known_by_their_first_bytes(form):
    assert format_of_bytes(image_bytes(picture(), form)) == form.lower()


def test_sounds_are_known_by_their_first_bytes():
    assert format_of_bytes(wav_bytes(tone())) == "wav"
    assert [format_of_bytes(head) for head in (b"fLaC", b"OggS", b"ID3\3", b"\xff\xfb\x90\0", b"FORM\0\0\0\0AIFF")] == [
        "flac", "ogg", "mp3", "mp3", "aiff",
    ]  # fmt: skip


@pytest.mark.parametrize("head", [b"", b"BM", b"RIFF", b"PK\3\4", b"%PDF-1.7", b"\xff\xff\xff", b"BMW is a car."])
def test_other_files_are_none(head):
    assert format_of_bytes(head) == ""


def test_endings():
    assert format_of_name("a.b/c") == format_of_name("51060") == format_of_name("v1.2") == ""
    assert format_of_name("x.JPEG") == format_of_name("x.jpe") == "jpeg"
    assert format_of_name("x.opus") == "ogg"
    assert format_of_name("x.exe") not in KIND_OF_FORMAT


def test_texts_have_no_control_characters():
    assert looks_like_text("Grüße\r\n\t…".encode())
    assert not looks_like_text(b"a\0b")
    assert looks_like_text("é".encode("utf-16"))


def test_scans_and_videos_are_known_by_their_first_bytes():
    heads = {
        b"\0" * 128 + b"DICM": "dicom",
        b"\x5c\1\0\0" + b"\0" * 340 + b"n+1\0": "nifti",
        b"RIFF\0\0\0\0AVI ": "avi",
        b"\0\0\0\x20ftypisom": "mp4",
        b"\x1a\x45\xdf\xa3": "matroska",
        b"\0\0\0\x20ftypheic": "",
        b"#EXTM3U\nfile:///etc/passwd": "",
    }
    assert [format_of_bytes(head) for head in heads] == list(heads.values())
    assert format_of_name("a/b.NII.GZ") == "nifti"
