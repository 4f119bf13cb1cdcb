"""Tests of the client of the HTTP storage protocol, over a simulated network."""
