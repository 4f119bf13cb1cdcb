"""Tests of `firstk.harness.grid`."""
