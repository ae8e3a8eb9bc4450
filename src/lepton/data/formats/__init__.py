"""Readers: each opens one kind of source as a `Source`, raw columns in bounded pieces, never the whole."""

from lepton.data.formats.base import READERS, Chunk, ReadOptions, Source, choose_format

__all__ = ["READERS", "Chunk", "ReadOptions", "Source", "choose_format"]
