"""Scripts in other interpreters: what they miss, answer, and say when they fail."""

from __future__ import annotations

import numpy as np
import pytest

from lepton.core import BundleError, Interrupted, MissingExtraError, Work
from lepton.optimization.export import children


def test_missing_libraries_come_with_what_installs_them():
    with pytest.raises(MissingExtraError, match="pip install gone also-gone"):
        children.need(None, {"json": "json", "no_such_a": "gone", "no_such_b": "also-gone"}, "A test")


def test_answers_come_as_an_object_and_as_files(tmp_path):
    rows = {"numbers": np.array([[1.0, np.nan]]), "strings": np.array([["Köln"]], dtype=object)}
    (tmp_path / "rows.npz").write_bytes(children.pack(rows))
    script = """
rows = rows_of("rows.npz")
np.savez("answers.npz", a=rows["numbers"].astype("float32"))
print(sys.argv[1])
print(json.dumps({"text": str(rows["strings"][0, 0])}))
"""
    found, said = children.ask(None, script, tmp_path, ["word"], Work())
    assert found == {"text": "Köln"}
    assert "word" in said
    answers = children.unpack(tmp_path / "answers.npz", {"a": rows["numbers"]})
    assert answers["a"].dtype == np.float64
    with pytest.raises(BundleError, match="does not answer b"):
        children.unpack(tmp_path / "answers.npz", {"b": rows["numbers"]})


def test_a_failure_is_told(tmp_path):
    found, said = children.ask(None, 'raise SystemExit("no such operator")', tmp_path, [], Work())
    assert not found
    assert "no such operator" in said


def test_stopped_work_asks_nothing(tmp_path):
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        children.ask(None, "print(1)", tmp_path, [], work)
    assert not list(tmp_path.iterdir())
