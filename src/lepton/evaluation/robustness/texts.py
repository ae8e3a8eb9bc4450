"""What happens to texts: typos, another case, punctuation, white space, and the same said in other words.

Typos, case, punctuation and white space work in any language that puts spaces between words, on the keys of an
English keyboard. Paraphrase is English: contractions, synonyms of a short list of our own, and adverbs before or
behind their verb. In other languages it changes little or nothing, and a curve then says how many texts it changed.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from lepton.evaluation.robustness.base import Perturbation

__all__ = ["TEXTS", "mistyped", "paraphrased", "recased", "repunctuated", "respaced"]

_WORD = re.compile(r"\w+")
_MARK = re.compile(r"[^\w\s]")
_GAP = re.compile(r"[^\S\n]+")
_NO_ADVERBS = "family|reply|supply|only|early|likely|fly|apply|rely|july|italy|assembly|anomaly|daily|weekly|monthly"
_ADVERB = re.compile(
    rf"\b(?!(?:{_NO_ADVERBS})\b)(\w+ly) (\w+(?:ed|es|s))\b|\b(\w+(?:ed|es)) (?!(?:{_NO_ADVERBS})\b)(\w+ly)\b",
    re.IGNORECASE,
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_GAPS = ("  ", "\t", "\u00a0", "   ")
_MARKS = "!?.,"


def _neighbours() -> dict[str, str]:
    """Keys beside each letter, in its row and the rows next to it."""
    found: dict[str, str] = {}
    for row, keys in enumerate(_ROWS):
        for place, key in enumerate(keys):
            near = [keys[place - 1 : place], keys[place + 1 : place + 2]]
            near += [other[max(place - 1, 0) : place + 2] for at, other in enumerate(_ROWS) if abs(at - row) == 1]
            found[key] = "".join(near)
    return found


_NEAR = _neighbours()

_CONTRACTIONS = {
    "do not": "don't", "does not": "doesn't", "did not": "didn't", "is not": "isn't", "are not": "aren't",
    "was not": "wasn't", "were not": "weren't", "cannot": "can't", "could not": "couldn't", "will not": "won't",
    "would not": "wouldn't", "should not": "shouldn't", "has not": "hasn't", "have not": "haven't",
    "had not": "hadn't", "i am": "i'm", "i have": "i've", "i will": "i'll", "it is": "it's", "that is": "that's",
    "there is": "there's", "we are": "we're", "you are": "you're", "they are": "they're", "you have": "you've",
    "we have": "we've", "they have": "they've", "he is": "he's", "she is": "she's", "let us": "let's",
}  # fmt: skip

_SYNONYMS = (
    "big large", "small little", "quick fast", "begin start", "end finish", "buy purchase", "help assist",
    "answer reply", "show display", "get obtain", "need require", "happy glad", "sad unhappy", "wrong incorrect",
    "right correct", "nearly almost", "maybe perhaps", "often frequently", "also too", "many numerous",
    "enough sufficient", "hard difficult", "easy simple", "broken damaged", "price cost", "error mistake",
    "film movie", "shop store", "car automobile", "great excellent", "bad poor", "awful terrible",
    "nice pleasant", "boring dull", "ill sick", "look see", "keep retain", "try attempt", "send dispatch",
)  # fmt: skip


def _synonyms() -> dict[str, str]:
    pairs = [pair.split() for pair in _SYNONYMS]
    return {word: other for first, second in pairs for word, other in ((first, second), (second, first))}


_OTHER_WORDS = _synonyms()
_SAME = _CONTRACTIONS | {short: long for long, short in _CONTRACTIONS.items()} | _OTHER_WORDS
_PHRASES = re.compile(
    r"\b(?:" + "|".join(sorted(map(re.escape, _SAME), key=len, reverse=True)) + r")\b(?!')", re.IGNORECASE
)


def mistyped(text: str, amount: float, generator: np.random.Generator) -> str:
    """A slip in `amount` of the words, in one at least: a key beside, two letters swapped, one lost or doubled."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    hit = generator.random(len(words)) < amount
    hit[generator.integers(len(words))] = True
    parts, end = [], 0
    for word, own in zip(words, hit.tolist(), strict=True):
        if own:
            parts += [text[end : word.start()], _slip(word[0], generator)]
            end = word.end()
    return "".join([*parts, text[end:]])


def _slip(word: str, generator: np.random.Generator) -> str:
    place = int(generator.integers(len(word)))
    kind = int(generator.integers(4))
    letter = word[place]
    if kind == 1 and place + 1 < len(word) and letter != word[place + 1]:
        return word[:place] + word[place + 1] + letter + word[place + 2 :]
    if kind == 2 and len(word) > 1:
        return word[:place] + word[place + 1 :]
    if kind == 3:
        return word[: place + 1] + letter + word[place + 1 :]
    keys = _NEAR.get(letter.lower()) or (string.digits.replace(letter, "") if letter.isdigit() else "")
    if not keys:
        return word[: place + 1] + letter + word[place + 1 :]
    other = keys[int(generator.integers(len(keys)))]
    return word[:place] + (other.upper() if letter.isupper() else other) + word[place + 1 :]


def recased(text: str, amount: float, generator: np.random.Generator) -> str:
    """1 small letters, 2 Each Word Capital, 3 HALF the WORDS in capitals, 4 ALL CAPITALS, 5 eVeRy LeTtEr at random."""
    kind = round(amount)
    if kind <= 1:
        return text.lower()
    if kind == 2:
        return _WORD.sub(lambda word: word[0][:1].upper() + word[0][1:].lower(), text)
    if kind == 3:
        return _WORD.sub(lambda word: word[0].upper() if generator.random() < 0.5 else word[0].lower(), text)
    if kind == 4:
        return text.upper()
    upper = generator.random(len(text)) < 0.5
    return "".join(c.upper() if own else c.lower() for c, own in zip(text, upper.tolist(), strict=True))


def repunctuated(text: str, amount: float, generator: np.random.Generator) -> str:
    """`amount` of the marks lost, and a mark behind a quarter as large a share of the words that had none."""

    def added(gap: re.Match[str]) -> str:
        mark = _MARKS[int(generator.integers(len(_MARKS)))]
        return mark + gap[0] if generator.random() < amount / 4 else gap[0]

    lost = _MARK.sub(lambda mark: "" if generator.random() < amount else mark[0], text)
    return re.sub(r"(?<=\w)\s+", added, lost)


def respaced(text: str, amount: float, generator: np.random.Generator) -> str:
    """`amount` of the gaps between words made wider, a tab or a hard space; a fifth of these lost instead."""

    def changed(gap: re.Match[str]) -> str:
        if generator.random() >= amount:
            return gap[0]
        if generator.random() < 0.2:
            return ""
        return _GAPS[int(generator.integers(len(_GAPS)))]

    return _GAP.sub(changed, text)


def paraphrased(text: str, amount: float, generator: np.random.Generator) -> str:
    """English: `amount` of the places where a rule fits are said otherwise."""

    def swapped(found: re.Match[str]) -> str:
        if generator.random() >= amount:
            return found[0]
        first, second = (found[1], found[2]) if found[1] else (found[3], found[4])
        return f"{second} {first}"

    def replaced(found: re.Match[str]) -> str:
        if generator.random() >= amount:
            return found[0]
        other = _SAME[found[0].lower()]
        return other[:1].upper() + other[1:] if found[0][:1].isupper() else other

    return _PHRASES.sub(replaced, _ADVERB.sub(swapped, text.replace("\u2019", "'")))


TEXTS: Mapping[str, Perturbation] = MappingProxyType(
    {
        each.name: each
        for each in (
            Perturbation(
                "typos", "Typos", (0.02, 0.05, 0.1, 0.2, 0.4), "a slip in {} of the words", mistyped, (0.0, 1.0)
            ),
            Perturbation("case", "Case", (1, 2, 3, 4, 5), "case, form {}", recased, (1.0, 5.0)),
            Perturbation(
                "punctuation",
                "Punctuation",
                (0.2, 0.4, 0.6, 0.8, 1.0),
                "{} of the marks lost, others added",
                repunctuated,
                (0.0, 1.0),
            ),
            Perturbation(
                "whitespace", "White space", (0.05, 0.1, 0.2, 0.4, 0.8), "{} of the gaps changed", respaced, (0.0, 1.0)
            ),
            Perturbation(
                "paraphrase",
                "Paraphrase (English)",
                (0.2, 0.4, 0.6, 0.8, 1.0),
                "{} of the places that English rules fit said otherwise",
                paraphrased,
                (0.0, 1.0),
            ),
        )
    }
)
"""Perturbations of texts by name."""
