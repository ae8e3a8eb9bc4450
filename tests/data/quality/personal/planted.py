"""Tables with personal data planted in them, and columns that only look like it."""

# ruff: noqa: E501 - one line for each kind reads best

from __future__ import annotations

import random
from collections.abc import Callable

from lepton.data.quality.personal import check_digits

Maker = Callable[[random.Random], str]


def digits(draw: random.Random, number: int) -> str:
    return "".join(draw.choices("0123456789", k=number))


def completed(body: str, check: Callable[[list[str]], check_digits.Mask], endings: list[str]) -> str:
    """`body` with the ending that its check takes."""
    candidates = [body + ending for ending in endings]
    return next((text for text, right in zip(candidates, check(candidates), strict=True) if right), "")


def until(make: Callable[[], str]) -> str:
    while not (made := make()):
        pass
    return made


TEN = list("0123456789")
HUNDRED = [f"{number:02}" for number in range(100)]
LETTERS = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ")


def card(draw: random.Random) -> str:
    plain = until(
        lambda: completed(draw.choice(["4", "51", "55"]).ljust(2, "1") + digits(draw, 13), check_digits.card, TEN)
    )
    return draw.choice([plain, " ".join(plain[i : i + 4] for i in range(0, 16, 4))])


def iban(draw: random.Random) -> str:
    account = digits(draw, 18)
    return completed_iban("DE", account)


def completed_iban(country: str, account: str) -> str:
    return next(text for number in HUNDRED if check_digits.iban([text := country + number + account])[0])


def chinese_id(draw: random.Random) -> str:
    body = f"{draw.choice(['110101', '310104', '440305'])}{draw.randint(1940, 2010)}{draw.randint(1, 12):02}{draw.randint(1, 28):02}"
    return completed(body + digits(draw, 3), check_digits.chinese_id, [*TEN, "X"])


def german_tax_id(draw: random.Random) -> str:
    def once() -> str:
        return completed(str(draw.randint(1, 9)) + digits(draw, 9), check_digits.german_tax_id, TEN)

    return until(once)


def nir(draw: random.Random) -> str:
    body = (
        f"{draw.randint(1, 2)}{draw.randint(0, 99):02}{draw.randint(1, 12):02}{draw.randint(1, 95):02}{digits(draw, 6)}"
    )
    return completed(body, check_digits.nir, HUNDRED)


def codice_fiscale(draw: random.Random) -> str:
    body = (
        "".join(draw.choices("BCDFGLMNPRST", k=6))
        + f"{draw.randint(40, 99)}{draw.choice('ABCDEHLMPRST')}{draw.randint(1, 31):02}H501"
    )
    return completed(body[:15], check_digits.codice_fiscale, LETTERS)


def telephone(draw: random.Random) -> str:
    forms = [
        "+49 30 ######",
        "+44 20 7### ####",
        "+1 415-5##-####",
        "(212) 5##-####",
        "030 / ########".replace(" / ", "/"),
        "01 42 ## ## ##",
        "138########",
    ]
    return "".join(draw.choice("0123456789") if letter == "#" else letter for letter in draw.choice(forms))


def address(draw: random.Random) -> str:
    number = draw.randint(1, 240)
    return draw.choice(
        [f"{number} Maple Street", f"Hauptstraße {number}", f"{number} rue de Rivoli", f"Calle Mayor, {number}", f"Via Roma {number}", f"北京市朝阳区建国路{number}号"]
    )  # fmt: skip


def person(draw: random.Random) -> str:
    given = draw.choice(["Anna", "James", "María", "Jürgen", "Giulia", "Fatima", "Rahul", "Hiroshi"])
    return f"{given} {draw.choice(['Smith', 'Müller', 'García', 'Rossi', 'Khan', 'Patel', 'Tanaka', 'Dubois'])}"


PLANTED: dict[str, Maker] = {
    "e-mail": lambda draw: f"{draw.choice(['anna', 'b.lee', 'x_y'])}{draw.randint(1, 999)}@{draw.choice(['mail.example', 'a-b.co.uk'])}",
    "telephone": telephone,
    "card number": card,
    "IBAN": iban,
    "US social security number": lambda draw: f"{draw.randint(1, 665):03}-{draw.randint(1, 99):02}-{draw.randint(1, 9999):04}",
    "Chinese resident identity number": chinese_id,
    "German tax identity number": german_tax_id,
    "Spanish identity number": lambda draw: completed(digits(draw, 8), check_digits.dni, LETTERS),
    "British national insurance number": lambda draw: f"AB {draw.randint(10, 99)} {draw.randint(10, 99)} {draw.randint(10, 99)} C",
    "French social security number": nir,
    "Italian codice fiscale": codice_fiscale,
    "IP address": lambda draw: ".".join(str(draw.randint(1, 255)) for _ in range(4)) if draw.random() < 0.7 else f"2001:db8::{draw.randint(1, 65535):x}",
    "MAC address": lambda draw: ":".join(f"{draw.randint(0, 255):02x}" for _ in range(6)),
    "postal address": address,
    "name of a person": person,
}  # fmt: skip

INNOCENT: dict[str, Maker] = {
    "price": lambda draw: f"{draw.uniform(1, 9000):.2f}",
    "amount": lambda draw: f"{draw.randint(1, 9)}.{digits(draw, 3)}.{digits(draw, 3)},{digits(draw, 2)} €",
    "order": lambda draw: f"ORD-{digits(draw, 10)}",
    "serial": lambda draw: digits(draw, 16),
    "reference": lambda draw: digits(draw, 11),
    "ean": lambda draw: "40" + digits(draw, 11),
    "epoch": lambda draw: str(draw.randint(1_500_000_000, 1_700_000_000)),
    "epoch_ms": lambda draw: str(draw.randint(1_500_000_000_000, 1_700_000_000_000)),
    "stamp": lambda draw: f"20{draw.randint(10, 25)}-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}T{draw.randint(10, 23)}:15:{draw.randint(10, 59)}",
    "position": lambda draw: f"{draw.uniform(-90, 90):.6f}, {draw.uniform(-180, 180):.6f}",
    "version": lambda draw: f"{draw.randint(1, 9)}.{draw.randint(0, 20)}.{draw.randint(0, 99)}",
    "uuid": lambda draw: f"{draw.getrandbits(128):032x}",
    "isbn": lambda draw: f"978-{draw.randint(0, 9)}-{digits(draw, 4)}-{digits(draw, 4)}-{digits(draw, 1)}",
    "hour": lambda draw: f"{draw.randint(0, 23):02}:{draw.randint(0, 59):02}:{draw.randint(0, 59):02}",
    "product": lambda draw: draw.choice(["Green Bank loan", "Mini cooper", "Rose wine", "Mark II", "grey paint"]) + f" {draw.randint(1, 99)}",
    "city": lambda draw: draw.choice(["Paris", "Madison", "Charlotte", "San Jose", "Köln", "Victoria"]),
}  # fmt: skip
