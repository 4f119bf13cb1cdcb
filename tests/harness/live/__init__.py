"""Tests with real processes and the real clock."""
