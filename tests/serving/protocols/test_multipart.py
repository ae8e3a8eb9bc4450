"""A form with one file: what is taken, and every other shape refused."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, strategies as st

from lepton.core import LeptonError
from lepton.serving.protocols.media import ARROW_FILE, ARROW_STREAM, CSV, PARQUET, media_of
from lepton.serving.protocols.multipart import read_file

TYPE = "multipart/form-data; boundary=bound"
FILE = b'Content-Disposition: form-data; name="file"; filename="rows.csv"'


def form(head: bytes = FILE, data: bytes = b"a\r\n1\r\n", boundary: bytes = b"bound") -> bytes:
    return b"--" + boundary + b"\r\n" + head + b"\r\n\r\n" + data + b"\r\n--" + boundary + b"--\r\n"


def read(body: bytes, content_type: str = TYPE) -> tuple[str, bytes]:
    media, data = read_file(body, media_of(content_type))
    return media.essence, data


def test_the_file_comes_out_as_it_is() -> None:
    data = b'a,b\r\n"--bound\n",\x00\r\n--boun\r\n'
    assert read(form(data=data)) == (CSV, data)
    assert read(form(data=b"")) == (CSV, b"")
    assert read(form(boundary=b"a b"), 'multipart/form-data; boundary="a b"') == (CSV, b"a\r\n1\r\n")
    assert read(form()[:-2]) == (CSV, b"a\r\n1\r\n")


@pytest.mark.parametrize(
    ("name", "essence"),
    [
        ("rows.CSV", CSV),
        ("rows.arrow", ARROW_FILE),
        ("rows.feather", ARROW_FILE),
        ("rows.arrows", ARROW_STREAM),
        ("../../etc/rows.parquet", PARQUET),
        ("rows.json", "application/json"),
    ],
)
def test_the_ending_says_what_a_file_is(name: str, essence: str) -> None:
    head = f'content-disposition: form-data; name="x"; filename="{name}"\r\nContent-Type: application/octet-stream'
    assert read(form(head.encode()))[0] == essence


def test_the_type_of_the_part_counts_first() -> None:
    assert read(form(FILE + b"\r\nContent-Type: " + PARQUET.encode()))[0] == PARQUET


HOSTILE = {
    "H112 no boundary": (form(), "multipart/form-data"),
    "H112 a boundary of 10 kB": (form(boundary=b"x" * 10_000), f"multipart/form-data; boundary={'x' * 10_000}"),
    "H112 an empty boundary": (form(boundary=b""), 'multipart/form-data; boundary=""'),
    "H112 another boundary": (form(boundary=b"other"), TYPE),
    "H112 a preamble of 10 MB": (b"x" * 10_000_000 + b"\r\n" + form(), TYPE),
    "H112 an epilogue of 10 MB": (form() + b"x" * 10_000_000, TYPE),
    "H112 no end": (form()[:-12], TYPE),
    "H112 cut short": (form()[:40], TYPE),
    "H112 empty": (b"", TYPE),
    "H112 no part": (b"--bound--\r\n", TYPE),
    "H112 two parts": (form()[:-11] + form(), TYPE),
    "H112 100,000 parts": ((b"--bound\r\n" + FILE + b"\r\n\r\nx\r\n") * 100_000 + b"--bound--\r\n", TYPE),
    "H112 headers of 1 MB": (form(FILE + b"\r\nX: " + b"x" * 2**20), TYPE),
    "H112 a field, no file": (form(b'Content-Disposition: form-data; name="x"', b"x" * 10_000_000), TYPE),
    "H112 another header": (form(FILE + b"\r\nContent-Transfer-Encoding: base64"), TYPE),
    "H112 two names": (form(FILE + b"\r\n" + FILE), TYPE),
    "H112 an attachment": (form(FILE.replace(b"form-data", b"attachment")), TYPE),
    "H112 a form in the form": (form(FILE + b"\r\nContent-Type: multipart/mixed; boundary=y", form()), TYPE),
    "H112 bare line feeds": (form().replace(b"\r\n", b"\n"), TYPE),
    "H112 folded": (form(FILE.replace(b"; filename", b";\r\n filename")), TYPE),
    "H112 another ending": (form(FILE.replace(b"csv", b"pickle")), TYPE),
    "H112 no headers": (b"--bound\r\n\r\nx\r\n--bound--", TYPE),
}


@pytest.mark.parametrize(("body", "content_type"), HOSTILE.values(), ids=HOSTILE.keys())
def test_other_forms_are_refused_at_once(body: bytes, content_type: str) -> None:
    started = time.monotonic()
    with pytest.raises(LeptonError) as caught:
        read(body, content_type)
    assert caught.value.http_status in {400, 415}
    assert len(str(caught.value)) < 500
    assert time.monotonic() - started < 2.0


@given(
    st.lists(st.sampled_from([b"--bound", b"--", b"\r\n", b"\n", FILE, b"Content-Type: text/csv", b"x", b"\0", b":"]))
)
def test_any_bytes_are_read_or_refused(parts: list[bytes]) -> None:
    body = b"".join(parts)
    try:
        _, data = read(body)
    except LeptonError:
        return
    assert data in body
