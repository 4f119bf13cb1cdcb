"""Scenarios: the file format, loading and validation, and the library of scenarios."""
