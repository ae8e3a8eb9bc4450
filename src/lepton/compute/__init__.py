"""Long work elsewhere: named by an entry point, watched through a handle, held to its time, threads and memory."""

from lepton.compute.engine import Engine, Handle, State
from lepton.compute.inline import InlineEngine
from lepton.compute.local import LocalEngine

__all__ = ["Engine", "Handle", "InlineEngine", "LocalEngine", "State"]
