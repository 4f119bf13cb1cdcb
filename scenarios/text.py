"""Text from files, made fit for a terminal: no control characters, no endless values."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

#: A longer text is cut.
_MOST = 200

#: More names than this are counted rather than listed.
_MOST_NAMES = 40


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with all that is not printable escaped, as `\x1b` or `\u202e`.

    Control characters can move the cursor, rename a terminal's window, or forge a line.
    Those in `keep` stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shell_word(text: str) -> str:
    """Return a text as one word of a command line, with nothing in it that is not printable."""
    if text.isprintable():
        return quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(escaped)}'"  # as bash, zsh and ksh have it


# `firstk.downloader.text` has the like for texts of strangers; to import that loads Twisted.
def cut(text: str, most: int = _MOST) -> str:
    """Return a text, or its beginning if it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(names: Iterable[object]) -> str:
    """Return names separated by commas; of very many the first, and how many more there are."""
    every = list(names)
    text = ", ".join(cut(str(name), 80) for name in every[:_MOST_NAMES])
    return text if len(every) <= _MOST_NAMES else f"{text} and {len(every) - _MOST_NAMES:,} more"
