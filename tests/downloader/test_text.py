"""Text from outside is cut before anything else is done with it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from firstk.downloader.encode import encode
from firstk.downloader.errors import NotEnoughSharesError
from firstk.downloader.text import cut, message_of, one_line, shown
from tests.doubles import servers_of
from tests.downloader.scenery import AnyServer, Download

LARGE = 1_000_000

FILE = encode(bytes(100), k=3, n=4)


class UnprintableError(Exception):
    """An error whose text and repr raise."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class LongString(str):
    """A string that misreports its length."""

    __slots__ = ()

    def __len__(self) -> int:
        return 1

    def __getitem__(self, _: object) -> str:
        return "x" * LARGE


class OddTextError(Exception):
    """An error whose text is of a custom type."""

    def __str__(self) -> str:
        return LongString("y" * LARGE)


def test_cut() -> None:
    """Text is cut if it is too long, and unchanged otherwise."""
    assert cut("x" * 10, 10) == "x" * 10
    assert cut("x" * 11, 10) == "xxxxxxx..."
    assert cut(LongString("y" * 11), 10) == "yyyyyyy..."


def test_one_line() -> None:
    """Text from a server is shown in one line of limited length."""
    assert one_line(" a\n\tb\r\nc ") == "a b c"
    assert len(one_line("x" * 201)) == 200
    assert one_line("x" * 200) == "x" * 200
    assert one_line("a" + " " * LARGE + "b") == "a ..."


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ValueError("once\nupon a time"),
        ValueError("a", 1, None),
        ValueError([1, "b"]),
        ValueError(b"bytes"),
        KeyError("key"),
        OSError(2, "no such thing", "file"),
        ExceptionGroup("several", [ValueError()]),
    ],
    ids=repr,
)
def test_plain_message(error: Exception) -> None:
    """The message of an exception is its text, if that is short."""
    assert str(error) == message_of(error)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("x" * LARGE), "x" * 997 + "..."),
        (ValueError([0] * LARGE), None),
        (ValueError(1, "b" * LARGE), None),
        (KeyError("k" * LARGE), None),
        (OddTextError(), "y" * 997 + "..."),
        (UnprintableError(), "its message cannot be shown: str() raised RuntimeError"),
        (ValueError(UnprintableError()), "its message cannot be shown: str() raised RuntimeError"),
        (ValueError(10**5000), "its message cannot be shown: str() raised ValueError"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_message(error: Exception, message: str | None) -> None:
    """A message is never long, and never raises."""
    told = message_of(error, 1000)

    assert len(told) <= 1000
    assert message is None or message == told


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "None"),
        ("it's", '"it\'s"'),
        ([1, "b", {"c": b"d"}], "[1, 'b', {'c': b'd'}]"),
        ({3, 1, 2}, "{1, 2, 3}"),
        ("x" * LARGE, "'" + "x" * 76 + "..."),
        (b"x" * LARGE, "b'" + "x" * 75 + "..."),
        (object(), "<object object>"),
        (UnprintableError(), "<UnprintableError, whose repr() raised RuntimeError>"),
        (10**5000, "a number of thousands of digits"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_shown(value: object, told: str) -> None:
    """The repr of an object is short, the same in every run, and never raises."""
    assert told == shown(value)


@pytest.mark.parametrize(
    "show",
    [
        lambda: one_line("ab " * (LARGE // 3)),
        lambda: shown([0] * LARGE),
        lambda: shown(bytes(LARGE)),
        lambda: shown([["x" * 1000] * 1000] * 1000),
        lambda: message_of(ValueError([b"x"] * LARGE)),
    ],
)
def test_memory(show: Callable[[], Any]) -> None:
    """Showing a large object takes little memory in addition to its own."""
    tracemalloc.start()
    try:
        show()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert most < 10 * LARGE


def test_a_servers_error() -> None:
    """The error text of a server is cut first, so handling it takes little memory."""
    error = ValueError("ab " * (LARGE // 3))

    def fails(_: bytes) -> Any:
        raise error

    tracemalloc.start()
    try:
        run = Download([AnyServer(fails, "wordy"), *servers_of(FILE.shares, [0])], FILE.cap)
        failure = run.error(NotEnoughSharesError)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert "wordy: failed: ValueError: ab ab ab" in str(failure)
    assert most < LARGE / 5


@pytest.mark.parametrize("number", [10**5000, "x" * LARGE], ids=["digits", "letters"])
def test_a_share_number(number: Any) -> None:
    """A share number that cannot be shown, or is too long, does not fail the download."""
    server = AnyServer(lambda _: {number: None}, "odd")
    run = Download([server, *servers_of(FILE.shares, range(3))], FILE.cap)

    assert run.done().phase == "done"


def test_message_that_exits() -> None:
    """An error whose `str` raises SystemExit still has a message."""

    class ExitsError(Exception):
        def __str__(self) -> str:
            raise SystemExit

        __repr__ = __str__

    assert message_of(ExitsError()) == "its message cannot be shown: str() raised SystemExit"
    assert shown(ExitsError()) == "<ExitsError, whose repr() raised SystemExit>"
