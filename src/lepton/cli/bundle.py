"""`lepton bundle ...`: model files."""

from __future__ import annotations

import getpass
import json
import os
import sys
from pathlib import Path

from lepton import bundle, security
from lepton.bundle import approval
from lepton.cli.options import Injected, Output
from lepton.cli.output import Result
from lepton.core import ErrorCode, SecurityError, UsageError, printable, show_size

__all__ = ["approve", "ask_passphrase", "check", "extract", "inspect", "make_key", "migrate", "sign"]


def inspect(model: Path, *, context: Injected) -> Result:
    """What a model file says of itself: task, inputs, outputs, lineage, members, reports.

    Args:
        model: a .lepton file.
        context: given by the command line.
    """
    opened = bundle.read_bundle(model)
    manifest, graph, size = opened.manifest, opened.summary, bundle.bundle_size(model)
    data = {
        "path": str(model),
        "model_id": opened.model_id,
        "size": size,
        "manifest": manifest.to_dict(),
        "graph": {"nodes": graph.num_nodes, "operators": dict(graph.operators), "opsets": dict(graph.opsets)},
        "reports": {name: report.get("kind", name) for name, report in opened.reports.items()},
    }
    rows = [
        (
            "model",
            f"{printable(manifest.name)} ({manifest.task} of {manifest.target.name if manifest.target else '-'})",
        ),
        ("model id", opened.model_id),
        ("file", f"{model}, {show_size(size)} without training and reports"),
        ("graph", f"{graph.num_nodes} nodes: " + ", ".join(f"{n} x{c}" for n, c in sorted(graph.operators.items()))),
        ("runs on", f"onnxruntime {manifest.minimum_onnxruntime} or newer"),
        ("outputs", ", ".join(f"{o.name} {o.dtype}" for o in manifest.outputs)),
        ("reports", ", ".join(opened.reports) or "none"),
    ]
    lines = [f"{name:<10}{text}" for name, text in rows]
    lines += ["", f"{'input':<32}{'kind':<12}type"]
    lines += [f"{printable(c.name, 30):<32}{c.kind:<12}{c.dtype}" for c in manifest.inputs[:50]]
    if len(manifest.inputs) > 50:
        lines.append(f"... and {len(manifest.inputs) - 50} more (--format json shows all)")
    if manifest.labels is not None:
        lines += ["", "classes   " + ", ".join(printable(str(label), 40) for label in manifest.labels[:20])]
    lines += ["", "lineage   " + json.dumps(manifest.lineage, ensure_ascii=True, sort_keys=True)[:600]]
    return Result(data=data, text="\n".join(lines), next=(f"lepton bundle check {model}",))


def check(model: Path, *, key: Path | None = None, trusted: Path | None = None, context: Injected) -> Result:
    """Check a model file whole: structure, hashes, bounds and graph. Exit code 4 if it must not be used.

    Args:
        model: a .lepton file.
        key: public key that must have signed the model.
        trusted: list of public keys, one of which must have signed the model.
        context: given by the command line.
    """
    if key is not None and trusted is not None:
        raise UsageError(ErrorCode.USAGE, "got --key and --trusted", wanted="one of them")
    signer: security.PublicKey | security.TrustList | None = None
    if key is not None:
        signer = security.read_public_key(key)
    elif trusted is not None:
        signer = security.read_trusted(trusted)
    report = bundle.check_bundle(model, signer)
    lines = [f"{row.verdict:<12}{row.name:<11}{printable(row.note)}".rstrip() for row in report.checks]
    lines += [f"model id {report.model_id}"] if report.model_id else []
    return Result(data=report.to_dict(), text="\n".join(lines), error=report.error)


def sign(model: Path, *, key: Path, passphrase_env: str | None = None, context: Injected) -> Result:
    """Sign a model file: the signature is added to it, the model stays as it is.

    Args:
        model: a .lepton file.
        key: private key, from lepton bundle key. If it is encrypted, its passphrase is asked for.
        passphrase_env: name of the environment variable that holds the passphrase.
        context: given by the command line.
    """
    private = security.read_private_key(key, passphrase=lambda: ask_passphrase(passphrase_env))
    model_id = bundle.sign_bundle(model, private)
    return Result(
        data={"model": str(model), "model_id": model_id, "key_id": private.key_id},
        text=f"{model} is signed by the key {private.key_id}\nmodel id {model_id}",
        next=(f"lepton bundle check {model} --key PUBLIC.pub",),
    )


def approve(
    model: Path,
    *,
    by: str,
    role: str = "",
    note: str = "",
    key: Path | None = None,
    passphrase_env: str | None = None,
    context: Injected,
) -> Result:
    """Write down in a model file who answers for its use; the model card shows it.

    Args:
        model: a .lepton file; the model in it stays as it is.
        by: who approves it.
        role: what they are.
        note: for what use, and under which conditions.
        key: private key to sign the approval with, from lepton bundle key.
        passphrase_env: name of the environment variable that holds the passphrase of the key.
        context: given by the command line.
    """
    private = None
    if key is not None:
        private = security.read_private_key(key, passphrase=lambda: ask_passphrase(passphrase_env))
    model_id = approval.approve_bundle(model, by, role=role, note=note, key=private)
    key_id = None if private is None else private.key_id
    return Result(
        data={"model": str(model), "model_id": model_id, "by": by, "key_id": key_id},
        text=f"{model} is approved by {printable(by)}\nmodel id {model_id}",
        notes=() if key_id else ("not signed: whoever can write the file can write this too; --key signs it",),
        next=(f"lepton card {model} -o card.html",),
    )


def make_key(
    *,
    output: Output = None,
    name: str | None = None,
    passphrase: bool = False,
    passphrase_env: str | None = None,
    context: Injected,
) -> Result:
    """Make a pair of keys: a private one to sign with, and a public one (.pub) to give to others.

    Args:
        output: file of the private key; neither it nor OUTPUT.pub may be there yet.
        name: that others shall know the key by; the name of the file by default.
        passphrase: ask for a passphrase to encrypt the private key with.
        passphrase_env: name of the environment variable that holds the passphrase.
        context: given by the command line.
    """
    if output is None:
        raise UsageError(ErrorCode.USAGE, "there is no -o", wanted="the file to write: -o my.key")
    secret = ask_passphrase(passphrase_env, twice=True) if passphrase or passphrase_env is not None else None
    private = security.PrivateKey.generate()
    public = security.write_key_pair(private, output, name or output.stem, passphrase=secret)
    return Result(
        data={"private": str(output), "public": f"{output}.pub", "key_id": public.key_id, "name": public.name},
        text=f"private key  {output}: keep it, show it to nobody\npublic key   {output}.pub: {public.to_text()}",
        notes=() if secret is not None else ("not encrypted: whoever reads the private key can sign with it",),
        next=(f"lepton bundle sign MODEL.lepton --key {output}",),
    )


def ask_passphrase(variable: str | None, *, twice: bool = False) -> str:
    """The passphrase, from the environment or the terminal; a name that is none is not repeated: it may be secret."""
    if variable is not None:
        if variable not in os.environ:
            raise UsageError(
                ErrorCode.USAGE,
                "--passphrase-env names no variable of the environment",
                wanted="the name of a variable that holds the passphrase, not the passphrase itself",
            )
        return os.environ[variable]
    if not sys.stdin.isatty():
        raise SecurityError(
            ErrorCode.BAD_KEY,
            "a passphrase is needed, and there is no terminal to ask for it",
            fix="put it into an environment variable and name that: --passphrase-env NAME",
        )
    given = getpass.getpass("passphrase: ")
    if twice and getpass.getpass("again: ") != given:
        raise UsageError(ErrorCode.USAGE, "the two passphrases differ")
    return given


def extract(model: Path, folder: Path, *, context: Injected) -> Result:
    """Unpack a model file into a new folder; nothing in it is run or overwritten.

    Args:
        model: a .lepton file.
        folder: a folder that does not exist yet.
        context: given by the command line.
    """
    names = bundle.extract_bundle(model, folder)
    listed = [str(name) for name in names]
    return Result(data={"folder": str(folder), "members": listed}, text="\n".join([f"{folder}:", *listed]))


def migrate(model: Path, *, output: Output = None, context: Injected) -> Result:
    """Write a model file of an older format in the current one.

    Args:
        model: a .lepton file.
        output: file to write.
        context: given by the command line.
    """
    if output is None:
        raise UsageError(ErrorCode.USAGE, "there is no -o", wanted="the file to write: -o NEW.lepton")
    model_id = bundle.migrate_bundle(model, output)
    return Result(data={"model": str(output), "model_id": model_id}, text=f"{output} {model_id}")
