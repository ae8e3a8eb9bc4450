"""Images: their heads, and what they hold."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from lepton.core import DataError
from lepton.data.media.images import decode_image, encode_image, grey, image_facts, thumbnail_uri
from tests.data.media.making import image_bytes, picture, png_claiming


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_way_to_hold_a_camera(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = image_bytes(picture(0, 60, 30), form, exif=exif)
    facts = image_facts(io.BytesIO(data))
    image, width, height = decode_image(data)
    assert image.size == (width, height) == (facts.width, facts.height)
    assert (width > height) == (orientation <= 4)


def test_the_head_alone_is_read():
    whole = image_bytes(picture(0, 300, 200))
    assert image_facts(io.BytesIO(whole[:200])).width == 300
    with pytest.raises(DataError, match="truncated"):
        decode_image(whole[:200])


def test_a_jpeg_may_be_decoded_small_and_tells_its_size():
    data = image_bytes(picture(0, 800, 400), "JPEG")
    image, width, height = decode_image(data, smallest=64)
    assert (width, height) == (800, 400)
    assert 64 <= image.height < 400


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "refused"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "refused"),
        (b"\x00\x00\x01\x00\x01\x00", "refused"),
        (png_claiming(20_000, 20_000), "too large"),
        (png_claiming(12_000, 9_000), "too large"),
        (png_claiming(2**31 - 1, 1), "too large"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "damaged"),
        (b"BM" + bytes(100), "damaged"),
        (b"II*\0" + bytes(100), "damaged"),
        (b"RIFF\x10\0\0\0WEBPVP8 " + bytes(50), "damaged"),
    ],
)
def test_what_is_no_image_that_can_be_read(data, fault):
    for read in (lambda: image_facts(io.BytesIO(data)), lambda: decode_image(data)):
        with pytest.raises(DataError) as caught:
            read()
        assert caught.value.details["fault"] in {fault, "truncated" if fault == "damaged" else fault}


def test_a_text_within_a_png_that_unpacks_to_gigabytes_is_refused():
    packed = zlib.compress(bytes(200 * 2**20), 9)
    body = b"zTXt" + b"Comment\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    png = image_bytes(picture())
    with pytest.raises(DataError, match="damaged"):
        decode_image(png[:33] + chunk + png[33:])


def test_sixteen_bits_keep_the_upper_eight_and_floats_their_extremes():
    deep = np.array([[0, 256, 65_535]], dtype=np.uint16)
    assert np.asarray(decode_image(image_bytes(Image.fromarray(deep)))[0]).tolist() == [[0, 1, 255]]
    real = np.array([[-1.0, 0.0, 1.0, np.nan]], dtype=np.float32)
    assert np.asarray(decode_image(image_bytes(Image.fromarray(real), "TIFF"))[0]).tolist() == [[0, 128, 255, 128]]


def test_transparent_parts_are_white():
    clear = Image.new("RGBA", (4, 4), (10, 20, 30, 0))
    assert np.asarray(decode_image(image_bytes(clear))[0]).min() == 255
    palette = Image.new("P", (4, 4), 0)
    palette.info["transparency"] = 0
    assert np.asarray(decode_image(image_bytes(palette, "PNG", transparency=0))[0]).min() == 255


def test_copies_are_small_and_hold_no_metadata():
    image = picture(0, 400, 100)
    image.info["comment"] = b"secret"
    uri, width, height = thumbnail_uri(image, 96)
    assert uri.startswith("data:image/jpeg;base64,")
    assert (width, height) == (96, 24)
    assert b"secret" not in encode_image(image, "jpeg")
    assert grey(image, 32, 16).shape == (16, 32)
