"""Suggestions for misspelt names."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return `did you mean 'x'? ` with the known name closest to `name`, or an empty string.

    It ends with a space, so that a list of the known names can follow.
    """
    # The time of a comparison is proportional to both lengths, so skip very different lengths.
    near = [one for one in known if abs(len(one) - len(name)) <= max(4, len(one))]
    close = get_close_matches(name, near, n=1)
    return f"did you mean {close[0]!r}? " if close else ""
