"""Trees in C: the same sums to the last bit, whatever the rows hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lepton.bundle.build import ML_DOMAIN, GraphBuilder
from lepton.core import BundleError, Work
from lepton.optimization.export import Options
from lepton.optimization.export.c_header import CHeaderExporter
from lepton.training.trees import Forest


def grown(targets: int, sets: bool, seed: int = 0) -> Forest:
    """Twenty trees of three nodes, with leaves of every size."""
    random = np.random.default_rng(seed)
    trees, nodes = 20, 60
    is_set = np.tile([sets, False, False], trees)
    sizes = np.where(is_set, 3, 0)
    first = 3 * np.arange(trees)
    left = np.column_stack([first + 1, ~(4 * np.arange(trees)), ~(4 * np.arange(trees) + 2)]).ravel()
    right = np.column_stack([first + 2, ~(4 * np.arange(trees) + 1), ~(4 * np.arange(trees) + 3)]).ravel()
    return Forest(
        num_features=4,
        num_targets=targets,
        roots=first,
        features=random.integers(0, 4, nodes),
        thresholds=np.round(random.normal(size=nodes) * 2, 1),
        is_set=is_set,
        members=np.tile([0, 2, 3], trees) if sets else np.empty(0, np.int64),
        set_sizes=sizes,
        missing_left=random.random(nodes) < 0.5,
        left=left,
        right=right,
        leaf_values=random.normal(size=4 * trees) * 10.0 ** random.integers(-9, 9, 4 * trees),
        leaf_targets=np.repeat(np.arange(trees) % targets, 4),
    )


def all_forests(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
    plain = grown(1, sets=False)
    known = dataclasses.replace(plain, missing_left=np.zeros(60, dtype=bool))
    found = {
        "double_plain_1": plain.emit(g, x),
        "double_known_1": known.emit(g, x),
        "double_sets_1": grown(1, sets=True).emit(g, x),
        "double_several_1": grown(3, sets=True, seed=1).emit(g, x),
        "double_zero_1": dataclasses.replace(plain, zero_is_missing=True).emit(g, x),
    }
    for mode in (1, 2, 3, 4, 5):
        given = plain.attributes() | {"nodes_modes": np.full(60, mode, np.uint8)}
        found[f"double_mode{mode}_1"] = g.node("TreeEnsemble", [x], domain=ML_DOMAIN, **given)
    single = g.node("TreeEnsemble", [g.node("Cast", [x], to=1)], domain=ML_DOMAIN, **plain.attributes(np.float32))
    return found | {"float_single_1": single}


def test_sums_are_the_same_to_the_bit(subject_of, odd_rows, tmp_path):
    numbers, texts = odd_rows
    numbers = np.concatenate([numbers, np.round(numbers, 1), np.nextafter(np.round(numbers, 1), 9)])
    numbers[5], numbers[6] = np.inf, -np.inf
    subject = subject_of(all_forests, numbers, np.tile(texts, (3, 1)))
    exporter, work = CHeaderExporter(), Work()
    (tmp_path / "made").mkdir()
    exporter.export(subject, tmp_path / "made", Options(), work)
    answers = exporter.check(subject, tmp_path / "made", Options(), work).answers
    for name, wanted in subject.answers.items():
        assert answers[name].tobytes() == wanted.tobytes(), name


@pytest.mark.parametrize("odd", [{"aggregate_function": 2}, {"post_transform": 1}])
def test_trees_that_do_not_add_up_are_refused(odd, subject_of, odd_rows, tmp_path):
    def build(g: GraphBuilder, x: str, texts: str) -> dict[str, str]:
        given = grown(1, sets=False).attributes() | odd
        return {"double_a_1": g.node("TreeEnsemble", [x], domain=ML_DOMAIN, **given)}

    with pytest.raises(BundleError, match="more than add up"):
        CHeaderExporter().export(subject_of(build, *odd_rows), tmp_path, Options(), Work())
