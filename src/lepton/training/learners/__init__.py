"""Learners for tables, one module each; registered by name in `lepton.training.base.LEARNERS`, loaded on first use."""
