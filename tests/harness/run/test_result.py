"""A result is compared with its expectation, key by key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from firstk.harness.run.result import Result, unmet
from firstk.scenarios.model import Expectation

OK = Result(
    scenario="test",
    strategy="first-k",
    run=0,
    seed=0,
    outcome="ok",
    error=None,
    message=None,
    located=0.1,
    ttfb=0.5,
    finished=0.6,
    ended=0.7,
    queries=10,
    reads=11,
    bytes_received=1000,
    shares_used=[0, 1, 2],
    content_ok=True,
    digest="",
)

FAILED = replace(
    OK,
    outcome="failed",
    error="NoSharesError",
    message="not enough shares: have 0, need 3",
    ttfb=None,
)

STALLED = replace(OK, outcome="stalled", ttfb=None, finished=None)


def problems(result: Result, **expected: Any) -> list[str]:
    """Return the unmet expectations."""
    return list(unmet(Expectation.model_validate(expected), result))


@pytest.mark.parametrize("result", [OK, FAILED, STALLED])
def test_nothing_expected(result: Result) -> None:
    """Without expectations, any result is accepted."""
    assert problems(result) == []


@pytest.mark.parametrize("outcome", ["ok", "failed", "stalled", "deadline"])
def test_outcome_met(outcome: Any) -> None:
    """The outcome meets the expectation."""
    assert problems(replace(OK, outcome=outcome), outcome=outcome) == []


@pytest.mark.parametrize(
    ("expected", "result", "problem"),
    [
        ("stalled", OK, "expected outcome 'stalled', got 'ok'"),
        ("ok", STALLED, "expected outcome 'ok', got 'stalled'"),
        ("deadline", STALLED, "expected outcome 'deadline', got 'stalled'"),
        (
            "ok",
            FAILED,
            "expected outcome 'ok', got 'failed'"
            " (NoSharesError: not enough shares: have 0, need 3)",
        ),
    ],
)
def test_outcome_unmet(expected: str, result: Result, problem: str) -> None:
    """A different outcome is reported, with its error if it failed."""
    assert [problem] == problems(result, outcome=expected)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("NoSharesError", "NoSharesError"),
        ("NoSharesError", "NotEnoughSharesError"),
        ("NoSharesError", "DownloadError"),
        ("NotEnoughSharesError", "NotEnoughSharesError"),
        ("BadCiphertextHashError", "DownloadError"),
        ("KeyError", "KeyError"),
    ],
)
def test_error_met(error: str, expected: str) -> None:
    """The error is the expected one, or a subclass of it."""
    assert problems(replace(FAILED, error=error), error=expected) == []


@pytest.mark.parametrize("expected", ["Exception", "ValueError"])
def test_error_met_by_an_outside_base(expected: str) -> None:
    """Base classes of an error count, even if they are not the downloader's."""
    assert problems(replace(FAILED, error="BadCapError"), error=expected) == []


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ("NotEnoughSharesError", "NoSharesError"),
        ("NoSharesError", "BadURIExtensionError"),
        ("NoSharesError", "KeyError"),
        ("KeyError", "NoSharesError"),
        ("NoSharesError", "SharesError"),
    ],
)
def test_error_unmet(error: str, expected: str) -> None:
    """A different error is reported, even a base class of the expected one."""
    assert [f"expected the error {expected}, got {error}"] == problems(
        replace(FAILED, error=error), error=expected
    )


def test_no_error() -> None:
    """If an error is expected, its absence is reported."""
    assert problems(OK, error="NoSharesError") == ["expected the error NoSharesError, got none"]


@pytest.mark.parametrize("message", ["have 0, need 3", "not enough shares: have 0, need 3"])
def test_message_met(message: str) -> None:
    """The message contains the text."""
    assert problems(FAILED, message=message) == []


@pytest.mark.parametrize(
    ("result", "got"), [(FAILED, "'not enough shares: have 0, need 3'"), (OK, "None")]
)
def test_message_unmet(result: Result, got: str) -> None:
    """A message without the text is reported, and so is a missing message."""
    assert [f"expected the message to contain 'have 2', got {got}"] == problems(
        result, message="have 2"
    )


@pytest.mark.parametrize(
    "bound",
    [
        {"ttfb": 0.5},
        {"ttfb_min": 0.5},
        {"ttfb_min": 0.4},
        {"ttfb_max": 0.5},
        {"ttfb_max": 0.6},
        {"ttfb": 0.5, "ttfb_min": 0.5, "ttfb_max": 0.5},
        {"ttfb": 0.5 * (1 + 5e-10)},
        {"ttfb": 0.5 * (1 - 5e-10)},
        {"ttfb_min": 0.5 * (1 + 5e-10)},
        {"ttfb_max": 0.5 * (1 - 5e-10)},
    ],
    ids=str,
)
def test_ttfb_met(bound: dict[str, float]) -> None:
    """The first byte is in time; the last bits of a sum of times do not matter."""
    assert problems(OK, **bound) == []


@pytest.mark.parametrize(
    ("bound", "problem"),
    [
        ({"ttfb": 0.4}, "expected 0.4 s: the first byte came after 0.5 s"),
        ({"ttfb": 0.6}, "expected 0.6 s: the first byte came after 0.5 s"),
        ({"ttfb_min": 0.6}, "expected 0.6 s or more: the first byte came after 0.5 s"),
        ({"ttfb_max": 0.4}, "expected 0.4 s or less: the first byte came after 0.5 s"),
        ({"ttfb_max": 0.0}, "expected 0.0 s or less: the first byte came after 0.5 s"),
        ({"ttfb": 0.5000001}, "expected 0.5000001 s: the first byte came after 0.5 s"),
        ({"ttfb_min": 0.5000001}, "expected 0.5000001 s or more: the first byte came after 0.5 s"),
        ({"ttfb_max": 0.4999999}, "expected 0.4999999 s or less: the first byte came after 0.5 s"),
    ],
    ids=str,
)
def test_ttfb_unmet(bound: dict[str, float], problem: str) -> None:
    """A first byte that is too early or too late is reported, with both times."""
    assert [problem] == problems(OK, **bound)


def test_ttfb_zero() -> None:
    """A first byte at once is a first byte."""
    assert problems(replace(OK, ttfb=0.0), ttfb=0.0, ttfb_min=0.0, ttfb_max=0.0) == []


@pytest.mark.parametrize("key", ["ttfb", "ttfb_min", "ttfb_max"])
def test_no_first_block(key: str) -> None:
    """If the first byte never comes, no bound is met."""
    assert problems(STALLED, **{key: 0.0}) == ["expected a first byte, but none came"]


@pytest.mark.parametrize("most", [21, 22])
def test_requests_met(most: int) -> None:
    """The requests, queries and reads together, are within the limit."""
    assert OK.requests == 21
    assert problems(OK, requests_max=most) == []


def test_requests_unmet() -> None:
    """Too many requests are reported."""
    assert problems(OK, requests_max=20) == ["expected 20 requests or fewer, and 21 were sent"]


@pytest.mark.parametrize("result", [OK, FAILED, STALLED])
def test_wrong_bytes(result: Result) -> None:
    """Wrong bytes are always reported, whatever is expected."""
    assert problems(replace(result, content_ok=False)) == [
        "expected the file's bytes, and wrong ones were written"
    ]


def test_all_at_once() -> None:
    """All unmet expectations are reported."""
    assert problems(
        OK,
        outcome="failed",
        error="NoSharesError",
        message="need 3",
        ttfb=0.3,
        ttfb_max=0.3,
        requests_max=0,
    ) == [
        "expected outcome 'failed', got 'ok'",
        "expected the error NoSharesError, got none",
        "expected the message to contain 'need 3', got None",
        "expected 0.3 s: the first byte came after 0.5 s",
        "expected 0.3 s or less: the first byte came after 0.5 s",
        "expected 0 requests or fewer, and 21 were sent",
    ]
