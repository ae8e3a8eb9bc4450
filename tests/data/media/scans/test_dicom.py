"""DICOM: values become grey as the header says, and nothing of the patient is read."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from PIL import Image

from lepton.core import DataError, MissingExtraError
from lepton.data.media.scans.dicom import read_dicom, transfer_syntax
from lepton.data.media.scans.options import FrameOptions
from tests.data.media.making import image_bytes
from tests.data.media.scans.making import PATIENT, dicom_bytes, encapsulated, nested_sequences, with_syntax

RAMP = np.arange(16, dtype=np.int16).reshape(4, 4) * 100 - 800
PLAIN = FrameOptions()
JPEG = "1.2.840.10008.1.2.4.50"


def shown(data: bytes, **options) -> np.ndarray:
    return next(read_dicom(data, FrameOptions(**options)).frames).pixels


def refused(data: bytes) -> str:
    with pytest.raises(DataError) as caught:
        list(read_dicom(data, PLAIN).frames)
    said = f"{caught.value} {caught.value.details} {caught.value.__cause__}"
    assert "CANARY" not in said
    return str(caught.value.details["fault"])


def test_the_window_of_the_header_is_shown():
    data = dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401)
    scan = read_dicom(data, PLAIN)
    frame = next(scan.frames)
    assert scan.windowed == "by the window of the header"
    # PS3.3 C.11.2.1.2.1: black up to c - 0.5 - (w - 1) / 2, white above c - 0.5 + (w - 1) / 2, linear between
    wanted = np.clip(((RAMP + 0.5) / 400 + 0.5) * 255, 0, 255).round()
    assert np.array_equal(frame.pixels, wanted)
    assert (frame.facts["window_center"], frame.facts["window_width"]) == (0, 401)


def test_rescale_comes_before_the_window():
    stored = (RAMP + 1024).astype(np.uint16)
    data = dicom_bytes(stored, RescaleSlope=1, RescaleIntercept=-1024, WindowCenter=0, WindowWidth=401)
    assert np.array_equal(shown(data), shown(dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401)))


def test_the_caller_may_say_another_window():
    picture = shown(dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401), window=(100, 200))
    assert picture.ravel().tolist() == np.clip((RAMP.ravel() / 200) * 255, 0, 255).round().tolist()


@pytest.mark.parametrize(
    ("function", "middle"), [("LINEAR_EXACT", 127.5), ("SIGMOID", 127.5), ("LINEAR", (0.5 / 400 + 0.5) * 255)]
)
def test_every_function_of_windows(function, middle):
    picture = shown(dicom_bytes(RAMP, WindowCenter=[0, 50], WindowWidth=[401, 1], VOILUTFunction=function))
    assert picture[2, 0] == round(middle)
    assert (np.diff(picture.ravel().astype(int)) >= 0).all()


def test_a_look_up_table_of_the_header_is_shown():
    from pydicom.dataset import Dataset

    table = Dataset()
    table.LUTDescriptor = [16, 0, 16]
    table.LUTData = np.array([65_535 - 4_096 * n for n in range(16)], "<u2").tobytes()
    data = dicom_bytes(np.arange(16, dtype=np.uint16).reshape(4, 4), VOILUTSequence=[table])
    picture = shown(data)
    assert picture[0, 0] == 255
    assert (np.diff(picture.ravel().astype(int)) < 0).all()
    modality = Dataset()
    modality.LUTDescriptor, modality.ModalityLUTType = [16, 0, 16], "US"
    modality.LUTData = np.array([100 * n for n in range(16)], "<u2").tobytes()
    data = dicom_bytes(np.arange(16, dtype=np.uint16).reshape(4, 4), ModalityLUTSequence=[modality])
    assert np.array_equal(shown(data, window=(800, 1600)), (np.arange(16) * 100 / 1600 * 255).round().reshape(4, 4))


def test_without_a_window_nearly_all_values_are_shown():
    scan = read_dicom(dicom_bytes(RAMP.astype(np.int16), PixelPaddingValue=-800), PLAIN)
    picture = next(scan.frames).pixels
    assert "0.5 %" in scan.windowed
    assert (picture[0, 0], picture[0, 1], picture[3, 3]) == (0, 0, 255)  # the padding does not count


def test_bytes_stay_as_they_are():
    grey = np.array([[0, 7], [130, 255]], dtype=np.uint8)
    assert np.array_equal(shown(dicom_bytes(grey)), grey)
    assert np.array_equal(shown(dicom_bytes(grey, PhotometricInterpretation="MONOCHROME1")), 255 - grey)
    colours = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert np.array_equal(shown(dicom_bytes(colours)), colours)


def test_a_palette_gives_colours():
    from pydicom.uid import ExplicitVRLittleEndian

    tables: dict[str, object] = {}
    for shift, name in enumerate(("Red", "Green", "Blue")):
        tables[f"{name}PaletteColorLookupTableDescriptor"] = [4, 0, 16]
        tables[f"{name}PaletteColorLookupTableData"] = np.array([0, 0x4000, 0x8000, 0xFF00 >> shift], "<u2").tobytes()
    data = dicom_bytes(np.array([[0, 3]], np.uint8), PhotometricInterpretation="PALETTE COLOR", **tables)
    assert transfer_syntax(data) == ExplicitVRLittleEndian
    assert shown(data).tolist() == [[[0, 0, 0], [255, 127, 63]]]


def test_frames_have_windows_and_spacings_of_their_own():
    from pydicom.dataset import Dataset

    def group(center: float) -> Dataset:
        window, measures, plane, item = Dataset(), Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth, window.VOILUTFunction = center, 100, "LINEAR_EXACT"
        measures.PixelSpacing, measures.SliceThickness = [0.5, 0.25], 2
        plane.ImagePositionPatient = [0, 0, center]
        item.FrameVOILUTSequence, item.PixelMeasuresSequence = [window], [measures]
        item.PlanePositionSequence = [plane]
        return item

    stack = np.stack([np.full((2, 2), 100, np.int16)] * 2)
    shared = Dataset()
    orientation = Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [orientation]
    groups = {"PerFrameFunctionalGroupsSequence": [group(100), group(150)], "SharedFunctionalGroupsSequence": [shared]}
    first, second = read_dicom(dicom_bytes(stack, **groups), PLAIN).frames
    assert (first.pixels[0, 0], second.pixels[0, 0]) == (128, 0)
    assert [first.facts["slice"], second.facts["slice"]] == [1, 2]
    assert [first.facts["position"], second.facts["position"]] == [100, 150]
    assert (first.facts["row_spacing"], first.facts["column_spacing"], first.facts["thickness"]) == (0.5, 0.25, 2)


def test_packed_by_rle_is_the_same():
    data = dicom_bytes(np.stack([RAMP, RAMP // 2]), WindowCenter=0, WindowWidth=400)
    packed = dicom_bytes(np.stack([RAMP, RAMP // 2]), WindowCenter=0, WindowWidth=400, syntax="rle")
    for one, other in zip(read_dicom(data, PLAIN).frames, read_dicom(packed, PLAIN).frames, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize(
    ("syntax", "library"),
    [
        ("1.2.840.10008.1.2.4.70", "python-gdcm"),
        ("1.2.840.10008.1.2.4.80", "pyjpegls"),
        ("1.2.840.10008.1.2.4.201", ""),
    ],
)
def test_a_decoder_that_is_not_there_is_named(syntax, library):
    with pytest.raises(MissingExtraError, match=f"pip install {library}"):
        read_dicom(with_syntax(dicom_bytes(RAMP), syntax), PLAIN)


def test_what_no_decoder_is_for_is_refused():
    assert refused(with_syntax(dicom_bytes(RAMP), "1.2.840.10008.1.2.4.103")) == "refused"  # MPEG-4
    assert refused(with_syntax(dicom_bytes(RAMP), "1.2.840.10008.1.2.1.99")) == "refused"  # deflated: a bomb
    assert refused(with_syntax(dicom_bytes(RAMP), "1.2.840.10008.1.2.4.50")) == "damaged"  # no JPEG within


def test_hostile_files_are_refused():
    whole = dicom_bytes(RAMP)
    assert refused(b"") == "empty"
    assert refused(b"\x89PNG\r\n\x1a\n" + bytes(600)) == "refused"
    assert refused(whole[:-8]) == "truncated"
    assert refused(whole[:140]) == "truncated"
    assert refused(dicom_bytes(RAMP, Rows=65_535, Columns=65_535)) == "too large"
    assert refused(dicom_bytes(RAMP, NumberOfFrames=2_000_000_000)) == "too large"
    assert refused(dicom_bytes(RAMP, NumberOfFrames=1_000)) == "truncated"
    assert refused(dicom_bytes(RAMP, PixelData=None, Rows=None)) == "no picture"
    assert refused(nested_sequences(20_000)) == "damaged"
    assert refused(dicom_bytes(RAMP, PhotometricInterpretation="CANARY")) == "refused"


def test_damaged_files_give_pictures_or_one_error():
    said = []
    rng = np.random.default_rng(0)
    whole = dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401)
    for _ in range(60):
        data = bytearray(whole)
        for place in rng.integers(132, len(data), 4):
            data[place] = rng.integers(256)
        try:
            list(read_dicom(bytes(data), PLAIN).frames)
        except (DataError, MissingExtraError) as error:
            said.append(str(error))
    assert said
    assert "CANARY" not in "".join(said)


def test_the_patient_is_in_no_frame_error_or_line_of_a_log(caplog):
    caplog.set_level(logging.DEBUG)
    words = {"Modality": "CANARY", "BurnedInAnnotation": "CANARY", "WindowCenter": 1, "WindowWidth": 2}
    data = dicom_bytes(RAMP, **words)
    damaged = data.replace(b"US\x02\x00\x04\x00", b"US\x02\x00\xff\xff", 1)  # an element far too long
    scan = read_dicom(data, PLAIN)
    told = repr([frame.facts for frame in scan.frames])
    refused(damaged[: len(damaged) // 2])
    assert PATIENT.encode() in data
    assert "CANARY" not in told + caplog.text
    assert logging.getLogger("pydicom").level < logging.CRITICAL


def test_a_burned_in_text_is_said():
    facts = next(read_dicom(dicom_bytes(RAMP, BurnedInAnnotation="YES"), PLAIN).frames).facts
    assert (facts["burned_in"], facts["modality"], facts["slice"]) == ("yes", "CT", 7)


def test_implicit_and_big_endian_files_are_read():
    import pydicom

    for syntax in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.2"):
        found = pydicom.dcmread(io.BytesIO(dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401)))
        found.file_meta.TransferSyntaxUID = syntax
        if syntax.endswith("2.2"):
            found.PixelData = RAMP.astype(">i2").tobytes()
        out = io.BytesIO()
        pydicom.dcmwrite(out, found, implicit_vr=not syntax.endswith("2.2"), little_endian=not syntax.endswith("2.2"))
        assert np.array_equal(shown(out.getvalue()), shown(dicom_bytes(RAMP, WindowCenter=0, WindowWidth=401)))


def test_jpeg_and_jpeg_2000_are_decoded_and_bounded():
    grey, one = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)), np.zeros((16, 16), np.uint8)
    jpeg, jpeg_2000 = image_bytes(grey, "JPEG", quality=95), image_bytes(grey, "JPEG2000", no_jp2=True)
    assert np.allclose(shown(encapsulated([jpeg], one, JPEG)), np.asarray(grey), atol=3)
    assert np.array_equal(shown(encapsulated([jpeg_2000], one, "1.2.840.10008.1.2.4.90")), np.asarray(grey))
    red = image_bytes(Image.new("RGB", (16, 16), (200, 30, 60)), "JPEG", subsampling=0)
    coloured = encapsulated([red], np.zeros((16, 16, 3), np.uint8), JPEG, PhotometricInterpretation="YBR_FULL_422")
    assert np.allclose(shown(coloured)[0, 0], [200, 30, 60], atol=3)
    larger = image_bytes(Image.new("L", (2_000, 2_000)), "JPEG")
    assert refused(encapsulated([larger], one, JPEG)) == "damaged"
    assert refused(encapsulated([jpeg], np.stack([one, one]), JPEG)) == "truncated"


def test_values_of_twelve_bits_keep_their_sign():
    stored = np.array([[0x0800, 0x07FF], [0, 0x0FFF]], np.uint16).view(np.int16)
    more = {"WindowCenter": 0, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
    assert shown(dicom_bytes(stored, BitsStored=12, HighBit=11, **more)).tolist() == [[0, 255], [128, 127]]
