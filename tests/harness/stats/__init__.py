"""Tests of the statistics, which hold at any time."""
