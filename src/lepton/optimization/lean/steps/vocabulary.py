"""Words and pieces of texts that hardly matter are forgotten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lepton.core import ErrorCode, TrainingError, Work
from lepton.optimization.lean.base import Draft, Setting, Stage, Step, Subject
from lepton.optimization.lean.damage import batches, session_of, spread, with_outputs
from lepton.optimization.lean.graphs import parse
from lepton.optimization.lean.tidying import narrow, widen
from lepton.optimization.lean.vocabularies import Pieces, Tokens, pieces_of, tokens_of
from lepton.optimization.lean.weights import finish, lift_constants

__all__ = ["Vocabulary"]

_SHARES = (0.7, 0.5, 0.35, 0.25, 0.15, 0.08)
_ROWS = 2_048


class Vocabulary(Step):
    """Keeps the words, or the pieces of texts, that add most to what is summed in the rows that there are.

    Of numbers of tokens that come in, those that are left out share one embedding, the mean of theirs; the tokenizer
    stays. Of hashed pieces, those that are left out are unknown.
    """

    name: ClassVar[str] = "vocabulary"
    stage: ClassVar[Stage] = Stage.STRUCTURE

    def refuses(self, subject: Subject, draft: Draft) -> str | None:
        """There is no vocabulary in the graph."""
        return None if _vocabulary(draft)[1] else "the graph looks no words or pieces of texts up"

    def settings(self, subject: Subject, draft: Draft) -> Sequence[Setting]:
        """Shares of the vocabulary that are kept."""
        return [Setting(f"{share:.0%} of the vocabulary", {"share": share}) for share in _SHARES]

    def apply(self, subject: Subject, draft: Draft, setting: Setting, work: Work) -> Draft:
        """Keep the entries that matter most."""
        model, vocabulary = _vocabulary(draft)
        if vocabulary is None:
            raise TrainingError(ErrorCode.TRAINING_FAILED, "the graph looks no words up", wanted="another step")
        importance = vocabulary.importance(model, _counts(subject, draft, vocabulary, work))
        count = max(1, round(float(setting.values["share"]) * vocabulary.size))
        vocabulary.cut(model, importance, count)
        narrow(model, set(draft.manifest.inner.values()))
        return draft.changed(self.name, setting, graph=finish(model))


def _vocabulary(draft: Draft) -> tuple[Any, Tokens | Pieces | None]:
    model = parse(draft.graph)
    lift_constants(model)
    widen(model)
    return model, pieces_of(model) or tokens_of(model)


def _counts(subject: Subject, draft: Draft, vocabulary: Tokens | Pieces, work: Work) -> NDArray[np.int64]:
    """How often each entry stands in rows of `learn`."""
    counts = np.zeros(vocabulary.size, dtype=np.int64)
    rows = spread(subject.learn, _ROWS)
    if isinstance(vocabulary, Tokens):
        for batch in batches(rows):
            counts += np.bincount(batch[vocabulary.value].ravel().clip(0), minlength=vocabulary.size)[: len(counts)]
        return counts
    session = session_of(with_outputs(draft.graph, [vocabulary.numbers]), work.resources.cpus)
    for batch in batches(rows):
        work.check()
        taken = {each.name: batch[each.name] for each in session.get_inputs()}
        counts += np.bincount(session.run([vocabulary.numbers], taken)[0].ravel(), minlength=vocabulary.size)
    counts[0] = 0
    return counts
