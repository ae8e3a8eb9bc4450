"""Optimizers by name, over the parameters that learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lepton.core import ErrorCode, UsageError
from lepton.training.trainer.losses import unknown

__all__ = ["OPTIMIZERS", "optimizer_of"]


def _of(kind: Any, **settings: Any) -> Callable[[Any, float], Any]:
    return lambda parameters, rate: kind(parameters, lr=rate, **settings)


OPTIMIZERS: dict[str, tuple[Callable[[Any, float], Any], float]] = {
    "adam": (_of(torch.optim.Adam), 1e-3),
    "adamw": (_of(torch.optim.AdamW), 1e-3),
    "nadam": (_of(torch.optim.NAdam), 1e-3),
    "adamax": (_of(torch.optim.Adamax), 1e-3),
    "adagrad": (_of(torch.optim.Adagrad), 1e-2),
    "rmsprop": (_of(torch.optim.RMSprop, alpha=0.9), 1e-3),
    "sgd": (_of(torch.optim.SGD), 1e-2),
    "momentum": (_of(torch.optim.SGD, momentum=0.9, nesterov=True), 1e-2),
}
"""Name → how one is made, and its learning rate where none is given; those of Keras, `momentum` is SGD with 0.9."""


def optimizer_of(optimizer: Any, module: Any, learning_rate: float | None) -> Any:
    """An optimizer of torch over `module`'s parameters.

    Args:
        optimizer: a name of `OPTIMIZERS`, a torch optimizer that was made already, or a function of the parameters.
        module: the module to train.
        learning_rate: the highest rate; the optimizer's own by default.

    Raises:
        UsageError: no such name, a rate that is not positive, nothing to learn, or an optimizer of other parameters.
    """
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not parameters:
        raise UsageError(ErrorCode.USAGE, "the module has no parameter that learns", fix="unfreeze a layer of it")
    if isinstance(optimizer, str):
        if optimizer.lower() not in OPTIMIZERS:
            raise unknown("optimizer", optimizer, OPTIMIZERS)
        make, usual = OPTIMIZERS[optimizer.lower()]
        made = make(parameters, usual if learning_rate is None else learning_rate)
    elif isinstance(optimizer, torch.optim.Optimizer):
        made = optimizer
    elif callable(optimizer):
        made = optimizer(parameters)
    else:
        raise UsageError(
            ErrorCode.USAGE, f"got optimizer={optimizer!r}", wanted="a name, a torch optimizer or a function",
            fix="one of " + ", ".join(OPTIMIZERS),
        )  # fmt: skip
    if not isinstance(made, torch.optim.Optimizer):
        raise UsageError(ErrorCode.USAGE, f"the optimizer is a {type(made).__name__}", wanted="an optimizer of torch")
    if isinstance(made, torch.optim.LBFGS):
        raise UsageError(ErrorCode.USAGE, "LBFGS calls the loss several times a step", fix="use adam or sgd")
    own = {id(parameter) for parameter in module.parameters()}
    if not any(id(parameter) in own for group in made.param_groups for parameter in group["params"]):
        raise UsageError(
            ErrorCode.USAGE, "the optimizer holds no parameter of this module",
            fix="make it from module.parameters(), or give its name",
        )  # fmt: skip
    if learning_rate is not None:
        for group in made.param_groups:
            group["lr"] = learning_rate
    return made


def check_rate(learning_rate: Any) -> None:
    """Refuse a learning rate that is not a positive number."""
    if learning_rate is not None and not (isinstance(learning_rate, int | float) and 0 < learning_rate < float("inf")):
        raise UsageError(ErrorCode.USAGE, f"got learning_rate={learning_rate!r}", wanted="a number above 0")
