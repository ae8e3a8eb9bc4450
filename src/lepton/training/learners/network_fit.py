"""A small feed-forward net for tables, in numpy: several members that share most of their weights.

Every member sees the inputs through a scaling of its own and has a head of its own; the layers between are shared, so
an ensemble costs little more than one net (Gorishniy, Kotelnikov & Babenko, "TabM", 2025). Numbers come with a
piecewise-linear code beside them, which lets a net follow steps as trees do (Gorishniy, Rubachev & Babenko, "On
embeddings for numerical features in tabular deep learning", 2022). Learned by AdamW (Loshchilov & Hutter 2019) with a
rate that falls along a half cosine; what is kept is a moving average of the weights (Polyak & Juditsky 1992).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["LossFunction", "Net", "Singles", "Training", "as_half", "edges_of", "loss_of", "pieces"]

Singles = NDArray[np.float32]
Weights = dict[str, Singles]
_LARGEST_HALF = np.float32(np.finfo(np.float16).max)
LossFunction = Callable[[Singles, NDArray[np.float64]], tuple[NDArray[np.float64], Singles]]
"""Scores [..., S] and targets [N] → losses [...] and their slopes by the scores [..., S]."""


# --- numbers as pieces ------------------------------------------------------------------------------------------------


def edges_of(numbers: NDArray[np.float64], num_pieces: int) -> list[NDArray[np.float64]]:
    """For each column [N, F] the ends of at most `num_pieces` pieces that hold about as many rows each."""
    found = []
    for column in numbers.T:
        shares = np.linspace(0, 1, num_pieces + 1)
        found.append(np.unique(np.quantile(column, shares)))
    return found


def pieces(numbers: Singles, lower: Singles, scale: Singles, owner: NDArray[np.int64]) -> Singles:
    """How much of each piece lies below the value: 0, 1 or a share [N, P].

    Args:
        numbers: [N, F].
        lower: lower end of each piece [P].
        scale: 1 / its width [P].
        owner: column that it is of [P].
    """
    found: Singles = np.clip((numbers[:, owner] - lower) * scale, 0.0, 1.0)
    return found


# --- losses -----------------------------------------------------------------------------------------------------------


def loss_of(task: str) -> LossFunction:
    """The loss of a task: squares, or the logarithm of the probability."""
    return {"regression": _squares, "binary": _logistic}.get(task, _softmax)


def _squares(scores: Singles, target: NDArray[np.float64]) -> tuple[NDArray[np.float64], Singles]:
    residual = scores[..., 0] - target.astype(np.float32)
    return (residual.astype(np.float64) ** 2), (2 * residual)[..., None]


def _logistic(scores: Singles, target: NDArray[np.float64]) -> tuple[NDArray[np.float64], Singles]:
    z = scores[..., 0]
    signed = np.where(target > 0.5, z, -z).astype(np.float64)
    share = 1 / (1 + np.exp(-np.clip(z, -60, 60)))
    return np.logaddexp(0, -signed), (share - target.astype(np.float32))[..., None].astype(np.float32)


def _softmax(scores: Singles, target: NDArray[np.float64]) -> tuple[NDArray[np.float64], Singles]:
    shifted = scores - scores.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    total = powers.sum(axis=-1, keepdims=True)
    places = np.broadcast_to(target.astype(np.int64), scores.shape[:-1])[..., None]
    losses = (np.log(total) - np.take_along_axis(shifted, places, axis=-1))[..., 0].astype(np.float64)
    slopes = powers / total
    np.put_along_axis(slopes, places, np.take_along_axis(slopes, places, axis=-1) - 1, axis=-1)
    return losses, slopes


# --- the net ----------------------------------------------------------------------------------------------------------


@dataclass
class Net:
    """The weights: `scale` [K, D], layers `weight0` [D, H], `bias0` [K, H], ..., `head` [K, H, S] and `offset` [K, S].

    Attributes:
        weights: by name.
        num_layers: hidden layers.
    """

    weights: Weights
    num_layers: int

    @classmethod
    def drawn(
        cls, num_inputs: int, num_scores: int, *, width: int, num_layers: int, num_members: int, seed: int
    ) -> Net:
        """Random weights (He et al. 2015); members differ by the signs with which they see the inputs."""
        generator = np.random.default_rng(seed)
        weights: Weights = {}
        weights["scale"] = generator.choice([-1.0, 1.0], (num_members, num_inputs)).astype(np.float32)
        before = num_inputs
        for layer in range(num_layers):
            spread = math.sqrt(2 / before)
            weights[f"weight{layer}"] = (spread * generator.standard_normal((before, width))).astype(np.float32)
            weights[f"bias{layer}"] = np.zeros((num_members, width), dtype=np.float32)
            before = width
        limit = math.sqrt(1 / before)
        weights["head"] = generator.uniform(-limit, limit, (num_members, before, num_scores)).astype(np.float32)
        weights["offset"] = np.zeros((num_members, num_scores), dtype=np.float32)
        return cls(weights, num_layers)

    def scores(self, inputs: Singles) -> Singles:
        """The mean score of the members [N, S]."""
        hidden = self._hidden(inputs)[0][-1]
        num_members, width, num_scores = self.weights["head"].shape
        flat = (self.weights["head"] / num_members).reshape(num_members * width, num_scores)
        found: Singles = hidden.reshape(len(inputs), -1) @ flat + self.weights["offset"].mean(axis=0)
        return found

    def _hidden(
        self, inputs: Singles, dropout: float = 0.0, generator: np.random.Generator | None = None
    ) -> tuple[list[Singles], list[Singles]]:
        """What each layer gives [N, K, H], the scaled inputs first; and what each layer's slopes are multiplied by."""
        found = [inputs[:, None, :] * self.weights["scale"]]
        factors = []
        for layer in range(self.num_layers):
            before = found[-1]
            flat = before.reshape(-1, before.shape[-1]) @ self.weights[f"weight{layer}"]
            hidden = flat.reshape(*before.shape[:2], -1)
            hidden += self.weights[f"bias{layer}"]
            factor = (hidden > 0).astype(np.float32)
            if dropout and generator is not None:
                factor *= generator.random(hidden.shape, dtype=np.float32) >= dropout
                factor *= np.float32(1 / (1 - dropout))
            hidden *= factor
            found.append(hidden)
            factors.append(factor)
        return found, factors

    def gradient(
        self,
        inputs: Singles,
        target: NDArray[np.float64],
        weight: Singles,
        loss: LossFunction,
        dropout: float,
        generator: np.random.Generator,
    ) -> Weights:
        """The slopes of the mean loss of all members by every weight.

        Args:
            inputs: [B, D].
            target: [B].
            weight: of each row [B]; they sum to 1.
            loss: of the task.
            dropout: share of the hidden values that are 0 in this step.
            generator: draws them.
        """
        hidden, factors = self._hidden(inputs, dropout, generator)
        last = hidden[-1].transpose(1, 0, 2)  # [K, B, H]
        scores = last @ self.weights["head"] + self.weights["offset"][:, None, :]
        _, slopes = loss(scores, target)
        slopes *= (weight / len(scores))[:, None]
        found: Weights = {
            "head": last.transpose(0, 2, 1) @ slopes,
            "offset": slopes.sum(axis=1),
        }
        back = np.ascontiguousarray((slopes @ self.weights["head"].transpose(0, 2, 1)).transpose(1, 0, 2))  # [B, K, H]
        for layer in reversed(range(self.num_layers)):
            back *= factors[layer]
            flat = back.reshape(-1, back.shape[-1])
            found[f"bias{layer}"] = back.sum(axis=0)
            found[f"weight{layer}"] = hidden[layer].reshape(-1, hidden[layer].shape[-1]).T @ flat
            back = (flat @ self.weights[f"weight{layer}"].T).reshape(hidden[layer].shape)
        found["scale"] = np.einsum("bkd,bd->kd", back, inputs)
        return found


@dataclass
class Training:
    """AdamW on a net, with a moving average of the weights.

    Attributes:
        net: what is learned; it changes.
        rate: highest learning rate.
        decay: how much weights shrink, times the rate, in a step.
        num_steps: in all, along which the rate falls.
    """

    net: Net
    rate: float
    decay: float
    num_steps: int

    def __post_init__(self) -> None:
        """Starts all averages at 0."""
        self.step = 0
        weights = self.net.weights
        self._first = {name: np.zeros_like(value) for name, value in weights.items()}
        self._second = {name: np.zeros_like(value) for name, value in weights.items()}
        self._mean = {name: value.copy() for name, value in weights.items()}

    def move(self, slopes: Weights) -> None:
        """One step against the slopes."""
        self.step += 1
        warm = max(1, self.num_steps // 20)
        share = min(self.step / self.num_steps, 1.0)
        rate = self.rate * min(1.0, self.step / warm) * 0.5 * (1 + math.cos(math.pi * share))
        rate = max(rate, 0.01 * self.rate)
        unbiased_first, unbiased_second = 1 - 0.9**self.step, 1 - 0.99**self.step
        keep = min(0.99, self.step / (self.step + 10))
        for name, slope in slopes.items():
            first, second = self._first[name], self._second[name]
            first += np.float32(0.1) * (slope - first)
            second += np.float32(0.01) * (slope * slope - second)
            weight = self.net.weights[name]
            if name.startswith(("weight", "head")):
                weight *= np.float32(1 - rate * self.decay)
            weight -= (
                np.float32(rate / unbiased_first)
                * first
                / (np.sqrt(second / np.float32(unbiased_second)) + np.float32(1e-8))
            )
            self._mean[name] += np.float32(1 - keep) * (weight - self._mean[name])

    def averaged(self) -> Net:
        """The net of the averaged weights, rounded to half precision, in which the file of a model holds them."""
        return Net({name: as_half(value).astype(np.float32) for name, value in self._mean.items()}, self.net.num_layers)


def as_half(weights: Singles) -> NDArray[np.float16]:
    """Weights in half precision, the largest there in place of larger ones."""
    return np.clip(weights, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
