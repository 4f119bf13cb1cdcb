"""A simulated network: hosts with a Twisted reactor each, over TCP, TLS and UDP in virtual time."""
