"""What is wrong with files."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile
from PIL import Image

import lepton
from lepton.core import UsageError
from tests.data.media.making import image_bytes, mails, photos, picture, png_claiming, put, tone, wav_bytes


def broken(check):
    """Rule → (broken rows, severity), of those that are broken."""
    return {each.rule: (each.broken, each.severity) for each in check.results if not each.passed}


def failing(check, rule):
    return {row["path"]: row["why"] for row in check.failures.to_dicts() if row["rule"] == rule}


def test_a_sound_folder_of_images_keeps_every_rule(tmp_path):
    check = lepton.check(photos(tmp_path, 8))
    assert check.passed
    assert broken(check) == {}
    assert check.rows == 16


def test_files_that_cannot_be_read_are_told_with_their_reason(tmp_path):
    whole = image_bytes(picture(9, 200, 200), "JPEG")
    png = image_bytes(picture(9, 200, 200))
    put(
        photos(tmp_path, 4),
        {
            "cat/cut.jpg": whole[: len(whole) // 2],
            "cat/cut.png": png[: len(png) // 2],
            "cat/head.jpg": whole[:40],
            "cat/empty.png": b"",
            "cat/noise.png": b"hello, this is no image at all",
            "cat/bomb.png": png_claiming(50_000, 50_000),
            "cat/drawing.gif": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        },
    )
    check = lepton.check(tmp_path)
    assert not check.passed
    found = failing(check, "every image can be read whole")
    assert {path: why.partition(":")[0] for path, why in found.items()} == {
        "cat/bomb.png": "too large",
        "cat/cut.jpg": "truncated",
        "cat/cut.png": "truncated",
        "cat/drawing.gif": "refused",
        "cat/empty.png": "empty",
        "cat/head.jpg": "truncated",
        "cat/noise.png": "refused",
    }
    assert check.results[0].severity == "error"
    assert "cat/bomb.png: too large: it claims more than 80,000,000 pixels" in check.results[0].examples[0]


def test_duplicates_and_labels_that_contradict_each_other(tmp_path):
    put(
        photos(tmp_path, 6),
        {
            "cat/copy.png": (tmp_path / "cat/1.png").read_bytes(),
            "dog/copy.png": (tmp_path / "cat/3.png").read_bytes(),
            "dog/smaller.jpg": image_bytes(picture(5, 200, 160).resize((40, 32)), "JPEG", quality=60),
            "cat/larger.png": image_bytes(picture(5, 200, 160)),
        },
    )
    check = lepton.check(tmp_path)
    same = failing(check, "no image is there twice")
    assert same == {"cat/copy.png": "as cat/1.png", "dog/copy.png": "as cat/3.png"}
    assert set(failing(check, "no two images are nearly the same")) >= {"dog/smaller.jpg"}
    conflicts = failing(check, "the same image has one label")
    assert conflicts == {"cat/3.png": "'cat'; dog/copy.png is 'dog'", "dog/copy.png": "'dog'; cat/3.png is 'cat'"}
    assert "dog/smaller.jpg" in failing(check, "nearly the same images have one label")
    assert broken(check)["the same image has one label"] == (2, "error")
    html = check.page().html()
    assert "Broken: the same image has one label" in html
    assert html.index("cat/3.png · 48 x 40") < html.index("dog/copy.png · 48 x 40")


def test_wrong_endings_and_sizes_far_from_the_others(tmp_path):
    put(
        photos(tmp_path, 8),
        {
            "cat/really_png.jpg": image_bytes(picture(50)),
            "dog/huge.png": image_bytes(picture(51, 480, 400)),
            "dog/tiny.png": image_bytes(picture(52, 5, 4)),
        },
    )
    check = lepton.check(tmp_path)
    assert check.passed
    assert failing(check, "names end as the format says") == {"cat/really_png.jpg": "it is png"}
    sizes = failing(check, "no image is far larger or smaller than most")
    assert sizes == {
        "dog/huge.png": "192,000 pixels, where 1,920 are usual",
        "dog/tiny.png": "20 pixels, where 1,920 are usual",
    }


def test_a_rare_class_is_told(tmp_path):
    names = {f"cat/{n}.png": image_bytes(picture(n)) for n in range(21)}
    check = lepton.check(put(tmp_path, {**names, "dog/1.png": image_bytes(picture(99))}))
    (result,) = (each for each in check.results if not each.passed)
    assert result.examples == ("'dog': 1 files",)
    assert result.observed == "2 classes of 1 to 21 files"


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "I;16", "YCbCr", "F"])
def test_images_of_every_mode_are_read(tmp_path, mode):
    if mode == "I;16":
        image = Image.fromarray(np.asarray(picture().convert("L")).astype(np.uint16) * 257)
    else:
        image = picture().convert(mode)
    form = {"CMYK": "JPEG", "YCbCr": "JPEG", "F": "TIFF"}.get(mode, "PNG")
    check = lepton.check(put(tmp_path, {f"1.{form.lower()}": image_bytes(image, form)}))
    assert broken(check) == {}


def test_animated_and_turned_images_are_read_as_they_are_shown(tmp_path):
    exif = picture().getexif()
    exif[0x0112] = 6
    turned = picture(3, 60, 30)
    frames = [picture(n) for n in range(3)]
    put(
        tmp_path,
        {
            "turned.jpg": image_bytes(turned, "JPEG", exif=exif, quality=95),
            "upright.png": image_bytes(turned.transpose(Image.Transpose.ROTATE_270)),
            "moving.gif": image_bytes(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        },
    )
    assert failing(lepton.check(tmp_path), "no two images are nearly the same") == {"upright.png": "as turned.jpg"}
    assert lepton.read(tmp_path).frame(["animated"])["animated"].to_list() == [True, False, False]


def test_sounds_that_are_cut_silent_clipped_or_the_same(tmp_path):
    samples = tone(0.5, pitch=300) * np.linspace(0.2, 1, 4_000) + 0.1 * tone(0.5, pitch=1_900)
    flac = io.BytesIO()
    soundfile.write(flac, samples, 8_000, format="FLAC")
    ogg = io.BytesIO()
    soundfile.write(ogg, tone(2.0), 8_000, format="OGG")
    whole = wav_bytes(tone(0.5, pitch=500))
    put(
        tmp_path,
        {
            "a.wav": wav_bytes(samples),
            "b.flac": flac.getvalue(),
            "clipped.wav": wav_bytes(3 * tone(0.5, pitch=200)),
            "cut.wav": whole[:-1_000],
            "cut.flac": flac.getvalue()[:-900],
            "cut.ogg": ogg.getvalue()[:-300],
            "none.wav": wav_bytes(np.zeros(0)),
            "noise.wav": b"RIFF" + bytes(60),
            "silent.wav": wav_bytes(np.zeros(4_000)),
            "stereo.wav": wav_bytes(np.stack([tone(0.6, 48_000), tone(0.6, 48_000, 700)], axis=1), 48_000),
        },
    )
    check = lepton.check(tmp_path)
    found = failing(check, "every sound can be read whole")
    assert {path: why.partition(":")[0] for path, why in found.items()} == {
        "cut.flac": "damaged",
        "cut.ogg": "truncated",
        "cut.wav": "truncated",
        "noise.wav": "refused",
        "none.wav": "empty",
    }
    assert set(failing(check, "no sound is silent")) == {"silent.wav"}
    assert set(failing(check, "no sound is clipped")) == {"clipped.wav"}
    assert failing(check, "no two sounds are nearly the same") == {"b.flac": "as a.wav"}


def test_texts_that_are_empty_binary_or_the_same(tmp_path):
    said = " ".join(f"word{n}" for n in range(60))
    put(
        mails(tmp_path, 10),
        {
            "ham/blank.txt": " \n\t ",
            "ham/old.txt": "caf\xe9".encode("cp1252"),
            "ham/a.txt": said,
            "spam/b.txt": said.replace("word7 ", "wort7 "),
            "spam/picture.txt": image_bytes(picture()),
        },
    )
    check = lepton.check(tmp_path)
    found = failing(check, "every text can be read whole")
    assert {path: why.partition(":")[0] for path, why in found.items()} == {
        "ham/blank.txt": "empty",
        "ham/old.txt": "encoding",
        "spam/picture.txt": "encoding",
    }
    assert failing(check, "names end as the format says") == {"spam/picture.txt": "it is png"}
    assert "spam/b.txt" in failing(check, "no two texts are nearly the same")
    assert "spam/b.txt" in failing(check, "nearly the same texts have one label")


def test_a_table_whose_cells_are_files(tmp_path):
    put(tmp_path, {"1.png": image_bytes(picture()), "2.png": image_bytes(picture(1))})
    rows = "photo,n\n1.png,1\n2.png,2\n../../etc/passwd,3\ngone.png,4\n,5\n"
    (tmp_path / "rows.csv").write_text(rows)
    check = lepton.check(lepton.read(tmp_path / "rows.csv", kinds={"photo": "image"}))
    whys = check.failures["why"].to_list()
    assert [why.partition(":")[0] for why in whys] == ["refused", "missing", "missing"]
    assert check.failures["row"].to_list() == [3, 4, 5]
    assert check.results[0].examples[2] == "row 5: missing: the cell is empty"


def test_rules_and_files_are_checked_together(tmp_path):
    put(photos(tmp_path, 2), {"cat/empty.png": b""})
    check = lepton.check(tmp_path, [{"in_range": {"columns": "width", "least": 100}}])
    assert [each.number for each in check.results] == list(range(1, 10))
    assert check.results[0].broken == 4
    assert check.failures.height == 5
    assert check.page().html()


def test_a_table_without_files_still_needs_rules():
    with pytest.raises(UsageError, match="neither rules nor a baseline"):
        lepton.check({"a": [1]})


def test_only_the_rows_of_the_table_are_looked_at(tmp_path):
    put(photos(tmp_path, 10), {"cat/empty.png": b""})
    learn, test = lepton.read(tmp_path).split(0.3, seed=1)
    assert lepton.check(learn).rows + lepton.check(test).rows == 21


def test_labels_of_a_table_are_those_that_are_called_so(tmp_path):
    data = image_bytes(picture())
    rows = '{"f": "1.png", "label": "a"}\n{"f": "2.png", "label": "b"}\n'
    put(tmp_path, {"1.png": data, "2.png": data, "rows.jsonl": rows})
    check = lepton.check(lepton.read(tmp_path / "rows.jsonl", kinds={"f": "image"}))
    assert broken(check)["the same image has one label"] == (2, "error")
