"""NNCF's quantisation after training, in its own environment: graph and rows in, graph out."""

import sys

import nncf
import numpy as np
import onnx


def main(source, rows, target):
    """Quantise with NNCF's defaults."""
    held = np.load(rows)
    count = len(held[held.files[0]])
    items = [{name: held[name][row : row + 1] for name in held.files} for row in range(count)]
    onnx.save(nncf.quantize(onnx.load(source), nncf.Dataset(items), subset_size=count), target)


if __name__ == "__main__":
    main(*sys.argv[1:])
