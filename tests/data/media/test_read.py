"""Folders of files as tables."""

from __future__ import annotations

import gc
import shutil
import zipfile
from pathlib import Path

import pytest

from lepton import train
from lepton.core import DataError, ErrorCode, Kind, MissingExtraError, Role, UsageError
from lepton.data import read
from lepton.data.media import images, sounds
from tests.data.media.making import image_bytes, mails, photos, picture, png_claiming, put, tone, wav_bytes


def test_a_folder_of_images_is_a_table(tmp_path):
    table = read(photos(tmp_path))
    assert table.num_rows == 6
    kinds = {column.name: (column.kind, column.role) for column in table.schema}
    assert kinds["path"] == (Kind.IMAGE, Role.FEATURE)
    assert kinds["label"] == (Kind.CATEGORY, Role.TARGET)
    assert kinds["width"] == (Kind.NUMBER, Role.IGNORED)
    first = table.head(1).to_dicts()[0]
    assert first["path"] == "cat/0.jpg"
    assert (first["width"], first["height"], first["mode"], first["format"]) == (48, 40, "RGB", "jpeg")
    assert first["animated"] is False
    assert first["bytes"] == (tmp_path / "cat/0.jpg").stat().st_size
    assert table.frame()["label"].to_list() == ["cat"] * 3 + ["dog"] * 3


def test_sounds_tell_their_length(tmp_path):
    stereo = wav_bytes(tone(0.25, 16_000).repeat(2).reshape(-1, 2), 16_000)
    table = read(put(tmp_path, {"a/1.wav": wav_bytes(tone(0.5)), "b/2.wav": stereo}))
    frame = table.frame()
    assert frame["seconds"].to_list() == [0.5, 0.25]
    assert frame["rate"].to_list() == [8_000, 16_000]
    assert frame["channels"].to_list() == [1, 2]
    assert table.schema["path"].kind is Kind.AUDIO


def test_texts_are_a_text_column(tmp_path):
    table = read(mails(tmp_path, 2))
    assert [(c.name, str(c.kind)) for c in table.schema] == [
        ("path", "identifier"), ("text", "text"), ("bytes", "number"), ("label", "category"),
    ]  # fmt: skip
    assert table.frame()["text"][0] == (tmp_path / "ham" / "0").read_text()


def test_the_table_does_what_tables_do(tmp_path):
    table = read(photos(tmp_path, 10))
    learn, test = table.split(0.2, seed=1)
    assert (learn.num_rows, test.num_rows) == (16, 4)
    assert test.frame()["label"].value_counts()["count"].to_list() == [2, 2]
    assert table.select(["path", "label"]).frame().columns == ["path", "label"]
    assert len(table.fingerprint()) == 64
    saved = read(table.save(tmp_path / "index.parquet"))
    assert saved.schema["path"].kind is Kind.IMAGE
    assert saved.frame().equals(table.frame())


def test_the_head_of_a_bad_file_says_nothing(tmp_path):
    bad = {"cut.png": image_bytes(picture())[:20], "empty.png": b"", "bomb.png": png_claiming(60_000, 60_000)}
    frame = read(put(tmp_path, {"good.png": image_bytes(picture()), **bad})).frame()
    assert frame["width"].to_list() == [None, None, None, 48]
    assert frame["bytes"].null_count() == 0


def test_an_image_is_as_wide_as_it_is_shown(tmp_path):
    exif = picture().getexif()
    exif[0x0112] = 6
    put(tmp_path, {"1.jpg": image_bytes(picture(width=60, height=20), "JPEG", exif=exif)})
    assert read(tmp_path).frame(["width", "height"]).row(0) == (20, 60)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ("file,animal\ncat/0.jpg,x\n./dog/0.jpg,y\n", "path"),
        ("animal,n\nx,cat\\\\0.jpg\ny,dog\\\\0.jpg\n", "path with backslashes"),
    ],
)
def test_labels_come_from_a_table(tmp_path, rows, kept):
    photos(tmp_path / "photos", 1)
    (tmp_path / "labels.csv").write_text(rows.replace("\\\\", "\\"))
    table = read(tmp_path / "photos", labels=tmp_path / "labels.csv")
    assert table.schema["animal"].role is Role.TARGET, kept
    assert table.frame(["path", "animal"]).rows() == [("cat/0.jpg", "x"), ("dog/0.jpg", "y")]
    assert "label" not in table.schema.names


def test_labels_find_files_by_name_alone_and_keep_their_types(tmp_path):
    put(tmp_path, {"deep/b.png": image_bytes(picture()), "a.png": image_bytes(picture(1))})
    table = read(tmp_path, labels={"name": ["a", "b", "gone"], "weight": [1.5, None, 3.0], "label": ["x", "y", "z"]})
    assert table.frame(["path", "weight", "label"]).rows() == [("a.png", 1.5, "x"), ("deep/b.png", None, "y")]
    assert table.schema["weight"].kind is Kind.NUMBER
    assert table.schema.of_role(Role.TARGET)[0].name == "label"
    assert any("1 rows name no file" in each.evidence for each in table.decisions)


@pytest.mark.parametrize(
    ("labels", "code", "message"),
    [
        ({"a": ["x"], "b": ["y"]}, ErrorCode.UNKNOWN_COLUMN, "no column of the labels names the files"),
        ({"a": ["1.png"]}, ErrorCode.EMPTY_DATA, "only the column 'a'"),
        ({"a": ["1.png", "1.png"], "b": [1, 2]}, ErrorCode.BAD_VALUE, "'1.png' stands in several rows"),
        ({"a": ["1.png"], "width": [1]}, ErrorCode.BAD_COLUMN_NAMES, "a column 'width'"),
    ],
)
def test_labels_that_do_not_fit_are_refused(tmp_path, labels, code, message):
    put(tmp_path, {"1.png": image_bytes(picture())})
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, labels=labels)
    assert caught.value.code is code


def test_labels_are_for_folders(tmp_path):
    with pytest.raises(UsageError, match="labels for a dict"):
        read({"a": [1]}, labels={"a": [1]})


def test_kinds_and_roles_may_be_said(tmp_path):
    put(tmp_path, {f"{n % 3}/{n}.png": image_bytes(picture(n)) for n in range(6)})
    table = read(tmp_path, kinds={"label": "number"}, roles={"width": "feature"})
    assert table.schema["label"].kind is Kind.NUMBER
    assert table.schema["width"].role is Role.FEATURE
    assert table.frame()["label"].to_list() == [0, 0, 1, 1, 2, 2]


def test_a_text_of_another_encoding_names_its_file(tmp_path):
    put(tmp_path, {"a.txt": "fine", "b.txt": "caf\xe9 au lait".encode("cp1252"), "c.txt": "é".encode("utf-16")})
    with pytest.raises(DataError, match=r"'b.txt' is not utf-8: byte 3 is 0xe9.*encoding='cp1252'") as caught:
        read(tmp_path).frame()
    assert caught.value.code is ErrorCode.BAD_ENCODING
    (tmp_path / "c.txt").unlink()
    assert read(tmp_path, encoding="cp1252").frame()["text"].to_list() == ["fine", "café au lait"]
    with pytest.raises(UsageError, match="encoding='nonsense'"):
        read(tmp_path, encoding="nonsense").frame()


def test_a_text_with_a_mark_says_its_encoding(tmp_path):
    put(tmp_path, {"a.txt": "é".encode("utf-16"), "b.txt": "é".encode("utf-8-sig")})
    assert read(tmp_path).frame()["text"].to_list() == ["é", "é"]


def test_a_column_of_any_table_may_hold_files(tmp_path):
    put(
        tmp_path,
        {"x/1.png": image_bytes(picture()), "rows.jsonl": '{"photo": "x/1.png", "n": 1}\n{"photo": null, "n": 2}\n'},
    )
    table = read(tmp_path / "rows.jsonl", kinds={"photo": "image"})
    assert table.schema["photo"].kind is Kind.IMAGE
    assert table.references.read(table.frame()["photo"][0]).startswith(b"\x89PNG")


@pytest.mark.parametrize(("module", "name", "extra"), [(images, "1.png", "PIL"), (sounds, "1.wav", "soundfile")])
def test_a_missing_library_is_named(tmp_path, monkeypatch, module, name, extra):
    put(tmp_path, {name: image_bytes(picture()) if name.endswith("png") else wav_bytes(tone())})
    monkeypatch.setitem(__import__("sys").modules, extra, None)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[media\]"):
        read(tmp_path)


def test_texts_need_no_extra(tmp_path, monkeypatch):
    for library in ("PIL", "soundfile"):
        monkeypatch.setitem(__import__("sys").modules, library, None)
    assert read(mails(tmp_path, 1)).num_rows == 2


@pytest.mark.parametrize("form", ["zip", "tar", "gztar", "bztar", "xztar"])
def test_an_archive_is_read_like_its_folder(tmp_path, form):
    photos(tmp_path / "photos", 2)
    path = Path(shutil.make_archive(str(tmp_path / "packed"), form, tmp_path, "photos"))
    folder, packed = read(tmp_path / "photos"), read(path)
    frame = packed.frame()
    assert frame["path"].to_list() == [f"photos/{name}" for name in folder.frame()["path"]]
    assert frame.drop("path").equals(folder.frame().drop("path"))
    assert packed.decisions[0].what == "unpacked"
    (parent,) = packed.parents()
    assert parent["name"] == path.name
    assert len(parent["sha256"]) == 64


def test_an_unpacked_archive_goes_with_what_refers_to_it(tmp_path):
    photos(tmp_path / "photos", 1)
    table = read(shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path, "photos"))
    cell = table.frame()["path"][0]
    references = table.references
    root = references.root
    del table
    gc.collect()
    assert references.read(cell).startswith(b"\xff\xd8")
    del references
    gc.collect()
    assert root is not None
    assert not root.exists()


def test_an_archive_of_a_table_is_not_read(tmp_path):
    put(tmp_path / "in", {"a.csv": "x\n1\n"})
    path = shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "in")
    with pytest.raises(DataError, match=r"packed.zip holds no images, sounds or texts, but 1 of '.csv'"):
        read(path)


def test_an_archive_that_leads_out_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("../evil.png", image_bytes(picture()))
    with pytest.raises(DataError, match="leads out of it"):
        read(tmp_path / "x.zip")
    with pytest.raises(DataError, match="max_download"):
        read(shutil.make_archive(str(tmp_path / "y"), "zip", photos(tmp_path / "photos", 1)), max_download=100)


@pytest.mark.timeout(60)
def test_a_model_of_texts_is_trained_on_a_folder_and_reads_others(tmp_path):
    model = train(mails(tmp_path / "mails", 40), target="label", within=12)
    assert [column.name for column in model.inputs] == ["text"]
    said = "the project meeting of the report with you a lunch thanks"
    put(tmp_path / "new", {"1": "the money of a win with you free prize now", "2": f"{said} {said}"})
    assert model.predict(tmp_path / "new").to_list() == ["spam", "ham"]
    assert model.evaluate(tmp_path / "mails").metrics["accuracy"].value == 1.0


@pytest.mark.parametrize("options", [{"delimiter": ";"}, {"header": True}, {"missing": ["?"]}, {"query": "select 1"}])
def test_what_is_said_of_tables_is_refused_for_folders(tmp_path, options):
    with pytest.raises(UsageError, match="for a folder or archive of files"):
        read(photos(tmp_path, 1), **options)


def test_a_table_saved_beside_its_files_finds_them_again(tmp_path):
    table = read(photos(tmp_path, 2))
    again = read(table.save(tmp_path / "index.parquet"))
    assert again.references.read(again.frame()["path"][0]) == (tmp_path / "cat/0.jpg").read_bytes()
    assert read(tmp_path).num_rows == 4


def test_files_that_change_after_they_were_listed(tmp_path):
    table = read(photos(tmp_path, 2))
    (tmp_path / "cat/0.jpg").unlink()
    assert table.frame()["width"].null_count() == 1
    texts = read(mails(tmp_path / "mails", 2))
    (tmp_path / "mails/ham/0").unlink()
    with pytest.raises(DataError, match="there is no file") as caught:
        texts.frame()
    assert caught.value.code is ErrorCode.NOT_FOUND
