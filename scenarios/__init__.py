"""Scenarios: what they are, how a file of one is read, and the library of them."""
