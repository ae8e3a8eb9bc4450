"""As quick as the machine at hand can: where the time of a model goes, and which settings are clearly quicker."""

from lepton.optimization.accelerate.accelerating import accelerate, measured
from lepton.optimization.accelerate.profiling import NodeTime, OperatorTime, Profile, profile
from lepton.optimization.accelerate.race import Standing
from lepton.optimization.accelerate.result import Acceleration, Trial

__all__ = [
    "Acceleration",
    "NodeTime",
    "OperatorTime",
    "Profile",
    "Standing",
    "Trial",
    "accelerate",
    "measured",
    "profile",
]
