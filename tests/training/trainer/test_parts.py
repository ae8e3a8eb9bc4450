"""Losses, metrics, schedules, averages and callbacks, each against what a reader would work out by hand."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn import metrics as reference

from lepton.training.trainer import (
    LOSSES,
    METRICS,
    OPTIMIZERS,
    SCHEDULES,
    Callback,
    CSVLog,
    History,
    LearningRateLog,
    ModelCheckpoint,
    Recipe,
    Trainer,
)
from lepton.training.trainer.averaging import Averager
from lepton.training.trainer.losses import loss_of
from lepton.training.trainer.metrics import meter_of
from lepton.training.trainer.schedules import Schedule
from tests.training.trainer.conftest import make_net, make_rows

X, Y = make_rows()
SCORES = np.random.default_rng(1).normal(size=(61, 3)).astype("float32")


def metered(name: Any, loss: str, outputs: Any, y: Any) -> float:
    meter = meter_of(name, "cpu", outputs.shape[1] if outputs.ndim > 1 else 1, loss_of(loss))
    for part in (slice(0, 7), slice(7, 61)):
        meter.update(torch.from_numpy(outputs[part]), torch.from_numpy(y[part]))
    return meter.result()


@pytest.mark.parametrize("average", ["precision", "recall", "f1"])
def test_metrics_of_classes_are_those_of_scikit_learn(average: str):
    called = SCORES.argmax(1)
    by_hand = {"precision": reference.precision_score, "recall": reference.recall_score, "f1": reference.f1_score}
    wanted = by_hand[average](Y, called, average="macro", zero_division=0)
    assert metered(average, "crossentropy", SCORES, Y) == pytest.approx(wanted)
    single = SCORES[:, :1]
    truth = (Y == 1).astype("float32")[:, None]
    wanted = by_hand[average](truth[:, 0], single[:, 0] > 0, zero_division=0)
    assert metered(average, "binary_crossentropy", single, truth) == pytest.approx(wanted)


def test_accuracy_auc_and_losses():
    shares = torch.from_numpy(SCORES).softmax(1).numpy()
    each = [reference.roc_auc_score(label == Y, shares[:, label]) for label in range(3)]
    assert metered("auc", "crossentropy", SCORES, Y) == pytest.approx(np.mean(each))
    assert metered("accuracy", "crossentropy", SCORES, Y) == pytest.approx((SCORES.argmax(1) == Y).mean())
    assert metered("top_5_accuracy", "crossentropy", SCORES, Y) == 1.0
    assert metered("crossentropy", "crossentropy", SCORES, Y) == pytest.approx(reference.log_loss(Y, shares), rel=1e-5)
    several = (SCORES > 0.3).astype("float32")
    assert metered("accuracy", "binary_crossentropy", -SCORES, several) < 0.5
    ties = np.round(SCORES[:, :1])
    truth = (Y == 2).astype("float32")[:, None]
    wanted = reference.roc_auc_score(truth[:, 0], ties[:, 0])
    assert metered("auc", "binary_crossentropy", ties, truth) == pytest.approx(wanted)
    assert math.isnan(metered("auc", "binary_crossentropy", ties, np.zeros_like(truth)))
    assert metered(lambda outputs, y: 2.5, "crossentropy", SCORES, Y) == 2.5


@pytest.mark.parametrize("name", sorted(LOSSES))
def test_a_loss_is_the_mean_of_its_rows(name: str):
    loss = loss_of(name)
    outputs = torch.from_numpy(SCORES)
    y = loss.targets(torch.from_numpy(np.eye(3, dtype="float32")[Y]), outputs.shape)
    assert loss.rows(outputs, y).shape == (61,)
    assert float(loss.rows(outputs, y).mean()) == pytest.approx(float(loss.mean(outputs, y)), rel=1e-5)


def test_soft_targets_stay_soft():
    soft = torch.full((61, 3), 1 / 3)
    assert loss_of("crossentropy").targets(soft, (61, 3)).shape == (61, 3)
    assert loss_of("crossentropy").targets(torch.eye(3), (3, 3)).tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_learns(name: str):
    trainer = Trainer(make_net()).compile(name, "crossentropy")
    loss = trainer.fit(X, Y, batch_size=8, epochs=6).history["loss"]
    assert loss[-1] < loss[0]


def test_names_are_those_that_the_docs_tell():
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "train-your-own-network.md").read_text("utf-8")
    for name in (*LOSSES, *METRICS, *OPTIMIZERS, *SCHEDULES):
        assert f"`{name}`" in page, name


def rates(recipe: Recipe, total: int = 100) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(2))], lr=0.5, momentum=0.9)
    schedule = Schedule(optimizer, recipe.schedule, recipe.warmup, total)
    found = []
    for step in range(total):
        schedule.apply(step)
        found.append(optimizer.param_groups[0]["lr"])
    schedule.restore()
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["momentum"] == 0.9
    return found


def test_schedules_rise_and_fall():
    one = rates(Recipe(schedule="one-cycle"))
    parameter = torch.nn.Parameter(torch.zeros(2))
    theirs = torch.optim.SGD([parameter], lr=0.5, momentum=0.9)
    cycle = torch.optim.lr_scheduler.OneCycleLR(theirs, 0.5, total_steps=100, pct_start=0.31)
    wanted = []
    for _ in range(100):
        wanted.append(theirs.param_groups[0]["lr"])
        theirs.step()
        cycle.step()
    np.testing.assert_allclose(one, wanted, rtol=1e-6)
    assert one[30] == max(one) == 0.5
    assert rates(Recipe(schedule="constant")) == [0.5] * 100
    cosine = rates(Recipe(schedule="cosine", warmup=0.1))
    assert cosine[:9] == sorted(cosine[:9])
    assert cosine[10:] == sorted(cosine[10:], reverse=True)
    assert max(cosine) == 0.5
    linear = rates(Recipe(schedule="linear"))
    assert linear[50] == pytest.approx(0.25)
    assert 0 < linear[-1] < 0.01


def test_the_average_follows_the_weights_and_their_statistics():
    net = make_net()
    averager = Averager(net, 0.9)
    start = net[0].weight.detach().clone()
    with torch.no_grad():
        net[0].weight += 1
        net[1].running_mean += 1
    averager.update()
    share = 1 - 2 / 11  # in the first steps it forgets faster
    with averager.applied():
        torch.testing.assert_close(net[0].weight.detach(), start + share)
        torch.testing.assert_close(net[1].running_mean, torch.full((8,), share))
    torch.testing.assert_close(net[0].weight.detach(), start + 1)
    averager.keep()
    torch.testing.assert_close(net[0].weight.detach(), start + share)


def test_decay_leaves_biases_alone():
    net = torch.nn.Linear(4, 3)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    trainer = Trainer(net).compile("sgd", lambda outputs, y: (outputs * 0).sum(), learning_rate=0.1)
    trainer.fit(X, Y, batch_size=61, recipe=Recipe(schedule="constant", weight_decay=0.5))
    torch.testing.assert_close(net.weight.detach(), before["weight"] * 0.95)
    assert torch.equal(net.bias.detach(), before["bias"])


def test_callbacks_are_called_in_keras_order():
    told: list[str] = []
    names = ["on_train_begin", "on_epoch_begin", "on_train_batch_begin", "on_train_batch_end", "on_epoch_end"]

    def method(name: str) -> Any:
        return lambda self, *given: told.append(name)

    kind = type("Told", (Callback,), {name: method(name) for name in (*names, "on_train_end")})
    Trainer(make_net()).compile("adam", "crossentropy").fit(X, Y, batch_size=31, callbacks=kind())
    assert told == [*names[:2], *names[2:4], *names[2:4], "on_epoch_end", "on_train_end"]


def test_logs_and_weights_are_written(tmp_path: Path):
    trainer = Trainer(make_net()).compile("adam", "crossentropy", ["accuracy"])
    keep = ModelCheckpoint(tmp_path / "best-{epoch}.safetensors", "val_loss", save_best_only=True)
    log = CSVLog(tmp_path / "log.csv")
    options: dict[str, Any] = {"validation_data": (X, Y), "recipe": Recipe(schedule="linear"), "epochs": 3}
    history = trainer.fit(X, Y, callbacks=[LearningRateLog(), keep, log], **options)
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0] == "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    assert len(lines) == 4
    assert float(lines[3].split(",")[1]) == history.history["loss"][2]
    assert history.history["learning_rate"] == sorted(history.history["learning_rate"], reverse=True)
    best = int(np.argmin(history.history["val_loss"])) + 1
    trainer.load_weights(tmp_path / f"best-{best}.safetensors")
    assert trainer.evaluate(X, Y)[0] == history.history["val_loss"][best - 1]


def test_a_history_is_a_picture_a_page_and_a_record():
    history = History()
    history.append(0, {"loss": 1.0}, 0.5)
    history.append(1, {"loss": 0.5, "val_loss": 0.75}, 0.5)
    assert history.history == {"loss": [1.0, 0.5], "val_loss": pytest.approx([math.nan, 0.75], nan_ok=True)}
    assert [figure.alt.split(".")[0] for figure in history.figures()] == ["loss"]
    assert "<svg" in history.page().html()
    assert "<iframe" in history._repr_html_()
    assert repr(history) == "History(2 epochs: loss 0.5, val_loss 0.75)"
    assert History.from_dict(history.to_dict()).history["loss"] == [1.0, 0.5]
