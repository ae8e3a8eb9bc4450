"""Pre-trained networks as torch modules from texts or pictures to a row of features."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lepton.core import DataError, ErrorCode, MissingExtraError, printable
from lepton.training.deep.backbones.checkpoint import Checkpoint, read_json

__all__ = ["PictureBody", "TextBody", "picture_body", "text_body"]

_USUAL_SIDE = 224
_SIDES = (8, 1_024)
_USUAL_MEAN, _USUAL_SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
_MOST_TOKENS = 512


class TextBody(nn.Module):  # type: ignore[misc]
    """The mean over the tokens of what a transformer says of each.

    Attributes:
        most_tokens: that it can take at once: a power of two.
        num_tokens: size of its vocabulary.
        size: of the features.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model, config = model, model.config
        known = getattr(config, "max_position_embeddings", None) or _MOST_TOKENS
        # Positions of RoBERTa begin behind the padding's; rows are padded to powers of two.
        usable = min(int(known) - (2 if "roberta" in str(config.model_type) else 0), _MOST_TOKENS)
        self.most_tokens = 1 << (max(usable, 1).bit_length() - 1)
        self.num_tokens = int(config.vocab_size)
        self.size = int(config.hidden_size)
        self._padding = int(config.pad_token_id or 0)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Features [N, size] of `tokens` and `mask`, both int64 [N, L]."""
        tokens = torch.where(mask > 0, tokens, self._padding)
        said = self.model(input_ids=tokens, attention_mask=mask).last_hidden_state
        counted = mask.unsqueeze(-1).to(said.dtype)
        return (said * counted).sum(1) / counted.sum(1).clamp(min=1)


class PictureBody(nn.Module):  # type: ignore[misc]
    """Pictures in the colours that a network knows, and the mean of what it says of their places.

    Attributes:
        height: of the pictures that it takes.
        width: of them.
        size: of the features.
    """

    def __init__(self, model: Any, sides: Sequence[int], mean: Any, spread: Any, *, scale: float) -> None:
        super().__init__()
        self.model, self.size = model, 0
        self.height, self.width = sides
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32) / scale)
        self.register_buffer("spread", torch.tensor(spread, dtype=torch.float32) / scale)

    def forward(self, pixels: Tensor) -> Tensor:
        """Features [N, size] of `pixels`, float [N, height, width, 3] from 0 to 255."""
        colours = ((pixels - self.mean) / self.spread).permute(0, 3, 1, 2)
        said = self.model(colours)
        said = getattr(said, "last_hidden_state", said)
        return said if said.ndim == 2 else said.flatten(2).mean(2) if said.ndim == 4 else said.mean(1)


def text_body(checkpoint: Checkpoint) -> TextBody:
    """The network of a checkpoint, as one of texts.

    Raises:
        DataError: it is none, or its weights do not fit.
        MissingExtraError: transformers is not installed.
    """
    model = _transformer(checkpoint)
    with _refused(checkpoint, "takes no texts alone"):
        body = TextBody(model)
        body.eval()
        with torch.no_grad():
            body(torch.ones((1, 4), dtype=torch.int64), torch.ones((1, 4), dtype=torch.int64))
    return body


def picture_body(checkpoint: Checkpoint) -> PictureBody:
    """The network of a checkpoint, as one of pictures; as `text_body`."""
    with _refused(checkpoint, "takes no pictures alone"):
        body = _of_timm(checkpoint) if checkpoint.library == "timm" else _of_transformers(checkpoint)
        body.eval()
        with torch.no_grad():
            body.size = int(body(torch.zeros((1, body.height, body.width, 3))).shape[1])
    return body


def _of_transformers(checkpoint: Checkpoint) -> PictureBody:
    model = _transformer(checkpoint)
    path = checkpoint.folder / "preprocessor_config.json"
    told = read_json(path, checkpoint.called) if path.is_file() else {}
    size = getattr(model.config, "image_size", None) or told.get("crop_size") or told.get("size") or _USUAL_SIDE
    # Most take shares of 255; where they do not, mean and spread are of what they take.
    scale = float(told.get("rescale_factor", 1 / 255)) if told.get("do_rescale", True) else 1.0
    plain = not told.get("do_normalize", True)
    mean = [0.0] * 3 if plain else told.get("image_mean", _USUAL_MEAN)
    spread = [1.0] * 3 if plain else told.get("image_std", _USUAL_SPREAD)
    return PictureBody(model, _sides(size), mean, spread, scale=scale)


def _of_timm(checkpoint: Checkpoint) -> PictureBody:
    try:
        import timm  # noqa: PLC0415 - optional
    except ImportError as error:  # torchvision may be what is missing
        raise MissingExtraError((error.name or "timm").split(".")[0], "", "A backbone of timm") from None
    except RuntimeError as error:  # torchvision of another build than torch's
        raise DataError(
            ErrorCode.UNREADABLE,
            f"timm does not start: {printable(str(error))[:200]}",
            wanted="a torchvision of the same build as torch",
            fix="install both from the same place, or take the network as hf:",
        ) from None
    told = checkpoint.config.get("pretrained_cfg", {})
    arguments = checkpoint.config.get("model_args") or {}
    model = timm.create_model(
        str(checkpoint.config["architecture"]), pretrained=False, num_classes=0, **arguments
    ).eval()
    weights = {name: value for path in checkpoint.weights for name, value in load_file(path).items()}
    found = model.load_state_dict(weights, strict=False)
    _check_complete(checkpoint, found.missing_keys)
    sides = told.get("input_size", [3, _USUAL_SIDE, _USUAL_SIDE])[1:]
    mean, spread = told.get("mean", _USUAL_MEAN), told.get("std", _USUAL_SPREAD)
    return PictureBody(model, _sides(sides), mean, spread, scale=1 / 255)


def _sides(size: Any) -> tuple[int, int]:
    """Height and width, in any of the ways in which they are told."""
    if isinstance(size, Mapping):
        size = (size["height"], size["width"]) if "height" in size else size["shortest_edge"]
    height, width = map(int, size if isinstance(size, list | tuple) else (size, size))
    if not (_SIDES[0] <= height <= _SIDES[1] and _SIDES[0] <= width <= _SIDES[1]):
        raise ValueError(f"pictures of {height} x {width} pixels, where {_SIDES[0]} to {_SIDES[1]} are taken")
    return height, width


def _transformer(checkpoint: Checkpoint) -> Any:
    try:
        import transformers  # noqa: PLC0415 - optional, and seconds to import
    except ImportError:
        raise MissingExtraError("transformers", "hub", "A backbone of Hugging Face") from None
    with _refused(checkpoint, "cannot be loaded"), _quiet(transformers):
        model, told = transformers.AutoModel.from_pretrained(
            checkpoint.folder,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            # Attention in plain operators: the others cannot be written as a graph, or are fetched.
            attn_implementation="eager",
            dtype=torch.float32,
            output_loading_info=True,
        )
    _check_complete(checkpoint, told["missing_keys"])
    model.config.use_cache = False
    return model.eval()


def _check_complete(checkpoint: Checkpoint, missing: Any) -> None:
    """Refuse weights of something else: what is not there would be drawn by chance."""
    lacking = sorted(name for name in missing if not name.startswith("pooler.") and "position_ids" not in name)
    if lacking:
        raise DataError(
            ErrorCode.UNREADABLE,
            f"the weights of {printable(repr(checkpoint.called))} lack {len(lacking)} of the network that config.json "
            f"describes; the first is {printable(lacking[0])}",
            wanted="config.json and weights of the same network",
        )


@contextmanager
def _refused(checkpoint: Checkpoint, why: str) -> Iterator[None]:
    """One error of ours for whatever a library says of files that do not suit it."""
    try:
        yield
    except (DataError, MissingExtraError):
        raise
    except Exception as error:
        raise DataError(
            ErrorCode.UNREADABLE,
            f"the network {printable(repr(checkpoint.called))} {why}: {printable(' '.join(str(error).split()))[:300]}",
            wanted="a network of texts for texts, of pictures for pictures, with weights that fit its config.json",
        ) from error


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without the bars and advice of the library."""
    told = transformers.utils.logging
    level, bars = told.get_verbosity(), told.is_progress_bar_enabled()
    told.set_verbosity(logging.CRITICAL)
    told.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        told.set_verbosity(level)
        if bars:
            told.enable_progress_bar()
