"""Every command, by import string: nothing is imported until it is called, so that `lepton --help` is quick."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["COMMANDS", "GROUPS", "CommandRecord"]


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """One command.

    Attributes:
        path: words after `lepton`.
        address: `module:function`.
        help: one line.
    """

    path: tuple[str, ...]
    address: str
    help: str


def _command(words: str, address: str, text: str) -> CommandRecord:
    return CommandRecord(tuple(words.split()), f"lepton.cli.{address}", text)


GROUPS: dict[str, tuple[CommandRecord, ...]] = {
    "Start": (
        _command("demo", "demo:demo", "Train, evaluate, serve and call a model on a real table, in a minute."),
        _command("doctor", "doctor:doctor", "What is installed, what this machine can do, what is missing."),
    ),
    "Models, from files": (
        _command("train", "train:train", "Train a model from a table, within a time."),
        _command("search", "search:search", "Search for a network for pictures or sounds that answers in time."),
        _command("import", "import_model:import_model", "A model of another framework, as a model file."),
        _command("choose", "choose:choose", "Another model from the search of a model: smaller, or quicker."),
        _command("compress", "compress:compress", "Make a model smaller and faster within budgets, with proof."),
        _command("evaluate", "evaluate:evaluate", "Metrics of a model on a table, with intervals."),
        _command("explain", "explain:explain", "Why a model answered so, what would change it, what it has learned."),
        _command("verify", "verify:verify", "Whether a model may go live, by rules; the result is kept in its file."),
        _command("card", "card:card", "What is known of a model, and what is not: a page, Markdown or JSON."),
        _command("predict", "predict:predict", "Answers of a model for the rows of a table."),
        _command("compare", "compare:compare", "Two models on the same rows, with a paired test."),
        _command(
            "accelerate", "accelerate:accelerate", "What makes a model quicker on this machine, kept in its file."
        ),
        _command("profile", "profile:profile", "Where the time of a model goes, by operator."),
        _command("export", "export:export", "A model for another runtime, checked by it."),
        _command("bench", "bench:bench", "How quickly a model is served, under a load."),
        _command("serve", "serve:serve", "Serve models over HTTP (Open Inference Protocol)."),
        _command("feedback export", "feedback:export", "Rows that a server has kept, with what was true of them."),
    ),
    "Services, in Python": (
        _command("new service", "new:service", "Write a service of your own, ready to run, and a test of it."),
    ),
    "Tables": (
        _command("data describe", "data:describe", "What a table holds and what looks suspicious in it."),
        _command("data suggest", "data_suggest:suggest", "Which steps would clean a table, with their reasons."),
        _command("data check", "data_check:check", "Rules that a table must keep, and how far it has moved."),
        _command("data personal", "data_personal:personal", "Where a table holds data of persons."),
        _command("data clean", "data_clean:clean", "Clean a table by a recipe, and say what was changed."),
        _command("data convert", "data_convert:convert", "Images, sounds and texts changed, into a new folder."),
        _command("data append", "data_versions:append", "Put rows behind those of a saved table, as a new version."),
        _command("data versions", "data_versions:versions", "The versions of a saved table."),
        _command("data diff", "data_versions:diff", "What differs between two tables: columns, rows, distributions."),
        _command("data person", "data_person:person", "Write the rows of one person to a file."),
        _command("data forget", "data_person:forget", "Remove the rows of one person from a saved table, for good."),
    ),
    "Model files": (
        _command("bundle inspect", "bundle:inspect", "What a model file says of itself."),
        _command("bundle check", "bundle:check", "Hashes, bounds, graph and signature of a model file."),
        _command("bundle sign", "bundle:sign", "Sign a model file."),
        _command("bundle approve", "bundle:approve", "Write down in a model file who answers for its use."),
        _command("bundle key", "bundle:make_key", "Make the keys to sign with."),
        _command("bundle extract", "bundle:extract", "Unpack a model file into a new folder."),
        _command("bundle migrate", "bundle:migrate", "Raise a model file to the current format."),
    ),
    "Shell": (_command("completion", "completion:completion", "Print the completion script of a shell."),),
}

COMMANDS: tuple[CommandRecord, ...] = tuple(record for group in GROUPS.values() for record in group)

NOUNS = {
    "new": "What you write yourself: a service.",
    "feedback": "What became true of rows that a server has answered.",
    "bundle": "Model files: inspect, check, sign, approve, extract, migrate; keys.",
    "data": "Tables: describe, suggest, check, clean, versions; data of persons.",
}
