"""Runs in memory that is bound once answer to the bit as any other run does."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from lepton.bundle import Manifest, OutputRecord, Predictor, open_model, write_bundle
from lepton.bundle.build import GraphBuilder
from lepton.bundle.interface import INPUTS_KEY, describe_inputs
from lepton.bundle.settings import RuntimeSettings
from lepton.core import ColumnRecord, Kind, SchemaError
from tests.bundle.small import write_small

COLUMNS = tuple(ColumnRecord(name, Kind.NUMBER) for name in ("first", "second", "third"))


@pytest.fixture(scope="module")
def predictor(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """`prediction` is a weighted sum, `lower` and `upper` stand 1 below and 1 above."""
    builder = GraphBuilder()
    numbers = builder.input("numbers", "double", ["N", 3])
    total = builder.node("MatMul", [numbers, builder.constant(np.array([0.1, -3.0, 1e-9]))])
    builder.output("prediction", total, "double", ["N"])
    for name, away in (("lower", -1.0), ("upper", 1.0)):
        builder.output(name, builder.node("Add", [total, builder.constant(away)]), "double", ["N"])
    outputs = tuple(OutputRecord(name, "double", ("N",)) for name in ("prediction", "lower", "upper"))
    path = tmp_path_factory.mktemp("prepared") / "sums.lepton"
    graph = builder.finish({INPUTS_KEY: json.dumps(describe_inputs(COLUMNS))})
    write_bundle(path, manifest=Manifest(name="sums", task="regression", inputs=COLUMNS, outputs=outputs), graph=graph)
    return open_model(path)


def test_row_after_row_is_answered_as_by_plain_runs(predictor: Predictor) -> None:
    outputs = ["upper", "prediction"]
    prepared = predictor.prepared(outputs)
    assert prepared is not None
    assert list(prepared.answers) == outputs
    rows = [*np.random.default_rng(0).normal(scale=1e6, size=(20, 3)), np.array([np.nan, np.inf, -0.0])]
    for row in rows:
        assert prepared.take(row.tolist())
        prepared.run()
        tensors, kept = prepared.copies()
        plain = predictor.run(tensors, outputs)
        assert [kept[name].tobytes() for name in outputs] == [plain[name].tobytes() for name in outputs]
        assert prepared.take([1, 2, 3])
        prepared.run()
        assert tensors["numbers"].tobytes() == row.tobytes(), "copies are of the run before"
        assert [kept[name].tobytes() for name in outputs] == [plain[name].tobytes() for name in outputs]


def test_bytes_of_a_row_may_be_written(predictor: Predictor) -> None:
    prepared = predictor.prepared(["prediction"])
    assert prepared is not None
    row = np.array([1.0, 2.0, 3.0])
    prepared.memory[:] = memoryview(row.tobytes())
    prepared.run()
    assert prepared.answers["prediction"].tolist() == predictor.run({"numbers": row[None]})["prediction"].tolist()


@pytest.mark.parametrize("given", [[1.0, 2.0], [1.0] * 4, [1.0, 2.0, None], [1.0, 2.0, "3"], [[1.0], 2.0, 3.0]])
def test_what_is_no_row_is_not_taken(predictor: Predictor, given: list[object]) -> None:
    prepared = predictor.prepared(["prediction"])
    assert prepared is not None
    assert not prepared.take(given)


def test_models_of_texts_and_outputs_that_are_not_there_have_none(predictor: Predictor, tmp_path: Path) -> None:
    path = tmp_path / "small.lepton"
    write_small(path)
    assert open_model(path).prepared(["prediction"]) is None
    assert predictor.prepared(["nothing"]) is None
    assert predictor.description().prepared(["prediction"]) is None


def bound(predictor: Predictor) -> Predictor:
    return open_model(predictor.bundle, settings=RuntimeSettings(bound=True))


def test_bound_rows_are_answered_to_the_bit_in_memory_of_the_callers_own(predictor: Predictor) -> None:
    quick = bound(predictor)
    rows = [*np.random.default_rng(0).normal(scale=1e6, size=(20, 1, 3)), np.array([[np.nan, np.inf, -0.0]])]
    for names in (None, ["upper", "prediction"], ["lower"]):
        kept = [(quick.run({"numbers": row}, names), predictor.run({"numbers": row}, names)) for row in rows]
        for given, plain in kept:  # looked at when all have run: none writes into another's
            assert list(given) == list(plain)
            assert all(given[name].tobytes() == plain[name].tobytes() for name in plain)
    assert quick.predict(rows[0]).tolist() == predictor.predict(rows[0]).tolist()


def test_what_cannot_be_bound_takes_the_plain_way(predictor: Predictor, tmp_path: Path) -> None:
    quick = bound(predictor)
    quick.run({"numbers": np.zeros((1, 3))})
    many = np.arange(6.0).reshape(2, 3)
    assert (
        quick.run({"numbers": many})["prediction"].tolist() == predictor.run({"numbers": many})["prediction"].tolist()
    )
    for wrong in (np.zeros((1, 3), np.float32), np.zeros((1, 4)), np.zeros(3)):
        with pytest.raises(SchemaError, match="got the tensor"):
            quick.run({"numbers": wrong})
    with pytest.raises(SchemaError, match="got the tensors other"):
        quick.run({"other": np.zeros((1, 3))})
    write_small(tmp_path / "texts.lepton")
    assert open_model(tmp_path / "texts.lepton", settings=RuntimeSettings(bound=True))._bound is None


def test_threads_share_bound_memory_one_at_a_time(predictor: Predictor) -> None:
    quick = bound(predictor)
    rows = np.random.default_rng(1).normal(size=(200, 1, 3))
    wanted = [predictor.run({"numbers": row})["prediction"].tobytes() for row in rows]
    with ThreadPoolExecutor(4) as pool:
        given = list(pool.map(lambda row: quick.run({"numbers": row})["prediction"].tobytes(), rows))
    assert given == wanted


def test_more_sets_of_outputs_than_are_kept_are_answered_too(predictor: Predictor) -> None:
    quick = bound(predictor)
    row = {"numbers": np.ones((1, 3))}
    names = ["prediction", "lower", "upper"]
    for chosen in (list(each) for count in (1, 2, 3) for each in itertools.permutations(names, count)):
        assert list(quick.run(row, chosen)) == chosen
