"""The trainer: Keras's methods over a native PyTorch loop, for LeptonNet and for any module of torch."""

from importlib.util import find_spec

from lepton.core import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("torch", "deep", "Training a network")

from lepton.training.trainer.callbacks import (
    Callback,
    CSVLog,
    EarlyStopping,
    LearningRateLog,
    ModelCheckpoint,
    TensorBoard,
)
from lepton.training.trainer.checkpoints import Checkpoints
from lepton.training.trainer.history import History
from lepton.training.trainer.losses import LOSSES
from lepton.training.trainer.metrics import METRICS
from lepton.training.trainer.optimizers import OPTIMIZERS
from lepton.training.trainer.recipe import Recipe
from lepton.training.trainer.schedules import SCHEDULES
from lepton.training.trainer.trainer import Trainer

__all__ = [
    "LOSSES",
    "METRICS",
    "OPTIMIZERS",
    "SCHEDULES",
    "CSVLog",
    "Callback",
    "Checkpoints",
    "EarlyStopping",
    "History",
    "LearningRateLog",
    "ModelCheckpoint",
    "Recipe",
    "TensorBoard",
    "Trainer",
]
