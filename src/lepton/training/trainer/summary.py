"""What a module is made of, as a table: layers, shapes of their outputs, parameters."""

from __future__ import annotations

from typing import Any

import torch

from lepton.core import show_size
from lepton.report import plain_table
from lepton.training.trainer.batches import Inputs, each
from lepton.training.trainer.stepping import call
from lepton.training.trainer.trying import modes_kept

__all__ = ["summary_of"]


def summary_of(module: Any, x: Inputs | None = None, name: str = "") -> str:
    """A table of the layers that have no layers inside, and the numbers of parameters.

    Args:
        module: a module of torch.
        x: a row or two, to know the shapes of the outputs; without, they are left out.
        name: a heading; the class by default.
    """
    layers = [(path, part) for path, part in module.named_modules() if not list(part.children())]
    shapes = {} if x is None else _shapes(module, x)
    rows = []
    for path, part in layers:
        count = sum(parameter.numel() for parameter in part.parameters(recurse=False))
        rows.append([path or "(itself)", type(part).__name__, shapes.get(path, "–"), f"{count:,}"])
    parameters = list(module.parameters())
    total = sum(parameter.numel() for parameter in parameters)
    learned = sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
    size = sum(parameter.numel() * parameter.element_size() for parameter in parameters)
    frozen = f", {total - learned:,} of them frozen" if learned != total else ""
    table = plain_table(["layer", "kind", "output", "parameters"], rows)
    return f"{name or type(module).__name__}\n{table}\n{total:,} parameters ({show_size(size)}){frozen}\n"


def _shapes(module: Any, x: Inputs) -> dict[str, str]:
    found: dict[str, str] = {}

    def note(path: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            if torch.is_tensor(output):
                found[path] = "[" + ", ".join(["N", *(str(size) for size in output.shape[1:])]) + "]"

        return hook

    hooks = [part.register_forward_hook(note(path)) for path, part in module.named_modules()]
    try:
        device = next((parameter.device for parameter in module.parameters()), torch.device("cpu"))
        with torch.no_grad(), modes_kept(module):
            call(module, each(lambda leaf: leaf.to(device), x))
    finally:
        for hook in hooks:
            hook.remove()
    return found
