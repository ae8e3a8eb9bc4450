"""The steps, one way of making a model smaller each; `registry.py` names them, and nothing is imported before."""
