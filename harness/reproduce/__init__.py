"""Published numbers, and how they are reproduced."""
