"""Tests of `firstk.harness.sweep`."""
