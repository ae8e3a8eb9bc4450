"""As quick as the machine at hand can: where the time of a model goes, and which settings are clearly quicker."""

from lepton.optimization.accelerate.accelerate import accelerate
from lepton.optimization.accelerate.profile import NodeTime, OperatorTime, Profile, measure_profile
from lepton.optimization.accelerate.race import Standing
from lepton.optimization.accelerate.result import Acceleration, Trial
from lepton.optimization.accelerate.rows import rows_to_measure, take_rows

__all__ = [
    "Acceleration",
    "NodeTime",
    "OperatorTime",
    "Profile",
    "Standing",
    "Trial",
    "accelerate",
    "measure_profile",
    "rows_to_measure",
    "take_rows",
]
