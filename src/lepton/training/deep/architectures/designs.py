"""What a network of the family may look like, and how one design is made of another. No torch here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from lepton.training.nets.spec import NetSpec, StageSpec, round_channels

__all__ = ["changed", "first_designs", "key_of", "least_design", "told"]

_FIRST_WIDTHS = (0.5, 1.0, 0.25)
_CHANNELS = (8, 512)
_BLOCKS = (0, 6)
_KERNELS = (3, 5, 7)
_EXPANSIONS = (1, 2, 3, 4)
_STAGES = (1, 5)
_FACTORS = (0.5, 0.75, 1.35, 2.0)
_LEAST_SIDE = 2  # after the last stage
_TWO_CHANGES = 0.4  # of the children
_TRIES = 50

Random = np.random.Generator


def first_designs(family: NetSpec) -> tuple[NetSpec, ...]:
    """What a search begins with: a small member of the family, then wider and narrower ones.

    Args:
        family: the member of width 1 for the rows.
    """

    def member(width: float, recurrent: bool = False) -> NetSpec:
        return NetSpec.of(family.kind, family.input_shape, family.outputs, width=width, recurrent=recurrent)

    others = (member(0.5, recurrent=True),) if family.kind == "series" else ()
    found = [each for each in (*map(member, _FIRST_WIDTHS), *others) if _fits(each)]
    return tuple(found) or (least_design(family),)


def least_design(family: NetSpec) -> NetSpec:
    """The smallest net there is: what cannot be kept with it cannot be kept."""
    side = _first_side(family)
    halvings = family.halvings + (1 if side is None or side >= 2 * _LEAST_SIDE else 0)
    return replace(family, halvings=halvings, stages=(StageSpec(_CHANNELS[0], 0, 1, expansion=1),), exits=False)


def changed(spec: NetSpec, random: Random, *, may_exit: bool) -> NetSpec | None:
    """Another design, one or two steps from `spec`; None where chance finds none that can be built.

    Args:
        spec: what is changed.
        random: draws what, and how.
        may_exit: whether early exits are of use: for classes only.
    """
    steps = list(_STEPS) + ([_exits] if may_exit else []) + ([_layer] if spec.kind == "series" else [])
    for _ in range(_TRIES):
        found = spec
        for _ in range(2 if random.random() < _TWO_CHANGES else 1):
            found = steps[int(random.integers(len(steps)))](found, random)
        if len(found.stages) == 1:
            found = replace(found, exits=False)
        if found != spec and _fits(found):
            return found
    return None


def key_of(spec: NetSpec) -> str:
    """The same text for the same design."""
    return json.dumps(spec.to_dict(), sort_keys=True)


def told(spec: NetSpec) -> str:
    """A design in a few words: `stem 1/2; 32x2 k3 e1 > 64x1 k5 e2; exits`.

    Each stage is its channels, its blocks, their kernel and expansion; `>` halves the sides, `-` keeps them.
    """
    parts = [f"stem 1/{2**spec.halvings};"]
    for number, stage in enumerate(spec.stages):
        if number:
            parts.append(">" if stage.stride == 2 else "-")
        kind = "gru" if stage.layer == "recurrent" else f"k{stage.kernel} e{stage.expansion}"
        parts.append(f"{stage.channels}x{stage.blocks} {kind}")
    return " ".join(parts) + ("; exits" if spec.exits else "")


# --- steps from one design to another -------------------------------------------------------------------------------


def _stage(spec: NetSpec, random: Random) -> int:
    return int(random.integers(len(spec.stages)))


def _with(spec: NetSpec, place: int, stage: StageSpec) -> NetSpec:
    return replace(spec, stages=(*spec.stages[:place], stage, *spec.stages[place + 1 :]))


def _scaled(channels: int, factor: float) -> int:
    least, most = _CHANNELS
    wanted = round_channels(channels * factor)
    if wanted == channels:  # rounding must not undo the step
        wanted += 8 if factor > 1 else -8
    return int(np.clip(wanted, least, most))


def _width(spec: NetSpec, random: Random) -> NetSpec:
    place, factor = _stage(spec, random), float(random.choice(_FACTORS))
    return _with(spec, place, replace(spec.stages[place], channels=_scaled(spec.stages[place].channels, factor)))


def _all_widths(spec: NetSpec, random: Random) -> NetSpec:
    factor = float(random.choice(_FACTORS))
    return replace(spec, stages=tuple(replace(s, channels=_scaled(s.channels, factor)) for s in spec.stages))


def _depth(spec: NetSpec, random: Random) -> NetSpec:
    place = _stage(spec, random)
    blocks = int(np.clip(spec.stages[place].blocks + random.choice((-1, 1)), *_BLOCKS))
    return _with(spec, place, replace(spec.stages[place], blocks=blocks))


def _kernel(spec: NetSpec, random: Random) -> NetSpec:
    place = _stage(spec, random)
    return _with(spec, place, replace(spec.stages[place], kernel=int(random.choice(_KERNELS))))


def _expansion(spec: NetSpec, random: Random) -> NetSpec:
    place = _stage(spec, random)
    return _with(spec, place, replace(spec.stages[place], expansion=int(random.choice(_EXPANSIONS))))


def _stride(spec: NetSpec, random: Random) -> NetSpec:
    place = _stage(spec, random)
    if place == 0:  # of the first stage, the stem decides
        return replace(spec, halvings=max(0, spec.halvings + int(random.choice((-1, 1)))))
    return _with(spec, place, replace(spec.stages[place], stride=3 - spec.stages[place].stride))


def _more_or_fewer_stages(spec: NetSpec, random: Random) -> NetSpec:
    stages = list(spec.stages)
    place = _stage(spec, random)
    if random.random() < 0.5:
        del stages[place]
    else:
        stages.insert(place + 1, replace(stages[place], blocks=1, stride=2))
    return replace(spec, stages=tuple(stages)) if _STAGES[0] <= len(stages) <= _STAGES[1] else spec


def _exits(spec: NetSpec, _random: Random) -> NetSpec:
    is_known = spec.kind == "series" or None not in spec.input_shape
    return replace(spec, exits=not spec.exits) if is_known and len(spec.stages) > 1 else spec


def _layer(spec: NetSpec, random: Random) -> NetSpec:
    place = _stage(spec, random)
    stage = spec.stages[place]
    if stage.layer == "recurrent":
        return _with(spec, place, replace(stage, layer="convolution"))
    return _with(spec, place, replace(stage, layer="recurrent", blocks=1))


_STEPS: tuple[Callable[[NetSpec, Random], NetSpec], ...] = (
    _width,
    _all_widths,
    _depth,
    _kernel,
    _expansion,
    _stride,
    _more_or_fewer_stages,
)


def _first_side(spec: NetSpec) -> int | None:
    """The shortest side of a row after the stem; None where no side is known."""
    sides = spec.input_shape[:1] if spec.kind == "series" else spec.input_shape[:2]
    side = min((each for each in sides if each is not None), default=None)
    for _ in range(spec.halvings if side is not None else 0):
        side = -(-(side or 0) // 2)
    return side


def _fits(spec: NetSpec) -> bool:
    """Whether something of the sides is left after the last stage."""
    side = _first_side(spec)
    if side is None:
        return True
    if spec.halvings and side < _LEAST_SIDE:
        return False
    for stage in spec.stages[1:]:
        if stage.stride == 2:
            if side < 2 * _LEAST_SIDE:
                return False
            side = -(-side // 2)
    return True
