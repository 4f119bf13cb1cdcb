"""The UEB: read from real shares, checked against the cap, and refused if it makes no sense."""

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader import ueb
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import CHKCap, parse_cap
from firstk.downloader.encode import encode
from firstk.downloader.errors import BadURIExtensionError, CorruptShareError
from firstk.downloader.hashes import crypttext_hash, netstring, uri_extension_hash
from firstk.downloader.layout import HEADER_SIZE, parse_header, unpack_uri_extension
from firstk.downloader.ueb import (
    Segmentation,
    URIExtension,
    guess_segmentation,
    rounded_segment_size,
)
from tests.tahoe import CHK_FILES, RealFile

#: The UEB entries of a file of 100 bytes, 3-of-10, in segments of 42 bytes.
ENTRIES = {
    "codec_name": b"crs",
    "codec_params": b"42-3-10",
    "crypttext_hash": b"a" * 32,
    "crypttext_root_hash": b"b" * 32,
    "needed_shares": b"3",
    "num_segments": b"3",
    "segment_size": b"42",
    "share_root_hash": b"c" * 32,
    "size": b"100",
    "tail_codec_params": b"18-3-10",
    "total_shares": b"10",
}

#: The same, parsed.
SENSIBLE = URIExtension(3, 10, 100, 42, b"a" * 32, b"b" * 32, b"c" * 32)


def pack(entries: Mapping[str, bytes]) -> bytes:
    """Return the entries as they are packed in a share."""
    return b"".join(key.encode() + b":" + netstring(entries[key]) for key in sorted(entries))


def cap_of(packed: bytes) -> CHKCap:
    """Return a cap whose UEB hash is that of these bytes."""
    return CHKCap(bytes(16), uri_extension_hash(packed), 3, 10, 100)


def parse(packed: bytes) -> URIExtension:
    """Parse a UEB that matches the cap."""
    return ueb.parse(packed, cap_of(packed))


def without(key: str) -> dict[str, bytes]:
    """Return the sensible entries without one."""
    return {name: value for name, value in ENTRIES.items() if name != key}


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real(file: RealFile) -> None:
    """Each share of a real file carries the same UEB, which agrees with the cap and the file."""
    cap = parse_cap(file.uri)
    assert isinstance(cap, CHKCap)
    extensions = {ueb.read_uri_extension(share, cap) for share in file.shares.values()}
    (extension,) = extensions

    assert (file.k, file.n, len(file.plaintext)) == (extension.k, extension.n, extension.size)
    assert file.segment_size == extension.segment_size
    assert crypttext_hash(Keystream(cap.key).apply(file.plaintext)) == extension.crypttext_hash
    header = parse_header(file.shares[0][:HEADER_SIZE])
    assert header.block_size == extension.block_size
    assert header.data_size == extension.data_size


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real_round_trip(file: RealFile) -> None:
    """A UEB that Tahoe-LAFS wrote is packed the same way."""
    cap = parse_cap(file.uri)
    assert isinstance(cap, CHKCap)
    share = file.shares[0]
    packed = unpack_uri_extension(1, share[parse_header(share[:HEADER_SIZE]).uri_extension :])

    assert packed == ueb.parse(packed, cap).pack()


def test_sensible() -> None:
    """The entries are parsed, and packed the same way."""
    assert parse(pack(ENTRIES)) == SENSIBLE
    assert pack(ENTRIES) == SENSIBLE.pack()


@pytest.mark.parametrize(
    ("k", "size", "segment_size", "blocks"),
    [
        (1, 1, 1, [1]),
        (3, 56, 57, [19]),
        (3, 57, 57, [19]),
        (3, 58, 57, [19, 1]),
        (3, 100, 42, [14, 14, 6]),
        (3, 131074, 131073, [43691, 1]),
        (256, 1, 256, [1]),
        (2, 10, 2**62, [5]),
    ],
)
def test_blocks(k: int, size: int, segment_size: int, blocks: list[int]) -> None:
    """A block has a k-th of its segment, rounded up; the last one may be shorter."""
    extension = URIExtension(k, 256, size, segment_size, b"", b"", b"")
    segments = range(extension.num_segments)

    assert blocks == [extension.block_length(segment) for segment in segments]
    assert size == sum(extension.segment_length(segment) for segment in segments)
    assert sum(blocks) == extension.data_size
    assert segment_size == extension.block_size * k


def test_another_files() -> None:
    """A UEB that does not match the cap means a corrupt share, not a badly made file."""
    with pytest.raises(CorruptShareError, match="does not match the cap"):
        ueb.parse(pack(ENTRIES), cap_of(pack(ENTRIES) + b" "))


@pytest.mark.parametrize("key", ["segment_size", "crypttext_root_hash", "share_root_hash"])
def test_missing(key: str) -> None:
    """An entry that follows from no other must be there."""
    with pytest.raises(BadURIExtensionError, match=f"the UEB has no {key}"):
        parse(pack(without(key)))


@pytest.mark.parametrize(
    "key",
    [
        "codec_name",
        "codec_params",
        "needed_shares",
        "num_segments",
        "size",
        "tail_codec_params",
        "total_shares",
    ],
)
def test_told_twice(key: str) -> None:
    """An entry that repeats the cap or another entry may be missing, but not differ."""
    assert parse(pack(without(key))) == SENSIBLE
    with pytest.raises(BadURIExtensionError, match=f"{key} is"):
        parse(pack(ENTRIES | {key: b"7"}))


def test_more() -> None:
    """Unknown entries, such as the hashes of the plaintext, are ignored."""
    assert parse(pack(ENTRIES | {"plaintext_hash": b"d" * 32, "x": b""})) == SENSIBLE


@pytest.mark.parametrize("size", [b"0", b"1", b"41", b"43", b"100"])
def test_segment_size(size: bytes) -> None:
    """The segment size must be a positive multiple of k."""
    with pytest.raises(BadURIExtensionError, match="not a multiple of k = 3"):
        parse(pack(without("codec_params") | {"segment_size": size}))


@pytest.mark.parametrize(
    "size", [b"", b"-42", b"+42", b"4_2", b" 42", b"0x2a", b"\xb2", b"9" * 999]
)
def test_no_number(size: bytes) -> None:
    """Numbers are decimal digits, and not too long."""
    with pytest.raises(BadURIExtensionError, match=r"segment_size is .*, no number"):
        parse(pack(ENTRIES | {"segment_size": size}))


def test_leading_zero() -> None:
    """Numbers have no leading zeros."""
    with pytest.raises(BadURIExtensionError, match="segment_size is"):
        parse(pack(ENTRIES | {"segment_size": b"042"}))


@pytest.mark.parametrize("key", ["crypttext_root_hash", "share_root_hash"])
@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_hash_length(key: str, length: int) -> None:
    """A root hash has 32 bytes."""
    with pytest.raises(BadURIExtensionError, match=f"{key} has {length} bytes, not 32"):
        parse(pack(ENTRIES | {key: bytes(length)}))


MALFORMED = {
    "empty": b"",
    "zeros": bytes(400),
    "no colon": b"size",
    "no value": b"size:",
    "no length": pack(ENTRIES) + b"size::100,",
    "no comma": pack(ENTRIES)[:-1],
    "another character for the comma": pack(ENTRIES)[:-1] + b";",
    "something behind the end": pack(ENTRIES) + b"\0",
    "negative length": pack(ENTRIES) + b"x:-1:,",
    "signed length": pack(ENTRIES) + b"x:+1:x,",
    "length beyond the end": pack(ENTRIES) + b"x:9:x,",
    "length of many digits": pack(ENTRIES) + b"x:" + b"9" * 400 + b":x,",
    "length in digits that are not ASCII": pack(ENTRIES) + b"x:\xb2:xx,",
    "key that is not ASCII": pack(ENTRIES) + b"\xc3\xa4:1:x,",
    "key that is not UTF-8": pack(ENTRIES) + b"\xff:1:x,",
}


@pytest.mark.parametrize("reason", MALFORMED)
def test_malformed(reason: str) -> None:
    """A malformed UEB that matches the cap means that the file was made wrong."""
    with pytest.raises(BadURIExtensionError):
        parse(MALFORMED[reason])


def test_cut() -> None:
    """A UEB that was truncated before hashing is refused, unless only optional entries are gone."""
    packed = pack(ENTRIES)
    fine = [packed.index(key) for key in (b"size:3:", b"tail_codec_params", b"total_shares")]
    read = []
    for length in range(len(packed)):
        try:
            parse(packed[:length])
        except BadURIExtensionError:
            continue
        read.append(length)

    assert fine == read


@given(st.binary(max_size=60), st.integers(0, len(pack(ENTRIES))), st.integers(0, 60))
@settings(deadline=None, max_examples=100)
def test_anything(data: bytes, start: int, length: int) -> None:
    """Any bytes that match the cap are a valid UEB for it, or raise `BadURIExtensionError`."""
    packed = pack(ENTRIES)
    try:
        extension = parse(packed[:start] + data + packed[start + length :])
    except BadURIExtensionError:
        return

    assert (extension.k, extension.n, extension.size) == (3, 10, 100)
    assert extension.segment_size > 0
    assert extension.segment_size % 3 == 0


@given(
    k=st.integers(1, 20),
    more=st.integers(0, 40),
    size=st.integers(1, 3000),
    maximum=st.integers(1, 4000),
    version=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=150)
def test_header(k: int, more: int, size: int, maximum: int, version: int) -> None:
    """The header that a segmentation computes is the one that the encoder writes."""
    maximum = max(maximum, size // 50)  # not too many segments
    file = encode(bytes(size), k=k, n=k + more, segment_size=maximum, version=version)
    cut = Segmentation(k, k + more, size, rounded_segment_size(maximum, size, k))
    written = {parse_header(share[:HEADER_SIZE]) for share in file.shares.values()}

    assert {cut.header(version)} == written


@given(
    k=st.integers(1, 20),
    size=st.integers(1, 10**12),
    segments=st.integers(1, 10**6),
)
def test_segmentation(k: int, size: int, segments: int) -> None:
    """The segments add up to the file, and their blocks to a share's data, whatever the sizes."""
    cut = Segmentation(k, k, size, rounded_segment_size(-(-size // segments), size, k))
    last = cut.num_segments - 1

    assert size == last * cut.segment_size + cut.segment_length(last)
    assert 0 < cut.segment_length(last) <= cut.segment_size
    assert cut.data_size == last * cut.block_size + cut.block_length(last)
    assert 0 < cut.block_length(last) <= cut.block_size
    assert cut.segment_length(0) <= cut.block_length(0) * k < cut.segment_length(0) + k


@pytest.mark.parametrize("size", [1, 2, 3, 1000, 2**20 - 1, 2**20, 2**20 + 1, 2**20 + 2, 10**7])
@pytest.mark.parametrize("k", [1, 3, 255])
def test_guess(k: int, size: int) -> None:
    """The guess is the segmentation of a file with default settings."""
    cap = CHKCap(bytes(16), bytes(32), k, 255, size)
    guess = guess_segmentation(cap)

    assert (k, 255, size) == (guess.k, guess.n, guess.size)
    assert guess.segment_size % k == 0
    assert min(size, 2**20) <= guess.segment_size < min(size, 2**20) + k


def test_guess_is_right() -> None:
    """The guess is right for a file with two segments."""
    file = encode(bytes(2**20 + 3), k=3, n=4)
    guess = guess_segmentation(file.cap)
    extension = ueb.read_uri_extension(file.shares[0], file.cap)

    assert (2, extension.segment_size) == (guess.num_segments, guess.segment_size)
    assert guess.header(1) == parse_header(file.shares[0][:HEADER_SIZE])


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_header_of_real(file: RealFile) -> None:
    """The computed header equals that of a share which Tahoe-LAFS wrote."""
    cap = parse_cap(file.uri)
    assert isinstance(cap, CHKCap)
    for share in file.shares.values():
        extension = ueb.read_uri_extension(share, cap)

        assert extension.header(1) == parse_header(share[:HEADER_SIZE])
