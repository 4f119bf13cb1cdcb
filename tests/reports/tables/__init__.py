"""Tests of `firstk.reports.tables`."""
