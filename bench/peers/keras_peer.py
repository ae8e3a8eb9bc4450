"""Keras on torch in an environment of its own: an epoch of the net that standard input names, and how long it took."""

import json
import sys
import time

import keras
import numpy as np
import torch


def depthwise() -> keras.Model:
    """The same blocks as in deep_trainer.py, channels last."""
    layers = keras.layers

    def block(outer: int, stride: int) -> list:
        return [
            layers.DepthwiseConv2D(3, stride, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(outer, 1, use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
        ]

    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(24, 3, 2, "same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            *block(48, 1),
            *block(96, 2),
            *block(96, 1),
            *block(192, 2),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10),
        ]
    )


def dense() -> keras.Model:
    """Three layers."""
    layers = keras.layers
    parts = [layers.Flatten(), layers.Dense(128, "relu"), layers.Dense(128, "relu"), layers.Dense(10)]
    return keras.Sequential([keras.Input((28, 28, 1)), *parts])


def main(rows: int, batch: int) -> None:
    """Answer until standard input ends."""
    torch.set_num_threads(1)
    draws = np.random.default_rng(0)
    x = draws.normal(size=(rows, 28, 28, 1)).astype("float32")
    y = draws.integers(0, 10, rows)
    models = {}
    for line in sys.stdin:
        net = line.strip()
        if net not in models:
            models[net] = {"depthwise": depthwise, "dense": dense}[net]()
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            models[net].compile("adam", loss, metrics=["accuracy"])
        began = time.perf_counter()
        models[net].fit(x, y, batch_size=batch, epochs=1, verbose=0)
        print(json.dumps({"seconds": time.perf_counter() - began, "version": keras.__version__}), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
