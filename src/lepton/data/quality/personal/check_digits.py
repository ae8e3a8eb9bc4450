"""Check digits of numbers that name persons and accounts, for many texts at once.

Each function takes texts [N] whose separators are gone and gives a Boolean mask [N]. Texts of another length or
alphabet are false, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Mask",
    "card",
    "chinese_id",
    "codice_fiscale",
    "dni",
    "german_tax_id",
    "iban",
    "luhn",
    "nir",
    "ssn",
]

Mask = NDArray[np.bool_]

_MONTH_DAYS = np.array([31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


def _codes(texts: Sequence[str], length: int) -> tuple[NDArray[np.int64], Mask]:
    """ASCII codes [N, length] less that of "0", and which texts have that length and are ASCII."""
    fits = np.array([len(text) == length and text.isascii() for text in texts], dtype=np.bool_)
    joined = "".join(text if fit else "0" * length for text, fit in zip(texts, fits, strict=True))
    codes = np.frombuffer(joined.encode("ascii"), dtype=np.uint8).reshape(-1, length).astype(np.int64) - ord("0")
    return codes, fits


def _are_digits(codes: NDArray[np.int64]) -> Mask:
    return np.asarray(((codes >= 0) & (codes <= 9)).all(axis=1))


def _by_length(texts: Sequence[str], lengths: Sequence[int], rule: Callable[[NDArray[np.int64]], Mask]) -> Mask:
    """`rule` on the digits of the texts of each of the lengths; false for what is not all digits."""
    found = np.zeros(len(texts), dtype=np.bool_)
    for length in lengths:
        codes, fits = _codes(texts, length)
        found |= fits & _are_digits(codes) & rule(codes)
    return found


def luhn(texts: Sequence[str], lengths: Sequence[int] = range(12, 20)) -> Mask:
    """ISO/IEC 7812-1, annex B: every second digit from the right counts twice, the sum is a multiple of ten."""

    def rule(digits: NDArray[np.int64]) -> Mask:
        twice = digits[:, -2::-2] * 2
        return np.asarray((digits[:, ::-2].sum(axis=1) + (twice - 9 * (twice > 9)).sum(axis=1)) % 10 == 0)

    return _by_length(texts, lengths, rule)


_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}"
    r"|3(?:0[0-5]|[689]\d)\d{11}|6(?:011|4[4-9]\d|5\d\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)


def card(texts: Sequence[str]) -> Mask:
    """Payment cards: prefix and length of an issuer, and the check digit; one digit many times over is no card."""
    shaped = [_ISSUERS.fullmatch(text) is not None and len(set(text)) > 1 for text in texts]
    return luhn(texts) & np.array(shaped, dtype=np.bool_)


def chinese_id(texts: Sequence[str]) -> Mask:
    """Resident identity numbers of 18 characters: GB 11643, with ISO 7064 MOD 11-2; the date of birth must exist."""
    upper = [text.upper() for text in texts]
    codes, fits = _codes(upper, 18)
    body, last = codes[:, :17], codes[:, 17]
    check = np.where(last == ord("X") - ord("0"), 10, last)
    weights = 2 ** np.arange(17, 0, -1) % 11
    year = body[:, 6:10] @ np.array([1000, 100, 10, 1])
    month = body[:, 10:12] @ np.array([10, 1])
    day = body[:, 12:14] @ np.array([10, 1])
    longest = _MONTH_DAYS[np.clip(month, 1, 12) - 1]
    dated = (year >= 1850) & (year <= 2100) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= longest)
    region = (body[:, 0] >= 1) & (body[:, 0] <= 8)
    sums = ((body * weights).sum(axis=1) + check) % 11 == 1
    return np.asarray(fits & _are_digits(body) & (check >= 0) & (check <= 10) & dated & region & sums)


def german_tax_id(texts: Sequence[str]) -> Mask:
    """Steuerliche Identifikationsnummer: ISO 7064 MOD 11,10; one of the first ten digits stands two or three times."""

    def rule(digits: NDArray[np.int64]) -> Mask:
        product = np.full(len(digits), 10)
        for position in range(10):
            total = (digits[:, position] + product) % 10
            product = 2 * np.where(total == 0, 10, total) % 11
        counts = (digits[:, :10, None] == np.arange(10)).sum(axis=1)
        repeated = ((counts >= 2).sum(axis=1) == 1) & (counts.max(axis=1) <= 3)
        return np.asarray(((11 - product) % 10 == digits[:, 10]) & repeated & (digits[:, 0] != 0))

    return _by_length(texts, (11,), rule)


_DNI_LETTERS = "TRWAGMYFPDXBNJZSQVHLCKE"


def dni(texts: Sequence[str]) -> Mask:
    """Spanish DNI and NIE: the letter is the number modulo 23; X, Y, Z stand for 0, 1, 2."""

    def fits(text: str) -> bool:
        if not re.fullmatch(r"[0-9XYZ][0-9]{7}[A-Z]", text := text.upper()):
            return False
        return _DNI_LETTERS[int(text[:-1].translate(str.maketrans("XYZ", "012"))) % 23] == text[-1]

    return np.array([fits(text) for text in texts], dtype=np.bool_)


def nir(texts: Sequence[str]) -> Mask:
    """French NIR of 15 characters: the last two are 97 less the rest modulo 97; 2A and 2B count as 19 and 18."""

    def fits(text: str) -> bool:
        shape = r"[12][0-9]{2}(?:0[1-9]|1[0-2]|[2-9][0-9])(?:[0-9]{2}|2[AB])[0-9]{8}"
        if not re.fullmatch(shape, text := text.upper()):
            return False
        number = int(text[:13].replace("2A", "19", 1) if "A" in text else text[:13].replace("2B", "18", 1))
        return 97 - number % 97 == int(text[13:])

    return np.array([fits(text) for text in texts], dtype=np.bool_)


_ODD_LETTERS = (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10, 22, 25, 24, 23)
_ODD = {chr(ord("A") + place): value for place, value in enumerate(_ODD_LETTERS)}
_ODD |= {str(digit): _ODD_LETTERS[digit] for digit in range(10)}
_EVEN = {letter: int(letter) if letter.isdigit() else ord(letter) - ord("A") for letter in _ODD}


def codice_fiscale(texts: Sequence[str]) -> Mask:
    """Italian codice fiscale: the last letter is a sum over tables for odd and even places, modulo 26."""
    shape = re.compile(r"[A-Z]{6}[0-9LMNPQRSTUV]{2}[ABCDEHLMPRST][0-9LMNPQRSTUV]{2}[A-Z][0-9LMNPQRSTUV]{3}[A-Z]")

    def fits(text: str) -> bool:
        if not shape.fullmatch(text := text.upper()):
            return False
        total = sum((_EVEN if place % 2 else _ODD)[letter] for place, letter in enumerate(text[:15]))
        return chr(ord("A") + total % 26) == text[15]

    return np.array([fits(text) for text in texts], dtype=np.bool_)


_IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BR": 29, "CH": 21,
    "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "DO": 28, "EE": 20, "ES": 24, "FI": 18, "FR": 27, "GB": 22,
    "GE": 22, "GI": 23, "GR": 27, "GT": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "JO": 30,
    "KW": 30, "KZ": 20, "LB": 28, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MR": 27, "MT": 31, "MU": 30, "NL": 18, "NO": 15, "PK": 24, "PL": 28, "PS": 29, "PT": 25, "QA": 29, "RO": 24,
    "RS": 22, "SA": 24, "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TN": 24, "TR": 26, "UA": 29, "VG": 24, "XK": 20,
}  # fmt: skip


def iban(texts: Sequence[str]) -> Mask:
    """ISO 13616: the length of the country, and the rearranged number is 1 modulo 97."""

    def fits(text: str) -> bool:
        text = text.upper()
        if len(text) != _IBAN_LENGTHS.get(text[:2], -1) or not re.fullmatch(r"[A-Z]{2}[0-9]{2}[A-Z0-9]+", text):
            return False
        return int("".join(str(int(letter, 36)) for letter in text[4:] + text[:4])) % 97 == 1

    return np.array([fits(text) for text in texts], dtype=np.bool_)


def ssn(texts: Sequence[str]) -> Mask:
    """US social security numbers: no check digit, but areas, groups and serials that are never given."""
    return np.array(
        [
            re.fullmatch(r"[0-8][0-9]{8}", text) is not None
            and text[:3] not in ("000", "666")
            and text[3:5] != "00"
            and text[5:] != "0000"
            for text in texts
        ],
        dtype=np.bool_,
    )
