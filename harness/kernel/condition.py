"""The error of a test that waits for something that never happens."""

from __future__ import annotations


class ConditionNeverMetError(AssertionError):
    """A condition never became true; the message lists what was not answered."""

    __module__ = "firstk"  # as users import it
