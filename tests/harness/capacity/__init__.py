"""Tests of the search for a capacity."""
