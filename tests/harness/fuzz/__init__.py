"""Tests of `firstk.harness.fuzz`."""
