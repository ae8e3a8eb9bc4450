"""Nothing but the store opens for writing: read from the source of every module."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"
WRITERS = {f"lepton/store/{name}.py" for name in ("files", "locks", "databases")}  # locks opens folders, to lock them

_OS_CALLS = {"open", "replace", "rename", "renames", "link", "symlink", "truncate", "mkdir", "makedirs", "mkfifo"}
_PATH_METHODS = {"write_text", "write_bytes", "touch", "mkdir", "symlink_to", "hardlink_to"}
_SHUTIL_CALLS = {"copy", "copy2", "copyfile", "copytree", "move"}
_STORE_NAMES = {"files", "store"}
_WRITING_MODE = re.compile(r"[rbtU]*[wax+][wax+rbtU]*")


def offences(source: str) -> list[str]:
    """Each call in `source` that opens, makes or moves a file, as `line: what`."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            if "tempfile" in modules:
                found.append(f"{node.lineno}: tempfile")
        elif isinstance(node, ast.Call) and (what := _offence(node)):
            found.append(f"{node.lineno}: {what}")
    return found


def _offence(call: ast.Call) -> str:
    if isinstance(call.func, ast.Name):
        return "open" if call.func.id == "open" and _opens_for_writing(call, mode_at=1) else ""
    if not isinstance(call.func, ast.Attribute):
        return ""
    name = call.func.attr
    owner = call.func.value.id if isinstance(call.func.value, ast.Name) else ""
    if owner == "os":
        nowhere = bool(call.args) and ast.unparse(call.args[0]) == "os.devnull"
        named = name == "open" and any("os.O_PATH" in ast.unparse(flags) for flags in call.args[1:])  # reads nothing
        return f"os.{name}" if name in _OS_CALLS and not nowhere and not named else ""
    if owner == "shutil":
        return f"shutil.{name}" if name in _SHUTIL_CALLS else ""
    if name in _PATH_METHODS and owner not in _STORE_NAMES:
        return name
    if name == "open":  # of a path: the mode comes first; of gzip, io and the like: second
        return "open" if _opens_for_writing(call, mode_at=0) or _opens_for_writing(call, mode_at=1) else ""
    return ""


def _opens_for_writing(call: ast.Call, mode_at: int) -> bool:
    modes = [keyword.value for keyword in call.keywords if keyword.arg == "mode"] + call.args[mode_at : mode_at + 1]
    return any(
        isinstance(mode, ast.Constant) and isinstance(mode.value, str) and bool(_WRITING_MODE.fullmatch(mode.value))
        for mode in modes
    )


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_module_writes_by_itself(path):
    found = offences(path.read_text("utf-8"))
    assert bool(found) == (str(path.relative_to(SOURCE)) in WRITERS), found


@pytest.mark.parametrize(
    "code",
    [
        "open(name, 'w')",
        "open(name, mode='ab')",
        "open(name, 'r+')",
        "Path(name).open('wb')",
        "path.open(mode='x')",
        "gzip.open(name, 'wt')",
        "os.open(name, os.O_RDWR)",
        "os.replace(a, b)",
        "path.write_text('x')",
        "Path(name).write_bytes(b'x')",
        "path.mkdir(parents=True)",
        "shutil.copyfile(a, b)",
        "import tempfile",
        "from tempfile import mkdtemp",
    ],
)
def test_the_rule_sees(code):
    assert offences(code)


@pytest.mark.parametrize(
    "code",
    [
        "open(name)",
        "open(name, 'rb')",
        "path.open('rb')",
        "archive.open('ax.txt')",
        "write_text(path, 'x')",
        "files.write_bytes(path, b'x')",
        "'a'.replace('a', 'b')",
        "dataclasses.replace(record, a=1)",
        "os.stat(name)",
        "os.open(os.devnull, os.O_WRONLY)",
        "webbrowser.open(address)",
    ],
)
def test_the_rule_lets_pass(code):
    assert not offences(code)
