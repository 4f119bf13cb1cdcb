"""Fuzzing: random scenarios held against invariants."""
