"""Files changed one by one, into a new folder."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from PIL import Image

from lepton.core import DataError, ErrorCode, UsageError, Work
from lepton.data import read
from lepton.data.media.convert import FileSteps
from lepton.data.media.sounds import decode_sound
from tests.data.media.making import image_bytes, mails, photos, picture, put, tone, wav_bytes


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image)


def test_images_in_another_size_keep_their_names_and_labels(tmp_path):
    table = read(photos(tmp_path / "photos", 4))
    found = FileSteps().resize(20, 10).save(table, tmp_path / "small")
    assert (found.files, found.dropped, found.labels) == (8, {}, None)
    small = read(tmp_path / "small")
    assert small.frame()["path"].to_list() == table.frame()["path"].to_list()
    assert small.frame(["width", "height", "label"]).unique().sort("label").rows() == [(20, 10, "cat"), (20, 10, "dog")]
    assert not list(tmp_path.glob(".lepton*"))


@pytest.mark.parametrize(("how", "size"), [("crop", (20, 20)), ("stretch", (20, 20)), ("fit", (20, 10))])
def test_ways_to_resize(tmp_path, how, size):
    halves = Image.fromarray(np.repeat(np.array([[0, 255]], np.uint8), 30, axis=1).repeat(30, axis=0))
    FileSteps().resize(20, how=how).save(read(put(tmp_path / "in", {"1.png": image_bytes(halves)})), tmp_path / "out")
    values = pixels(tmp_path / "out" / "1.png")
    assert values.shape == size[::-1]
    assert values[:, :8].max() < 30
    assert values[:, -8:].min() > 225


def test_crop_takes_the_middle_and_refuses_smaller_images(tmp_path):
    values = np.arange(100, dtype=np.uint8).reshape(10, 10)
    folder = put(tmp_path / "in", {"1.png": image_bytes(Image.fromarray(values)), "2.png": image_bytes(picture())})
    with pytest.raises(DataError, match=r"'1.png': too small: 10 x 10 pixels.*on_error='drop'"):
        FileSteps().crop(11).save(read(folder), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    found = FileSteps().crop(11).save(read(folder), tmp_path / "out", on_error="drop")
    assert (found.files, list(found.dropped)) == (1, ["1.png"])
    FileSteps().crop(4, 2).save(read(folder), tmp_path / "more")
    assert np.array_equal(pixels(tmp_path / "more" / "1.png"), values[4:6, 3:7])


def test_what_is_written_is_upright_and_holds_no_metadata(tmp_path):
    exif = picture().getexif()
    exif[0x0112], exif[0x010F] = 6, "Camera of a person"
    put(tmp_path / "in", {"1.jpg": image_bytes(picture(width=60, height=30), "JPEG", exif=exif)})
    FileSteps().resize(40, how="fit").save(read(tmp_path / "in"), tmp_path / "out")
    data = (tmp_path / "out" / "1.jpg").read_bytes()
    assert b"Camera" not in data
    assert pixels(tmp_path / "out" / "1.jpg").shape == (40, 20, 3)


def test_formats_that_become_png_do_not_overwrite_each_other(tmp_path):
    folder = put(tmp_path / "in", {"a.png": image_bytes(picture()), "a.gif": image_bytes(picture(1), "GIF")})
    found = FileSteps().resize(8).save(read(folder), tmp_path / "out")
    assert found.files == len(list((tmp_path / "out").iterdir())) == 2


def test_sounds_are_resampled_and_trimmed(tmp_path):
    quiet = np.zeros(4_000)
    samples = np.concatenate([quiet, tone(0.5, 8_000, 500), quiet])
    stereo = np.stack([samples, 0 * samples], axis=1)
    table = read(put(tmp_path / "in", {"1.wav": wav_bytes(stereo)}))
    FileSteps().mono().trim_silence(keep=0.01).resample(16_000).save(table, tmp_path / "out")
    found, rate = decode_sound((tmp_path / "out" / "1.wav").read_bytes())
    assert rate == 16_000
    assert found.shape == (pytest.approx(0.52 * 16_000, abs=200), 1)
    middle = found[2_000:6_000, 0]
    assert middle.max() == pytest.approx(0.25, abs=0.01)


def test_a_silent_sound_cannot_be_trimmed(tmp_path):
    table = read(put(tmp_path / "in", {"1.wav": wav_bytes(np.zeros(800))}))
    with pytest.raises(DataError, match="silent: there is nothing to keep"):
        FileSteps().trim_silence().save(table, tmp_path / "out")


def test_texts_in_one_form(tmp_path):
    put(tmp_path / "in", {"a/1.txt": "Cafe\u0301 \u00a0 au\u200b lait\r\n\r\n\r\n\r\nEND  \r\n", "b/2": "x"})
    FileSteps().normalise(lower=True).save(read(tmp_path / "in"), tmp_path / "out")
    assert (tmp_path / "out/a/1.txt").read_bytes().decode() == "café au lait\n\nend\n"
    assert (tmp_path / "out/b/2").read_text() == "x\n"


def test_other_columns_go_along(tmp_path):
    photos(tmp_path / "photos", 1)
    labels = {"file": ["cat/0.jpg", "dog/0.jpg"], "age": [3, 5]}
    found = FileSteps().resize(8).save(read(tmp_path / "photos", labels=labels), tmp_path / "out")
    assert found.labels is not None
    again = read(found.path, labels=found.labels)
    assert again.frame(["path", "age", "width"]).rows() == [("cat/0.jpg", 3, 8), ("dog/0.jpg", 5, 8)]


def test_bytes_in_cells_become_files(tmp_path):
    rows = {"photo": [base64.b64encode(image_bytes(picture(n))).decode() for n in range(2)], "kind": ["x", "y"]}
    found = FileSteps().resize(8).save(read(rows, kinds={"photo": "image"}), tmp_path / "out")
    again = read(found.path, labels=found.labels)
    assert again.frame(["path", "kind"]).rows() == [("0000001.png", "x"), ("0000002.png", "y")]


def test_nothing_is_written_over_and_a_stop_leaves_nothing(tmp_path):
    table = read(photos(tmp_path / "photos", 1))
    put(tmp_path / "full", {"x": b"1"})
    with pytest.raises(DataError, match="'full' is there already") as caught:
        FileSteps().resize(8).save(table, tmp_path / "full")
    assert caught.value.code is ErrorCode.NOT_A_FILE
    with pytest.raises(DataError, match="there is no folder"):
        FileSteps().resize(8).save(table, tmp_path / "no" / "out")
    work = Work()
    work.cancel.set()
    with pytest.raises(Exception, match="asked to stop"):
        FileSteps().resize(8).save(table, tmp_path / "out", work=work)
    assert {path.name for path in tmp_path.iterdir()} == {"photos", "full"}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FileSteps().resize(8).mono(), "steps for image and for audio"),
        (lambda: FileSteps().resize(0), "0 x 0"),
        (lambda: FileSteps().resize(8, how="best"), "how='best'"),  # type: ignore[arg-type]
        (lambda: FileSteps().resample(10), "a rate of 10"),
        (lambda: FileSteps().trim_silence(0), "decibels=0"),
    ],
)
def test_steps_that_cannot_be_meant(make, message):
    with pytest.raises(UsageError, match=message):
        make()


def test_a_table_without_such_files_is_refused(tmp_path):
    for table in (read({"a": [1]}), read(mails(tmp_path / "mails", 1))):
        with pytest.raises(UsageError, match="Wanted: one column of image files"):
            FileSteps().resize(8).save(table, tmp_path / "out")


def test_a_label_that_the_folders_no_longer_say_is_written_down(tmp_path):
    folder = put(photos(tmp_path / "photos", 2), {"dog/0.jpg": b"", "dog/1.png": b""})
    found = FileSteps().resize(8).save(read(folder), tmp_path / "out", on_error="drop")
    assert found.labels is not None
    assert read(found.path, labels=found.labels).frame()["label"].to_list() == ["cat", "cat"]
