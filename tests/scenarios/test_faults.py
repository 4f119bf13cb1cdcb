"""Faults are rules: when they are active, and what each does to a request."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, nextafter
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from firstk.downloader.layout import HEADER_SIZE, header_size, parse_header
from firstk.scenarios.faults import Fault, Operation
from tests.tahoe import CHK_FILES

_FAULTS: TypeAdapter[Fault] = TypeAdapter(Fault)

SHARE = next(file for file in CHK_FILES if file.name == "k3n10-1000").shares[4]

PARTS = ("block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header")


def fault(kind: str, **keys: Any) -> Fault:
    """Return a fault of this kind, with its required keys."""
    needed: dict[str, dict[str, Any]] = {
        "slow": {"factor": 2.0},
        "corrupt": {"part": "block"},
        "truncated": {"length": 9},
        "flaky": {"probability": 0.25},
        "trickle": {"piece": 5, "every": 0.5},
        "stall": {"after_bytes": 7},
        "throttled": {"bandwidth": 100.0},
    }
    return _FAULTS.validate_python({"kind": kind, **needed.get(kind, {}), **keys})


#: The requests that a server can get on an open connection.
REQUESTS: tuple[Operation, ...] = ("get_buckets", "read")

KINDS = [get_args(k.model_fields["kind"].annotation)[0] for k in get_args(get_args(Fault)[0])]


def place(part: str) -> tuple[int, int]:
    """Return where a part of the share begins and ends."""
    h = parse_header(SHARE[:HEADER_SIZE])
    edges = {
        "header": (0, header_size(h.version)),
        "block": (h.data, h.plaintext_hashes),
        "crypttext-hashes": (h.crypttext_hashes, h.block_hashes),
        "block-hashes": (h.block_hashes, h.share_hashes),
        "share-hashes": (h.share_hashes, h.uri_extension),
        "ueb": (h.uri_extension, len(SHARE)),
    }
    return edges[part]


@pytest.mark.parametrize("kind", KINDS)
def test_window(kind: str) -> None:
    """A fault is active from its start until just before its end."""
    one = fault(kind, start=2.0, end=5.0)

    assert [one.active(t) for t in (1.9, 2.0, 4.9, 5.0, 9.0)] == [False, True, True, False, False]


@pytest.mark.parametrize("kind", KINDS)
def test_for_ever(kind: str) -> None:
    """Without a start and an end, a fault is always active."""
    one = fault(kind)

    assert one.active(0.0)
    assert one.active(1e300)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "trickle"])
def test_every(kind: str) -> None:
    """A fault repeats at its period until it ends forever."""
    one = fault(kind, start=2.0, end=3.0, every=10.0, until=22.5)
    times = [1.9, 2.0, 2.9, 3.0, 12.0, 13.0, 22.0, 22.4, 22.5, 32.0, inf]

    assert [one.active(t) for t in times] == [
        *(False, True, True, False, True, False, True, True, False, False, False)
    ]


@given(
    start=st.floats(0, 100),
    lasting=st.floats(0.01, 10),
    pause=st.floats(0.01, 10),
    number=st.integers(0, 10_000),
)
def test_spells_are_exact(start: float, lasting: float, pause: float, number: int) -> None:
    """A repeated fault begins and ends exactly at multiples of its period."""
    every = lasting + pause
    one = fault("hung", start=start, end=start + lasting, every=every)
    begin, over = start + number * every, start + lasting + number * every

    assert one.spell(begin) == (begin, over)
    assert one.active(begin)
    assert not one.active(over)
    assert one.active(nextafter(over, 0.0))
    assert not one.active(nextafter(begin, -1.0))
    assert one.spell(over) == (start + (number + 1) * every, start + lasting + (number + 1) * every)


def test_spells_end() -> None:
    """A fault that has ended does not repeat, and one without `every` occurs once."""
    once = fault("hung", start=2.0, end=3.0)
    always = fault("hung", start=2.0)
    often = fault("hung", start=2.0, end=3.0, every=4.0, until=6.5)

    assert [once.spell(t) for t in (0.0, 2.5, 3.0)] == [(2.0, 3.0), (2.0, 3.0), (inf, inf)]
    assert [always.spell(t) for t in (0.0, 9.0, inf)] == [(2.0, inf), (2.0, inf), (inf, inf)]
    assert [often.spell(t) for t in (3.0, 6.4, 6.5)] == [(6.0, 6.5), (6.0, 6.5), (inf, inf)]
    assert often.spell(1e300) == (inf, inf)
    assert fault("hung", start=0.0, end=1.0, every=2.0).spell(1e300) == (inf, inf)


@pytest.mark.parametrize("time", [0.0, 2.0, 2.5, 3.0, 6.2])
@pytest.mark.parametrize("every", [None, 4.0])
def test_over_at(time: float, every: float | None) -> None:
    """A healed fault is unchanged until then, and never active again."""
    one = fault("hung", start=2.0, end=3.0, every=every)
    healed = one.over_at(time)
    times = [i / 10 for i in range(150)]

    assert [one.active(t) and t < time for t in times] == [healed.active(t) for t in times]


def test_rolled() -> None:
    """A rolling fault begins a step later on each server."""
    one = fault("hung", start=2.0, end=3.0, every=8.0, until=20.0, rolling=1.5)
    third = one.rolled(2)

    assert one.rolled(0) is one
    assert (third.start, third.end, third.every, third.until) == (5.0, 6.0, 8.0, 23.0)
    assert fault("hung").rolled(2).start == 0.0


@pytest.mark.parametrize("kind", KINDS)
def test_changes_one_thing(kind: str) -> None:
    """A fault of each kind does one thing, and leaves the rest of a request unchanged."""
    one = fault(kind)
    changed = {
        "round_trip": one.round_trip(0.5) != 0.5,
        "holds": one.holds("get_buckets"),
        "failure": one.failure("read", 0.0) is not None,
        "lost": one.lost(1.0) != inf,
        "buckets": list(one.buckets([1, 2])) != [1, 2],
        "alter": one.alter(SHARE, 0, SHARE) != SHARE,
        "leaves": one.leaves(9, 1.0) != 1.0,
        "rate": one.rate(1.0) != inf,
    }

    assert [value for value in changed.values() if value] == [True]


@pytest.mark.parametrize(
    ("on", "held"),
    [
        (["get_buckets"], ["get_buckets"]),
        (["read"], ["read"]),
        (["read", "get_buckets"], ["get_buckets", "read"]),
        (None, ["get_buckets", "read"]),
    ],
)
def test_hung(on: Sequence[Operation] | None, held: list[str]) -> None:
    """A hung server holds the requests in `on`, or all requests."""
    one = fault("hung") if on is None else fault("hung", on=on)

    assert held == [operation for operation in get_args(Operation) if one.holds(operation)]


CAN_BE_EITHER = ("hung", "slow", "broken", "disconnect", "flaky")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("operation", get_args(Operation))
def test_on(kind: str, operation: Operation) -> None:
    """A fault concerns the requests in `on`; by default, those that its kind is about.

    Only a lost connection concerns the set-up of one unless `on` says so.
    """
    every: list[str] = list(REQUESTS) if kind in CAN_BE_EITHER else list(fault(kind).operations)
    if kind == "disconnect":
        every = list(get_args(Operation))
    concerned = [o for o in get_args(Operation) if fault(kind).concerns(o, 4)]

    assert every == concerned
    if operation in every or kind in CAN_BE_EITHER:
        one = fault(kind, on=[operation])
        assert [operation] == [o for o in get_args(Operation) if one.concerns(o, 4)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("empty", "throttled")])
def test_shares(kind: str) -> None:
    """With `shares`, a fault concerns the reads of these shares, and no query."""
    one = fault(kind, shares=[4, 6])

    assert [number for number in range(9) if one.concerns("read", number)] == [4, 6]
    assert not one.concerns("get_buckets")
    assert one.affects("read")
    assert not one.affects("get_buckets")


def test_empty_shares() -> None:
    """A server that hides some shares shows the others."""
    one = fault("empty", shares=[4, 6])

    assert list(one.buckets([1, 4, 5, 6])) == [1, 5]
    assert one.concerns("get_buckets")
    assert not one.concerns("read", 4)


@pytest.mark.parametrize(
    ("keys", "time"),
    [({"factor": 3.0}, 1.5), ({"extra": 0.25, "factor": 1.0}, 0.75), ({"factor": 0.5}, 0.25)],
)
def test_slow(keys: dict[str, float], time: float) -> None:
    """A slow server multiplies its round-trip times, and then adds to them."""
    assert time == fault("slow", **keys).round_trip(0.5)


def test_slow_both() -> None:
    """The added time is not multiplied."""
    assert fault("slow", factor=3.0, extra=2.0).round_trip(1.0) == 1.0 * 3 + 2


def test_failures() -> None:
    """A broken server fails everything; one with read errors still answers queries."""
    assert all(fault("broken").failure(operation, 1.0) for operation in REQUESTS)
    assert fault("read-error").failure("read", 1.0)
    assert fault("read-error").failure("get_buckets", 1.0) is None


@pytest.mark.parametrize(
    ("probability", "failed"),
    [(0.0, []), (0.25, [0.0, 0.2]), (0.5, [0.0, 0.2, 0.25]), (1.0, [0.0, 0.2, 0.25, 0.999])],
)
@pytest.mark.parametrize("operation", REQUESTS)
def test_flaky(operation: Operation, probability: float, failed: list[float]) -> None:
    """A flaky server fails a request if the draw is below the probability."""
    one = fault("flaky", probability=probability)

    assert failed == [c for c in (0.0, 0.2, 0.25, 0.999) if one.failure(operation, c)]


def test_chancy() -> None:
    """Only a flaky server draws random numbers."""
    assert [kind for kind in KINDS if fault(kind).stochastic] == ["flaky"]


@pytest.mark.parametrize(
    ("end", "lost"),
    [
        (None, [2.0, 2.0, 3.0, 5.0, 9.0]),
        (5.0, [2.0, 2.0, 3.0, inf, inf]),
    ],
)
def test_disconnect(end: float | None, lost: list[float]) -> None:
    """A request sent before the start is lost then; a later one at once, until the end."""
    one = fault("disconnect", start=2.0, end=end)

    assert lost == [one.lost(sent) for sent in (0.0, 2.0, 3.0, 5.0, 9.0)]


def test_disconnect_again() -> None:
    """With `every`, a request sent between two losses is lost at the next."""
    one = fault("disconnect", start=2.0, end=3.0, every=5.0, until=9.0)

    assert [one.lost(sent) for sent in (0.0, 2.5, 3.0, 7.5, 8.0)] == [2.0, 2.5, 7.0, 7.5, inf]


@pytest.mark.parametrize("part", PARTS)
def test_corrupt(part: str) -> None:
    """Every byte of the part is wrong, and every other byte is right."""
    begin, end = place(part)
    altered = fault("corrupt", part=part).alter(SHARE, 0, SHARE)
    wrong = [i for i in range(len(SHARE)) if SHARE[i] != altered[i]]

    assert begin < end
    assert len(SHARE) == len(altered)
    assert list(range(begin, end)) == wrong


@pytest.mark.parametrize("part", PARTS)
def test_corrupt_piecewise(part: str) -> None:
    """Corruption is the same whether the share is read in pieces or at once."""
    one = fault("corrupt", part=part)
    pieces = [one.alter(SHARE, i, SHARE[i : i + 7]) for i in range(0, len(SHARE), 7)]

    assert one.alter(SHARE, 0, SHARE) == b"".join(pieces)


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("share", [b"", b"nonsense", bytes(100)], ids=["empty", "short", "zeros"])
def test_corrupt_no_share(part: str, share: bytes) -> None:
    """Without a share's structure there are no parts: all bytes are corrupt."""
    altered = fault("corrupt", part=part).alter(share, 0, share)

    assert all(a != b for a, b in zip(share, altered, strict=True))


@pytest.mark.parametrize("length", [0, 1, 10, 500, 10_000])
def test_truncated(length: int) -> None:
    """A truncated share ends at its length, wherever a read begins."""
    one = fault("truncated", length=length)
    pieces = [one.alter(SHARE, i, SHARE[i : i + 7]) for i in range(0, len(SHARE), 7)]

    assert SHARE[:length] == b"".join(pieces)


@pytest.mark.parametrize("kind", ["hung", "disconnect"])
@pytest.mark.parametrize(
    ("keys", "after"),
    [
        ({}, (0, 0)),
        ({"after_requests": 3}, (3, inf)),
        ({"after_bytes": 9}, (inf, 9)),
        ({"after_requests": 3, "after_bytes": 9}, (3, 9)),
        ({"after_requests": 0, "after_bytes": 9}, (0, 0)),
    ],
)
def test_begins_after(kind: str, keys: dict[str, int], after: tuple[float, float]) -> None:
    """A fault that waits for traffic of a connection is inactive before."""
    one = fault(kind, start=2.0, end=5.0, **keys)
    begun = one.begun_at(3.0)

    assert after == one.begins_after()
    assert one.active(2.5) == (not keys)
    assert (one.lost(2.5) < inf) == (kind == "disconnect" and after == (0, 0))
    assert [begun.active(time) for time in (2.5, 3.0, 5.0)] == [False, True, False]
    assert not any(one.begun_at(6.0).active(time) for time in (2.0, 4.0, 6.0, 9.0))
    assert inf == one.begun_at(6.0).lost(1.0)


def test_fails() -> None:
    """A held request fails a fixed time after it was sent, or never."""
    assert [5.0, inf] == [fault("hung", **k).fails(1.0) for k in ({"fails_after": 4.0}, {})]
    assert fault("stall", fails_after=4.0).fails(1.0) == 5.0
    assert fault("broken").fails(1.0) == inf


@pytest.mark.parametrize(
    ("end", "leaves"), [(None, [2.0, 2.0, 2.5, 4.5]), (3.0, [2.0, 2.0, 2.5, 3.0]), (1.0, [2.0] * 4)]
)
def test_trickle(end: float | None, leaves: list[float]) -> None:
    """Pieces leave at an interval, the first at once, and all of them at the end."""
    one = fault("trickle", end=end)

    assert leaves == [one.leaves(position, 2.0) for position in (0, 4, 5, 25)]
    assert [one.together(position) for position in (0, 4, 5)] == [5, 1, 5]


@pytest.mark.parametrize(("end", "rest"), [(None, inf), (5.0, 5.0), (1.0, 2.0)])
def test_stall(end: float | None, rest: float) -> None:
    """The beginning leaves at once, and the rest at the end of the fault, or never."""
    one = fault("stall", end=end)

    assert [2.0, 2.0, rest, rest] == [one.leaves(position, 2.0) for position in (0, 6, 7, 99)]
    assert [7, 1, inf] == [one.together(position) for position in (0, 6, 7)]


def test_throttled() -> None:
    """An uplink is throttled while the fault is active."""
    one = fault("throttled", start=2.0, end=5.0)

    assert [inf, 100.0, inf] == [one.rate(time) for time in (1.9, 2.0, 5.0)]
    assert [2.0, 5.0, inf] == [one.next_change(time) for time in (0.0, 2.0, 5.0)]
    assert one.is_between(0.0, 2.1)
    assert not one.is_between(0.0, 2.0)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"kind": "slow", "extra": 1.0, "until": "reconnect"}, "'slow' is not about a connection"),
        ({"kind": "hung", "until": "tomorrow"}, "'reconnect'"),
        (
            {"kind": "hung", "end": 1.0, "every": 5.0, "until": "reconnect"},
            "cannot come again and again",
        ),
        ({"kind": "hung", "after_requests": -1}, "greater than or equal to 0"),
        ({"kind": "hung", "after_bytes": 1.5}, "integer"),
        ({"kind": "hung", "fails_after": 0.0}, "greater than 0"),
        ({"kind": "slow", "extra": 1.0, "after_bytes": 1}, "after_bytes"),
        ({"kind": "corrupt", "part": "ueb", "on": ["connect"]}, "is about read only, not connect"),
        ({"kind": "hung", "on": ["connect"], "shares": [1]}, "only reads can be concerned"),
        ({"kind": "trickle", "piece": 0, "every": 1.0}, "greater than or equal to 1"),
        ({"kind": "trickle", "piece": 5, "every": 0.0}, "greater than 0"),
        ({"kind": "trickle", "piece": 5}, "every"),
        (
            {"kind": "trickle", "piece": 5, "every": 1.0, "end": 2.0, "until": 9.0},
            "a trickle does not come again",
        ),
        ({"kind": "stall"}, "after_bytes"),
        ({"kind": "stall", "after_bytes": 5, "on": ["get_buckets"]}, "about read only"),
        ({"kind": "throttled", "bandwidth": 0.0}, "greater than 0"),
        ({"kind": "throttled", "bandwidth": 9.0, "shares": [1]}, "is throttled for all shares"),
        ({"kind": "empty", "on": ["read"]}, "'empty' is about get_buckets only, not read"),
        ({"kind": "corrupt", "part": "ueb", "on": ["get_buckets"]}, "is about read only"),
        ({"kind": "broken", "on": []}, "at least 1"),
        ({"kind": "broken", "shares": []}, "at least 1"),
        ({"kind": "broken", "shares": [-1]}, "greater than or equal to 0"),
        (
            {"kind": "slow", "extra": 1.0, "on": ["read", "get_buckets"], "shares": [1]},
            "with `shares` only reads can be concerned",
        ),
        ({"kind": "hung", "start": 5.0, "end": 5.0}, "later than start = 5.0, not 5.0"),
        ({"kind": "hung", "start": 5.0, "end": 2.0}, "later than start = 5.0, not 2.0"),
        ({"kind": "hung", "end": 0.0}, "later than start = 0.0, not 0.0"),
        ({"kind": "hung", "start": -1.0}, "greater than or equal to 0"),
        ({"kind": "hung", "start": float("inf")}, "finite"),
        ({"kind": "hung", "on": []}, "at least 1"),
        ({"kind": "hung", "on": ["write"]}, "'get_buckets' or 'read'"),
        ({"kind": "hung", "on": "read"}, "list"),
        ({"kind": "slow"}, "a slow server needs a factor, or extra seconds"),
        ({"kind": "slow", "factor": 0.0}, "greater than 0"),
        ({"kind": "slow", "factor": -2.0}, "greater than 0"),
        ({"kind": "slow", "factor": float("nan")}, "finite"),
        ({"kind": "slow", "extra": -1.0}, "greater than or equal to 0"),
        ({"kind": "corrupt"}, "part"),
        ({"kind": "corrupt", "part": "blocks"}, "'block-hashes'"),
        ({"kind": "truncated"}, "length"),
        ({"kind": "truncated", "length": -1}, "greater than or equal to 0"),
        ({"kind": "truncated", "length": 1.5}, "integer"),
        ({"kind": "flaky"}, "probability"),
        ({"kind": "flaky", "probability": 1.5}, "less than or equal to 1"),
        ({"kind": "flaky", "probability": -0.5}, "greater than or equal to 0"),
        ({"kind": "disconnect", "start": 2.0, "end": 1.0}, "later than start = 2.0, not 1.0"),
        ({"kind": "hung", "every": 5.0}, "needs an `end`"),
        ({"kind": "hung", "start": 1.0, "end": 3.0, "every": 2.0}, "more than it lasts .2 s."),
        ({"kind": "hung", "end": 1.0, "every": 0.0}, "greater than 0"),
        ({"kind": "hung", "end": 1.0, "until": 5.0}, "goes with `every`"),
        ({"kind": "hung", "start": 1, "end": 2, "every": 5, "until": 1}, "later than start = 1"),
        ({"kind": "hung", "rolling": 0.0}, "greater than 0"),
        ({"kind": "broken", "factor": 2.0}, "factor"),
        ({"kind": "asleep"}, "'hung', 'slow', 'broken'"),
        ({"start": 1.0}, "kind"),
    ],
)
def test_refused(keys: dict[str, Any], words: str) -> None:
    """An invalid fault is refused, with the reason."""
    with pytest.raises(ValidationError, match=words):
        _FAULTS.validate_python(keys)
