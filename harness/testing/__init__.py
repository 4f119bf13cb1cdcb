"""Scenarios as tests: the grid that tests drive, and what the pytest plugin offers."""
