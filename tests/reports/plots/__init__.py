"""Tests of `firstk.reports.plots`."""
