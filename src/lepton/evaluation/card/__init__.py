"""The model card, generated from the model file and its reports."""

from lepton.evaluation.card.card import CARD_VERSION, Card, card_of
from lepton.evaluation.card.facts import Fact, Missing, Part, Source

__all__ = ["CARD_VERSION", "Card", "Fact", "Missing", "Part", "Source", "card_of"]
