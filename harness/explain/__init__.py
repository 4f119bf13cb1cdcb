"""Explanations: who is silent, where the code waits, on what, and which faults are the cause."""
