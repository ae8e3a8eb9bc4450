from __future__ import annotations

import numpy as np
import pytest

from lepton.bundle.build import GraphBuilder
from lepton.optimization.lean.damage import session_of
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.vocabularies import pieces_of, tokens_of
from lepton.optimization.lean.weights import finish
from lepton.training.deep.grams import Grams, keys_of
from lepton.training.deep.text_linear import LinearScores
from lepton.training.deep.text_model import PieceLayers, TextModel

SIZE = 300


def texts(count, seed=0):
    """Code points [N, 12], few of them often, and a mask."""
    random = np.random.default_rng(seed)
    tokens = 97 + np.minimum(random.geometric(0.15, (count, 12)), 25)
    tokens[:, 6] = 32
    return tokens, np.ones_like(tokens)


def model(*, net=True, layers_of=150):
    """Pieces with drawn scores; rare ones say little."""
    random = np.random.default_rng(1)
    tokens, mask = texts(200)
    grams = Grams.fit([keys_of(tokens, mask)], most=SIZE)
    fade = np.exp(-np.arange(len(grams)) / 60)[:, None]
    table = (random.normal(size=(len(grams), 2)) * fade).astype(np.float32)
    small = (random.normal(size=(layers_of, 8)) * fade[:layers_of]).astype(np.float32)
    layers = PieceLayers(small, np.zeros(8, np.float32), random.normal(size=(8, 2)).astype(np.float32),
                         np.zeros(2, np.float32))  # fmt: skip
    return TextModel(grams, LinearScores(table, np.zeros(2, np.float32)), layers if net else None, (1.0, 1.0, 0.0))


def graph_of_pieces(**given):
    builder = GraphBuilder()
    values = {name: builder.input(name, "int64", ["N", "L"]) for name in ("tokens", "mask")}
    builder.output("scores", model(**given).write(builder, values)[0], "float", ["N", 2])
    return builder.finish()


def graph_of_tokens(size=SIZE):
    random = np.random.default_rng(2)
    builder = GraphBuilder()
    tokens = builder.input("tokens", "int64", ["N", "L"])
    table = builder.constant(random.normal(size=(size, 8)).astype(np.float32))
    found = builder.node("ReduceMean", [builder.node("Gather", [table, tokens]), builder.constant([1])], keepdims=0)
    builder.output("scores", found, "float", ["N", 8])
    return builder.finish()


def _pieces(parsed):
    found = pieces_of(parsed)
    assert found is not None
    return found


def _tokens(parsed):
    found = tokens_of(parsed)
    assert found is not None
    return found


def scores(graph, tokens, mask=None):
    given = {"tokens": tokens} | ({} if mask is None else {"mask": mask})
    return session_of(graph, 1).run(["scores"], given)[0]


@pytest.mark.parametrize("net", [False, True])
def test_pieces_that_stay_say_what_they_said(net):
    graph = graph_of_pieces(net=net)
    parsed = parse(graph)
    pieces = _pieces(parsed)
    assert pieces.size >= 256
    assert len(pieces.tables) == (3 if net else 2)
    assert len(pieces.limits) == int(net)
    tokens, mask = texts(60, 3)
    wanted = scores(graph, tokens, mask)
    fall = np.arange(pieces.size, 0.0, -1)
    pieces.cut(parsed, fall, pieces.size)  # all but those that are in the slot of another
    assert ((scores(finish(parsed), tokens, mask) - wanted) ** 2).mean() < 0.01 * wanted.var()
    half = parse(graph)
    pieces.cut(half, fall, pieces.size // 2)
    smaller = finish(half)
    assert len(smaller) < len(graph) - 6_000
    near = scores(smaller, tokens, mask)
    assert ((near - wanted) ** 2).mean() < 0.2 * wanted.var()
    # and again, of what is left
    again = parse(smaller)
    left = pieces_of(again)
    assert left is None or left.size <= pieces.size // 2


def test_pieces_matter_by_what_they_say_and_how_often():
    parsed = parse(graph_of_pieces())
    pieces = _pieces(parsed)
    never = pieces.importance(parsed, np.zeros(pieces.size, np.int64))
    often = np.zeros(pieces.size, np.int64)
    often[250] = 10_000
    seen = pieces.importance(parsed, often)
    assert never[1:50].mean() > 10 * never[200:].mean()
    assert seen[250] / seen.max() > never[250] / never.max()


def test_tokens_that_stay_keep_their_embedding_and_others_share_one():
    graph = graph_of_tokens()
    parsed = parse(graph)
    tokens = _tokens(parsed)
    assert (tokens.value, tokens.size) == ("tokens", SIZE)
    tokens.cut(parsed, np.where(np.arange(SIZE) % 3, 0.0, 1.0), SIZE // 3)
    smaller = finish(parsed)
    kept, lost = np.arange(0, SIZE, 3)[:, None], np.setdiff1d(np.arange(SIZE), np.arange(0, SIZE, 3))[:, None]
    assert np.array_equal(scores(smaller, kept), scores(graph, kept))
    shared = scores(smaller, lost)
    assert (shared == shared[0]).all()
    assert shared[0] == pytest.approx(scores(graph, lost).mean(axis=0), abs=1e-6)
    assert len(smaller) < 0.6 * len(graph)


def test_tokens_matter_by_how_often_they_stand_and_then_by_their_number():
    tokens = _tokens(parse(graph_of_tokens()))
    counts = np.zeros(SIZE, np.int64)
    counts[[7, 200]] = 5, 9
    assert np.argsort(-tokens.importance(None, counts), kind="stable")[:4].tolist() == [200, 7, 0, 1]


def test_small_vocabularies_and_graphs_without_one_have_none():
    assert tokens_of(parse(graph_of_tokens(100))) is None
    assert pieces_of(parse(graph_of_tokens())) is None
    assert tokens_of(parse(graph_of_pieces())) is None
