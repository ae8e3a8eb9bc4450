"""Names, numbers and texts as C99 writes them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["TYPES", "Value", "array", "identifiers", "literal", "quoted"]

TYPES = {
    "float64": "double",
    "float32": "float",
    "int64": "int64_t",
    "int32": "int32_t",
    "int16": "int16_t",
    "int8": "int8_t",
    "uint16": "uint16_t",
    "uint8": "uint8_t",
    "bool": "uint8_t",
    "object": "const char *",
}
"""numpy's types of values → C's."""

_KEYWORDS = frozenset(
    keyword
    for line in (
        "auto break case char const continue default do double else enum extern float for goto if inline int long",
        "register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while",
        "bool true false class new delete this template typename namespace and or not xor operator private public try",
        "catch throw using virtual friend export main NAN INFINITY EOF NULL",
    )
    for keyword in line.split()
)
"""Words that mean something in C or C++."""


@dataclass(frozen=True, slots=True)
class Value:
    """A tensor of one row, as C knows it.

    Attributes:
        code: name of the array.
        dtype: numpy's name of its type.
        shape: with 1 for the row.
        data: what it holds, where that is the same for every row.
    """

    code: str
    dtype: str
    shape: tuple[int, ...]
    data: NDArray[Any] | None = None

    @property
    def size(self) -> int:
        """Elements."""
        return int(np.prod(self.shape, dtype=np.int64))


def literal(value: Any) -> str:
    """A number or text as a constant that reads back as the same bits."""
    if isinstance(value, str | bytes):
        return quoted(value)
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, int | np.integer):
        number = int(value)
        return "INT64_MIN" if number == -(2**63) else f"{number}LL" if abs(number) >= 2**31 else str(number)
    real = float(value)
    if real != real:
        return "NAN"
    if real in (np.inf, -np.inf):
        return "INFINITY" if real > 0 else "-INFINITY"
    return repr(real) + ("f" if isinstance(value, np.float32) else "")


def quoted(text: str | bytes) -> str:
    """A text as a string constant in ASCII: what is not is written in octal."""
    data = text.encode() if isinstance(text, str) else text
    plain = "".join(chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else f"\\{byte:03o}" for byte in data)
    return f'"{plain}"'


def array(name: str, values: NDArray[Any] | Sequence[Any], dtype: str) -> str:
    """A constant array of the file."""
    kind = TYPES[dtype]
    stem = f"static const char *const {name}" if dtype == "object" else f"static const {kind} {name}"
    written = ", ".join(map(literal, np.asarray(values).ravel() if dtype != "object" else values)) or "0"
    body = textwrap.fill(written, 116, break_long_words=False, break_on_hyphens=False) if dtype != "object" else written
    return f"{stem}[{max(len(values), 1)}] = {{\n{body}\n}};"


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """A C identifier for each name, all of them different."""
    used, found = {*_KEYWORDS, *taken}, []
    for name in names:
        stem = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_") or "column"
        stem = f"_{stem}"[0 if stem[0].isdigit() else 1 :][:48]
        stem = f"x{stem}" if stem.startswith("_") else stem
        made, number = stem, 2
        while made in used:
            made, number = f"{stem}_{number}", number + 1
        used.add(made)
        found.append(made)
    return found
