"""Text from files is made safe for a terminal."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.downloader.text import shown
from firstk.scenarios.text import cut, listed, printable, shell_word


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain [bold] ü ∞", "plain [bold] ü ∞"),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("a\nfirstk: all is well", r"a\nfirstk: all is well"),
        ("\x9b31m\u202e\u2028\udcff", r"\x9b31m\u202e\u2028\udcff"),
    ],
)
def test_printable(text: str, escaped: str) -> None:
    """Control characters, direction marks and lone surrogates are escaped."""
    assert escaped == printable(text)


@given(st.text())
def test_always_printable(text: str) -> None:
    """Any text becomes printable and encodable."""
    assert printable(text).isprintable()
    printable(text).encode()
    assert printable(text, keep="\n").count("\n") == text.count("\n")


def test_keep() -> None:
    """Line ends may be kept."""
    assert printable("a\n\x1b", keep="\n") == "a\n\\x1b"


def test_shown() -> None:
    """Values are shown as in Python, and cut; a huge number is only described."""
    assert shown("a\x1b") == "'a\\x1b'"
    assert len(shown("a" * 1000)) == 80
    assert shown(16**5000) == "a number of thousands of digits"
    assert cut("abcdefghijk", 10) == "abcdefg..."


def test_listed() -> None:
    """Of very many names the first are listed, and the rest counted."""
    assert listed("ab") == "a, b"
    assert listed(range(100)).endswith("38, 39 and 60 more")


@pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")
@pytest.mark.parametrize("text", ["a b", "a'b", "a\x1b'\\b\n", "\u202eü"])
def test_shell_word(text: str) -> None:
    """A shell reads the word as the original text, and the word is printable."""
    word = shell_word(text)
    script = f"LC_ALL=C.UTF-8; printf %s {word}"
    read = subprocess.run(["bash", "-c", script], capture_output=True, check=True)  # noqa: S603, S607 - our own words

    assert word.isprintable()
    assert text == read.stdout.decode()
