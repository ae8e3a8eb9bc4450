"""What is said of how a model was found."""

from dataclasses import asdict

from lepton.training.automl.explain import how_found
from lepton.training.leaderboard import Leaderboard, LeaderboardRow


def row(learner, metric, size, note="", **more):
    bounds = {"lower": None, "upper": None, "chosen": False} | more
    return LeaderboardRow(
        learner, "as is", metric, num_folds=5, fit_seconds=2.0, predict_us=1.0, size=size, note=note, **bounds
    )


def test_what_was_tried_reached_and_chosen():
    rows = (
        row("blend", 0.30, 100_000, lower=0.27, upper=0.33, chosen=True),
        row("lightgbm", 0.31, 60_000),
        row("linear", 0.32, 5_000),
        row("baseline", 0.70, 500),
        row("forest", None, None, "given up after 1 of 5 folds"),
        row("forest", None, None, "given up after 2 of 5 folds"),
    )
    board = Leaderboard("log_loss", False, rows, ("task binary",))
    told = how_found({"training": {**board.to_dict(), "rows": [asdict(each) for each in rows]}}).text()
    assert "tried: 6 candidates, 10.0 s of fits; 4 were finished" in told
    assert "not finished: 2 (given up early, as others were better)" in told
    assert "learned: log_loss 0.32 by linear (as is)" in told
    assert "chosen: blend (as is), log_loss 0.3, 95 % interval 0.27 to 0.33" in told
    assert "log_loss 0.7 by a model that looks at no column" in told
    assert "cheaper: linear (as is) has 5% of the size and log_loss 0.32" in told
    assert told.endswith("it was decided: task binary")


def test_a_file_without_reports():
    assert str(how_found({})) == "the file does not say how the model was found"
