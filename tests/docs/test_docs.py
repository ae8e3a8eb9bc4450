"""The docs stay true: their examples run, their links lead somewhere, and everything public has its heading."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import lepton
from lepton.cli.commands import COMMANDS
from lepton.core import ErrorCode
from tests.docs.examples import blocks, make_houses, run_page, runnable

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "bench").glob("*.md")])
TRANSLATIONS = {ROOT / "README.zh.md"}  # its examples are compared with those of the README
RUNNABLE = [p for p in PAGES if p not in TRANSLATIONS and runnable(p)]
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", RUNNABLE, ids=_name)
def test_examples_run(page: Path, tmp_path: Path):
    make_houses(tmp_path / "houses.csv")
    make_houses(tmp_path / "new.csv", rows=20)
    assert run_page(page, tmp_path) > 0


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path):
    for target, _ in _LINK.findall(page.read_text("utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_generated_pages_are_up_to_date():
    done = subprocess.run([sys.executable, "scripts/docs.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_every_command_and_error_has_a_heading():
    cli = (ROOT / "docs/reference/cli.md").read_text("utf-8")
    errors = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    assert not [c.path for c in COMMANDS if f"### lepton {' '.join(c.path)}\n" not in cli]
    assert not [code for code in ErrorCode if f"## {code}\n" not in errors]


def test_every_public_name_and_method_has_a_heading():
    page = (ROOT / "docs/reference/python.md").read_text("utf-8")
    assert not [name for name in lepton.__all__ if f"### lepton.{name}\n" not in page]
    methods = [f"{kind}.{name}" for kind in ("Model", "Dataset", "Client") for name in _methods(getattr(lepton, kind))]
    assert len(methods) > 20
    assert not [method for method in methods if f"#### {method}\n" not in page]


def _methods(kind: type) -> list[str]:
    return [name for name, value in vars(kind).items() if inspect.isfunction(value) and not name.startswith("_")]


def test_both_readmes_show_the_same_examples_and_sections():
    english, chinese = ROOT / "README.md", ROOT / "README.zh.md"
    assert [(b.language, b.text) for b in blocks(english)] == [(b.language, b.text) for b in blocks(chinese)]
    headings = [re.findall(r"^(#+) ", p.read_text("utf-8"), re.MULTILINE) for p in (english, chinese)]
    assert headings[0] == headings[1]
    links = [
        sorted(t for t, _ in _LINK.findall(p.read_text("utf-8")) if not t.startswith("README"))
        for p in (english, chinese)
    ]
    assert links[0] == links[1]
