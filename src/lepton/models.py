"""Networks that are ready to learn: `from lepton.models import LeptonNet`."""

from importlib.util import find_spec

from lepton.core import MissingExtraError

if find_spec("torch") is None:
    raise MissingExtraError("torch", "deep", "LeptonNet")

from lepton.training.nets.lepton_net import LeptonNet
from lepton.training.nets.spec import NetSpec, StageSpec

__all__ = ["LeptonNet", "NetSpec", "StageSpec"]
