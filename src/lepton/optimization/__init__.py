"""Lean and quick models with proof: smaller under a budget, as fast as the machine can, elsewhere in other forms."""

__all__: list[str] = []
