"""Tests of `firstk.reports.page`."""
