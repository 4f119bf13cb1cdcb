"""Runs against real storage servers on this machine, with real signals and the real clock."""
