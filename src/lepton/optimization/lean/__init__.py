"""Smaller models under a budget: steps that propose, a search that composes them, a proof on rows that no step saw."""
