"""Scenarios as tests: the grid that tests drive, and the objects behind the pytest plugin."""
