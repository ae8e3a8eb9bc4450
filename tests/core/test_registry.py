"""Names of plug-ins: built-ins and third parties alike, nothing imported until it is used."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lepton.core import ErrorCode, Registry, UsageError


def test_a_built_in():
    steps = Registry("steps-of-a-test", {"join": "os.path:join", "deep": "os:path.join"})
    assert steps.names() == ("join", "deep")
    assert steps.address("join") == "os.path:join"
    assert steps.load("join") is steps.load("deep")


@pytest.mark.parametrize("use", [Registry.load, Registry.address])
def test_an_unknown_name(use):
    steps = Registry("steps-of-a-test", {"join": "os.path:join"})
    with pytest.raises(
        UsageError, match=r"no 'jion' among the steps-of-a-test.*one of join.*did you mean 'join'"
    ) as caught:
        use(steps, "jion")
    assert caught.value.code is ErrorCode.UNKNOWN_PLUGIN


class Distribution:
    """A package with an entry point, as an installer leaves it, and a fresh interpreter that finds it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, package: str, points: str, code: str = "") -> None:
        info = self.folder / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(points)
        (self.folder / f"{package}.py").write_text(code or "def step(): return 'from elsewhere'\n")

    def run(self, code: str) -> list[str]:
        begin = "import sys; sys.path.insert(0, sys.argv[1])\nfrom lepton.core import Registry, UsageError\n"
        command = [sys.executable, "-c", begin + textwrap.dedent(code), str(self.folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        assert done.stderr == ""
        return done.stdout.splitlines()


@pytest.fixture
def plugin(tmp_path):
    return Distribution(tmp_path)


def test_a_plug_in_of_a_third_party(plugin):
    plugin.add("dummy_plugin", "[lepton.steps]\nelsewhere = dummy_plugin:step\n[lepton.others]\nx = dummy_plugin:y\n")
    said = plugin.run(
        """
        steps = Registry("steps", {"join": "os.path:join"})
        print(steps.names())
        print(steps.address("elsewhere"), "dummy_plugin" in sys.modules)
        print(steps.load("elsewhere")(), "dummy_plugin" in sys.modules)
        """
    )
    assert said == ["('join', 'elsewhere')", "dummy_plugin:step False", "from elsewhere True"]


def test_importing_every_room_loads_no_plug_in(plugin):
    plugin.add("dummy_plugin", "[lepton.learners]\nbad = dummy_plugin:step\n", "raise RuntimeError('loaded')\n")
    said = plugin.run(
        """
        import importlib
        for room in ("core", "store", "compute", "report", "bundle", "data", "evaluation", "training", "serving"):
            importlib.import_module(f"lepton.{room}")
        print("dummy_plugin" in sys.modules)
        """
    )
    assert said == ["False"]


def test_nobody_takes_the_name_of_a_built_in(plugin):
    plugin.add("dummy_plugin", "[lepton.steps]\njoin = dummy_plugin:step\n")
    said = plugin.run(
        """
        try:
            Registry("steps", {"join": "os.path:join"}).names()
        except UsageError as error:
            print(error)
        """
    )
    assert len(said) == 1
    assert "two plug-ins want the name 'join' in steps: os.path:join and dummy_plugin:step" in said[0]


def test_two_third_parties_want_one_name(plugin):
    plugin.add("first_plugin", "[lepton.steps]\nsame = first_plugin:step\n")
    plugin.add("second_plugin", "[lepton.steps]\nsame = second_plugin:step\n")
    said = plugin.run(
        """
        try:
            Registry("steps", {}).load("same")
        except UsageError as error:
            print(error)
        """
    )
    assert "first_plugin:step" in said[0]
    assert "second_plugin:step" in said[0]


@pytest.mark.parametrize("address", ["not_there:step", "dummy_plugin:not_there", "dummy_plugin"])
def test_a_plug_in_that_is_broken_is_named(plugin, address):
    plugin.add("dummy_plugin", f"[lepton.steps]\nbroken = {address}\n")
    said = plugin.run(
        """
        try:
            Registry("steps", {}).load("broken")
        except UsageError as error:
            print(error)
        """
    )
    assert f"the plug-in 'broken' of steps ({address}) cannot be loaded" in said[0]
