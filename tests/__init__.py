"""The tests: each folder mirrors the package with the same name."""
