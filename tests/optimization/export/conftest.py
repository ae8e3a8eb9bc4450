"""Small models to export, each opened once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from lepton.bundle import Manifest, OutputRecord, Predictor, TableInputs, open_model
from lepton.bundle.build import GraphBuilder
from lepton.core import ColumnRecord, Kind
from lepton.optimization.export import Subject
from lepton.optimization.export.base import run_alone
from tests.bundle.bundles import make_binary_bundle, make_regression_bundle


@pytest.fixture(scope="session")
def binary(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("export") / "expensive.lepton"
    make_binary_bundle(path)
    return open_model(path)


@pytest.fixture(scope="session")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    path = tmp_path_factory.mktemp("export") / "houses.lepton"
    make_regression_bundle(path)
    return open_model(path)


Graphs = Callable[[GraphBuilder, str, str], dict[str, str]]


@pytest.fixture
def subject_of(tmp_path: Path) -> Callable[..., Subject]:
    """Makes a subject of any graph over `numbers` [N, k] and `strings` [N, m]; its outputs may be called anything."""

    def made(build: Graphs, numbers: NDArray[Any], strings: NDArray[Any], name: str = "graph") -> Subject:
        builder = GraphBuilder()
        given = (
            builder.input("numbers", "double", ["N", numbers.shape[1]]),
            builder.input("strings", "string", ["N", strings.shape[1]]),
        )
        for output, value in build(builder, *given).items():
            builder.output(output, value, output.split("_", 1)[0], ["N", *"abc"[: int(output[-1])]])
        graph = builder.finish({})
        (tmp_path / "graph.onnx").write_bytes(graph)
        columns = [ColumnRecord(f"x{place}", Kind.NUMBER) for place in range(numbers.shape[1])]
        columns += [ColumnRecord(f"t{place}", Kind.CATEGORY, "string") for place in range(strings.shape[1])]
        record = (OutputRecord("prediction", "double", ("N",)),)
        manifest = Manifest(name=name, task="regression", inputs=tuple(columns), outputs=record)
        predictor: Any = SimpleNamespace(
            inputs=TableInputs(columns),
            manifest=manifest,
            bundle=SimpleNamespace(graph=graph),
            model_id="0" * 64,
            labels=None,
            label_names=(),
        )
        tensors = {"numbers": numbers, "strings": strings}
        answers = run_alone(tmp_path / "graph.onnx", Subject(predictor, tensors, {})).answers
        return Subject(predictor, tensors, answers)

    return made


@pytest.fixture
def odd_rows() -> tuple[NDArray[Any], NDArray[Any]]:
    """Rows with what is rarely met, 40 of them: `numbers` [N, 4] and `strings` [N, 2]."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(40, 4)) * 3
    numbers[random.random(numbers.shape) < 0.1] = np.nan
    numbers[3:9] = np.round(numbers[3:9])
    numbers[1], numbers[2] = 0.0, 2.5
    strings = random.choice(["Ulm", "Köln", "", "unseen", 'a"?\\', "Köl"], (40, 2)).astype(object)
    return numbers, strings
