"""Runs: one download or a workload through one grid, and the result."""
