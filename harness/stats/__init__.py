"""Statistics: estimates that hold at any time, exact laws, histograms."""
