"""The verbs take whatever `read` takes."""

import numpy as np
import polars as pl

import lepton

ROWS = 60


def test_labels_of_any_table(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("label\n" + "cat\n" * 20 + "dog\n" * 20 + "Dog\n" * 3)
    found = lepton.unify_labels(str(path), "label")
    assert [(each.given, each.suggested) for each in found.spellings] == [("Dog", "dog")]
    assert lepton.unify_labels(lepton.read(str(path)), "label") == found


def test_annotators_of_any_table():
    frame = pl.DataFrame({"i": list("aabbcc"), "w": list("xyxyxy"), "l": list("pppqqq")})
    assert lepton.measure_agreement(frame, item="i", annotator="w", label="l").items == 3
    assert lepton.consensus_labels(frame, item="i", annotator="w", label="l").items == ("a", "b", "c")


def test_leaks_of_any_table():
    rng = np.random.default_rng(0)
    columns = {"x": rng.normal(0, 1, ROWS), "copy": rng.choice(["a", "b"], ROWS)}
    columns["y"] = columns["copy"]
    found = lepton.find_leakage(columns, target="y", against={name: values[:9] for name, values in columns.items()})
    assert [each.what for each in found.findings] == ["copy", "shared"]
