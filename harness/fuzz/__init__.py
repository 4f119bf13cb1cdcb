"""Fuzzing: random scenarios, checked against invariants."""
