"""Virtual time: the fake reactor, its guards, and random streams."""
