"""Tests of `firstk.harness.prove`."""
