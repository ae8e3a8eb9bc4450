"""Estimators with the conventions of scikit-learn, exact where that can be, at any size."""
