"""Scans as a table: rows, columns, decisions; and the patient is nowhere."""

from __future__ import annotations

import json
import logging
import zipfile

import numpy as np
import pytest

from lepton.core import DataError, ErrorCode, Kind, MissingExtraError, Role, UsageError
from lepton.data import read
from lepton.data.media.convert import FileSteps
from lepton.data.media.images import decode_image
from lepton.data.media.scans import OWN_FRAME_COLUMNS, dicom, nifti
from tests.data.media.making import image_bytes, picture, put
from tests.data.media.scans.making import dicom_bytes, nifti_bytes, with_syntax

RAMP = np.arange(16, dtype=np.int16).reshape(4, 4) * 100 - 800
VOLUME = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
CT = {"PixelSpacing": [0.5, 0.25], "SliceThickness": 2, "WindowCenter": 40, "WindowWidth": 400}


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two classes, with what else lies about."""
    return put(
        tmp_path_factory.mktemp("scans"),
        {
            "ill/IM1.dcm": dicom_bytes(RAMP, **CT, StudyInstanceUID="1.2.77"),
            "ill/IM2": dicom_bytes(RAMP, **CT, StudyInstanceUID="1.2.77", InstanceNumber=8),
            "ill/1.2.3.4": dicom_bytes(np.stack([RAMP, RAMP]), StudyInstanceUID="1.2.88"),
            "well/head.nii.gz": nifti_bytes(VOLUME, packed=True),
            "well/cut.nii": nifti_bytes(VOLUME)[:-9],
            "well/report.dcm": dicom_bytes(RAMP, PixelData=None, Rows=None),
            "well/photo.png": image_bytes(picture()),
            "DICOMDIR": b"\0" * 128 + b"DICM",
        },
    )


def test_a_folder_of_scans_is_a_table_of_pictures(scans):
    table = read(scans)
    frame = table.frame()
    assert table.num_rows == 8
    assert frame["scan"].to_list() == ["ill/1.2.3.4"] * 2 + ["ill/IM1.dcm", "ill/IM2"] + ["well/head.nii.gz"] * 4
    assert frame["label"].to_list() == ["ill"] * 4 + ["well"] * 4
    assert frame["study"].to_list() == ["1", "1", "2", "2", "3", "3", "3", "3"]
    assert frame["slice"].to_list() == [1, 2, 7, 8, 1, 2, 3, 4]
    second = frame.row(2, named=True)
    said = {name: second[name] for name in ("modality", "row_spacing", "column_spacing", "thickness", "window_center")}
    assert said == {"modality": "CT", "row_spacing": 0.5, "column_spacing": 0.25, "thickness": 2.0, "window_center": 40}
    assert (second["width"], second["height"], second["format"]) == (4, 4, "dicom")
    assert {column.name: (column.kind, column.role) for column in table.schema} == {
        **{name: (table.schema[name].kind, Role.IGNORED) for name in frame.columns},
        "path": (Kind.IMAGE, Role.FEATURE),
        "study": (Kind.IDENTIFIER, Role.GROUP),
        "label": (Kind.CATEGORY, Role.TARGET),
    }
    assert set(frame.columns) - {"label"} <= OWN_FRAME_COLUMNS
    shown, width, height = decode_image(table.references.read(second["path"]))
    assert (shown.mode, width, height) == ("L", 4, 4)
    assert np.asarray(shown)[3, 3] == 255


def test_decisions_tell_what_was_done(scans):
    told = {(each.what, each.decided): each.evidence for each in read(scans).decisions}
    assert told["pixels", "8 bits"] == (
        "2 files by the window of the header; 2 files from where 0.5 % of the values lie below to where 0.5 % lie above"
    )
    assert told["axis", "axial"].startswith("4 slices")
    assert "private tags are not read" in told["header", "technical values alone"]
    assert "nothing for 4" in told["burned-in text", "left in the picture"]
    assert told["left out", "no picture: the file holds no pixels"] == "1 files, such as 'well/report.dcm'"
    assert told["left out", "files of another kind"] == "1 files, such as 'well/photo.png'"
    assert any(what == "left out" and decided.startswith("truncated") for what, decided in told)


def test_slices_of_a_study_stay_on_one_side_of_a_split(scans):
    learn, test = read(scans).split(0.3)
    assert not set(learn.frame()["study"]) & set(test.frame()["study"])


def test_the_patient_is_nowhere(scans, tmp_path, caplog):
    caplog.set_level(logging.DEBUG)
    table = read(scans)
    told = [table.frame().write_csv(), json.dumps(table.decisions.to_list()), repr(table), table.describe().text()]
    for ending in ("parquet", "csv"):
        table.save(tmp_path / f"index.{ending}")
    told += [path.read_bytes().decode("latin-1") for path in tmp_path.iterdir()]
    told += [table.references.read(cell).decode("latin-1") for cell in table.frame()["path"]]
    told += [repr(table.parents()), caplog.text, table.describe("label").page().html()]
    assert all("CANARY" not in text and "1.2.77" not in text for text in told)


def test_ids_are_hashed_under_a_key_when_asked(scans):
    first = read(scans / "ill", media={"ids": "a key of the clinic"}).frame()
    again = read(scans / "ill" / "IM1.dcm", media={"ids": "a key of the clinic"}).frame()
    other = read(scans / "ill" / "IM1.dcm", media={"ids": "another long key"}).frame()
    assert first["study_id"].n_unique() == 2
    assert again["study_id"][0] == first["study_id"][2]
    assert len({again["study_id"][0], again["series_id"][0], other["study_id"][0]}) == 3


def test_a_single_scan_is_a_table(scans, tmp_path):
    assert read(scans / "ill" / "IM2").num_rows == 1  # by its first bytes
    assert read(scans / "well" / "head.nii.gz", media={"axis": "coronal"}).num_rows == 3
    table = read(put(tmp_path, {"odd.bin": dicom_bytes(RAMP)}) / "odd.bin", format="scans")
    assert table.num_rows == 1
    assert len(table.parents()[0]["sha256"]) == 64
    assert "label" not in table.schema.names


def test_archives_and_labels(scans, tmp_path):
    with zipfile.ZipFile(tmp_path / "scans.zip", "w") as archive:
        for name in ("ill/IM1.dcm", "well/head.nii.gz"):
            archive.write(scans / name, name)
    assert read(tmp_path / "scans.zip").frame()["label"].to_list() == ["ill"] + ["well"] * 4
    labelled = read(tmp_path / "scans.zip", labels={"file": ["IM1.dcm", "head.nii.gz"], "age": [50, 60]})
    assert labelled.frame()["age"].to_list() == [50] + [60] * 4
    with pytest.raises(DataError, match="have a column 'modality'"):
        read(tmp_path / "scans.zip", labels={"file": ["IM1.dcm"], "modality": ["CT"]})


def test_one_clear_error_where_nothing_can_be_read(tmp_path):
    put(tmp_path, {"a.dcm": b"", "b.dcm": image_bytes(picture()), "c.nii": b"none" * 200, "t/1.txt": "words"})
    with pytest.raises(DataError, match=r"none of 3 scans can be read; 'a.dcm' is empty") as caught:
        read(tmp_path, format="scans")
    assert caught.value.code is ErrorCode.UNREADABLE
    with pytest.raises(DataError, match=r"'b.dcm' is refused: it begins as no DICOM file, but as png"):
        read(tmp_path / "b.dcm")
    with pytest.raises(DataError, match="max_download"):
        read(put(tmp_path / "x", {"a.dcm": dicom_bytes(RAMP)}), max_download=10)
    with pytest.raises(MissingExtraError, match="pip install pyjpegls"):
        read(put(tmp_path / "y", {"a.dcm": with_syntax(dicom_bytes(RAMP), "1.2.840.10008.1.2.4.80")}))


def test_media_is_said_of_scans_and_videos_only(tmp_path):
    with pytest.raises(UsageError, match="got media= for images"):
        read(put(tmp_path, {"1.png": image_bytes(picture())}), media={"axis": "axial"})
    with pytest.raises(UsageError, match="got media for a dict"):
        read({"a": [1]}, media={"axis": "axial"})


def test_pictures_are_kept_by_writing_them_to_a_folder(scans, tmp_path):
    made = FileSteps().resize(8).save(read(scans), tmp_path / "slices")
    again = read(made.path, labels=made.labels)
    assert again.num_rows == 8
    assert again.frame()["modality"].to_list() == read(scans).frame()["modality"].to_list()


def test_names_may_be_long_or_odd(tmp_path):
    name = "ä" * 120 + ".dcm"
    table = read(put(tmp_path, {name: dicom_bytes(RAMP), "a b/%d.dcm": dicom_bytes(RAMP)}))
    assert table.num_rows == 2
    assert all(table.references.read(cell) for cell in table.frame()["path"])


@pytest.mark.parametrize(("module", "place"), [(dicom, "_pydicom"), (nifti, "_nibabel")])
def test_a_library_that_is_not_there_is_named(scans, monkeypatch, module, place):
    def missing():
        raise MissingExtraError("it", "media", "reading")

    monkeypatch.setattr(module, place, missing)
    with pytest.raises(MissingExtraError, match=r"lepton-ai\[media\]"):
        read(scans)
