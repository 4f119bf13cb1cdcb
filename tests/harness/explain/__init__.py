"""Tests of `firstk.harness.explain`."""
