"""Sweeps and plans: many runs on many workers, with results kept in a store."""
