"""The folder of a search: what is kept is read again, and what is damaged is said to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton.core import DataError, UsageError
from lepton.training.deep.architectures.trials import Asked, Cost, Trial, TrialFolder
from lepton.training.nets.spec import NetSpec

ASKED = Asked("f" * 64, "binary", "accuracy", 3, (1, 3, 9), (2e-5, 9e-5), {"cpu": "one", "cores": 2})
TRIAL = Trial(
    1, 0, NetSpec.of("series", (9, 2), 2, recurrent=True), 1, 3, Cost(1e-5, 2e-5, 900, 3.5, 40), 0.5, 0.25, 0.75, 2.0,
    7.5, None, "",
)  # fmt: skip


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    folder = TrialFolder.make(tmp_path / "new" / "search", ASKED)
    folder.keep(TRIAL)
    again = TrialFolder.open(tmp_path / "new" / "search")
    assert (again.asked, again.trials) == (ASKED, [TRIAL])
    again.check("f" * 64, "binary", "accuracy", 3, {"cpu": "one", "cores": 2})


def test_a_search_is_not_written_over(tmp_path: Path) -> None:
    TrialFolder.make(tmp_path, ASKED)
    with pytest.raises(UsageError, match=r"holds a search already"):
        TrialFolder.make(tmp_path, ASKED)


def test_another_question_is_refused(tmp_path: Path) -> None:
    folder = TrialFolder.make(tmp_path, ASKED)
    asked = {"fingerprint": "f" * 64, "task": "binary", "metric": "accuracy", "seed": 3, "machine": ASKED.machine}
    with pytest.raises(DataError, match=r"not those"):
        folder.check(**{**asked, "fingerprint": "0" * 64})  # type: ignore[arg-type]
    for name, value in (("task", "multiclass"), ("metric", "log_loss"), ("seed", 4), ("machine", {"cpu": "two"})):
        with pytest.raises(UsageError, match=name):
            folder.check(**{**asked, name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("search.json", "{}"),
        ("search.json", "["),
        ("search.json", '{"format": 1, "passes": []}'),
        ("search.json", '{"format": 2}'),
        ("trial-00001.json", "{}"),
        ("trial-00001.json", '{"number": "one"}'),
        ("trial-00002.json", "not JSON"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, text: str) -> None:
    TrialFolder.make(tmp_path, ASKED).keep(TRIAL)
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=name.replace(".", r"\.")):
        TrialFolder.open(tmp_path)


def test_a_trial_of_a_net_that_cannot_be_is_damage(tmp_path: Path) -> None:
    TrialFolder.make(tmp_path, ASKED).keep(TRIAL)
    file = tmp_path / "trial-00001.json"
    file.write_text(file.read_text().replace('"recurrent"', '"looping"'))
    with pytest.raises(DataError, match=r"trial-00001\.json"):
        TrialFolder.open(tmp_path)


def test_an_empty_folder_holds_no_search(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no search"):
        TrialFolder.open(tmp_path)
