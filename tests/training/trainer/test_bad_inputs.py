"""What does not fit is said in one message, with what came, what was wanted and how to fix it; no work is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lepton.core import DataError, ErrorCode, LeptonError, TrainingError, UsageError, WorkerError
from lepton.training.trainer import Callback, EarlyStopping, Recipe, TensorBoard, Trainer
from tests.training.trainer.conftest import hash_of, make_net, make_rows

X, Y = make_rows()


def pictures(channels: int = 1, size: int = 8) -> Any:
    return torch.nn.Sequential(torch.nn.Conv2d(channels, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(3))


def new(net: Any = None, loss: str = "categorical_crossentropy", **options: Any) -> Trainer:
    return Trainer(net if net is not None else make_net()).compile("sgd", loss, **options)


@pytest.mark.parametrize(
    ("x", "y", "words"),
    [
        (X[:0], Y[:0], "there is no row"),
        (X, Y[:5], "x has 61 rows and y has 5"),
        (X, Y + 1, "label 3 in row"),
        (X, Y - 1, "label -1 in row"),
        (X, Y + 0.5, "wanted: whole labels from 0 to 2"),
        (X, np.eye(4)[Y], "one-hot with 4 columns, and the module gives 3 outputs"),
        (X, np.eye(3)[Y] * 2, "wanted: one-hot rows, or probabilities that sum to 1"),
        (X, np.array(["a", "b", "c"])[Y], "y holds text, the first is"),
        (X, np.where(np.arange(61) == 9, np.nan, Y), "in row 9"),
        (X, None, "got no y"),
        (np.where(np.arange(61)[:, None] == 7, np.nan, X), Y, "x holds NaN in row 7"),
        (np.where(np.arange(61)[:, None] == 7, np.inf, X), Y, "x holds infinity in row 7"),
        (X[:, :3], Y, "shape [N, 3] of float32"),
        (X[:, :, None], Y, "x.reshape(len(x), -1) makes rows of numbers"),
        (X.astype("uint8"), Y, "x.astype('float32') / 255"),
        ([[1.0, 2.0], [1.0]], [0, 1], "rows of unequal shape"),
        (np.array([object()] * 3), [0, 1, 2], "values of type object"),
        (np.float32(3), 1, "is a single number"),
        ({}, Y, "got no input"),
    ],
)
def test_rows_and_targets(x: Any, y: Any, words: str):
    trainer = new()
    before = hash_of(trainer)
    with pytest.raises(DataError, match=r".") as found:
        trainer.fit(x, y)
    assert words.lower() in str(found.value).lower()
    assert hash_of(trainer) == before


@pytest.mark.parametrize(
    ("shape", "channels", "words"),
    [
        ((9, 8, 8, 3), 3, "x.transpose(0, 3, 1, 2) puts the channels first"),
        ((9, 8, 8), 1, "x[:, None] adds the channel"),
        ((9, 64), 1, "wanted: [N, 1, height, width] of float32"),
    ],
)
def test_pictures_of_another_rank_or_order(shape: tuple[int, ...], channels: int, words: str):
    with pytest.raises(DataError) as found:
        new(pictures(channels)).fit(np.zeros(shape, "float32"), np.zeros(9, int))
    assert words.lower() in str(found.value).lower()
    assert found.value.code is ErrorCode.WRONG_SHAPE


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch_size": 0}, "batch_size=0"),
        ({"batch_size": 2.5}, "batch_size=2.5"),
        ({"epochs": 0}, "epochs=0"),
        ({"accumulate": True}, "accumulate=True"),
        ({"clip": -1}, "clip=-1"),
        ({"validation_split": 1.0}, "validation_split=1.0"),
        ({"verbose": "loud"}, "verbose='loud'"),
        ({"recipe": "fast"}, "recipe='fast'"),
        ({"callbacks": EarlyStopping}, "wanted: an object"),
        ({"callbacks": [3]}, "the callback 3"),
        ({"callbacks": EarlyStopping()}, "watches 'val_loss', and there is loss"),
        ({"validation_data": (X,)}, "validation_data of 1 parts"),
        ({"validation_data": (X, Y + 5)}, "the label"),
        ({"class_weight": 3}, "class_weight=3"),
    ],
)
def test_arguments_of_fit(options: dict[str, Any], words: str):
    with pytest.raises(LeptonError) as found:
        new().fit(X, Y, **options)
    assert words.lower() in str(found.value).lower()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Trainer(3), "got int"),
        (lambda: Trainer(make_net(), device="tpu"), "device='tpu'"),
        (lambda: Trainer(make_net(), device="cuda:99"), "does not have"),
        (lambda: Trainer(make_net(), device="mps" if not torch.backends.mps.is_available() else "x"), "device="),
        (lambda: Trainer(make_net(), threads=0), "threads=0"),
        (lambda: Trainer(make_net(), precision="half"), "precision='half'"),
        (lambda: new(loss="crossentropi"), "did you mean 'crossentropy'"),
        (lambda: new(loss=None), "got no loss"),  # type: ignore[arg-type]
        (lambda: new(loss=3), "loss=3"),  # type: ignore[arg-type]
        (lambda: new(metrics=["acuracy"]), "did you mean 'accuracy'"),
        (lambda: new(metrics=["rmse"]), "does not fit the loss"),
        (lambda: new(learning_rate=-1), "learning_rate=-1"),
        (lambda: Trainer(make_net()).compile("adm", "mse"), "did you mean 'adam'"),
        (lambda: Trainer(make_net()).compile(4, "mse"), "optimizer=4"),
        (lambda: Trainer(make_net()).compile(lambda p: p, "mse"), "the optimizer is a list"),
        (lambda: Trainer(make_net()).compile(torch.optim.LBFGS, "mse"), "LBFGS"),
        (lambda: Trainer(make_net()).compile(torch.optim.SGD(make_net().parameters()), "mse"), "no parameter of this"),
        (lambda: Trainer(torch.nn.ReLU()).compile("adam", "mse"), "no parameter that learns"),
        (lambda: Recipe(schedule="square"), "schedule='square'"),
        (lambda: Recipe(average=1.0), "average=1.0"),
        (lambda: EarlyStopping(mode="up"), "mode='up'"),
    ],
)
def test_arguments_of_the_others(make: Any, words: str):
    with pytest.raises(UsageError) as found:
        make()
    assert words.lower() in str(found.value).lower()


def test_outputs_that_the_loss_cannot_take():
    softmax = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(1))
    with pytest.raises(UsageError, match="remove the Softmax"):
        new(softmax).fit(X, Y)
    with pytest.raises(UsageError, match="use binary_crossentropy"):
        new(torch.nn.Linear(4, 1)).fit(X, Y)
    with pytest.raises(DataError, match="one label a row and the module gives 3 outputs"):
        new(loss="binary_crossentropy").fit(X, Y)
    with pytest.raises(DataError, match="y holds 2 in row"):
        new(torch.nn.Linear(4, 1), "binary_crossentropy").fit(X, Y)
    with pytest.raises(DataError, match=r"shape \[N\] and the module gives \[N, 3\]"):
        new(loss="mse").fit(X, Y)
    with pytest.raises(UsageError, match=r"label_smoothing=0\.1 with the loss mse"):
        new(torch.nn.Linear(4, 1), "mse").fit(X, Y, recipe=Recipe(label_smoothing=0.1))
    with pytest.raises(UsageError, match="weights need one a row"):
        Trainer(make_net()).compile("adam", torch.nn.CrossEntropyLoss()).fit(X, Y, sample_weight=np.ones(61))
    with pytest.raises(TrainingError, match="call compile first"):
        Trainer(make_net()).fit(X, Y)


def test_a_loss_that_becomes_nan_stops_and_keeps_the_last_good_weights():
    trainer = Trainer(torch.nn.Linear(4, 1)).compile("sgd", "mse", learning_rate=1e18)
    start = hash_of(trainer)
    with pytest.raises(TrainingError, match=r"became (nan|inf) at step \d+ of epoch 1, with a learning rate of 1e\+18"):
        trainer.fit(X, X[:, 0], batch_size=8, epochs=3)
    assert hash_of(trainer) == start
    assert "became" in trainer.history.stopped

    class Poison(Callback):
        def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            self.kept = hash_of(self.trainer)
            if epoch == 2:
                with torch.no_grad():
                    self.trainer.module.weight.fill_(float("nan"))

    trainer = Trainer(torch.nn.Linear(4, 1)).compile("sgd", "mse")
    poison = Poison()
    with pytest.raises(TrainingError, match=r"at step 1 of epoch 3.*that it had at the start of epoch 2"):
        trainer.fit(X, X[:, 0], epochs=4, callbacks=poison)
    assert len(trainer.history) == 2
    assert np.isfinite(trainer.predict(X)).all()


def test_a_stream_with_nan_says_so():
    bad = X.copy()
    bad[40] = np.nan

    def batches() -> Any:
        for begin in (0, 20, 40):
            yield bad[begin : begin + 20], Y[begin : begin + 20]

    with pytest.raises(TrainingError, match=r"\(the batch holds NaN in row 0.*at step 3 of epoch 1"):
        new().fit(batches)


def test_memory_that_runs_out_says_what_to_lower():
    class Greedy(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, x: Any) -> Any:
            if self.training:
                torch.empty(1 << 60, dtype=torch.uint8)
            return self.net(x)

    trainer = new(Greedy())
    before = hash_of(trainer)
    with pytest.raises(WorkerError, match="lower batch_size, say to 20 with accumulate=2") as found:
        trainer.fit(X, Y, batch_size=40)
    assert found.value.code is ErrorCode.OUT_OF_MEMORY
    assert hash_of(trainer) == before


def test_a_batch_larger_than_the_data_takes_all_of_it():
    history = new().fit(X, Y, batch_size=1000)
    assert history.notes == ["batch_size=1000 is more than the 61 rows: each step takes all of them"]
    assert "1000" in history.page().html()


def test_mixup_of_tokens_and_schedules_without_an_end_are_refused():
    net = torch.nn.Sequential(torch.nn.Embedding(9, 4), torch.nn.Flatten(), torch.nn.Linear(12, 3))
    with pytest.raises(UsageError, match="mixup cannot mix whole numbers"):
        new(net).fit(np.zeros((8, 3), int), np.zeros(8, int), recipe=Recipe(mixup=0.2))
    with pytest.raises(UsageError, match="give steps_per_epoch"):
        new().fit(lambda: iter([(X, Y)]), recipe=Recipe())


def test_a_single_row_for_a_normalisation_over_the_batch():
    with pytest.raises(UsageError, match="use batch_size=2 or more"):
        new().fit(X, Y, batch_size=1)


def test_a_log_for_tensorboard_needs_its_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ImportError, match="pip install tensorboard"):
        TensorBoard(tmp_path)
