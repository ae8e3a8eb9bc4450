"""The leaderboard as text, as JSON and as blocks of a page."""

import json

from lepton.training import Leaderboard, LeaderboardRow

ROWS = (
    LeaderboardRow("lightgbm", "defaults", 0.25, 0.2, 0.3, 5, 1.5, 12.0, 2_500_000, True),
    LeaderboardRow("linear", "logistic", None, None, None, 0, 0.0, None, None, False, "no time left"),
)
BOARD = Leaderboard("log_loss", False, ROWS, ("a note",))


def test_it_comes_back_from_json():
    assert Leaderboard.from_report(json.loads(json.dumps(BOARD.to_dict()))) == BOARD


def test_a_model_without_the_report_has_an_empty_board():
    assert Leaderboard.from_report({}).rows == ()


def test_text_shows_score_cost_and_reason():
    lines = BOARD.text().splitlines()
    assert "log_loss (less is better" in lines[0]
    assert "0.25 (0.2 to 0.3)" in lines[1]
    assert "12.0 µs" in lines[1]
    assert "2.5 MB" in lines[1]
    assert lines[1].endswith("chosen")
    assert "no time left" in lines[2]


def test_blocks_of_a_page():
    table, picture, note = BOARD.blocks()
    assert "lightgbm" in table.render()
    assert picture.svg.startswith("<svg")
    assert "a note" in note.render()
