"""Files that no importer takes, answers that are too far apart, and what an import leaves."""

import io
import json
import pickle
import urllib.request
import zipfile

import numpy as np
import onnxruntime
import pytest

from lepton import verbs
from lepton.core import ErrorCode, LeptonError, SecurityError, UsageError
from lepton.training.importers.base import FileHead
from lepton.training.importers.keras import KerasImporter
from lepton.training.importers.tensorflow import TensorflowImporter
from lepton.training.importers.torch import TorchImporter


class Bomb:
    def __reduce__(self):
        return eval, ("exec('raise SystemExit(13)')",)


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")
    return file.getvalue()


FILES = {
    "pickle.pkl": (pickle.dumps(Bomb()), ErrorCode.UNTRUSTED, "pickle"),
    "old.joblib": (b"\x78\x9c" + b"x" * 50, ErrorCode.UNTRUSTED, "pickle"),
    "torch.pt": (zipped("model/data.pkl", "model/version"), ErrorCode.UNTRUSTED, "pickle"),
    "pickle-called.onnx": (pickle.dumps(Bomb()), ErrorCode.UNTRUSTED, "pickle"),
    "program.pt2": (zipped("m/archive_format", "m/models/model.json"), ErrorCode.UNTRUSTED, "--trust"),
    "model.keras": (zipped("config.json", "metadata.json", "model.weights.h5"), ErrorCode.UNTRUSTED, "--trust"),
    "traversal.zip": (zipped("../../etc/passwd"), ErrorCode.UNREADABLE, "no model"),
    "cut.zip": (zipped("a", "b")[:-30], ErrorCode.UNREADABLE, "cut short"),
    "old.h5": (b"\x89HDF\r\n\x1a\n" + b"\0" * 50, ErrorCode.UNREADABLE, "HDF5"),
    "text.onnx": (b"hello there, this is text", ErrorCode.UNREADABLE, "no model"),
    "nothing.onnx": (b"", ErrorCode.EMPTY_DATA, "empty"),
    "bundle.lepton": (zipped("manifest.json", "model.onnx"), ErrorCode.USAGE, "bundle already"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_are_not_taken_say_why(name, bring, tmp_path):
    data, code, words = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(LeptonError, match=words) as raised:
        bring(tmp_path / name)
    assert raised.value.code == code
    assert str(tmp_path) not in str(raised.value)
    assert not (tmp_path / "mine.lepton").exists()


def test_files_are_told_by_their_content(tmp_path):
    heads = {}
    for name in ("program.pt2", "model.keras"):
        (tmp_path / "x.bin").write_bytes(FILES[name][0])
        heads[name] = FileHead.of(tmp_path / "x.bin")
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    assert TorchImporter.recognises(heads["program.pt2"])
    assert not TorchImporter.recognises(heads["model.keras"])
    assert KerasImporter.recognises(heads["model.keras"])
    assert TensorflowImporter.recognises(FileHead.of(tmp_path / "saved"))


def test_a_folder_of_tensorflow_needs_trust(bring, tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(SecurityError, match="may hold code"):
        bring(tmp_path / "saved")


def test_another_framework_than_was_said(bring, boosted, tmp_path):
    (tmp_path / "trees.json").write_text(boosted[0].booster_.model_to_string())
    with pytest.raises(UsageError, match="is one of lightgbm"):
        bring(tmp_path / "trees.json", framework="xgboost")
    with pytest.raises(UsageError, match="did you mean 'xgboost'"):
        bring(tmp_path / "trees.json", framework="xgbost")
    with pytest.raises(UsageError, match="as a model of onnx"):
        bring(boosted[0], framework="onnx")
    for thing in (3, {"a": 1}, print):
        with pytest.raises(UsageError, match="Wanted"):
            bring(thing)


def test_answers_that_are_too_far_apart_write_nothing(bring, boosted, tmp_path):
    with pytest.raises(LeptonError, match="differs by") as raised:
        bring(boosted[0], tolerance=-1.0)
    assert raised.value.code == ErrorCode.CHECK_FAILED
    assert raised.value.details["output"] == "probabilities"
    assert not (tmp_path / "mine.lepton").exists()


@pytest.mark.parametrize("labels", ["ab", ("a",), ("a", "a"), ("a", 1), (0.5, 1.5)])
def test_labels_that_cannot_be_meant(labels, bring, boosted):
    with pytest.raises(UsageError, match="labels"):
        bring(boosted[0], labels=labels)


def test_the_same_model_twice_is_the_same_bundle(bring, boosted):
    first, _ = bring(boosted[0])
    second, _ = bring(boosted[0])
    assert first.model_id == second.model_id


def test_an_imported_model_is_served_as_plain_onnxruntime_answers(boosted, tmp_path):
    model, table = boosted
    mine = verbs.import_model(model, sample=table, output=tmp_path / "trees.lepton")
    rows = [{"area": 90.0, "rooms": 3, "town": "Oslo"}, {"area": None, "rooms": 1, "town": "大阪"}]
    session = onnxruntime.InferenceSession(mine.predictor.bundle.graph)
    feed = {"numbers": np.array([[90.0, 3], [np.nan, 1]]), "strings": np.array([["Oslo"], ["大阪"]], dtype=object)}
    told = dict(zip(["prediction", "probabilities"], session.run(["prediction", "probabilities"], feed), strict=True))
    with verbs.serve(mine, port=0) as server:
        question = json.dumps(rows).encode()
        asked = urllib.request.Request(
            f"{server.url}/v2/models/trees/rows", question, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(asked, timeout=20) as answer:
            served = json.load(answer)
    assert served["predictions"] == told["prediction"].tolist()
    assert [[each["cheap"], each["dear"]] for each in served["probabilities"]] == told["probabilities"].tolist()
