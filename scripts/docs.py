"""Writes the generated pages of the reference; with `--check`, tells which of them are out of date.

python scripts/docs.py            # write
python scripts/docs.py --check    # exit code 1 if a page differs from what the code says
"""

from __future__ import annotations

import io
import sys
from dataclasses import fields
from pathlib import Path

from python_page import python_page
from registry_pages import recipe_steps_page, release_rules_page, rules_page
from rich.console import Console

from lepton.cli.app import build_app
from lepton.cli.commands import GROUPS
from lepton.core import CATALOGUE, Settings

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
NOTICE = "<!-- Written by `make docs` from the code; edit the code instead. -->\n"


def cli_page() -> str:
    """docs/reference/cli.md: the help of every command."""
    app = build_app()
    parts = [
        "# Command line\n",
        NOTICE,
        (
            "Everywhere: `--format json` prints one envelope, `--quiet` the result alone. "
            "Exit codes are listed in [errors](errors.md). "
            "`NO_COLOR` and `LEPTON_LOG` are honoured; other [settings](settings.md) too.\n"
        ),
    ]
    for title, records in GROUPS.items():
        parts.append(f"## {title}\n")
        for record in records:
            words = " ".join(record.path)
            text = io.StringIO()
            console = Console(file=text, width=100, color_system=None, force_terminal=False)
            app.help_print([*record.path], console=console)
            lines = [line.rstrip() for line in text.getvalue().strip().splitlines()]
            parts.append(f"### lepton {words}\n\n```text\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def errors_page() -> str:
    """docs/reference/errors.md: the catalogue."""
    parts = [
        "# Errors\n",
        NOTICE,
        (
            "Every refusal is a `lepton.LeptonError` with a `code`. The message says what came, what was wanted and "
            "how to fix it; `error.details` holds facts for programs. One code has one HTTP status and one exit code; "
            "a command that did what it was asked exits with 0.\n"
        ),
        "| exit code | meaning |\n|---|---|",
    ]
    meanings = {
        0: "done",
        1: "a fault inside Lepton",
        2: "the call is not understood",
        3: "data or a request that cannot be used",
        4: "a model file, key or address that is refused",
        5: "a budget was not kept; the best that was found is saved and named",
        6: "an optional part is not installed",
        7: "disk or network storage failed",
        8: "training gave no model, or a worker died",
        9: "a server cannot start or answer",
        10: "a check found differences",
        11: "a check could not be made; nothing that was checked differs",
        130: "stopped by Ctrl-C; what was found is saved where the message says so",
    }
    used = {record.exit_code for record in CATALOGUE.values()} | {0}
    parts += [f"| {code} | {meanings[code]} |" for code in sorted(used)]
    parts.append("")
    for code, record in CATALOGUE.items():
        parts.append(f"## {code}\n")
        parts.append(
            f"{record.title}. `{record.family.__name__}`, HTTP {record.http_status}, exit {record.exit_code}.\n"
        )
    return "\n".join(parts)


def settings_page() -> str:
    """docs/reference/settings.md: every setting with its default."""
    about = (Settings.__doc__ or "").split("Attributes:", 1)[1].strip().splitlines()
    meaning = dict(line.strip().split(": ", 1) for line in about if line.strip())
    parts = [
        "# Settings\n",
        NOTICE,
        (
            "A table `[lepton]` in `lepton.toml` (in the working folder, or the file that `LEPTON_CONFIG` names), then "
            "environment variables, then flags; the later one wins. Unknown keys are refused.\n"
        ),
    ]
    for field in fields(Settings):
        parts.append(f"## {field.name}\n")
        parts.append(
            f"{meaning[field.name]} Default: `{field.default!r}`. Environment: `LEPTON_{field.name.upper()}`.\n"
        )
    return "\n".join(parts)


def library_page() -> str:
    """docs/reference/python.md: every public name, and what the verbs give."""
    return f"# Python\n\n{NOTICE}\n{python_page()}"


def steps_page() -> str:
    """docs/reference/recipe-steps.md: every cleaning step."""
    return f"# Recipe steps\n\n{NOTICE}\n{recipe_steps_page()}"


def rules_reference() -> str:
    """docs/reference/rules.md: every rule of a check."""
    return f"# Rules\n\n{NOTICE}\n{rules_page()}"


def release_rules_reference() -> str:
    """docs/reference/release-rules.md: every rule of a verification."""
    return f"# Release rules\n\n{NOTICE}\n{release_rules_page()}"


PAGES = {
    "cli.md": cli_page,
    "errors.md": errors_page,
    "python.md": library_page,
    "recipe-steps.md": steps_page,
    "release-rules.md": release_rules_reference,
    "rules.md": rules_reference,
    "settings.md": settings_page,
}


def main() -> int:
    """Write or check the pages; returns the exit code."""
    check = "--check" in sys.argv[1:]
    stale = []
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = page().rstrip() + "\n"
        if check and (not path.exists() or path.read_text("utf-8") != text):
            stale.append(name)
        elif not check:
            path.write_text(text, "utf-8")
    if stale:
        print(f"out of date: {', '.join(stale)} in docs/reference. Fix: make docs")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
