"""Row steps of preprocessing: each is one rule with two forms, numpy/Polars and ONNX, that give the same values."""

from lepton.data.steps.base import (
    STEPS,
    Block,
    Step,
    Tensors,
    apply_steps,
    emit_steps,
    step_from_dict,
)
from lepton.data.steps.calendar import PARTS, Calendar
from lepton.data.steps.categories import OneHot, Ordinal
from lepton.data.steps.cycles import CYCLES, Cycles
from lepton.data.steps.lookup import Lookup
from lepton.data.steps.missing import Impute, MissingIndicators
from lepton.data.steps.products import Pairs, Products
from lepton.data.steps.scaling import Clip, Standardise
from lepton.data.steps.text import DropTexts, TextGrams, TextLength
from lepton.data.steps.topics import TextTopics

__all__ = [
    "CYCLES",
    "PARTS",
    "STEPS",
    "Block",
    "Calendar",
    "Clip",
    "Cycles",
    "DropTexts",
    "Impute",
    "Lookup",
    "MissingIndicators",
    "OneHot",
    "Ordinal",
    "Pairs",
    "Products",
    "Standardise",
    "Step",
    "Tensors",
    "TextGrams",
    "TextLength",
    "TextTopics",
    "apply_steps",
    "emit_steps",
    "step_from_dict",
]
