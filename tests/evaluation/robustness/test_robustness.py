"""Curves: what is planted costs, what is not used costs nothing, and what cannot be said is said."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np
import polars as pl
import pytest

from lepton.bundle import open_model
from lepton.core import UsageError, Work
from lepton.data import read
from lepton.evaluation.robustness import Robustness, robustness
from lepton.evaluation.robustness.asking import bounded
from tests.bundle.pictures import write_sums
from tests.evaluation.models import linear_model
from tests.evaluation.robustness.models import LABELS, applicants, credit_model, pictures, sounds, text_model

TABLE_TESTS = {"noise", "missing_cells", "missing_columns", "unit_errors", "unseen_categories", "typos", "case"}


def losses(found: Robustness, name: str) -> list[float]:
    values = [each.value for each in found[name].losses]
    assert None not in values
    return [float(value or 0.0) for value in values]


@pytest.fixture(scope="module")
def line(tmp_path_factory):
    """price = 3 a, b does not count."""
    generator = np.random.default_rng(0)
    a, b = generator.normal(10, 2, 500), generator.normal(0, 1, 500)
    model = linear_model(tmp_path_factory.mktemp("line"), {"a": 3.0, "b": 0.0})
    return model, read(pl.DataFrame({"a": a, "b": b, "price": 3 * a + generator.normal(0, 1, 500)}))


def test_intervals_of_noise_hold_what_theory_says(line):
    """Noise of a share s of the spread adds (3 · spread · s)² to the mean squared error of a linear model."""
    model, data = line
    spread = float(data.frame()["a"].std(ddof=0))
    held = 0
    for seed in range(20):
        found = robustness(model, data, tests=["noise"], strengths=[4], metric="mse", seed=seed)
        (loss,) = found["noise"].losses
        assert loss.lower is not None
        assert loss.upper is not None
        held += loss.lower <= (3 * spread * 0.4) ** 2 <= loss.upper
    assert held >= 16  # of 20; below that 95 % has a probability of 3 in 1,000


def test_noise_costs_more_the_stronger_it_is(line):
    model, data = line
    found = robustness(model, data, tests=["noise"], metric="mse")
    assert losses(found, "noise") == sorted(losses(found, "noise"))
    assert found["noise"].hurts_from in (1, 2, 3)  # a paired interval, though noise is small
    assert {each.column for each in found.worst_columns} == {"a"}


def test_all_of_a_table(line):
    model, data = line
    found = robustness(model, data)
    assert {curve.name for curve in found.curves} == {
        "noise", "missing_cells", "missing_columns", "unit_errors", "shift", "reweighted",
    }  # fmt: skip
    assert set(found.left_out) == {"unseen_categories", "typos", "case", "whitespace", "punctuation", "paraphrase"}
    assert found["missing_cells"].values[0].value is None or found["missing_cells"].refused[0] > 0  # NaN is no answer
    assert found.worst_columns[0].column == "a"
    raw = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert raw["curves"][0]["strengths"] == [1, 2, 3, 4, 5]
    page = found.page().html()
    assert "<svg" in page
    assert "Wrong units" in str(found)


def test_the_same_seed_gives_the_same(line):
    model, data = line
    first, again, other = (
        robustness(model, data, strengths=[2], max_rows=50, seed=seed).to_dict() for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_texts_and_categories_of_a_table(tmp_path):
    model = credit_model(tmp_path, of_sex=3.0)
    found = robustness(model, applicants(200, of_sex=3.0), strengths=[2, 5], metric="log_loss")
    assert {curve.name for curve in found.curves} >= TABLE_TESTS
    assert max(losses(found, "unseen_categories")) > 0.05  # the model leans on sex
    assert max(map(abs, losses(found, "paraphrase"))) == 0  # and not on the note
    assert found["paraphrase"].changed[-1] == 0  # whose words no rule of English fits
    assert found["case"].changed[-1] > 100
    assert {(each.column, each.test) for each in found.worst_columns} >= {("sex", "unseen_categories")}


def test_without_truth_answers_are_compared_with_themselves(tmp_path, line):
    model = credit_model(tmp_path)
    data = read(applicants().frame().drop("outcome"), kinds={"note": "text"})
    found = robustness(model, data, tests=["noise", "reweighted", "case"])
    assert not found.labelled
    assert found.metric == "Share of answers that stay"
    assert found.value.value == 1.0
    assert losses(found, "case") == [0.0] * 5
    assert 0 < losses(found, "noise")[-1] < 0.5
    assert "there is no truth" in found.left_out["reweighted"]
    assert "no truth" in str(found)
    numbers = robustness(line[0], read(line[1].frame().drop("price")), tests=["noise"])
    assert numbers.metric == "Mean change of the answer"
    assert numbers.value.value == 0.0
    with pytest.raises(UsageError, match="without a truth"):
        robustness(model, data, metric="accuracy")


def test_a_model_that_refuses_rows_is_a_finding(line):
    model, data = line
    found = robustness(model, data, tests=["missing_cells", "missing_columns"], max_rows=200)
    assert found["missing_cells"].refused[0] > 0
    assert found["missing_cells"].refused[0] < 60
    assert found["missing_cells"].losses[0].value == pytest.approx(0, abs=1e-9)  # of those that it answered
    assert "refused" in str(found)
    assert found["missing_columns"].losses[-1].value is None
    assert "refused every row" in found["missing_columns"].losses[-1].reason


def test_constant_answers_few_rows_and_one_column(tmp_path):
    model = linear_model(tmp_path, {"x": 0.0}, offset=4.0)
    found = robustness(model, read(pl.DataFrame({"x": [1.0, 2.0, 3.0], "price": [4.0, 4.0, 5.0]})))
    assert not found.worst_columns
    assert any("answers the same to every row" in note for note in found.notes)
    assert any("3 rows are few" in note for note in found.notes)
    same = robustness(model, read(pl.DataFrame({"x": [1.0, 1.0], "price": [4.0, 4.0]})))
    assert same.left_out["noise"] == "the model has no numbers that differ"
    assert same.left_out["reweighted"] == "no column differs"


def test_of_many_columns_a_sample_is_spoilt_alone(tmp_path):
    weights: dict[str, Any] = {f"c{n}": 1.0 for n in range(45)}
    frame = {name: np.random.default_rng(n).normal(size=100) for n, name in enumerate(weights)}
    data = read(pl.DataFrame({**frame, "price": np.sum(list(frame.values()), axis=0)}))
    found = robustness(linear_model(tmp_path, weights), data, tests=["shift"], strengths=[3])
    assert any("a sample of 40 of 45 columns" in note for note in found.notes)
    assert len(found.worst_columns) == 10


def test_wide_tables_have_fewer_rows(line, monkeypatch):
    model, data = line
    monkeypatch.setitem(bounded.__globals__, "MAX_CELLS", 500)
    found = robustness(model, data, tests=["noise"], strengths=[1])
    assert found.num_rows == 250
    assert "250 rows were taken" in str(found)


def test_time_that_is_over_leaves_what_there_is(line):
    model, data = line
    reports: list[Any] = []
    work = Work(within="60s", reporter=reports.append)
    work.report = lambda *a, **k: setattr(work, "deadline", time.monotonic() - 1) if len(a) > 1 else None  # type: ignore[method-assign]
    found = robustness(model, data, tests=["noise", "shift"], work=work)
    assert found["noise"].strengths == (1,)
    assert found.left_out["shift"] == "there was no time"
    assert any("no time for every strength" in note for note in found.notes)


def test_pictures_of_any_size(tmp_path):
    model, data = pictures(tmp_path)
    found = robustness(model, data, metric="accuracy", strengths=[1, 5])
    assert found.kind == "picture"
    assert {c.name for c in found.curves} == {"blur", "noise", "brightness", "contrast", "compression", "rotate"}
    assert losses(found, "rotate") == [0.0, 0.0]  # of plain pictures
    assert losses(found, "brightness")[1] > 0.1
    assert found["noise"].changed == (12, 12)
    unlabelled = robustness(model, data.select(["photo"]), tests=["brightness"], strengths=[5])
    assert not unlabelled.labelled
    assert losses(unlabelled, "brightness")[0] == pytest.approx(losses(found, "brightness")[1])


def test_attacks_on_pictures_need_gradients(tmp_path):
    model, data = pictures(tmp_path, 70)

    def towards_the_other(batch, labels):
        return np.where(labels == 1, -1.0, 1.0)[:, None, None, None] * np.ones_like(batch)

    found = robustness(model, data, tests=["fgsm", "pgd"], strengths=[1, 5], gradients=towards_the_other)
    # The brightness model answers the mean pixel / 255: 16 / 255 off is 16 pixels, which its log loss shows.
    for name in ("fgsm", "pgd"):
        dark = -np.log(1 - 86 / 255) + np.log(1 - 70 / 255)
        light = -np.log(164 / 255) + np.log(180 / 255)
        assert losses(found, name)[1] == pytest.approx((dark + light) / 2, rel=0.02)
    with pytest.raises(UsageError, match="without gradients"):
        robustness(model, data, tests=["fgsm"])


def test_attacks_on_numbers_move_each_by_a_share_of_its_spread(line):
    model, data = line

    def gradients(batch, labels):
        return 2 * (batch @ np.array([[3.0], [0.0]]) - labels[:, None]) * np.array([[3.0, 0.0]])

    found = robustness(model, data, tests=["fgsm"], gradients=gradients, metric="mae")
    spread = float(data.frame()["a"].std(ddof=0))
    assert losses(found, "fgsm")[4] == pytest.approx(3 * 0.2 * spread, rel=1e-6)


def test_sounds(tmp_path):
    model, data = sounds(tmp_path)
    found = robustness(model, data, strengths=[1, 4], metric="mae")
    assert {c.name for c in found.curves} == {"noise", "speed", "volume", "shift"}
    assert losses(found, "volume")[1] > losses(found, "volume")[0] > 0
    quiet = robustness(model, data, tests=["noise"], strengths=[1, 5], gradients=lambda b, y: np.sign(b))
    assert losses(quiet, "noise")[0] < losses(quiet, "noise")[1]


def test_texts_as_tokens(tmp_path):
    said = ["I do not know, he quickly left.", "It is a big problem.", "Fine!"] * 10
    data = read(pl.DataFrame({"said": said, "length": [float(len(s)) for s in said]}), kinds={"said": "text"})
    found = robustness(text_model(tmp_path), data, metric="mae")
    assert {c.name for c in found.curves} == {"typos", "case", "punctuation", "whitespace", "paraphrase"}
    assert losses(found, "case") == [0.0] * 5
    assert losses(found, "paraphrase")[4] > 0.5
    assert not found.worst_columns


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"tests": ["nois"]}, "did you mean 'noise'"),
        ({"tests": ["blur"]}, "which is for pictures, for a model of tables"),
        ({"tests": ["speed"]}, "which is for sounds"),
        ({"tests": "noise"}, "wanted: a list of names"),
        ({"tests": ["pgd"]}, "gradients="),
        ({"strengths": [0, 1]}, "1 to 5"),
        ({"strengths": []}, "1 to 5"),
        ({"strengths": "3"}, "1 to 5"),
        ({"strengths": [True]}, "1 to 5"),
        ({"metric": "accuracy"}, "does not fit the task"),
        ({"max_rows": 1}, "two rows"),
    ],
)
def test_what_cannot_be_done_is_refused(line, options, said):
    model, data = line
    with pytest.raises(UsageError) as caught:
        robustness(model, data, **options)
    assert said.lower() in str(caught.value).lower()


def test_models_whose_rows_nobody_can_spoil(tmp_path):
    write_sums(tmp_path / "sums.lepton")
    with pytest.raises(UsageError, match="plain tensors"):
        robustness(open_model(tmp_path / "sums.lepton"), applicants())


def test_weights_and_groups_count(tmp_path):
    model = credit_model(tmp_path)
    data = applicants(200, weight=np.arange(200.0), shop=np.arange(200) // 4)
    data = data.with_roles({"weight": "weight", "shop": "group"})
    plain = robustness(model, applicants(200), tests=["shift"], strengths=[5])
    weighted = robustness(model, data, tests=["shift"], strengths=[5])
    assert weighted.num_rows == 200
    assert weighted["shift"].values != plain["shift"].values
    assert set(LABELS) == {"paid", "default"}
