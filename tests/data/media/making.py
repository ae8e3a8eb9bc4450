"""Small folders of images, sounds and texts for the tests of files."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from pathlib import Path

import numpy as np
from PIL import Image


def picture(seed: int = 0, width: int = 48, height: int = 40) -> Image.Image:
    """A picture of smooth blobs, as photographs have them: it survives a JPEG."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)


def image_bytes(image: Image.Image, form: str = "PNG", **options) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def tone(seconds: float = 0.5, rate: int = 8_000, pitch: float = 440.0, loud: float = 0.5) -> np.ndarray:
    return loud * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


def wav_bytes(samples: np.ndarray, rate: int = 8_000) -> bytes:
    """16 bits, of one channel or `[frames, channels]`."""
    samples = samples if samples.ndim == 2 else samples[:, None]
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return out.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims a size."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 10)) + chunk(b"IEND", b"")
    )


def put(root: Path, files: dict[str, bytes | str]) -> Path:
    """Write files below `root`, with the folders that they need."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def photos(root: Path, each: int = 3) -> Path:
    """Two classes of different pictures, half of them JPEG."""
    files: dict[str, bytes | str] = {}
    for group, start in (("cat", 0), ("dog", 100)):
        for number in range(each):
            form, ending = (("JPEG", "jpg"), ("PNG", "png"))[number % 2]
            files[f"{group}/{number}.{ending}"] = image_bytes(picture(start + number), form)
    return put(root, files)


def mails(root: Path, each: int = 30) -> Path:
    """Two classes of texts without endings, which differ in their words."""
    rng = np.random.default_rng(0)
    words = {"ham": "meeting report lunch project thanks", "spam": "win money free prize now"}
    common = ["the", "a", "of", "with", "you"]
    files: dict[str, bytes | str] = {
        f"{group}/{number}": " ".join(rng.choice([*said.split(), *common], 25))
        for group, said in words.items()
        for number in range(each)
    }
    return put(root, files)
