"""Python classes around models, served beside them: in processes of their own, when the operator names them."""

from lepton.serving.services.base import Service, method

__all__ = ["Service", "method"]
