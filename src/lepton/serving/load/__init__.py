"""Loads on a server, to measure it: requests at a rate or as fast as they are answered, from a process of their own."""

from lepton.serving.load.questions import Form, Question, questions, rows_like, rows_of
from lepton.serving.load.result import LoadResult
from lepton.serving.load.run import LoadShape, own_server, run_load

__all__ = [
    "Form",
    "LoadResult",
    "LoadShape",
    "Question",
    "own_server",
    "questions",
    "rows_like",
    "rows_of",
    "run_load",
]
