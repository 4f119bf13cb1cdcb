"""Proofs: every placement of faults on a few servers, in every order of their answers."""
