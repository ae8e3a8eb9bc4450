"""Watching a server: what it counts, how its data moves away from training, and what became true."""
