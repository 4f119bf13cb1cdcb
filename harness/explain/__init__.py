"""Explanations: who is silent, where the code waits, for what, and which faults are the cause."""
