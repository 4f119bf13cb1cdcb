"""How fast firstk is, as ratios against a peer that does the same work in the same process."""
