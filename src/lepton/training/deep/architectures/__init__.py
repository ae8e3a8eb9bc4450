"""Searching for the network itself: its stages, widths, depths, kernels and exits, under limits of time and size."""
