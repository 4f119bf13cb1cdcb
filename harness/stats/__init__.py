"""Statistics: estimates that are valid at any time, exact laws, histograms."""
