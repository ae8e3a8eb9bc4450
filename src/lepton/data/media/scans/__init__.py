"""Scans and videos as tables: slices of DICOM and NIfTI files, frames of videos; nothing of a patient from headers."""

from lepton.data.media.scans.options import FrameOptions
from lepton.data.media.scans.source import OWN_FRAME_COLUMNS, FrameSource, open_frames

__all__ = ["OWN_FRAME_COLUMNS", "FrameOptions", "FrameSource", "open_frames"]
