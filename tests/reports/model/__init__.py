"""Tests of `firstk.reports.model`."""
