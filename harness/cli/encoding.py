"""Output in any encoding: characters that it lacks are written in ASCII, without an error."""

from __future__ import annotations

import codecs
import sys
from io import TextIOWrapper

#: ASCII replacements for the non-ASCII characters in tables and messages of firstk.
_SPELLED = {
    "∞": "inf",
    "×": "x",
    "…": "...",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "±": "+-",
    "≤": "<=",
    "≥": ">=",
    "─": "-",
    "━": "-",
    "│": "|",
    "•": "*",
}

_NAME = "firstk.spelled"


def _spell(error: UnicodeError) -> tuple[str, int]:
    """Return the replacement for characters that an encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    some = error.object[error.start : error.end]
    return "".join(_SPELLED.get(c, "?") for c in some), error.end


def spelled(text: str, encoding: str) -> str:
    """Return a text without the characters that an encoding lacks.

    A longer replacement uses up the padding before it, so columns stay aligned.
    """
    for character, spelling in _SPELLED.items():
        if character in text and not _has(encoding, character):
            padding = " " * (len(spelling) - 1)
            text = text.replace(f" {padding}{character}", f" {spelling}")
            text = text.replace(character, spelling)
    return text


def _has(encoding: str, character: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def write_in_any_encoding() -> None:
    """Let standard output and standard error accept any text, whatever their encoding.

    Python's default for redirected output on Windows is cp1252, and in a C locale it may be
    ASCII; neither has ∞. An error handler chosen with PYTHONIOENCODING is kept.
    """
    codecs.register_error(_NAME, _spell)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors=_NAME)
