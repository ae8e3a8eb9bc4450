"""From a model and rows to a smaller model: what comes out, what is told, and what is refused."""

import threading
from hashlib import sha256

import numpy as np
import polars as pl
import pytest

import lepton
from lepton import Model
from lepton.bundle import bundle_size
from lepton.core import BudgetError, DataError, ErrorCode, Interrupted, SchemaError, StoreError, UsageError, Work
from lepton.optimization.lean import compress as module, loop, registry
from lepton.optimization.lean.report import Compression
from tests.optimization.lean.ballast import NAMES, parcels

FRAME = parcels()


def told_by(model: Model) -> Compression:
    """The account that came with a smaller model."""
    assert model.compression is not None
    return model.compression


@pytest.fixture(scope="module")
def model(heavy):
    return lepton.load(heavy)


def test_the_least_that_keeps_the_loss(model, heavy, made_steps, tmp_path):
    before = sha256(heavy.read_bytes()).hexdigest()
    steps = ["cut", "chip", "crash", "idle"]
    lean = model.compress(FRAME, max_loss=0.01, output=tmp_path / "lean.lepton", segments=["shop"], steps=steps)
    told = lean.compression
    assert told.kept
    assert told.smaller > 5  # 500 of 4,000 are left, then a tenth off
    assert told.report["steps_text"] == "cut: 500 left; chip: a tenth off"
    assert told.loss["upper"] <= 0.01
    assert told.report["size"] == bundle_size(lean.path)
    assert told.report["model_id"] == lean.model_id
    lineage = lean.predictor.manifest.lineage
    assert lineage["parents"] == [model.model_id]
    assert [each["step"] for each in lineage["compressed"]] == ["cut", "chip"]
    assert told.report["refused"] == {"idle": "there is no attic"}
    assert told.report["failed"][0] == {
        "step": "crash", "setting": "500 left", "reason": "ZeroDivisionError: by nought"
    }  # fmt: skip
    assert {(each["column"], each["part"]) for each in told.report["parts"]} == {
        ("class", "box"), ("class", "crate"), ("class", "tube"), ("shop", "north"), ("shop", "south")
    }  # fmt: skip
    assert [each["number"] for each in told.pareto if each["chosen"]]
    assert "idle: there is no attic" in told.text()
    assert "500 left" in told._repr_html_()
    assert told_by(lepton.load(lean.path)).to_dict() == told.to_dict()
    assert model.compression is None
    assert sha256(heavy.read_bytes()).hexdigest() == before


def test_a_size_is_reached_with_the_least_loss(model, made_steps):
    lean = model.compress(FRAME, max_size="120KB", steps=["cut"])
    assert lean.compression.report["steps_text"] == "cut: 2000 left"
    assert [each["name"] for each in lean.compression.report["verdicts"]] == ["max_size"]


def test_a_latency_and_a_loss(model, made_steps):
    lean = model.compress(FRAME, max_latency="1s", max_loss=0.02, steps=["cut"])
    assert {each["name"]: each["kept"] for each in lean.compression.report["verdicts"]} == {
        "max_loss": True, "max_latency": True
    }  # fmt: skip


@pytest.mark.parametrize("budget", [{"max_size": "2KB"}, {"max_latency": "1us"}])
def test_a_budget_that_cannot_be_met(model, made_steps, tmp_path, budget):
    path = tmp_path / "best.lepton"
    with pytest.raises(BudgetError, match=rf"{next(iter(budget))} is .*, the best .* saved in best.lepton") as caught:
        model.compress(FRAME, **budget, steps=["cut"], output=path)
    assert next(iter(budget)) in caught.value.details
    assert not told_by(lepton.load(path)).kept


def test_nothing_to_do_is_no_success(model, made_steps, tmp_path):
    with pytest.raises(BudgetError, match=r"nothing smaller .* idle: there is no attic"):
        model.compress(FRAME, steps=["idle"], output=tmp_path / "none.lepton")
    assert not list(tmp_path.iterdir())


def test_not_clearly_smaller_is_no_success_either(model, made_steps, tmp_path):
    with pytest.raises(BudgetError, match=r"not clearly smaller or faster .* idle: there is no attic"):
        model.compress(FRAME, max_loss=0.05, steps=["learn", "idle"], output=tmp_path / "same.lepton", within="60s")


def test_a_part_that_must_not_be_sacrificed(model, made_steps, tmp_path):
    with pytest.raises(BudgetError, match=r"max_loss_any_segment is 0\.002"):
        model.compress(FRAME, max_loss=0.02, max_loss_any_segment=0.002, segments=["shop"], steps=["cut"])
    lean = model.compress(FRAME, max_loss=0.02, max_loss_any_segment=0.05, segments=["shop"], steps=["cut"])
    assert lean.compression.kept


def test_too_few_rows(model, made_steps):
    with pytest.raises(DataError, match=r"400 rows .* at least 1,202 rows to prove with, which is 3,005 in all") as few:
        model.compress(FRAME.head(1_000))
    assert few.value.code is ErrorCode.TOO_FEW_ROWS
    lean = model.compress(FRAME.head(1_000), max_loss=0.1, steps=["cut"])
    assert lean.compression.report["rows"] == {"learn": 450, "choose": 150, "prove": 400}
    proven = model.compress(FRAME.head(500), max_loss=0.02, proof=parcels(1_700, seed=3), steps=["cut"])
    assert proven.compression.report["rows"] == {"learn": 500, "choose": 425, "prove": 1_275}


def test_rows_that_cannot_be_meant(model, made_steps):
    with pytest.raises(SchemaError, match="missing columns: 'width'"):
        model.compress(FRAME.drop("width"))
    with pytest.raises(DataError, match="every row is of the class 'box'"):
        model.compress(FRAME.filter(pl.col("form") == "box"), max_loss=0.1)
    with pytest.raises(DataError, match="rows of the proof have no target"):
        model.compress(FRAME, proof=FRAME.drop("form"))


def test_arguments_that_cannot_be_meant(model, made_steps, tmp_path):
    for given, message in (
        ({"max_loss": 0}, "max_loss=0"),
        ({"max_loss": 1.5}, "max_loss=1.5"),
        ({"max_size": "much"}, "max_size='much'"),
        ({"steps": ["cutt"]}, "the step 'cutt'"),
        ({"steps": []}, "got no steps"),
        ({"resume": True}, "resume without workdir"),
        ({"output": model.path}, "the original's own file"),
        ({"metric": "rmse"}, "does not fit the task"),
    ):
        with pytest.raises(UsageError, match=message):
            model.compress(FRAME, **given)
    with pytest.raises(UsageError, match=r"log_loss.* without the target"):
        model.compress(FRAME.drop("form"), metric="log_loss")


def test_without_the_target_agreement_is_kept(model, made_steps):
    told = model.compress(FRAME.drop("form"), max_loss=0.02, steps=["cut"]).compression
    assert not told.report["labelled"]
    assert told.loss["original"] == 1
    assert "agreement" in told.report["notes"][0]
    assert "the original's answers" in told.text()


def test_arrays(model, made_steps):
    x, y = FRAME.select(NAMES).to_numpy(), FRAME["form"].to_numpy()
    told = model.compress((x, y), max_loss=0.02, steps=["cut"]).compression
    assert told.kept
    assert told.loss["original"] < 1
    assert not model.compress((x, None), max_loss=0.02, steps=["cut"]).compression.report["labelled"]
    with pytest.raises(DataError, match="4000 rows of x and 3 of y"):
        model.compress((x, y[:3]))


def test_another_metric(model, made_steps):
    told = model.compress(FRAME, max_loss=0.05, metric="log_loss", steps=["cut"]).compression
    assert told.loss["relative"]
    assert told.kept


def test_stopped_and_gone_on_with(model, made_steps, tmp_path):
    cancel, folder = threading.Event(), tmp_path / "search"

    def stop(told):
        if told.unit == "drafts" and told.done >= 1:
            cancel.set()

    work = Work(cancel=cancel, reporter=stop)
    first = model.compress(FRAME, max_loss=0.02, steps=["cut", "chip"], workdir=folder, work=work)
    assert first.compression.report["ended"] == "it was asked to stop"
    assert len(made_steps) == 2  # the one that was under way is brought to its end
    with pytest.raises(UsageError, match="holds a compression already"):
        model.compress(FRAME, max_loss=0.02, workdir=folder)
    with pytest.raises(UsageError, match="asked with another budgets"):
        model.compress(FRAME, max_loss=0.03, workdir=folder, resume=True)
    second = model.compress(FRAME, max_loss=0.02, steps=["cut", "chip"], workdir=folder, resume=True)
    assert second.compression.report["ended"] == "nothing was left to try"
    assert second.compression.report["size"] < first.compression.report["size"]
    made_steps.clear()
    third = model.compress(FRAME, max_loss=0.02, steps=["cut", "chip"], workdir=folder, resume=True)
    assert not made_steps
    assert third.model_id == second.model_id
    with pytest.raises(DataError, match="there is no compression"):
        model.compress(FRAME, workdir=tmp_path / "other", resume=True)


def test_stopped_before_anything(model, made_steps):
    cancel = threading.Event()
    cancel.set()
    with pytest.raises(Interrupted):
        model.compress(FRAME, max_loss=0.02, work=Work(cancel=cancel))


def test_a_milder_draft_is_made_where_the_proof_fails(model, made_steps, monkeypatch):
    monkeypatch.setattr(loop, "LEVEL", 0.7)  # the search now trusts its few rows as nobody should
    told = model.compress(parcels(3_000, seed=1), max_loss=0.02, steps=["fine"]).compression
    assert told.kept
    assert told.report["looks"] > 1
    made = [each for each in told.report["drafts"] if each["chosen"]]
    assert made[0]["number"] == max(each["number"] for each in told.report["drafts"])


def test_a_disk_that_fills(model, heavy, made_steps, tmp_path, monkeypatch):
    before = heavy.read_bytes()

    def full(path):
        raise StoreError(ErrorCode.STORE_FULL, "no space left for 'lean.lepton'")

    monkeypatch.setattr(module, "replace_file", full)
    with pytest.raises(StoreError, match="no space left"):
        model.compress(FRAME, max_loss=0.02, steps=["cut"], output=tmp_path / "lean.lepton")
    assert not list(tmp_path.iterdir())
    assert heavy.read_bytes() == before


def test_every_registered_step_is_one():
    found = registry.steps()
    assert [step.name for step in found] == sorted(
        (step.name for step in found), key=lambda name: next(each.stage for each in found if each.name == name)
    )
    assert {step.name for step in found} == set(registry.STEPS)


def test_weights_and_groups_are_looked_at(model, made_steps):
    table = FRAME.with_columns(
        importance=pl.Series(np.random.default_rng(0).uniform(0.5, 2, len(FRAME))),
        sender=pl.Series(np.arange(len(FRAME)) // 2).cast(pl.String),
    )
    data = lepton.read(table, roles={"sender": "group"})
    told = model.compress(data, max_loss=0.03, weight="importance", steps=["cut"]).compression
    assert told.kept
