"""Cleaning recipes: ordered steps that are written once, learned from a table and repeated on the next."""
