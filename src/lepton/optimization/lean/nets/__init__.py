"""Networks as torch modules: out of a graph, smaller, taught again, and back into the graph."""
