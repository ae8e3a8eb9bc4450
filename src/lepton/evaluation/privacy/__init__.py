"""What a model gives away about the rows that it was trained on."""

from lepton.evaluation.privacy.membership import Membership, membership

__all__ = ["Membership", "membership"]
