"""Tables and files of results."""
