"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from typing import Any

import pytest

from firstk.downloader import names
from firstk.downloader.names import did_you_mean


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("frist-k", "did you mean 'first-k'? "),
        ("hedge", "did you mean 'hedged'? "),
        ("zzz", ""),
        ("", ""),
    ],
)
def test_did_you_mean(name: str, said: str) -> None:
    """The closest name is suggested, if one is close enough."""
    assert said == did_you_mean(name, ["first-k", "first-k-late", "hedged"])


def test_long_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is not compared with names of a very different length."""
    compared: list[str] = []

    def close(name: str, known: list[str], **others: Any) -> list[str]:
        compared.extend(known)
        return difflib.get_close_matches(name, known, **others)

    monkeypatch.setattr(names, "get_close_matches", close)

    assert did_you_mean("first-k" * 100_000, ["first-k", "hedged"]) == ""
    assert compared == []
