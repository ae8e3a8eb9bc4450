"""LeptonNet: one family of networks for pictures, spectrograms, series and tokens, and how they become bundles."""
