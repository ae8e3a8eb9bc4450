"""Where the files of a pre-trained network are, and whether they hold data alone: nothing of torch yet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lepton.core import DataError, ErrorCode, MissingExtraError, SecurityError, UsageError, printable

__all__ = ["LIBRARIES", "Checkpoint", "read_json"]

LIBRARIES = {"hf": "transformers", "timm": "timm"}
"""What stands before the colon of a backbone → the library that knows its networks."""

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}(?:/[A-Za-z0-9][\w.-]{0,95})?", re.ASCII)
_MAX_JSON = 16 * 2**20
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".msgpack", ".h5")
_INDEX = "model.safetensors.index.json"
# What makes a library fetch or run something beside the files that were named.
_RUNS_CODE = {
    "auto_map": "it asks for code of its own (auto_map), which would run on this machine",
    "custom_pipelines": "it asks for code of its own (custom_pipelines), which would run on this machine",
}
_NOT_PLAIN = {
    "quantization_config": "its weights are quantised",
    "use_timm_backbone": "it is made of another network, of timm",
    "use_pretrained_backbone": "it is made of another network",
}


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The files of a pre-trained network.

    Attributes:
        library: `hf` or `timm`.
        called: what the user called it, without the library.
        folder: where the files are.
        config: what `config.json` says.
        weights: the files with weights, all of them safetensors.
    """

    library: str
    called: str
    folder: Path
    config: Mapping[str, Any]
    weights: tuple[Path, ...]

    @classmethod
    def find(cls, backbone: str, *, texts: bool) -> Checkpoint:
        """Look for the files on this machine; the network is never asked.

        Args:
            backbone: `hf:` or `timm:` with a folder, or with a name whose files are in Hugging Face's cache.
            texts: whether a tokenizer is wanted too.

        Raises:
            UsageError: it names no library, or nothing that can be a name.
            DataError: files are missing or cannot be read; the message says which and where they belong.
            SecurityError: the weights are pickled, or the configuration asks for code.
            MissingExtraError: a name, and `huggingface_hub` is not installed.
        """
        library, _, called = backbone.partition(":")
        if library not in LIBRARIES or not called:
            raise UsageError(
                ErrorCode.USAGE, f"got backbone={printable(repr(backbone))}",
                wanted="hf: or timm: and then a folder or the name of a model",
                fix="backbone='hf:bert-base-uncased', backbone='timm:./resnet18'",
            )  # fmt: skip
        if texts and library == "timm":
            raise UsageError(ErrorCode.USAGE, f"got backbone={printable(repr(backbone))} for texts", wanted="hf:")
        needed = ("config.json", "model.safetensors", *(("tokenizer.json",) if texts else ()))
        folder = Path(called).expanduser()
        if not folder.is_dir():
            folder = _cached(library, called, needed)
        weights = _weights(folder, called)
        present = {path.name for path in folder.iterdir()} | ({"model.safetensors"} if weights else set())
        if missing := [name for name in needed if name not in present]:
            raise DataError(
                ErrorCode.NOT_FOUND,
                f"{printable(repr(called))} lacks {', '.join(missing)}",
                wanted=", ".join(needed),
                fix=f"put what is missing into the folder; save_pretrained(folder) of {LIBRARIES[library]} writes it"
                + (", of a fast tokenizer" if "tokenizer.json" in missing else ""),
                details={"missing": missing},
            )
        config = read_json(folder / "config.json", called)
        _check_plain(config, called)
        if (folder / "adapter_config.json").exists():
            raise _not_plain(called, "it is an adapter for another network", "merge_and_unload() of peft merges both")
        return cls(library, called, folder, config, weights)

    def told(self) -> str:
        """As the user writes it."""
        return f"{self.library}:{self.called}"


def read_json(path: Path, called: str) -> dict[str, Any]:
    """An object of JSON.

    Raises:
        DataError: it is none, or of an absurd size.
    """
    try:
        if path.stat().st_size > _MAX_JSON:
            raise ValueError(f"it has {path.stat().st_size:,} bytes")
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict):
            raise ValueError(f"it holds {type(found).__name__}")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            ErrorCode.UNREADABLE,
            f"{path.name} of {printable(repr(called))} cannot be read: {printable(str(error))[:200]}",
            wanted="an object in JSON",
        ) from None
    return found


def _cached(library: str, called: str, needed: tuple[str, ...]) -> Path:
    """The folder of a name in Hugging Face's cache."""
    name = f"timm/{called}" if library == "timm" and "/" not in called else called
    if not _ID.fullmatch(name) or ".." in name:
        raise _missing(called, needed, "no such folder, and it is no name of a model")
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415 - optional
    except ImportError:
        raise MissingExtraError("huggingface_hub", "hub", "A pre-trained network by its name") from None
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (OSError, ValueError):
        raise _missing(
            called,
            needed,
            "no such folder, and its files are not in Hugging Face's cache",
            f"where there is a network: hf download {name} {' '.join(needed)} --local-dir FOLDER; "
            f"then backbone='{library}:FOLDER'. Without --local-dir the files go into the cache, and the name suffices",
        ) from None


def _missing(called: str, needed: tuple[str, ...], why: str, fix: str = "") -> DataError:
    return DataError(
        ErrorCode.NOT_FOUND,
        f"{printable(repr(called))}: {why}",
        wanted=f"a folder with {', '.join(needed)}",
        fix=fix,
        details={"wanted": list(needed)},
    )


def _weights(folder: Path, called: str) -> tuple[Path, ...]:
    """The files of safetensors: one, or those that the index names."""
    if (folder / _INDEX).is_file():
        index = read_json(folder / _INDEX, called).get("weight_map")
        names = sorted(set(map(str, index.values()))) if isinstance(index, dict) else []
        plain = all(Path(name).name == name and name.endswith(".safetensors") for name in names)
        if not names or not plain:
            raise _not_plain(called, f"{_INDEX} does not name files of safetensors beside it")
        if missing := [name for name in names if not (folder / name).is_file()]:
            raise DataError(
                ErrorCode.NOT_FOUND, f"{printable(repr(called))} lacks {', '.join(map(printable, missing[:5]))}",
                wanted="all files that the index of its weights names",
            )  # fmt: skip
        return tuple(folder / name for name in names)
    if (folder / "model.safetensors").is_file():
        return (folder / "model.safetensors",)
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLES)
    if pickled:
        raise SecurityError(
            ErrorCode.UNTRUSTED,
            f"the weights of {printable(repr(called))} are in {printable(pickled[0])}: files of this form may run "
            "any code when they are opened",
            wanted="model.safetensors, which holds numbers alone",
            fix="where you trust the file, load it with its library and save_pretrained(folder)",
        )
    return ()


def _check_plain(config: Mapping[str, Any], called: str) -> None:
    for key, value in _items(config):
        if value and key in _RUNS_CODE:
            raise SecurityError(
                ErrorCode.UNTRUSTED,
                f"{printable(repr(called))} cannot be used: {_RUNS_CODE[key]}",
                wanted="a network that the library knows by itself",
                fix="leave the key out of config.json if the library has had this network since",
            )
        if value and key in _NOT_PLAIN:
            raise _not_plain(called, _NOT_PLAIN[key])
    if config.get("is_encoder_decoder"):
        raise _not_plain(called, "it reads one text and writes another", "take an encoder, such as BERT, or a decoder")


def _items(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Keys and values, of what lies inside too."""
    waiting: list[Any] = [config]
    while waiting:
        each = waiting.pop()
        if isinstance(each, Mapping):
            yield from each.items()
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each


def _not_plain(called: str, why: str, fix: str = "") -> DataError:
    return DataError(
        ErrorCode.UNREADABLE,
        f"{printable(repr(called))} cannot be used as a backbone: {why}",
        wanted="a plain network with its weights in float",
        fix=fix,
    )
