"""Tests of the statistics that hold at any time."""
