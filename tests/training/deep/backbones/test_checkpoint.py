"""Where a pre-trained network is looked for, and what is refused before a library sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lepton.core import DataError, SecurityError, UsageError
from lepton.training.deep.backbones.checkpoint import Checkpoint

PLAIN: dict[str, Any] = {"model_type": "bert"}


def folder_of(path: Path, config: Any = PLAIN, *files: str) -> Path:
    (path / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
    for name in files:
        (path / name).write_bytes(b"")
    return path


def test_a_folder_is_found(tmp_path: Path) -> None:
    folder_of(tmp_path, PLAIN, "model.safetensors", "tokenizer.json", "pytorch_model.bin")
    found = Checkpoint.find(f"hf:{tmp_path}", texts=True)
    assert (found.library, found.folder, found.config) == ("hf", tmp_path, PLAIN)
    assert found.weights == (tmp_path / "model.safetensors",)


def test_weights_in_parts(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-1.safetensors"}}
    folder_of(tmp_path, PLAIN, "model-1.safetensors")
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match=r"lacks model-2\.safetensors"):
        Checkpoint.find(f"hf:{tmp_path}", texts=False)
    (tmp_path / "model-2.safetensors").touch()
    names = [path.name for path in Checkpoint.find(f"hf:{tmp_path}", texts=False).weights]
    assert names == ["model-1.safetensors", "model-2.safetensors"]


@pytest.mark.parametrize("name", ["../other.safetensors", "/x.safetensors", "model.bin"])
def test_parts_lie_beside_the_index(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    with pytest.raises(DataError, match="does not name files of safetensors beside it"):
        Checkpoint.find(f"hf:{tmp_path}", texts=False)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.ckpt", "tf_model.h5"])
def test_pickled_weights_are_refused(tmp_path: Path, name: str) -> None:
    folder_of(tmp_path, PLAIN, name, "tokenizer.json")
    with pytest.raises(SecurityError, match=f"(?s){name}.*run any code.*Wanted: model.safetensors") as caught:
        Checkpoint.find(f"hf:{tmp_path}", texts=True)
    assert "save_pretrained" in caught.value.fix


@pytest.mark.parametrize(
    "config",
    [
        {**PLAIN, "auto_map": {"AutoModel": "modeling.Net"}},
        {**PLAIN, "vision_config": {"auto_map": {"AutoModel": "other/repository--modeling.Net"}}},
        {**PLAIN, "parts": [{"auto_map": {"AutoModel": "modeling.Net"}}]},
    ],
)
def test_code_of_its_own_is_refused(tmp_path: Path, config: dict[str, Any]) -> None:
    folder_of(tmp_path, config, "model.safetensors")
    with pytest.raises(SecurityError, match="code of its own"):
        Checkpoint.find(f"hf:{tmp_path}", texts=False)


@pytest.mark.parametrize(
    ("config", "came"),
    [
        ({**PLAIN, "quantization_config": {"bits": 4}}, "quantised"),
        ({**PLAIN, "use_timm_backbone": True}, "made of another network"),
        ({**PLAIN, "is_encoder_decoder": True}, "reads one text and writes another"),
        ("[1]", "holds list"),
        ("{", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
    ],
)
def test_other_configurations_that_do_not_suit(tmp_path: Path, config: Any, came: str) -> None:
    folder_of(tmp_path, config, "model.safetensors")
    with pytest.raises(DataError, match=came):
        Checkpoint.find(f"hf:{tmp_path}", texts=False)


def test_an_adapter_alone_is_refused(tmp_path: Path) -> None:
    folder_of(tmp_path, PLAIN, "model.safetensors", "adapter_config.json")
    with pytest.raises(DataError, match="adapter for another network"):
        Checkpoint.find(f"hf:{tmp_path}", texts=False)


def test_what_a_folder_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"lacks config.json, model.safetensors, tokenizer.json") as caught:
        Checkpoint.find(f"hf:{tmp_path}", texts=True)
    assert caught.value.details["missing"] == ["config.json", "model.safetensors", "tokenizer.json"]


def test_a_name_is_looked_for_in_the_cache_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub").constants
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(DataError, match="not in Hugging Face's cache") as caught:
        Checkpoint.find("hf:nobody/no-such-net", texts=True)
    assert "hf download nobody/no-such-net config.json model.safetensors tokenizer.json" in caught.value.fix
    with pytest.raises(DataError) as caught:
        Checkpoint.find("timm:resnet18.a1_in1k", texts=False)
    assert "hf download timm/resnet18.a1_in1k config.json model.safetensors --local-dir FOLDER" in caught.value.fix


@pytest.mark.parametrize("name", ["../../etc/none", "a/b/c", "a/..", "-x", "a b", "\x00", "é/é", "a" * 200])
def test_what_cannot_be_a_name_is_no_folder_either(name: str) -> None:
    with pytest.raises(DataError, match="no such folder, and it is no name"):
        Checkpoint.find(f"hf:{name}", texts=False)


@pytest.mark.parametrize("backbone", ["", "bert", "hf:", ":x", "onnx:x", "HF:x"])
def test_the_library_is_named(backbone: str) -> None:
    with pytest.raises(UsageError, match="hf: or timm:"):
        Checkpoint.find(backbone, texts=False)


def test_timm_has_no_texts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="for texts"):
        Checkpoint.find(f"timm:{tmp_path}", texts=True)
