"""Read-caps are parsed, formatted, and refused if they are malformed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader.cap import MAX_SIZE, CHKCap, LITCap, from_base32, parse_cap, to_base32
from firstk.downloader.errors import BadCapError, DownloadError
from tests.tahoe import CHK_FILES, FOLDER, LIT_FILES, RealFile

KEY = "6kyhbozn3fis6jw4b2desql6ju"
HASH = "6peo5eoyrl27irl3cttk5v7zibhdmphsv3yhid5qictegklkhbya"

MALFORMED = {
    "empty": "",
    "no kind": "URI:",
    "another kind": f"URI:SSK:{KEY}:{HASH}",
    "verify cap": f"URI:CHK-Verifier:{KEY}:{HASH}:3:10:56",
    "lower-case prefix": f"uri:chk:{KEY}:{HASH}:3:10:56",
    "no prefix": f"{KEY}:{HASH}:3:10:56",
    "leading space": f" URI:CHK:{KEY}:{HASH}:3:10:56",
    "trailing space": f"URI:CHK:{KEY}:{HASH}:3:10:56 ",
    "trailing newline": f"URI:CHK:{KEY}:{HASH}:3:10:56\n",
    "two lines": f"URI:CHK:{KEY}:{HASH}:3:10:56\nURI:CHK:{KEY}:{HASH}:3:10:56",
    "key too short": f"URI:CHK:{KEY[:-1]}:{HASH}:3:10:56",
    "key too long": f"URI:CHK:{KEY}a:{HASH}:3:10:56",
    "key missing": f"URI:CHK::{HASH}:3:10:56",
    "key in upper case": f"URI:CHK:{KEY.upper()}:{HASH}:3:10:56",
    "key with a digit that base32 lacks": f"URI:CHK:1{KEY[1:]}:{HASH}:3:10:56",
    "key with padding": f"URI:CHK:{KEY[:-1]}=:{HASH}:3:10:56",
    "key with bits left over": f"URI:CHK:{KEY[:-1]}v:{HASH}:3:10:56",
    "key that is not ASCII": f"URI:CHK:{KEY[:-1]}ä:{HASH}:3:10:56",
    "hash too short": f"URI:CHK:{KEY}:{HASH[:-1]}:3:10:56",
    "hash too long": f"URI:CHK:{KEY}:{HASH}a:3:10:56",
    "hash missing": f"URI:CHK:{KEY}:3:10:56",
    "hash with bits left over": f"URI:CHK:{KEY}:{HASH[:-1]}b:3:10:56",
    "size missing": f"URI:CHK:{KEY}:{HASH}:3:10",
    "size empty": f"URI:CHK:{KEY}:{HASH}:3:10:",
    "one field too many": f"URI:CHK:{KEY}:{HASH}:3:10:56:7",
    "k is not a number": f"URI:CHK:{KEY}:{HASH}:three:10:56",
    "k is empty": f"URI:CHK:{KEY}:{HASH}::10:56",
    "k is signed": f"URI:CHK:{KEY}:{HASH}:+3:10:56",
    "k is negative": f"URI:CHK:{KEY}:{HASH}:-3:10:56",
    "k is hexadecimal": f"URI:CHK:{KEY}:{HASH}:0x3:10:56",
    "k has a space": f"URI:CHK:{KEY}:{HASH}: 3:10:56",
    "k has an underscore": f"URI:CHK:{KEY}:{HASH}:3:1_0:56",
    "k in digits that are not ASCII": f"URI:CHK:{KEY}:{HASH}:٣:10:56",
    "k is 0": f"URI:CHK:{KEY}:{HASH}:0:10:56",
    "n is 0": f"URI:CHK:{KEY}:{HASH}:0:0:56",
    "k is more than n": f"URI:CHK:{KEY}:{HASH}:11:10:56",
    "n is more than zfec makes": f"URI:CHK:{KEY}:{HASH}:3:257:56",
    "n is much more": f"URI:CHK:{KEY}:{HASH}:3:10000:56",
    "size is negative": f"URI:CHK:{KEY}:{HASH}:3:10:-1",
    "size is a fraction": f"URI:CHK:{KEY}:{HASH}:3:10:56.0",
    "size does not fit 8 bytes": f"URI:CHK:{KEY}:{HASH}:3:10:{2**64}",
    "size goes on and on": f"URI:CHK:{KEY}:{HASH}:3:10:{'9' * 5000}",
    "LIT without a colon": "URI:LIT",
    "LIT in upper case": "URI:LIT:HU",
    "LIT with padding": "URI:LIT:hu======",
    "LIT with a digit that base32 lacks": "URI:LIT:h1",
    "LIT of a length that base32 lacks": "URI:LIT:h",
    "LIT of another such length": "URI:LIT:huhuhu",
    "LIT with bits left over": "URI:LIT:hv",
    "LIT with a second field": "URI:LIT:hu:1",
    "LIT with a newline": "URI:LIT:hu\n",
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed(reason: str) -> None:
    """A malformed cap raises `BadCapError`, and no other error."""
    with pytest.raises(BadCapError) as caught:
        parse_cap(MALFORMED[reason])

    assert isinstance(caught.value, DownloadError)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"URI:CHK:{KEY}:{HASH}:11:10:56", "11-of-10 is impossible"),
        (f"URI:CHK:{KEY}:{HASH}:3:257:56", "3-of-257 is impossible"),
        (f"URI:CHK:{KEY}:{HASH}:3:10:{2**64}", f"the size {2**64} is not between"),
        (f"URI:CHK:{KEY[:-1]}v:{HASH}:3:10:56", "bits left over"),
        ("URI:LIT:h", "not base32: 'h'"),
        ("http://example.org/", "not a read-cap: 'http://example.org/'; it should look like"),
    ],
)
def test_malformed_words(text: str, words: str) -> None:
    """The error says what is wrong."""
    with pytest.raises(BadCapError, match=words):
        parse_cap(text)


@given(st.text(max_size=100))
@settings(deadline=None, max_examples=50)
def test_any_text(text: str) -> None:
    """Any text after the prefix parses to a cap that round-trips, or raises `BadCapError`."""
    for prefix in "", "URI:LIT:", f"URI:CHK:{KEY}:{HASH}:":
        try:
            cap = parse_cap(prefix + text)
        except BadCapError:
            continue

        assert parse_cap(str(cap)) == cap


@pytest.mark.parametrize("file", CHK_FILES + LIT_FILES, ids=str)
def test_real_round_trip(file: RealFile) -> None:
    """A cap that Tahoe-LAFS wrote is formatted the same way."""
    assert file.uri == str(parse_cap(file.uri))


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real_chk(file: RealFile) -> None:
    """The numbers in a cap are those of its file, and the key leads to the storage index."""
    cap = parse_cap(file.uri)
    entries = json.loads((FOLDER / "manifest.json").read_text())["files"]
    (entry,) = (entry for entry in entries if entry["name"] == file.name)

    assert isinstance(cap, CHKCap)
    assert (file.k, file.n, len(file.plaintext)) == (cap.k, cap.n, cap.size)
    assert (len(cap.key), len(cap.ueb_hash)) == (16, 32)
    assert from_base32(entry["storage_index"]) == cap.storage_index


@pytest.mark.parametrize("file", LIT_FILES, ids=str)
def test_real_lit(file: RealFile) -> None:
    """A LIT cap holds its small file."""
    cap = parse_cap(file.uri)

    assert LITCap(file.plaintext) == cap
    assert len(file.plaintext) == cap.size


@pytest.mark.parametrize(
    ("k", "n", "size"), [(1, 1, 0), (1, 1, 1), (7, 25, 10**12), (256, 256, MAX_SIZE), (1, 256, 56)]
)
def test_extremes(k: int, n: int, size: int) -> None:
    """The smallest and the largest numbers that a cap can hold are parsed."""
    cap = CHKCap(from_base32(KEY), from_base32(HASH), k, n, size)

    assert f"URI:CHK:{KEY}:{HASH}:{k}:{n}:{size}" == str(cap)
    assert cap == parse_cap(str(cap))


@pytest.mark.parametrize(("k", "n", "size"), [(0, 1, 1), (2, 1, 1), (1, 257, 1), (1, 1, -1)])
def test_impossible(k: int, n: int, size: int) -> None:
    """A cap that is constructed directly is checked like a parsed one."""
    with pytest.raises(BadCapError):
        CHKCap(bytes(16), bytes(32), k, n, size)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=50)
def test_base32_round_trip(data: bytes) -> None:
    """Base32 is lower case, has no padding, and decodes to the same bytes."""
    text = to_base32(data)

    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert data == from_base32(text)


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", max_size=20))
@settings(deadline=None, max_examples=50)
def test_base32_is_unique(text: str) -> None:
    """No two texts decode to the same bytes."""
    try:
        data = from_base32(text)
    except BadCapError:
        return

    assert text == to_base32(data)
