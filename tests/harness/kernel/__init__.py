"""Tests of `firstk.harness.kernel`."""
