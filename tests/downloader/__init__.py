"""Tests of `downloader`."""
