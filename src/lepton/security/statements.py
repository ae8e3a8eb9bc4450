"""Statements: a few named texts with the signature of one key over all of them, and over what they are for.

What is signed are the bytes of a JSON object without spaces, keys sorted. Keys and values are printable ASCII without
quotes and backslashes, so that there is one way to write them, in any language (decision 0090).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any

from lepton.core import ErrorCode, SecurityError, UsageError, printable
from lepton.security.keys import PrivateKey, PublicKey, parse_base64

__all__ = ["check_statement", "sign_statement", "verify_statement"]

_PLAIN = re.compile(r"[ !#-\[\]-~]{1,200}")
_ADDED = frozenset({"purpose", "key_id", "signature"})
_SIGNATURE_BYTES = 64


def sign_statement(purpose: str, fields: Mapping[str, str], key: PrivateKey) -> dict[str, str]:
    """`fields` with `purpose`, the `key_id` and the `signature` of `key` over them all.

    Args:
        purpose: what the statement is for and the version of its form, such as `lepton-bundle-signature/1`; a
            signature for one purpose never holds for another.
        fields: names and texts of printable ASCII without quotes and backslashes.
        key: who says so.

    Raises:
        UsageError: a name or text that cannot stand in a statement.
    """
    statement = {**fields, "purpose": purpose, "key_id": key.key_id}
    plain = all(_PLAIN.fullmatch(text) for pair in statement.items() for text in pair)
    if not plain or _ADDED & fields.keys():
        raise UsageError(
            ErrorCode.USAGE,
            f"a statement cannot say {printable(repr(dict(fields)))}",
            wanted="1 to 200 printable ASCII characters without quotes and backslashes, under names of its own",
        )
    signature = key.sign(_bytes_of(statement))
    return {**statement, "signature": base64.b64encode(signature).decode("ascii")}


def check_statement(statement: Mapping[str, Any], purpose: str, fields: frozenset[str]) -> None:
    """Raise `SecurityError` `BAD_SIGNATURE` unless `statement` has the form that `sign_statement` gives it.

    Whether its signature holds is for `verify_statement` to say, once it is known whose it should be.
    """
    problem = ""
    if statement.keys() != fields | _ADDED:
        problem = f"it has the fields {sorted(statement)}"
    elif bad := [name for name, text in statement.items() if not isinstance(text, str) or not _PLAIN.fullmatch(text)]:
        problem = f"its {bad[0]} is {statement[bad[0]]!r}"
    elif statement["purpose"] != purpose:
        problem = f"its purpose is {statement['purpose']}"
    elif len(parse_base64(statement["signature"]) or b"") != _SIGNATURE_BYTES:
        problem = f"its signature is {statement['signature']}"
    if problem:
        raise SecurityError(
            ErrorCode.BAD_SIGNATURE,
            f"this is not a signed statement: {printable(problem)}",
            wanted=f"the texts {', '.join(sorted(fields | _ADDED))}, for {purpose}",
        )


def verify_statement(statement: Mapping[str, str], key: PublicKey) -> None:
    """Raise `SecurityError` `BAD_SIGNATURE` unless the signature of `statement` is by `key` over all the rest.

    Args:
        statement: of the form that `check_statement` asks for.
        key: whose signature it should be; taken from a place that is trusted, never from beside the statement.
    """
    rest = dict(statement)
    key.verify(base64.b64decode(rest.pop("signature")), _bytes_of(rest))


def _bytes_of(statement: Mapping[str, str]) -> bytes:
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode("ascii")
