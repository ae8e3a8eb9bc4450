"""A training that is cut off and taken up gives the curve of one that was not (promise R6)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from bench.deep_kills import campaign

from lepton.core import StoreError, UsageError, Work
from lepton.training.trainer import Callback, Checkpoints, EarlyStopping, Recipe, Trainer
from tests.training.trainer.conftest import hash_of, make_net, make_rows

ROWS = make_rows()
FULL = Recipe(average=0.9, label_smoothing=0.1, mixup=0.3, weight_decay=0.01)


class StopAt(Callback):
    """Asks the work to stop before a batch, as a signal would."""

    def __init__(self, work: Work, at: int) -> None:
        self.work, self.at, self.count = work, at, 0

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        self.count += 1
        if self.count == self.at:
            self.work.cancel.set()


def noisy(x: Any, y: Any, generator: Any) -> tuple[Any, Any]:
    return x + 0.1 * torch.randn(x.shape, generator=generator), y


def learn(
    folder: Path | None, at: int | None = None, *, optimizer: str = "adam", resume: bool = False, **other: Any
) -> tuple[Trainer, Any]:
    metrics = ["accuracy", "auc", "f1"]
    trainer = Trainer(make_net()).compile(optimizer, "categorical_crossentropy", metrics, learning_rate=0.01)
    work = Work()
    keep = None if folder is None else Checkpoints(folder, every_steps=3, every_seconds=None)
    settings: dict[str, Any] = {"batch_size": 8, "epochs": 4, "validation_split": 0.2, "augment": noisy, **other}
    stop = [] if at is None else [StopAt(work, at)]
    callbacks = [*stop, EarlyStopping(patience=9)] if resume is False or at else [EarlyStopping(patience=9)]
    history = trainer.fit(*ROWS, callbacks=callbacks, checkpoint=keep, resume=resume, work=work, **settings)
    return trainer, history


@pytest.mark.parametrize("optimizer", ["adam", "sgd", "momentum", "rmsprop"])
@pytest.mark.parametrize(("at", "settings"), [(1, {"recipe": FULL}), (9, {"recipe": FULL, "accumulate": 3}), (12, {})])
def test_a_resumed_training_equals_one_that_was_not_cut_off(
    tmp_path: Path, optimizer: str, at: int, settings: dict[str, Any]
):
    whole, expected = learn(None, optimizer=optimizer, **settings)
    cut, history = learn(tmp_path, at, optimizer=optimizer, **settings)
    assert "asked to stop" in history.stopped
    assert len(history) < 4
    again, found = learn(tmp_path, optimizer=optimizer, resume=True, **settings)
    assert found.history == expected.history
    assert found.epoch == [0, 1, 2, 3]
    assert hash_of(again) == hash_of(whole) != hash_of(cut)


def test_a_finished_training_is_given_back_as_it_ended(tmp_path: Path):
    whole, expected = learn(tmp_path, recipe=FULL)
    again, found = learn(tmp_path, resume=True, recipe=FULL)
    assert found.history == expected.history
    assert hash_of(again) == hash_of(whole)


def test_more_epochs_go_on_from_the_last_one(tmp_path: Path):
    whole, expected = learn(None, epochs=6)
    learn(tmp_path, epochs=4)
    again, found = learn(tmp_path, resume=True, epochs=6)
    assert found.history == expected.history
    assert hash_of(again) == hash_of(whole)


def test_a_damaged_checkpoint_is_left_out_for_the_one_before(tmp_path: Path):
    _, expected = learn(tmp_path)
    newest = sorted(tmp_path.glob("*.safetensors"))[-1]
    data = bytearray(newest.read_bytes())
    data[-1] ^= 1
    newest.write_bytes(bytes(data))
    _, found = learn(tmp_path, resume=True)
    assert found.history == expected.history
    assert newest.stem in found.notes[0]
    assert "damaged" in found.notes[0]


@pytest.mark.parametrize("damage", [b"", b"{", b'{"format": 1}'])
def test_no_whole_checkpoint_is_an_error(tmp_path: Path, damage: bytes):
    learn(tmp_path, epochs=1)
    for record in tmp_path.glob("*.json"):
        record.write_bytes(damage or record.read_bytes().replace(b'"steps"', b'"stops"'))
    with pytest.raises(UsageError, match=r"no checkpoint .* is whole"):
        learn(tmp_path, epochs=1, resume=True)


def test_another_training_is_not_taken_up(tmp_path: Path):
    learn(tmp_path, epochs=2)
    with pytest.raises(UsageError, match="batch_size was 8 and is 16"):
        learn(tmp_path, epochs=2, batch_size=16, resume=True)
    with pytest.raises(UsageError, match="holds checkpoints of an earlier training"):
        learn(tmp_path, epochs=2)
    with pytest.raises(UsageError, match="without a checkpoint"):
        learn(None, resume=True)
    other = Trainer(make_net(outputs=4)).compile("adam", "categorical_crossentropy", ["accuracy", "auc", "f1"])
    keep = Checkpoints(tmp_path)
    with pytest.raises(StoreError, match="fits another module"):
        other.fit(
            *ROWS, batch_size=8, epochs=2, validation_split=0.2, augment=noisy, checkpoint=keep, resume=True,
            callbacks=EarlyStopping(patience=9),
        )  # fmt: skip


def test_checkpoints_hold_no_pickle_and_few_files(tmp_path: Path):
    learn(tmp_path)
    assert len(list(tmp_path.iterdir())) == 4
    for record in tmp_path.glob("*.json"):
        assert json.loads(record.read_text())["format"] == 1
    for tensors in tmp_path.glob("*.safetensors"):
        assert b"\x80\x04" not in tensors.read_bytes()[:2]


def test_kills_and_damage_do_not_change_the_curve():
    results = list(campaign(3, seed=1))
    assert sum(killed for killed, _, _ in results) >= 3
    assert all(equal for _, _, equal in results)
