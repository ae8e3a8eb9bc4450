"""Tables with texts: what the graph answers is what the trainer answers, and texts are worth something."""

import importlib.util
import json

import numpy as np
import polars as pl
import pytest

import lepton.bundle
from lepton.core import ColumnRecord, Kind, Resources, Work
from lepton.data import read
from lepton.training.base import LEARNERS, Problem, Rows
from lepton.training.table_model import TableModel, block_of
from lepton.training.tables import train
from lepton.training.tasks import Scale
from tests.training.test_learners import session

WORDS = {
    "weather": ["sun", "rain", "cloudy", "wind", "晴天", "下雨"],
    "food": ["bread", "soup", "cheese", "noodles", "面包", "喝汤"],
    "music": ["violin", "drums", "song", "choir", "唱歌", "小提琴"],
}
STRANGE = ["", "SUN and SOUP", "下雨了", "\x1f", "x" * 5_000, "zzz", "Qi\u0301 qí", " a  b "]


def made_up(num_rows=150, seed=0):
    rng = np.random.default_rng(seed)
    topics = rng.choice(list(WORDS), num_rows)
    texts = [" ".join(["the", *rng.choice(WORDS[topic], 3), f"no{rng.integers(30)}"]) for topic in topics]
    price = 10.0 * (topics == "food") + rng.normal(0, 0.5, num_rows)
    data = {"note": texts, "size": rng.normal(size=num_rows), "town": rng.choice(["A", "B"], num_rows)}
    return pl.DataFrame(data | {"topic": topics, "price": price})


@pytest.mark.parametrize("task", ["regression", "binary", "multiclass"])
@pytest.mark.parametrize("columns", [("note",), ("size", "note", "town")])
def test_the_graph_answers_as_the_trainer(task, columns):
    frame = made_up()
    records = [
        ColumnRecord(name, kind)
        for name, kind in {"note": Kind.TEXT, "size": Kind.NUMBER, "town": Kind.CATEGORY}.items()
        if name in columns
    ]
    inputs = lepton.bundle.TableInputs(records, {"note": "characters/1"})
    classes = frame["topic"].rank("dense").to_numpy().astype(float) - 1
    target = {"regression": frame["price"].to_numpy(), "binary": classes % 2, "multiclass": classes}[task]
    labels = {"regression": None, "binary": ("a", "b"), "multiclass": ("a", "b", "c")}[task]
    problem = Problem(
        task, len(labels or ()), len(frame), categories=("town",) if "town" in columns else (), texts=("note",)
    )
    rows = Rows(block_of(inputs, frame.select(columns)), target)
    strange = {"note": STRANGE, "size": np.arange(8.0), "town": ["A", "B", "C", None] * 2}
    strange = {name: strange[name] for name in columns}
    for name in LEARNERS.names():
        kind = LEARNERS.load(name)
        if kind.where_present and importlib.util.find_spec(kind.library) is None:
            continue  # tests/training/test_learners.py skips it where it can be seen
        if not kind.configurations(problem):
            assert name in {"network", "naive-bayes", "rules"}  # they cannot read texts, or learn numbers
            continue
        first, *others = kind.configurations(problem)
        for configuration in (first, *(each for each in others if each.get("topics"))):
            short = {**configuration, "max_rounds": 20} if "max_rounds" in configuration else configuration
            learner = kind(problem, short, seed=1)
            learner.fit(rows, valid=None, work=Work(resources=Resources(cpus=1)))
            model = TableModel(problem, inputs, learner, labels, Scale())
            given = session(model.graph()[0]).run(None, inputs.tensors(strange))[-1]
            np.testing.assert_allclose(given, model.answers(block_of(inputs, strange)), rtol=1e-9, atol=1e-12)


def test_texts_decide_what_the_other_columns_do_not_tell(tmp_path):
    frame = made_up(400)
    dataset = read(frame.select("note", "size", "topic"), kinds={"note": "text"})
    result = train(dataset, target="topic", work=Work("15s", seed=0), output=tmp_path / "topics.lepton")
    assert any("2,000 characters" in note for note in result.notes)
    assert not any("not learned from" in note for note in result.notes)
    model = lepton.bundle.open_model(tmp_path / "topics.lepton")
    assert dict(model.manifest.codecs) == {"note": "characters/1"}
    described = json.loads(model.inputs.metadata())
    assert described["strings"] == [{"name": "note", "kind": "text", "codec": "characters/1"}]
    unseen = made_up(600, seed=1)
    rows = unseen.select("note", "size")
    predicted = np.array(model.predict(rows))
    assert np.mean(predicted == unseen["topic"].to_numpy()) > 0.98
    one_by_one = [next(iter(model.predict(rows[position : position + 1]))) for position in range(40)]
    assert one_by_one == predicted[:40].tolist()
