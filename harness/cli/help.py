"""Examples at the end of the help text of a command."""

from __future__ import annotations


def examples(*commands: str) -> str:
    """Return the epilog of a command: command lines to copy, each on a line of its own."""
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])
