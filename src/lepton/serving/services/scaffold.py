"""A first service: a file that runs at once, and a test of it."""

from __future__ import annotations

import keyword
import re
from pathlib import Path
from string import Template

from lepton.client import Client
from lepton.core import ErrorCode, UsageError, printable
from lepton.store import new_folder, write_scratch

__all__ = ["write_service"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}", re.ASCII)

_SERVICE = Template('''\
"""The service $title.

Run it:    lepton serve $folder/service.py:$title
Call it:   lepton.Client("http://127.0.0.1:8080").$name.greet(name="Ada")
      or:  curl http://127.0.0.1:8080/v2/services/$name/greet -H 'content-type: application/json' -d '{"name": "Ada"}'
Test it:   pytest $folder
What it takes and gives, for programs:  http://127.0.0.1:8080/v2/services/$name
"""

import time

import lepton


class $title(lepton.Service):
    """Says hello, and shows what a service can do."""

    # A model that is opened once, when the service starts:
    # model = lepton.load("houses.lepton")

    def start(self) -> None:
        """What must hold before the first call; raise if it does not."""

    def check(self) -> bool:
        """Whether the service is well; asked every few seconds."""
        return True

    @lepton.method
    def greet(self, name: str, times: int = 1) -> str:
        """Greet somebody."""
        return " ".join(["Hello"] * times) + f", {name}!"

    @lepton.method(batch=32, wait="2ms")
    def lengths(self, text: str) -> int:
        """The length of a text. Calls that come together are answered together: `text` is a list of their texts."""
        return [len(each) for each in text]

    @lepton.method(task=True)
    def count(self, to: int, work: lepton.Work) -> int:
        """Count slowly. The caller gets a task at once, sees how far it is, and may cancel it."""
        for number in range(to):
            work.check()
            work.report(number + 1, to, "steps")
            time.sleep(0.01)
        return to
''')

_TEST = Template('''\
"""The service $title as callers see it: in a process of its own, behind a server."""

from pathlib import Path

import pytest

import lepton


@pytest.fixture(scope="module")
def client():
    service = Path(__file__).with_name("service.py")
    with lepton.serve(f"{service}:$title", port=0) as server, lepton.Client(server.url) as client:
        yield client


def test_greet(client):
    assert client.$name.greet(name="Ada") == "Hello, Ada!"
    with pytest.raises(lepton.LeptonError, match="the parameter 'times' is the text"):
        client.$name.greet(name="Ada", times="3")


def test_lengths(client):
    assert client.$name.lengths(text="four") == 4


def test_count(client):
    assert client.$name.count(to=3).result(timeout=60) == 3
''')


def write_service(folder: Path) -> tuple[str, tuple[Path, ...]]:
    """Write a service that is called as its folder, and a test.

    Args:
        folder: to be made; it is not there yet, or is empty.

    Returns:
        The name of the class, and the files.

    Raises:
        UsageError: a folder whose name can be no class's.
        DataError: there is something of that name.
    """
    given = folder.name
    title = "".join(part[:1].upper() + part[1:] for part in re.split("[-_]+", given))
    if not _NAME.fullmatch(given) or keyword.iskeyword(title.lower()) or hasattr(Client, title.lower()):
        raise UsageError(
            ErrorCode.BAD_NAME,
            f"the name '{printable(given)}' cannot be a service's",
            wanted="a letter, then letters, digits, '-' and '_'; no word of Python, and no method of lepton.Client",
        )
    words = {"title": title, "name": title.lower(), "folder": given}
    files = {"service.py": _SERVICE, "test_service.py": _TEST}
    with new_folder(folder) as made:
        for name, text in files.items():
            write_scratch(made / name, [text.substitute(words).encode()])
    return title, tuple(folder / name for name in files)
