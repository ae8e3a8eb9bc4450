"""What personal data looks like in text: a pattern that Polars runs, and a rule on what it found.

Patterns are of the `regex` crate: linear in the length of the text, without looking around. A pattern takes one
character of context on each side where the rule needs it, so that pieces of longer numbers do not count.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lepton.data.quality.personal import check_digits
from lepton.data.quality.personal.check_digits import Mask

__all__ = ["PATTERNS", "Pattern"]

Check = Callable[[Sequence[str]], Mask]


@dataclass(frozen=True)
class Pattern:
    """One kind of personal data.

    Attributes:
        name: such as `e-mail`.
        expression: of the `regex` crate; matches are stripped of the context characters before `check`.
        check: which matches are right, given without separators where `compact`; None: the form is proof enough.
        compact: whether spaces, dots, hyphens, slashes and brackets are taken out before the check.
        chance: share of random texts of that form that pass the check.
        hints: a regular expression on the column's name; evidence for the kind.
        needs_hint: the form alone says little: without such a name the kind is not reported.
        in_text: whether it is looked for inside longer texts.
        least_share: of the cells, below which a form inside longer texts is taken for an accident of words.
    """

    name: str
    expression: str
    check: Check | None = None
    compact: bool = False
    chance: float = 0.0
    hints: str = r"$^"
    needs_hint: bool = False
    in_text: bool = True
    least_share: float = 0.0

    def is_hinted(self, column: str) -> bool:
        """Whether the name of the column speaks for the kind."""
        return re.search(self.hints, spaced(column)) is not None


def spaced(column: str) -> str:
    """The name of a column as lower-case words: `customerPhone_No` → `customer phone no`."""
    words = re.sub(r"(?<=[a-zà-ÿ])(?=[A-Z])", " ", column)
    return re.sub(r"[^\w]+|_+", " ", words).strip().lower()


_BEFORE, _AFTER = r"(?:^|[^\w.+/-])", r"(?:$|[^\w-])"


def _each(rule: Callable[[str], bool]) -> Check:
    return lambda texts: np.array([rule(text) for text in texts], dtype=np.bool_)


def _is_address(text: str) -> bool:
    try:
        return not ipaddress.ip_address(text).is_unspecified
    except ValueError:
        return False


def _is_phone(text: str) -> bool:
    text = re.split(r"[xe#]", text, maxsplit=1)[0]
    digits = text.lstrip("+").removeprefix("00") if text.startswith(("+", "00")) else text
    # Numbers are never one digit over and over, nor a count from one.
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2 and digits not in "01234567890123456789"


_NINO = r"[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]"
_NINO_NEVER = ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")

# An international number; a North American one with separators; a national one with its leading zero and separators
# (French pairs, British and German area codes); a Chinese mobile number.
_PHONE = (
    r"(?:(?:\+[1-9][0-9]{0,2}[ .\-/]?|00[1-9][0-9]{0,2}[ .\-/])"
    r"(?:\(0?[0-9]{1,4}\)[ .\-/]?)?[0-9]{1,5}(?:[ .\-/]?[0-9]{2,5}){1,5}"
    r"|(?:1[ .\-])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[.\-])[2-9][0-9]{2}[ .\-][0-9]{4}"
    r"|[2-9][0-9]{2} [2-9][0-9]{2}-[0-9]{4}"
    r"|0[1-9](?:[ .\-][0-9]{2}){4}"
    r"|\(0[1-9][0-9]{1,4}\) ?[0-9]{3,5}[ \-]?[0-9]{2,6}"
    r"|0[1-9][0-9]{1,4}[ /\-][0-9]{3,4}(?:[ \-]?[0-9]{2,4}){1,2}"
    r"|07[0-9]{9}|1[3-9][0-9][ \-]?[0-9]{4}[ \-]?[0-9]{4})"
    r"(?: ?(?:x|ext\.?|#) ?[0-9]{1,6})?"
)

# The less usual of the United States Postal Service's street suffixes: words of every day, told by their capital.
_SUFFIXES = (
    "Alley|Bridge|Bypass|Causeway|Center|Circle|Circles|Common|Corner|Corners|Cove|Creek|Crossing|Crossroad|Curve|Dale|"
    "Estate|Estates|Expressway|Extension|Falls|Ferry|Field|Fields|Flat|Flats|Ford|Forest|Forge|Fork|Forks|Fort|Freeway|"
    "Garden|Gardens|Gateway|Glen|Glens|Green|Greens|Grove|Groves|Harbor|Harbors|Haven|Heights|Hill|Hills|Hollow|Inlet|"
    "Island|Islands|Isle|Junction|Key|Keys|Knoll|Knolls|Lake|Lakes|Land|Landing|Light|Loaf|Lock|Locks|Lodge|Loop|Mall|"
    "Manor|Meadow|Meadows|Mews|Mill|Mills|Mission|Motorway|Mount|Mountain|Neck|Orchard|Oval|Overpass|Park|Parks|Pass|"
    "Passage|Path|Pike|Pine|Pines|Plain|Plains|Plaza|Point|Points|Port|Ports|Prairie|Radial|Ramp|Ranch|Rapid|Rapids|"
    "Rest|Ridge|Ridges|River|Route|Row|Run|Shoal|Shoals|Shore|Shores|Skyway|Spring|Springs|Spur|Spurs|Station|Stravenue|"
    "Stream|Summit|Throughway|Trace|Track|Trafficway|Trail|Tunnel|Turnpike|Underpass|Union|Unions|Valley|Via|Viaduct|"
    "View|Views|Village|Ville|Vista|Walk|Wall|Well|Wells"
)

_STREETS = (
    r"(?i:"
    r"[0-9]{1,5}[a-z]?,? (?:(?:north|south|east|west|n|s|e|w)\.? )?(?:[\p{L}0-9'.]+ ){1,3}"
    r"(?:street|st|road|rd|avenue|ave|lane|ln|drive|dr|boulevard|blvd|court|ct|place|pl|terrace|square|sq|way|close|"
    r"crescent|highway|hwy|parkway)\b"
    r"|\b\p{L}[\p{L}.\- ]*(?:straße|strasse|str\.|gasse|platz|allee|weg|ufer|damm|straat|laan|gracht"
    r"|gatan|vägen|gade|vej) ?[0-9]{1,4} ?[a-z]?\b"
    r"|\b[0-9]{1,4}(?: ?(?:bis|ter))?,? (?:rue|avenue|boulevard|place|chemin|allée|impasse|quai|route)"
    r" (?:\p{L}[\p{L}'’\-]* ?){1,5}"
    r"|\b(?:calle|avenida|avda\.?|plaza|paseo|carrer|camino|rua|praça|travessa|via|viale|piazza|corso|vicolo)"
    r" (?:\p{L}[\p{L}'’.\-]* ){1,5}?,? ?(?:n[º°.] ?)?[0-9]{1,4}\b"
    r"|\b(?:calle|avenida|rua|via|viale|piazza|corso|plaza|paseo) (?:\p{L}[\p{L}'’.\-]* ?){1,5}, ?[0-9]{1,4}\b"
    r"|\b(?:ul\.|ulica|aleja|улица|ул\.|проспект|пр\.) ?\p{L}[\p{L} .\-]*,? ?(?:д\. ?)?[0-9]{1,4}"
    r")"
    r"|\b[0-9]{1,5} (?:[A-Z][\p{L}'.]+ ){1,3}(?:" + _SUFFIXES + r")\b"
    r"|\p{Han}{2,12}(?:路|街|道|巷|胡同|大道)[0-9０-９一二三四五六七八九十]{1,5}(?:号|號|弄)"
)

_NUMBER_HINT = r"\b(ssn|social security|tax id|steuer|national id|identity|id number|passport|身份证|dni|nie|nif)\b"

PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "e-mail",
        r"[A-Za-z0-9_][A-Za-z0-9._%+\-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9\-]{0,62})\.)+[A-Za-z]{2,24}\b",
        hints=r"\be ?mails?\b|\bmail\b",
    ),
    Pattern(
        "telephone",
        _BEFORE + _PHONE + _AFTER,
        _each(_is_phone),
        compact=True,
        hints=r"\b(phone|telephone|tel|telefon|téléphone|teléfono|telefono|mobile|handy|cell|fax|手机|电话)\b",
    ),
    Pattern(
        "card number",
        _BEFORE + r"(?:[0-9]{4}[ \-][0-9]{4}[ \-][0-9]{4}[ \-][0-9]{1,7}|3[0-9]{3}[ \-][0-9]{6}[ \-][0-9]{4,5}"
        r"|[2-6][0-9]{12,18})" + _AFTER,
        check_digits.card,
        compact=True,
        chance=0.1,
        hints=r"\b(card|credit card|pan|kreditkarte|carte|tarjeta|carta|卡号)\b",
    ),
    Pattern(
        "IBAN",
        r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        check_digits.iban,
        compact=True,
        chance=0.01,
        hints=r"\biban\b|\baccount\b|\bkonto\b",
    ),
    Pattern(
        "US social security number",
        _BEFORE + r"[0-8][0-9]{2}[\- ][0-9]{2}[\- ][0-9]{4}" + _AFTER,
        check_digits.ssn,
        compact=True,
        chance=0.8,
        hints=r"\bssn\b|\bsocial security\b",
    ),
    Pattern(
        "US social security number",
        _BEFORE + r"[0-8][0-9]{8}" + _AFTER,
        check_digits.ssn,
        chance=0.8,
        hints=r"\bssn\b|\bsocial security\b",
        needs_hint=True,
        in_text=False,
    ),
    Pattern(
        "Chinese resident identity number",
        _BEFORE + r"[1-8][0-9]{16}[0-9Xx]" + _AFTER,
        check_digits.chinese_id,
        chance=0.001,
        hints=_NUMBER_HINT,
    ),
    Pattern(
        "German tax identity number",
        _BEFORE + r"[1-9][0-9](?: ?[0-9]{3}){3}" + _AFTER,
        check_digits.german_tax_id,
        compact=True,
        chance=0.05,
        hints=r"\b(steuer|idnr|steuerid|tax id|tin)\b|steuer",
        in_text=False,
    ),
    Pattern(
        "Spanish identity number",
        _BEFORE + r"[0-9XYZxyz]-?[0-9]{7}-?[A-Za-z]" + _AFTER,
        check_digits.dni,
        compact=True,
        chance=1 / 23,
        hints=r"\b(dni|nie|nif)\b",
    ),
    Pattern(
        "British national insurance number",
        _BEFORE + _NINO + _AFTER,
        _each(lambda text: text[:2] not in _NINO_NEVER),
        compact=True,
        hints=r"\b(nino|ni number|national insurance)\b",
    ),
    Pattern(
        "French social security number",
        _BEFORE + r"[12] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[ABab]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}" + _AFTER,
        check_digits.nir,
        compact=True,
        chance=0.01,
        hints=r"\b(nir|insee|sécurité sociale|secu)\b",
    ),
    Pattern(
        "Italian codice fiscale",
        _BEFORE + r"[A-Za-z]{6}[0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{2}[A-Za-z][0-9L-Vl-v]{3}[A-Za-z]" + _AFTER,
        check_digits.codice_fiscale,
        chance=0.01,
        hints=r"\b(codice fiscale|cf)\b",
    ),
    Pattern(
        "IP address",
        r"(?:^|[^\w.+:-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?:$|[^\w.]|\.(?:$|\s))"
        r"|(?:^|[^\w:.])(?:[0-9A-Fa-f]{1,4}:){2,7}(?::?[0-9A-Fa-f]{1,4}){1,6}"
        r"|(?:^|[^\w:.])(?:[0-9A-Fa-f]{1,4}:){1,6}:(?:[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{1,4}){0,5})?",
        _each(_is_address),
        hints=r"\b(ip|ipv4|ipv6)\b",
    ),
    Pattern(
        "MAC address",
        r"\b[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){5}\b|\b[0-9A-Fa-f]{2}(?:-[0-9A-Fa-f]{2}){5}\b"
        r"|\b[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\.[0-9A-Fa-f]{4}\b",
        hints=r"\bmac\b",
    ),
    Pattern(
        "postal address",
        _STREETS,
        least_share=0.005,
        hints=r"\b(address|street|adresse|straße|strasse|anschrift|dirección|indirizzo|rue|endereço|地址)\b",
    ),
)
"""What is looked for in texts, in the order of reports."""
