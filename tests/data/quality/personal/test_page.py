"""The page of personal data says where it is and how sure that is, with masked examples alone."""

from __future__ import annotations

import pytest

from lepton.data import read
from lepton.data.quality import PersonalFinding, find_personal
from lepton.data.quality.personal.page import personal_page
from tests.report.test_page import PAYLOADS, Reader


def finding(column: str = "a", kind: str = "e-mail", confidence: float = 0.9, *, in_text: bool = False):
    return PersonalFinding(column, kind, 5, 0.5, confidence, in_text, ("***@***.***",))


def html(*findings: PersonalFinding, complete: bool = True) -> str:
    return personal_page(findings, 10, complete=complete).html().replace("\u00a0", " ")


def test_findings_are_sentences_and_masked():
    table = read({"mail": [f"person{i}@example.org" for i in range(50)]}, kinds={"mail": "text"})
    page = find_personal(table).page().html().replace("\u00a0", " ")
    assert "Personal data is in 1 column: mail. All 50 rows were looked at." in page
    assert "mail surely holds e-mail, in 100 % of its cells." in page
    assert "******" in page
    assert "example.org" not in page


@pytest.mark.parametrize(
    ("confidence", "in_text", "said"),
    [
        (0.9, False, "a surely holds e-mail, in"),
        (0.7, True, "a likely holds e-mail inside its texts, in"),
        (0.3, False, "a perhaps holds e-mail, in"),
    ],
)
def test_how_sure_it_is_is_a_word(confidence, in_text, said):
    assert said in html(finding(confidence=confidence, in_text=in_text))


def test_nothing_found_says_how_far_one_looked():
    assert "No personal data was found. The first 10 rows were looked at." in html(complete=False)


def test_many_findings_are_counted():
    page = html(*(finding(f"c{i}") for i in range(400)))
    assert "Personal data is in 400 columns: c0, c1, c2, c3, c4 and 395 more." in page
    assert "The first 300 of 400 findings" in page
    assert len(page) < 300_000


@pytest.mark.parametrize("payload", PAYLOADS)
def test_hostile_names_stay_text(payload):
    assert Reader(html(finding(payload))).tags == Reader(html(finding())).tags
