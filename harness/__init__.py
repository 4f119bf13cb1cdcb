"""Virtual time, simulated grids, and running downloads in them."""
