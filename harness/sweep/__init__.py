"""Sweeps and plans: many runs, kept in a store, on many workers."""
