"""Tiny networks as others publish them: two layers of 32 numbers, drawn by chance, saved as safetensors."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "good",
    "bad",
    "fine",
    "awful",
    "film",
    "book",
    "story",
    "very",
    "not",
    "the",
    "a",
    "was",
    "is",
    "it",
    "i",
    "liked",
    "hated",
]


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("something asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a BERT and its tokenizer."""
    transformers = pytest.importorskip("transformers")
    tokenizers = pytest.importorskip("tokenizers")
    config = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=40,
    )
    folder = _saved(transformers.BertModel(config), tmp_path_factory.mktemp("bert"))
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ViT of pictures of 16 x 16 pixels."""
    transformers = pytest.importorskip("transformers")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    folder = _saved(
        transformers.ViTModel(transformers.ViTConfig(**sizes, image_size=16, patch_size=8)),
        tmp_path_factory.mktemp("vit"),
    )
    told = {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.3, 0.4], "rescale_factor": 1 / 255}
    (folder / "preprocessor_config.json").write_text(json.dumps(told))
    return folder


def _saved(model: Any, folder: Path) -> Path:
    import safetensors.torch
    import torch

    drawn = torch.Generator().manual_seed(0)
    for name, value in model.state_dict().items():
        if value.ndim > 1 and value.dtype.is_floating_point:
            value.copy_(torch.randn(value.shape, generator=drawn) * (1.0 if "embeddings" in name else 0.2))
    safetensors.torch.save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(model.config.to_json_string())
    return folder
