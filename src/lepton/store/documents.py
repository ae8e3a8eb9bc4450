"""YAML documents that people write and strangers send: plain data only, bounded, and nothing that builds objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lepton.core import DataError, ErrorCode, printable
from lepton.store.files import open_read, write_text

__all__ = ["MAX_BYTES", "MAX_DEPTH", "parse_yaml", "read_yaml", "write_yaml"]

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 50
_MAX_DIGITS = 40


class _Refused(yaml.YAMLError):
    """What plain data does not hold, and where."""

    def __init__(self, problem: str, mark: Any) -> None:
        super().__init__(problem)
        self.problem, self.problem_mark = problem, mark


class _Loader(yaml.SafeLoader):
    """Mappings, lists, texts, numbers, true, false and null as YAML 1.2 has them: `no` and `2020-01-01` are texts."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _Refused("a key that is no text", key.start_mark)
            if key.value in seen:
                raise _Refused(f"the key {key.value!r} twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
    ("float", r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$", "-+."),
):
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), [*_first, *([""] * (_tag == "null"))]
    )


class _Dumper(yaml.SafeDumper):
    """Quotes each text that YAML 1.1 or 1.2 would take for something else, such as `no` and `1e3`."""

    yaml_implicit_resolvers: dict[str, Any] = {  # noqa: RUF012 - PyYAML's own attribute
        first: [
            *yaml.SafeDumper.yaml_implicit_resolvers.get(first, []),
            *_Loader.yaml_implicit_resolvers.get(first, []),
        ]
        for first in {*yaml.SafeDumper.yaml_implicit_resolvers, *_Loader.yaml_implicit_resolvers}
    }


def _text(dumper: Any, value: str) -> Any:
    """A text; in double quotes, with escapes, where it holds breaks that YAML 1.1 would fold into blanks."""
    style = '"' if _FOLDED.search(value) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style)


_FOLDED = re.compile("[\x85\u2028\u2029\ufeff]")
_Dumper.add_representer(str, _text)


def _whole(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node)
    if len(text) > _MAX_DIGITS:
        raise _Refused(f"a number of {len(text)} digits", node.start_mark)
    return int(text)


def _real(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node).lower().replace(".inf", "inf").replace(".nan", "nan"))


_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _real)


def read_yaml(path: str | Path) -> Any:
    """The data in a YAML (or JSON) file.

    Raises:
        DataError: no such file, larger than `MAX_BYTES`, or not plain data; the message names the line.
    """
    path = Path(path)
    with open_read(path) as file:
        raw = file.read(MAX_BYTES + 1)
    return parse_yaml(raw, printable(path.name))


def parse_yaml(raw: bytes, name: str) -> Any:
    """The data in YAML that lies in memory; `name` stands for it in messages.

    Raises:
        DataError: as of `read_yaml`.
    """
    if len(raw) > MAX_BYTES:
        raise DataError(ErrorCode.UNREADABLE, f"{name} is larger than {MAX_BYTES:,} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        came = f"{name} is not UTF-8 at byte {error.start:,}"
        raise DataError(ErrorCode.BAD_ENCODING, came, fix="save it as UTF-8") from None
    try:
        _check_plain(text)
        return yaml.load(text, _Loader)  # noqa: S506 - a loader of plain data
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        place = "" if mark is None else f" in line {mark.line + 1}"
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{name} is no plain YAML: {printable(problem, 200)}{place}",
            wanted="mappings, lists, texts and numbers; no tags, anchors or aliases",
        ) from None


def _check_plain(text: str) -> None:
    """Refuse what is not plain data, before anything is built from it."""
    depth = 0
    event: Any
    for event in yaml.parse(text, yaml.SafeLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
            raise _Refused("an anchor or alias", event.start_mark)
        if getattr(event, "tag", None) is not None:
            raise _Refused(f"the tag {event.tag!r}", event.start_mark)
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent):
            depth += 1
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise _Refused(f"more than {MAX_DEPTH} levels", event.start_mark)


def write_yaml(path: str | Path, data: Any) -> None:
    """Write plain data, whole or not at all; `read_yaml` gives it back."""
    write_text(path, yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))
