"""Tiny DICOM, NIfTI and video files, with a patient in every place where one can stand."""

from __future__ import annotations

import gzip
import io
import os
import struct
from pathlib import Path

import numpy as np

PATIENT = "CANARY^Patient"


def dicom_bytes(pixels: np.ndarray, **more) -> bytes:
    """A DICOM file of `[rows, columns]`, `[frames, rows, columns]` or, of bytes, `[rows, columns, 3]`.

    Keyword arguments are further elements; None leaves one out; `syntax` packs the pixels.
    """
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    colour = pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.dtype == np.uint8
    frames = pixels.shape[0] if pixels.ndim == 3 and not colour else 1
    rows, columns = pixels.shape[:2] if colour else pixels.shape[-2:]
    bits = pixels.dtype.itemsize * 8
    data = Dataset()
    data.PatientName, data.PatientID = PATIENT, "CANARY-1234"
    data.PatientBirthDate, data.InstitutionName = "19700101", "CANARY Hospital"
    data.ImageComments = "CANARY: seen again"
    block = data.private_block(0x0009, "CANARY MAKER", create=True)
    block.add_new(0x01, "LO", "CANARY private")
    data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID = "1.2.3", "1.2.3.4", "1.2.3.4.5"
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.Modality, data.InstanceNumber = "CT", 7
    data.Rows, data.Columns, data.NumberOfFrames = rows, columns, frames
    data.SamplesPerPixel = 3 if colour else 1
    data.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        data.PlanarConfiguration = 0
    data.BitsAllocated, data.BitsStored, data.HighBit = bits, bits, bits - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    data.PixelData = pixels.tobytes()
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = data.SOPClassUID, data.SOPInstanceUID
    meta.SourceApplicationEntityTitle = "CANARY-AE"
    data.file_meta = meta
    syntax = more.pop("syntax", None)
    for name, value in more.items():
        delattr(data, name) if value is None else setattr(data, name, value)
    if syntax == "rle":
        data.compress(pydicom.uid.RLELossless)
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    packed = out.getvalue()
    return packed if syntax in (None, "rle") else with_syntax(packed, syntax)


def with_syntax(data: bytes, syntax: str) -> bytes:
    """A DICOM file that claims another transfer syntax; its pixels stay as they are."""
    import pydicom

    found = pydicom.dcmread(io.BytesIO(data))
    found.file_meta.TransferSyntaxUID = syntax
    if syntax != "1.2.840.10008.1.2.1.99":
        found.PixelData = pydicom.encaps.encapsulate([found.PixelData])
        found["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    pydicom.dcmwrite(out, found)
    return out.getvalue()


def encapsulated(frames: list[bytes], like: np.ndarray, syntax: str, **more) -> bytes:
    """A DICOM file as of `dicom_bytes(like)`, whose frames are packed."""
    import pydicom

    found = pydicom.dcmread(io.BytesIO(dicom_bytes(like, **more)))
    found.file_meta.TransferSyntaxUID = syntax
    found.PixelData = pydicom.encaps.encapsulate(frames)
    found["PixelData"].is_undefined_length = True
    out = io.BytesIO()
    pydicom.dcmwrite(out, found)
    return out.getvalue()


def nifti_bytes(voxels: np.ndarray, affine: np.ndarray | None = None, *, packed: bool = False, **fields) -> bytes:
    """A NIfTI-1 file in one part, with a patient in its free texts; `fields` are those of the header."""
    import nibabel

    image = nibabel.Nifti1Image(voxels, np.eye(4) if affine is None else affine, dtype=voxels.dtype)
    image.header["descrip"] = b"CANARY Patient"
    image.header["aux_file"] = b"CANARY"
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"CANARY Patient"))
    data = bytearray(image.to_bytes())
    for name, value in fields.items():
        dtype, offset = nibabel.Nifti1Header.template_dtype.fields[name][:2]
        data[offset : offset + dtype.itemsize] = np.asarray(value, dtype.base).tobytes().ljust(dtype.itemsize, b"\0")
    return gzip.compress(bytes(data)) if packed else bytes(data)


def nested_sequences(depth: int) -> bytes:
    """A DICOM file in which a sequence holds a sequence, and so on, all of undefined length."""
    whole = dicom_bytes(np.zeros((4, 4), np.uint8))
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    sequence = struct.pack("<HH2sHI", 0x0040, 0x0275, b"SQ", 0, 0xFFFFFFFF)
    start = whole.index(struct.pack("<HH2s", 0x0008, 0x0016, b"UI"))
    return whole[:start] + (sequence + item) * depth + whole[start:]


def write_video(
    path: Path, frames: int = 20, rate: float = 10.0, code: str = "MJPG", size: tuple[int, int] = (32, 24)
) -> Path:
    """A video whose frames become brighter."""
    import cv2

    writer = cv2.VideoWriter(os.fspath(path), cv2.VideoWriter.fourcc(*code), rate, size)
    for number in range(frames):
        writer.write(np.full((size[1], size[0], 3), 20 + 10 * number, np.uint8))
    writer.release()
    return path
