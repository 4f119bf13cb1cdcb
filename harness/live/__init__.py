"""Real storage servers on this machine, really stopped, and the real clock."""
