"""Lepton: from a table to a model that answers. Names are imported on first use."""

from __future__ import annotations
