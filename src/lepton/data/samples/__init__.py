"""Real tables that ship with the package, small enough to try everything on; each has its licence beside it."""

from lepton.data.samples.files import SAMPLES, sample

__all__ = ["SAMPLES", "sample"]
