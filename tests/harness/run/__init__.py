"""Tests of `firstk.harness.run`."""
