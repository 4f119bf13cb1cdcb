"""NURLs, files that list them, and lists of shares."""

from __future__ import annotations

import re

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstk.downloader.http import (
    NURL,
    BadAnswerError,
    BadNURLError,
    TimeLimits,
    parse_nurl,
    parse_servers,
)
from firstk.downloader.http.share_numbers import MAX_LIST, decode_share_numbers

PIN = "1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ-lRGc"


@pytest.mark.parametrize("host", ["storage.example", "10.0.0.1", "[fd00::1]"])
def test_round_trip(host: str) -> None:
    """A NURL survives parsing and formatting unchanged."""
    text = f"pb://{PIN}@{host}:34399/s3cret#v=1"
    nurl = parse_nurl(text)

    assert str(nurl) == text
    assert nurl.host == host.strip("[]")
    assert nurl.place == f"{host}:34399"


@given(st.binary(min_size=32, max_size=32), st.integers(1, 65535))
def test_any_pin(pin: bytes, port: int) -> None:
    """Parsing a formatted NURL returns an equal NURL."""
    nurl = NURL(pin, "a", port, "x")

    assert parse_nurl(str(nurl)) == nurl


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"pb://{PIN}@a:1/s",
        f"pb://{PIN}@a:1/s#v=2",
        f"pb://{PIN[1:]}@a:1/s#v=1",
        f"pb://{PIN}@a/s#v=1",
        f"pb://{PIN}@a:1/#v=1",
        f"pb://{PIN}@a:0/s#v=1",
        f"pb://{PIN}@a:70000/s#v=1",
        f"pb://{PIN}@a:1/s#v=1\n",
        f"pb://{PIN}@a b:1/s#v=1",
        f"pb+tor://{PIN}@a:1/s#v=1",
        "pb://ajlkdbi2kqywlqjyxdgjmoyvmcjyjxdd@tcp:a:1/name",
        "x" * 10**6,
    ],
)
def test_no_nurl(text: str) -> None:
    """Any other text is refused with a short message."""
    with pytest.raises(BadNURLError, match=r"not a NURL: ") as caught:
        parse_nurl(text)

    assert len(str(caught.value)) < 300


def test_the_secret_is_kept() -> None:
    """Neither a repr nor an error shows the swissnum."""
    assert "s3cret" not in repr(parse_nurl(f"pb://{PIN}@a:1/s3cret#v=1"))
    with pytest.raises(BadNURLError) as caught:
        parse_nurl(f"pb://{PIN}@a:1/s3cret#v=2")
    assert "s3cret" not in str(caught.value)


def test_servers() -> None:
    """A file of servers has one NURL per line, with or without a name."""
    text = f"# mine\n\npb://{PIN}@a:1/s#v=1\nhome pb://{PIN}@b:2/s#v=1\n"

    assert [(name, nurl.host) for name, nurl in parse_servers(text).items()] == [
        ("a:1", "a"),
        ("home", "b"),
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "file: lists no server"),
        ("# nothing", "file: lists no server"),
        ("x y z", "file:1: should be a NURL, or a name and a NURL, not 3 words"),
        ("\nhttp://a", "file:2: not a NURL: 'http://a'"),
        (f"a pb://{PIN}@a:1/s#v=1\na pb://{PIN}@b:1/s#v=1", "file:2: there is a server 'a'"),
        ("x\ny", "file:1: .*\nfile:2: "),
    ],
)
def test_bad_servers(text: str, problem: str) -> None:
    """A bad file of servers is refused; the error lists all problems with their lines."""
    with pytest.raises(BadNURLError, match=problem):
        parse_servers(text, "file")


@given(st.sets(st.integers(0, 255)))
def test_share_numbers(numbers: set[int]) -> None:
    """A list of shares that cbor2 encodes is decoded, and never exceeds the size limit."""
    data = cbor2.dumps(numbers)

    assert len(data) <= MAX_LIST
    assert decode_share_numbers(data) == sorted(numbers)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not CBOR"),
        (b"<html>", "not CBOR|not a set"),
        (cbor2.dumps([1, 2]), r"not a set: \[1, 2\]"),
        (cbor2.dumps({1: 2}), "not a set"),
        (cbor2.dumps({256}), "share numbers are 0 to 255"),
        (cbor2.dumps({-1}), "share numbers are 0 to 255"),
        (cbor2.dumps({2**70}), "share numbers are 0 to 255"),
        (cbor2.dumps({"1"}), "share numbers are 0 to 255"),
        (cbor2.dumps({True}), "share numbers are 0 to 255"),
        (cbor2.dumps({1.0}), "share numbers are 0 to 255"),
        (bytes.fromhex("d901029a3b9aca0001"), "not CBOR"),  # 10**9 items are said to follow
        (bytes.fromhex("d901029b7fffffffffffffff01"), "not CBOR"),
        (b"\x81" * MAX_LIST, "not CBOR"),
        (b"\xd9\x01\x02\x81" * (MAX_LIST // 4), "not CBOR"),
        (bytes.fromhex("c5821b00ffffffffffffff03"), "not CBOR"),  # 3 * 2**(2**56)
        (b"\x7a\x3b\x9a\xca\x00x", "not CBOR"),
    ],
)
def test_bad_share_numbers(data: bytes, problem: str) -> None:
    """Any other list is refused with a short message."""
    with pytest.raises(BadAnswerError, match=problem) as caught:
        decode_share_numbers(data)

    assert len(str(caught.value)) < 400


@given(st.binary(max_size=MAX_LIST))
def test_any_bytes(data: bytes) -> None:
    """Any bytes are either decoded or refused."""
    try:
        found = decode_share_numbers(data)
    except BadAnswerError as e:
        assert re.match("the list of shares", str(e))  # noqa: PT017 - both ends are right
    else:
        assert set(found) <= set(range(256))


@pytest.mark.parametrize("limits", [{"connect": 0}, {"silence": -1}, {"slowest": -1}])
def test_bad_limits(limits: dict[str, float]) -> None:
    """Limits that no request could meet are refused."""
    with pytest.raises(ValueError, match=r"should be"):
        TimeLimits(**limits)
