"""Simulated grids: servers, links, files, and the trace of what happened."""
