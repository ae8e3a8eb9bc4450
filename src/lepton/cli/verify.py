"""`lepton verify`: whether a model may go live."""

from __future__ import annotations

from pathlib import Path

from lepton import security, verbs
from lepton.cli.bundle import ask_passphrase
from lepton.cli.options import Injected, Output, ReadOptions, Seed, Workers
from lepton.cli.output import Result
from lepton.core import BundleError, ErrorCode, UsageError

__all__ = ["verify"]


def verify(
    model: Path,
    *,
    rules: Path,
    data: str | None = None,
    target: str | None = None,
    training: str | None = None,
    key: Path | None = None,
    passphrase_env: str | None = None,
    output: Output = None,
    no_save: bool = False,
    report: Path | None = None,
    reading: ReadOptions | None = None,
    seed: Seed = None,
    workers: Workers = None,
    context: Injected,
) -> Result:
    """Judge a model by rules of release, and keep the result in its file, signed if a key is given.

    Exit code 0 if it may go live, 10 if a rule is broken, 11 if none is broken but some cannot be judged.

    Args:
        model: a .lepton file.
        rules: YAML file of the rules.
        data: a table with the model's columns and its target, which it was not trained on.
        target: column of the truth, where it is another one than in training.
        training: the table that it was trained on, for rules about leakage and privacy.
        key: private key to sign the result with, from lepton bundle key.
        passphrase_env: name of the environment variable that holds the passphrase of the key.
        output: model file to write in place of the model's own.
        no_save: judge only, and keep nothing in the file.
        report: HTML page to write.
        reading: how to read the tables.
        seed: of what is drawn.
        workers: threads to use.
        context: given by the command line.
    """
    if no_save and (key is not None or output is not None):
        raise UsageError(
            ErrorCode.USAGE, f"got --no-save and {'--key' if key else '-o'}", wanted="either; a signature is saved"
        )
    private = None
    if key is not None:
        private = security.read_private_key(key, passphrase=lambda: ask_passphrase(passphrase_env))
    options = reading or ReadOptions()
    with context.work(seed=seed, workers=workers) as work:
        found = verbs.verify(
            model,
            None if data is None else options.read(data, work),
            rules,
            target=target,
            training=None if training is None else options.read(training, work),
            key=private,
            save=not no_save,
            output=output,
            seed=work.seed,
            work=work,
        )
    text = found.text()
    if not no_save:
        by = "" if private is None else f", signed by the key {private.key_id}"
        text += f"\n\nKept in {output or model}{by}"
    if report is not None:
        found.page().write(report)
        text += f"\n\nPage written: {report}"
    error = None
    if not found.passed:
        told = found.failed or found.unknown
        code = ErrorCode.NOT_VERIFIED if found.failed else ErrorCode.NOT_JUDGED
        came = f"of {len(found.results)} rules {len(found.failed)} failed and {len(found.unknown)} are unknown: "
        wanted = "" if found.failed else "what the rules need, or if_unknown: pass where that is enough"
        error = BundleError(code, came + "; ".join(each.title for each in told[:5]), wanted=wanted)
    signed = found.passed and private is not None
    following = (f"lepton serve {output or model} --require verified --trusted KEYS",) if signed else ()
    return Result(data=found.to_dict(), text=text, next=following, error=error)
