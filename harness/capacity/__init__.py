"""At what load a grid saturates, or misses a target: a search over the rate of arrivals."""
