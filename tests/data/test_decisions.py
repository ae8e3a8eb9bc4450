"""The table of decisions."""

from lepton.data import DecisionRecord, Decisions

RECORDS = [
    DecisionRecord(None, "delimiter", "';'", "3 fields", "delimiter=';'"),
    DecisionRecord("age", "kind", "number", "all 3 values", "kinds={'age': 'category'}"),
]


def test_a_sequence_of_records():
    decisions = Decisions(RECORDS)
    assert list(decisions) == RECORDS
    assert decisions[1].column == "age"
    assert decisions[:1] == Decisions(RECORDS[:1])
    assert decisions.about("age") == Decisions(RECORDS[1:])
    assert decisions.about(None) == Decisions(RECORDS[:1])
    assert len({decisions, Decisions(RECORDS)}) == 1


def test_the_table_names_every_decision_and_override():
    lines = Decisions(RECORDS).text().splitlines()
    assert lines[0].split() == ["column", "about", "decided", "because", "to", "override"]
    assert lines[2].startswith("age")
    assert lines[2].endswith("kinds={'age': 'category'}")


def test_hidden_characters_are_escaped_and_long_cells_cut():
    text = Decisions([DecisionRecord("a\x1b[31m", "kind", "x" * 500, "", "")]).text(width=20)
    assert "\x1b" not in text
    assert "\\x1b[31m" in text
    assert "x" * 21 not in text


def test_json_form():
    assert Decisions(RECORDS).to_list()[0] == {
        "column": None,
        "what": "delimiter",
        "decided": "';'",
        "evidence": "3 fields",
        "override": "delimiter=';'",
    }
