"""Tests of `firstk.harness.rare`."""
