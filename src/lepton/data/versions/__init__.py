"""Saved tables: versions that never change, with a manifest; appended to, compared, and made to forget."""
