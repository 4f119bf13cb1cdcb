"""Tests of `firstk.harness.testing`."""
