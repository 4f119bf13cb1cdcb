"""Statistics that hold at any time: however often one looks, and whenever one stops."""
