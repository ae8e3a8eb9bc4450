"""Which perturbations there are for which kind of model, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lepton.bundle import Predictor, TableInputs, TensorInputs
from lepton.core import ErrorCode, Kind, UsageError, printable
from lepton.evaluation.robustness.base import STRENGTHS, Perturbation, unknown_name
from lepton.evaluation.robustness.gradients import ATTACKS, EPSILONS
from lepton.evaluation.robustness.pictures import PICTURES
from lepton.evaluation.robustness.sounds import SOUNDS
from lepton.evaluation.robustness.tables import TABLES, TILTS, TablePerturbation
from lepton.evaluation.robustness.texts import TEXTS

__all__ = ["REWEIGHTED", "chosen", "kind_of", "said", "strengths_of", "tests_of", "title_of"]

REWEIGHTED = "reweighted"
"""Not a perturbation of rows but of how much they count."""

_KINDS = {Kind.IMAGE: "picture", Kind.AUDIO: "sound", Kind.TEXT: "text"}
_PLURALS = {"table": "tables", "picture": "pictures", "sound": "sounds", "text": "texts"}


def kind_of(predictor: Predictor) -> str:
    """What a model takes: `table`, `text`, `picture` or `sound`.

    Raises:
        UsageError: arrays, of which nobody knows what goes wrong with them.
    """
    if isinstance(predictor.inputs, TableInputs):
        return "table"
    kind = predictor.inputs.kind if isinstance(predictor.inputs, TensorInputs) else None
    if kind not in _KINDS:
        raise UsageError(
            ErrorCode.USAGE,
            f"got a model of {kind or 'plain tensors'}",
            wanted="a model of tables, pictures, sounds or texts: what goes wrong with other arrays nobody knows",
        )
    return _KINDS[kind]


def tests_of(kind: str) -> dict[str, Perturbation | TablePerturbation]:
    """The perturbations of one kind of content by name."""
    if kind == "table":
        return dict(TABLES)
    return dict({"picture": PICTURES, "sound": SOUNDS, "text": TEXTS}[kind])


def title_of(kind: str, name: str) -> str:
    """As a perturbation is shown."""
    if name == REWEIGHTED:
        return "Other rows count more"
    return ATTACKS[name] if name in ATTACKS else tests_of(kind)[name].title


def said(kind: str, name: str, strength: int) -> str:
    """What a strength of a perturbation means."""
    if name == REWEIGHTED:
        return f"rows count exp({TILTS[strength - 1]:g} z) times, z from the mean of a column in its spread"
    if name in ATTACKS:
        share = {"picture": "of the range", "sound": "of full scale", "table": "of a column's spread"}[kind]
        return f"each value moved by at most {EPSILONS[kind][strength - 1]:.3g} {share}"
    return tests_of(kind)[name].said(strength)


def chosen(kind: str, tests: Sequence[str] | None, *, attacked: bool) -> list[str]:
    """Names of the perturbations that are wanted; by default all that there are for the kind.

    Raises:
        UsageError: an unknown name, one for another kind of content, or an attack without gradients.
    """
    names = [*tests_of(kind), *([REWEIGHTED] if kind == "table" else [])]
    if kind in EPSILONS:
        names += ATTACKS
    if attacked and kind not in EPSILONS:
        raise UsageError(
            ErrorCode.USAGE, "got gradients= for a model of texts", wanted="no gradients: letters have none"
        )
    if tests is None:
        return names if attacked else [name for name in names if name not in ATTACKS]
    if isinstance(tests, str) or not all(isinstance(test, str) for test in tests):
        raise UsageError(ErrorCode.USAGE, f"got tests={tests!r}", wanted="a list of names")
    for test in tests:
        if test not in names:
            raise _no_test(kind, test, names)
        if test in ATTACKS and not attacked:
            raise UsageError(
                ErrorCode.USAGE,
                f"got the test {test!r} without gradients",
                fix="gradients=, a function of a batch and its labels that gives the derivative of the loss",
            )
    return list(dict.fromkeys(tests))


def _no_test(kind: str, test: str, names: Iterable[str]) -> UsageError:
    others = [other for other in _PLURALS if other != kind and test in (*tests_of(other), *EPSILONS.get(other, ()))]
    others += ["table"] if test == REWEIGHTED else []
    others += ["picture"] if test in ATTACKS else []
    if not others:
        return unknown_name("there is no test", test, names)
    return UsageError(
        ErrorCode.USAGE,
        f"got the test {printable(test, 80)!r}, which is for {_PLURALS[others[0]]}, for a model of {_PLURALS[kind]}",
        wanted="one of " + ", ".join(names),
    )


def strengths_of(strengths: Sequence[int]) -> tuple[int, ...]:
    """Rising strengths, each once.

    Raises:
        UsageError: anything else than whole numbers from 1 to 5.
    """
    found = list(strengths) if isinstance(strengths, list | tuple | range) else []
    if not found or any(isinstance(each, bool) or each not in STRENGTHS for each in found):
        raise UsageError(ErrorCode.USAGE, f"got strengths={strengths!r}", wanted="whole numbers from 1 to 5")
    return tuple(sorted({int(each) for each in found}))
