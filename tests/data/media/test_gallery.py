"""Pictures of files on a page."""

from __future__ import annotations

import re

import numpy as np

import lepton
from tests.data.media.making import image_bytes, mails, photos, picture, put, tone, wav_bytes


def test_the_page_shows_files_of_every_class(tmp_path):
    put(photos(tmp_path, 20), {"rare/1.png": image_bytes(picture(77, 300, 100)), "cat/cut.jpg": b"\xff\xd8\xff\xe0"})
    html = lepton.describe(tmp_path).page().html()
    assert "Some of the files" in html
    assert html.count("data:image/jpeg;base64,") >= 23
    for label in ("cat", "dog", "rare"):
        assert f">{label} · " in html
    assert "rare · 1.png · 300 x 100" in html


def test_sounds_are_drawn(tmp_path):
    put(tmp_path, {"a/1.wav": wav_bytes(tone()), "b/2.wav": wav_bytes(np.zeros(100)), "b/3.wav": b"RIFF"})
    html = lepton.describe(tmp_path).page().html()
    assert re.search(r'aria-label="Sound a · 1\.wav, 0\.5 s"', html)
    assert "refused: it begins as none of WAV" in html


def test_other_tables_and_private_columns_have_none(tmp_path):
    assert "Some of the files" not in lepton.describe(mails(tmp_path / "mails", 3)).page().html()
    assert "Some of the files" not in lepton.describe({"a": [1, 2]}).page().html()
    described = lepton.describe(photos(tmp_path / "photos", 3))
    assert "Some of the files" not in described.page(private=["path"]).html()


def test_pictures_follow_the_rows_of_the_table(tmp_path):
    photos(tmp_path, 3)
    table = lepton.Recipe().filter("label == 'dog'").fit_transform(lepton.read(tmp_path))
    html = table.describe().page().html()
    assert html.count("data:image/jpeg;base64,") == 3
