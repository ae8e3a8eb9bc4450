"""Why a model answers as it does: single answers, and what it has learned as a whole."""

from lepton.evaluation.explain.base import Question, question_of
from lepton.evaluation.explain.cases import Cases, similar_cases
from lepton.evaluation.explain.counterfactuals import Counterfactuals, counterfactuals
from lepton.evaluation.explain.effects import Effect, effect
from lepton.evaluation.explain.explanation import Explanation
from lepton.evaluation.explain.files import FileExplanation, explain_file
from lepton.evaluation.explain.given import frame_of, takes_files
from lepton.evaluation.explain.prototypes import Prototypes, prototypes
from lepton.evaluation.explain.surrogate import Surrogate, surrogate
from lepton.evaluation.explain.tables import explain_table
from lepton.evaluation.explain.whole import Overview, overview

__all__ = [
    "Cases",
    "Counterfactuals",
    "Effect",
    "Explanation",
    "FileExplanation",
    "Overview",
    "Prototypes",
    "Question",
    "Surrogate",
    "counterfactuals",
    "effect",
    "explain_file",
    "explain_table",
    "frame_of",
    "overview",
    "prototypes",
    "question_of",
    "similar_cases",
    "surrogate",
    "takes_files",
]
