"""What a checkpoint of a training consists of: gathered into tensors and a record, and put back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from lepton.core import ErrorCode, UsageError
from lepton.training.trainer.averaging import copy_state, put_state
from lepton.training.trainer.checkpoints import Kept
from lepton.training.trainer.stepping import Stepper

__all__ = ["gather", "part_of", "put_back"]


def gather(
    stepper: Stepper, sums: Mapping[str, Any], callbacks: Sequence[Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors and a record of a training between two steps.

    Args:
        stepper: holds the module, the optimizer, the schedule and the average.
        sums: of the metrics of the epoch that is under way.
        callbacks: those with a `state` are kept too.
    """
    tensors = {f"module/{name}": tensor for name, tensor in copy_state(stepper.module).items()}
    tensors |= {f"sums/{name}": tensor for name, tensor in sums.items()}
    record: dict[str, Any] = {"steps": stepper.steps, "callbacks": {}}
    if stepper.averager is not None:
        tensors |= {f"average/{name}": tensor for name, tensor in stepper.averager.average.items()}
        record["average_steps"] = stepper.averager.steps
    state = stepper.optimizer.state_dict()
    plain: dict[str, dict[str, Any]] = {}
    for index, values in state["state"].items():
        for key, value in values.items():
            if torch.is_tensor(value):
                tensors[f"optimizer/{index}/{key}"] = value
            elif value is None or isinstance(value, int | float | bool | str):
                plain.setdefault(str(index), {})[key] = value
            else:
                came = f"the optimizer keeps {key!r} as {type(value).__name__}, which a checkpoint cannot hold"
                raise UsageError(ErrorCode.USAGE, came, fix="use another optimizer, or no checkpoint")
    record["optimizer"] = {"state": plain, "groups": [_group(group) for group in state["param_groups"]]}
    for place, callback in enumerate(callbacks):
        kept = callback.state() if hasattr(callback, "state") else {}
        record["callbacks"][str(place)] = {k: v for k, v in kept.items() if not torch.is_tensor(v)}
        tensors |= {f"callbacks/{place}/{k}": v for k, v in kept.items() if torch.is_tensor(v)}
    return tensors, record


def put_back(kept: Kept, stepper: Stepper, callbacks: Sequence[Any]) -> None:
    """Give the module, the optimizer, the average and the callbacks what was kept; sums are the caller's.

    Raises:
        StoreError: the module is another one.
    """
    put_state(
        {name: value for name, value in stepper.module.state_dict().items() if torch.is_tensor(value)},
        part_of(kept.tensors, "module/"),
    )
    stepper.steps = kept.record["steps"]
    if stepper.averager is not None:
        stepper.averager.restore(part_of(kept.tensors, "average/"), kept.record["average_steps"])
    _put_optimizer(kept, stepper.optimizer)
    for place, callback in enumerate(callbacks):
        state = {**kept.record["callbacks"].get(str(place), {}), **part_of(kept.tensors, f"callbacks/{place}/")}
        if state:
            callback.load_state(state)


def part_of(tensors: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The tensors whose names begin so, without that beginning."""
    return {name[len(prefix) :]: tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _put_optimizer(kept: Kept, optimizer: Any) -> None:
    now = optimizer.state_dict()
    groups = []
    for own, group in zip(now["param_groups"], kept.record["optimizer"]["groups"], strict=True):
        back = {key: tuple(value) if isinstance(own.get(key), tuple) else value for key, value in group.items()}
        groups.append({**own, **back})
    state: dict[int, dict[str, Any]] = {
        int(index): dict(values) for index, values in kept.record["optimizer"]["state"].items()
    }
    for name, tensor in part_of(kept.tensors, "optimizer/").items():
        number, _, key = name.partition("/")
        state.setdefault(int(number), {})[key] = tensor
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for index, values in state.items():
        for key, value in values.items():
            if torch.is_tensor(value) and value.shape == parameters[index].shape:
                # In the memory order of the parameter, as it was: steps are quicker so.
                values[key] = torch.empty_like(parameters[index], dtype=value.dtype).copy_(value)
    optimizer.load_state_dict({"state": state, "param_groups": groups})


def _group(group: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value.item() if torch.is_tensor(value) else value
        for key, value in group.items()
        if key != "params"
        and (value is None or torch.is_tensor(value) or isinstance(value, bool | int | float | str | tuple | list))
    }
