"""Several processes behind one address: kept alive, kept alike, and stopped together."""
