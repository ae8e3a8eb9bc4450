"""Execution providers that are broken, wrong or better."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lepton.bundle import Bundle, open_model, read_bundle
from lepton.core import LeptonError, Resources
from lepton.optimization.accelerate.answers import Answers, answers_of
from lepton.optimization.accelerate.child import Child
from lepton.optimization.accelerate.providers import elsewhere, present_providers, why_not

HERE = Resources(cpus=1)
ROWS = {"numbers": np.array([[10.0, 0.0, 0.0]])}
STAND_IN = """
import base64, json, struct, sys
for line in sys.stdin:
    request = json.loads(line)
    told = {"do_rows": {}, "do_about": {"onnxruntime": "9.9", "providers": PROVIDERS}}.get("do_" + request["do"])
    if request["do"] == "open":
        if request["providers"][0] == "Broken":
            raise SystemExit("the driver is too old")
        told = {"id": 0, "providers": request["providers"] if request["providers"][0] != "Absent" else []}
    if request["do"] == "answers":
        data = base64.b64encode(struct.pack("d", ANSWER)).decode()
        told = {"answers": {"prediction": {"dtype": "float64", "shape": [1], "data": data}}}
    if request["do"] == "block":
        told = {"seconds": 1e-9}
    print(json.dumps(told), flush=True)
"""


def stand_in(answer: float = 1.0, names: tuple[str, ...] = ()) -> Callable[..., Child]:
    program = STAND_IN.replace("PROVIDERS", repr(list(names))).replace("ANSWER", repr(answer))
    return lambda python, resources: Child(None, resources, command=[sys.executable, "-I", "-c", program])


class Slow:
    """The defaults."""

    name = "slow"

    def block(self) -> float:
        return 1.0


@pytest.fixture
def bundle(model: Path) -> Bundle:
    return read_bundle(model)


@pytest.fixture
def wanted(model: Path) -> Answers:
    return answers_of(open_model(model).run, ROWS)


@pytest.mark.parametrize(
    ("provider", "answer", "said"),
    [
        ("Good", 1.0, ""),
        ("Good", 1.5, "prediction is off by 5.0e-01"),
        ("Absent", 1.0, "present, and not able to start"),
        ("Broken", 1.0, "present but broken: it ended with exit code 1: the driver is too old"),
    ],
)
def test_a_provider_is_tried_in_a_child(
    bundle: Bundle, wanted: Answers, provider: str, answer: float, said: str
) -> None:
    told = why_not(provider, bundle, ROWS, wanted, HERE, stand_in(answer))
    assert told.startswith(said)
    assert bool(told) == bool(said)


def test_those_of_another_python_are_told(bundle: Bundle, wanted: Answers) -> None:
    def told(make: Any) -> dict[str, str]:
        found = elsewhere(
            "python", bundle, ROWS, wanted, Slow(), calls=1, batch=1, resources=HERE, stopped=lambda: False, make=make
        )
        return {each.name: each.row()[3] for each in found}

    assert told(stand_in(names=("AzureExecutionProvider", "Good", "Absent"))) == {
        "Good, onnxruntime 9.9": "quicker",
        "Absent": "present, and not able to start: the CPU took its place",
    }
    broken = told(stand_in(names=("Broken", "Good")))
    assert broken["Broken"].startswith("present but broken")
    assert "Good" in broken, "and the dead child is told for those after it"


def test_a_python_without_onnxruntime_is_one_error(bundle: Bundle, wanted: Answers) -> None:
    def make(python: object, resources: Resources) -> Child:
        return Child(None, resources, command=[sys.executable, "-I", "-c", "import no_such_onnxruntime"])

    with pytest.raises(LeptonError, match="No module named 'no_such_onnxruntime'"):
        elsewhere("python", bundle, ROWS, wanted, Slow(), calls=1, batch=1, resources=HERE, stopped=bool, make=make)


def test_the_cpu_and_those_that_send_rows_away_are_not_among_those_present(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["AzureExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider", "NewExecutionProvider"]
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: names)
    assert present_providers() == ("CUDAExecutionProvider",)
