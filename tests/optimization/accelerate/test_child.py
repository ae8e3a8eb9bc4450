"""A child that opens graphs may refuse, lie, hang or die: each is one error that says which."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from lepton.core import LeptonError, Resources
from lepton.optimization.accelerate.child import Child, ChildContestant

HERE = Resources(cpus=1)


def child(program: str) -> Child:
    return Child(None, HERE, command=[sys.executable, "-I", "-c", program])


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import sys; sys.exit('no onnxruntime here')", "exit code 1: no onnxruntime here"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "ended by signal 11"),
        ("print('hello')", "not understood: hello"),
        ("print('[1]')", "not understood"),
        ("""print('{"error": "no such device"}')""", "no such device"),
    ],
)
def test_what_goes_wrong_in_a_child_is_told(program: str, said: str) -> None:
    with child(program) as broken, pytest.raises(LeptonError, match=said):
        broken.ask({"do": "about"})


def test_a_child_that_hangs_is_not_waited_for() -> None:
    with child("import time; time.sleep(60)") as hanging, pytest.raises(LeptonError, match=r"no answer for 0\.1 s"):
        hanging.ask({"do": "about"}, 0.1)


@pytest.mark.parametrize("seconds", ["-1.0", "NaN", "1", "null", "Infinity"])
def test_times_that_cannot_be_are_refused(seconds: str) -> None:
    with child(f"""print('{{"seconds": {seconds}}}')""") as lying, pytest.raises(LeptonError, match="its time"):
        ChildContestant("x", lying, 0, 1, 1).block()


@pytest.mark.parametrize("answers", ['{"p": 3}', '{"p": {"dtype": "object", "shape": [1], "data": ""}}', "[1]"])
def test_answers_that_cannot_be_are_refused(answers: str) -> None:
    with child(f"""print('{{"answers": {answers}}}')""") as lying, pytest.raises(LeptonError, match="its answers"):
        lying.answers(0)


def test_an_interpreter_that_is_not_there_is_named() -> None:
    with pytest.raises(LeptonError, match="'no/such/python' cannot be started") as caught:
        Child("no/such/python", HERE)
    assert "onnxruntime" in caught.value.wanted


def test_rows_and_answers_travel_to_the_bit() -> None:
    rows = {"x": np.array([[1.5, np.nan], [-0.0, 3.0]]), "t": np.array([["a"], ["ß"]], dtype=object)}
    echo = "import sys, json\nline = json.loads(input())\nprint('{}')\nprint(json.dumps({'answers': line['tensors']}))"
    with child(echo) as faithful:
        faithful.send_rows(rows)
        given = faithful.answers(0)
    assert given["x"].tobytes() == rows["x"].tobytes()
    assert given["t"].tolist() == rows["t"].tolist()
