"""Check digits: published examples pass, and any one changed digit is seen."""

from __future__ import annotations

import pytest

from lepton.data.quality.personal import check_digits

EXAMPLES = {
    "card": "4111111111111111",
    "iban": "DE89370400440532013000",
    "chinese_id": "11010519491231002X",
    "german_tax_id": "86095742719",
    "dni": "12345678Z",
    "nir": "255081416802538",
    "codice_fiscale": "RSSMRA85T10A562S",
    "luhn": "79927398713000",
}


@pytest.mark.parametrize("name", [name for name in EXAMPLES if name != "luhn"])
def test_published_examples_pass_and_changed_ones_do_not(name):
    check, text = getattr(check_digits, name), EXAMPLES[name]
    assert check([text]).tolist() == [True]
    changed = [
        text[:i] + str((int(letter) + 1) % 10) + text[i + 1 :] for i, letter in enumerate(text) if letter.isdigit()
    ]
    assert not check(changed).any()


@pytest.mark.parametrize("name", [*EXAMPLES, "ssn"])
def test_other_texts_are_false(name):
    assert not getattr(check_digits, name)(["", "x", "é" * 18, "１２３４５６７８Z", "0" * 40]).any()
    assert getattr(check_digits, name)([]).tolist() == []


def test_areas_that_are_never_given():
    texts = ["123456789", "000456789", "666456789", "900456789", "123006789", "123450000"]
    assert check_digits.ssn(texts).tolist() == [True] + [False] * 5


def test_letters_of_corsica():
    assert check_digits.nir(["2A"]).tolist() == [False]
    body = "18405 2A 004 034".replace(" ", "")
    number = int(body.replace("2A", "19"))
    assert check_digits.nir([f"{body}{97 - number % 97:02}"]).tolist() == [True]
