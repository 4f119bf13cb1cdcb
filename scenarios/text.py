"""Text from files made safe for a terminal: without control characters, and not too long."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

#: Longer texts are truncated.
_MOST = 200

#: The maximum number of names that are listed; further ones are only counted.
_MOST_NAMES = 40


def printable(text: str, keep: str = "") -> str:
    r"""Return a text with all unprintable characters escaped, such as `\x1b` or `\u202e`.

    Control characters can move the cursor, rename a terminal's window, or forge a line.
    Characters in `keep` are not escaped.
    """
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shell_word(text: str) -> str:
    """Return a text as one word of a command line, without unprintable characters."""
    if text.isprintable():
        return quote(text)
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(escaped)}'"  # the syntax of bash, zsh and ksh


# `firstk.downloader.text` has the same for untrusted text, but importing it loads Twisted.
def cut(text: str, most: int = _MOST) -> str:
    """Return a text, truncated if it has more than `most` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def listed(names: Iterable[object]) -> str:
    """Return names separated by commas; if there are many, the first and a count of the rest."""
    every = list(names)
    text = ", ".join(cut(str(name), 80) for name in every[:_MOST_NAMES])
    return text if len(every) <= _MOST_NAMES else f"{text} and {len(every) - _MOST_NAMES:,} more"
