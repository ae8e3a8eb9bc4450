"""What other libraries wrap: Hugging Face datasets and scikit-learn's bundled sets."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from lepton.core import DataError, UsageError
from lepton.data import read


class Split:
    """What a Hugging Face dataset shows of itself."""

    def __init__(self, frame, **features):
        self._frame = frame
        self.info = object()
        self.features = dict.fromkeys(frame.columns) | features

    def to_polars(self):
        return self._frame


LABELS = SimpleNamespace(names=["no", "yes"])


def test_a_hugging_face_dataset_is_a_table_with_its_labels():
    table = read(Split(pl.DataFrame({"text": ["a", "b", "c"], "label": [1, 0, -1]}), label=LABELS))
    assert table.frame().rows() == [("a", "yes"), ("b", "no"), ("c", None)]
    assert table.decisions[0].decided == "names instead of codes"


def test_a_dataset_of_splits_asks_for_one():
    split = Split(pl.DataFrame({"a": [1]}))
    with pytest.raises(UsageError, match=r"\['train'\]"):
        read({"train": split, "test": split})


def test_a_stream_is_refused_with_the_way_out():
    stream = SimpleNamespace(features={"a": None}, info=object())
    with pytest.raises(UsageError, match="streaming"):
        read(stream)


def test_a_real_hugging_face_dataset():
    datasets = pytest.importorskip("datasets", reason="Hugging Face's datasets is not installed")
    features = datasets.Features({"x": datasets.Value("int64"), "y": datasets.ClassLabel(names=["no", "yes"])})
    made = datasets.Dataset.from_dict({"x": [1, 2, 3], "y": [0, 1, 0]}, features=features)
    assert read(made.select([2, 1])).frame().rows() == [(3, "no"), (2, "yes")]
    with pytest.raises(UsageError, match="train"):
        read(datasets.DatasetDict({"train": made}))


@pytest.mark.parametrize("as_frame", [False, True])
def test_scikit_learns_flowers(as_frame):
    datasets = pytest.importorskip("sklearn.datasets")
    if as_frame:
        pytest.importorskip("pandas")
    table = read(datasets.load_iris(as_frame=as_frame))
    assert table.schema.names[0] == "sepal length (cm)"
    assert table.frame()["target"].unique(maintain_order=True).to_list() == ["setosa", "versicolor", "virginica"]
    assert table.num_rows == 150


def test_scikit_learns_numbers():
    datasets = pytest.importorskip("sklearn.datasets")
    diabetes = read(datasets.load_diabetes())
    assert diabetes.schema["target"].kind == "number"
    assert read(datasets.load_linnerud()).schema.names[-3:] == ("Weight", "Waist", "Pulse")
    assert len(read(datasets.load_digits()).schema) == 65


def bunch(**parts):
    utils = pytest.importorskip("sklearn.utils")
    return utils.Bunch(**parts)


def test_texts_names_and_targets_may_be_missing():
    table = read(bunch(data=["one text", "another"], target=np.array([0, 1]), target_names=["a", "b"]))
    assert table.frame().rows() == [("one text", "a"), ("another", "b")]
    assert read(bunch(data=np.eye(3))).schema.names == ("column_1", "column_2", "column_3")


def test_what_is_no_table_is_refused():
    scipy = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match="sparse"):
        read(bunch(data=scipy.eye_array(3).tocsr(), target=np.zeros(3)))
    with pytest.raises(DataError, match="shape"):
        read(bunch(data=np.zeros((2, 2, 2))))


def test_a_plain_dict_with_such_names_is_a_dict_of_columns():
    assert read({"data": [1, 2], "target": [3, 4]}).frame().rows() == [(1, 3), (2, 4)]
    assert read({"features": [1, 2], "info": ["a", "b"]}).num_rows == 2
