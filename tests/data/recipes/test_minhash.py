import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings, strategies as st

from lepton.core import Interrupted, Work
from lepton.data.recipes.minhash import MAX_CHARACTERS, Bands, Corpus, folded, group

LETTERS = "abcdefghijklmnopqrstuvwxyz"
CHARACTERS = "的一是在不了有和人这中大为上个国我以要他时来用们生到作地于出就分对成会可主发年动"


def corpus(texts, folder=None, memory=2**62, piece=1000):
    made = Corpus(folder, memory)
    for part in pl.Series("text", texts, dtype=pl.String).to_frame().iter_slices(piece):
        made.add(part["text"])
    return made


def runs_of(text: str, size: int) -> set[str]:
    return {text[i : i + size] for i in range(max(len(text) - size + 1, 1))}


def jaccard(one: str, other: str, size: int = 3) -> float:
    a, b = runs_of(one, size), runs_of(other, size)
    return len(a & b) / len(a | b)


def exact_groups(texts: list[str], similarity: float, size: int = 3) -> list[int]:
    labels = list(range(len(texts)))
    for i in range(len(texts)):
        for j in range(i):
            if jaccard(texts[i], texts[j], size) >= similarity and labels[i] != labels[j]:
                low, high = sorted((labels[i], labels[j]))
                labels = [low if label == high else label for label in labels]
    return labels


def planted(alphabet: str, seed: int, pairs: int) -> tuple[list[str], list[float]]:
    """Pairs of texts, the second with some letters changed, that are 0.8 to 0.9 alike."""
    random = np.random.default_rng(seed)
    texts: list[str] = []
    shares: list[float] = []
    while len(shares) < pairs:
        letters = [alphabet[i] for i in random.integers(0, len(alphabet), int(random.integers(30, 90)))]
        changed = list(letters)
        changed[int(random.integers(len(letters)))] = alphabet[int(random.integers(len(alphabet)))]
        if 0.8 <= (share := jaccard("".join(letters), "".join(changed))) < 0.9:
            texts += ["".join(letters), "".join(changed)]
            shares.append(share)
    return texts, shares


@pytest.mark.parametrize("alphabet", [LETTERS, CHARACTERS], ids=["letters", "characters"])
def test_most_pairs_at_the_limit_are_found(alphabet):
    texts, _ = planted(alphabet, 0, 1500)
    labels = group(corpus(texts), similarity=0.8)
    found = labels[1::2] == np.arange(0, len(texts), 2)
    assert found.mean() >= 0.97
    assert (labels[::2] == np.arange(0, len(texts), 2)).all()  # no two that were made apart


@settings(max_examples=60)
@given(
    st.lists(st.one_of(st.text("ab", min_size=1, max_size=6), st.text(min_size=1, max_size=4)), max_size=25),
    st.sampled_from([0.4, 0.8, 1.0]),
    st.integers(1, 4),
)
def test_what_is_found_is_so(texts, similarity, size):
    labels = group(corpus(texts), size=size, similarity=similarity).tolist()
    exact = exact_groups(texts, similarity, size)
    first: dict[str, int] = {}
    for place, (text, label) in enumerate(zip(texts, labels, strict=True)):
        assert label <= place
        assert labels[label] == label
        assert exact[label] == exact[place]
        assert label == labels[first.setdefault(text, place)]


def test_the_exact_groups_come_out_on_a_small_table():
    texts, _ = planted(LETTERS, 1, 60)
    texts += [texts[0][:-1] + "!", texts[0] + "??"]
    labels = group(corpus(texts), similarity=0.8).tolist()
    exact = exact_groups(texts, 0.8)
    assert sum(a == b for a, b in zip(labels, exact, strict=True)) >= len(texts) - 3


@pytest.mark.parametrize("memory", [1, 5000, 2**62])
@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_neither_pieces_nor_files_matter(tmp_path, memory, piece):
    texts, _ = planted(LETTERS, 2, 40)
    texts += ["", "x", "x"]
    expected = group(corpus(texts))
    assert (group(corpus(texts, tmp_path, memory, piece)) == expected).all()
    assert bool(list(tmp_path.iterdir())) == (memory < 2**62)


@pytest.mark.parametrize(
    ("texts", "groups"),
    [
        ([], 0),
        (["the same text"] * 5000, 1),
        ([f"order number {i} has been shipped to the customer" for i in range(3000)], 1),
        ([""] * 10, 1),
        (["ab", "ab", "ba"], 2),
        (["abc " * 30_000 + str(i) for i in range(10)], 1),
    ],
)
def test_worst_cases_stay_quick(texts, groups):
    assert len(set(group(corpus(folded(pl.Series(texts, dtype=pl.String)))).tolist())) == groups


def test_texts_are_compared_without_case_and_space():
    made = folded(pl.Series(["  Ab\t\n c ", "É", None, "", "x" * (MAX_CHARACTERS + 5)]))
    assert made[:4].to_list() == ["ab c", "é", None, ""]
    assert len(made[4]) == MAX_CHARACTERS


@pytest.mark.parametrize("similarity", [0.3, 0.5, 0.7, 0.8, 0.9, 1.0])
def test_bands_miss_fewer_than_one_in_fifty(similarity):
    bands = Bands.of(similarity)
    assert bands.found(min(similarity, 0.99)) >= 0.98
    assert bands.number * bands.rows <= 60 or bands.rows == 1


def test_work_can_be_stopped():
    work = Work()
    work.cancel.set()
    with pytest.raises(Interrupted):
        group(corpus(["abc", "abd"]), work=work)
