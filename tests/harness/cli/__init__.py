"""Tests of `firstk.harness.cli`."""
