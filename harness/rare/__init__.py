"""Rare events: importance sampling of the random choices of a scenario."""
