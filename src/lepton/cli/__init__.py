"""The command line: it parses, calls a verb and prints; nothing is reachable through it alone."""

from lepton.cli.main import main, run

__all__ = ["main", "run"]
