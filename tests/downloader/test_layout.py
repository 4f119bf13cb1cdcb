"""Headers, share hash chains and containers are parsed, or refused if truncated or inconsistent."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader import layout
from firstk.downloader.encode import encode
from firstk.downloader.errors import CorruptShareError
from firstk.downloader.layout import Header
from tests.tahoe import CHK_FILES, FOLDER, RealFile

V1 = Header(1, 20, 100, 36, 136, 168, 200, 232, 300)
V2 = Header(2, 20, 100, 68, 168, 200, 232, 264, 332)

CHAIN = {10: b"a" * 32, 3: b"b" * 32, 0xFFFF: b"c" * 32}

OFFSETS = (
    "data",
    "plaintext_hashes",
    "crypttext_hashes",
    "block_hashes",
    "share_hashes",
    "uri_extension",
)


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_real_header(file: RealFile) -> None:
    """Real shares have version 1, and contiguous sections."""
    assert file.k is not None
    for share in file.shares.values():
        header = layout.parse_header(share[: layout.HEADER_SIZE])

        assert (header.version, header.data) == (1, 0x24)
        assert header.data + header.data_size == header.plaintext_hashes
        assert header.block_size >= -(-len(file.plaintext) // 2 // file.k)
        trees = header.crypttext_hashes - header.plaintext_hashes
        assert header.crypttext_hashes + trees == header.block_hashes
        assert header.block_hashes + trees == header.share_hashes
        chain = layout.unpack_share_hashes(share[header.share_hashes : header.uri_extension])
        assert header.share_hashes + 34 * len(chain) == header.uri_extension
        ueb = layout.unpack_uri_extension(1, share[header.uri_extension :])
        assert header.uri_extension + 4 + len(ueb) == len(share)


@pytest.mark.parametrize(("header", "size"), [(V1, 0x24), (V2, 0x44)])
def test_header_round_trip(header: Header, size: int) -> None:
    """A header is parsed as it was packed, and what follows it does not matter."""
    packed = header.pack()

    assert size == len(packed) == layout.header_size(header.version)
    assert header == layout.parse_header(packed)
    assert header == layout.parse_header(packed.ljust(layout.HEADER_SIZE, b"\xff"))


def test_header_size() -> None:
    """`HEADER_SIZE` is the size of the longer header, that of version 2."""
    assert layout.header_size(2) == layout.HEADER_SIZE


@pytest.mark.parametrize("header", [V1, V2])
def test_header_bytes(header: Header) -> None:
    """Fields have 4 bytes in version 1 and 8 in version 2; the version itself always has 4."""
    width = 4 * header.version
    packed = header.pack()

    assert header.version == int.from_bytes(packed[:4], "big")
    assert header.block_size == int.from_bytes(packed[4 : 4 + width], "big")
    assert header.uri_extension == int.from_bytes(packed[-width:], "big")


@pytest.mark.parametrize("header", [V1, V2])
def test_header_cut(header: Header) -> None:
    """A truncated header is refused, wherever it is cut."""
    packed = header.pack()
    for length in range(len(packed)):
        with pytest.raises(CorruptShareError, match=f"after {length} bytes"):
            layout.parse_header(packed[:length])


@pytest.mark.parametrize("version", [0, 3, 0x01000000, 2**32 - 1])
def test_header_version(version: int) -> None:
    """A share of another version is refused, however short it is."""
    for rest in b"", bytes(64):
        with pytest.raises(CorruptShareError, match=f"version is {version}, not 1 or 2"):
            layout.parse_header(version.to_bytes(4, "big") + rest)


@pytest.mark.parametrize("header", [V1, V2])
@pytest.mark.parametrize("name", OFFSETS)
def test_header_overlap(header: Header, name: str) -> None:
    """A section that begins inside the header, or inside the one before it, is refused."""
    inside = replace(header, **{name: layout.header_size(header.version) - 1})
    with pytest.raises(CorruptShareError, match="overlap"):
        layout.parse_header(inside.pack())

    if name != "uri_extension":
        behind = replace(header, **{name: 2**32 - 1})
        with pytest.raises(CorruptShareError, match="overlap"):
            layout.parse_header(behind.pack())


@given(st.binary(max_size=80), st.sampled_from([b"", b"\0\0\0\1", b"\0\0\0\2"]))
@settings(deadline=None, max_examples=50)
def test_any_header(rest: bytes, version: bytes) -> None:
    """Any bytes are either a valid header or corrupt."""
    try:
        header = layout.parse_header(version + rest)
    except CorruptShareError:
        return

    offsets = [getattr(header, name) for name in OFFSETS]
    assert sorted(offsets) == offsets
    assert layout.header_size(header.version) <= header.data


@pytest.mark.parametrize(("version", "width"), [(1, 4), (2, 8)])
def test_uri_extension(version: int, width: int) -> None:
    """The UEB follows its length, and what comes after it does not matter."""
    section = layout.pack_uri_extension(version, b"ueb")

    assert (3).to_bytes(width, "big") + b"ueb" == section
    assert layout.unpack_uri_extension(version, section) == b"ueb"
    assert layout.unpack_uri_extension(version, section + b"more") == b"ueb"


@pytest.mark.parametrize("version", [1, 2])
def test_uri_extension_cut(version: int) -> None:
    """A truncated UEB is refused, wherever it is cut."""
    section = layout.pack_uri_extension(version, b"ueb")
    for length in range(len(section)):
        with pytest.raises(CorruptShareError, match="UEB"):
            layout.unpack_uri_extension(version, section[:length])


@pytest.mark.parametrize(("version", "length"), [(1, 4), (1, 2**32 - 1), (2, 4), (2, 2**64 - 1)])
def test_uri_extension_length(version: int, length: int) -> None:
    """A length that exceeds the data is refused, whatever it is."""
    section = length.to_bytes(4 * version, "big") + b"ueb"
    with pytest.raises(CorruptShareError, match=f"should have {length} bytes, but has 3"):
        layout.unpack_uri_extension(version, section)


def test_share_hashes() -> None:
    """A chain is parsed in the order in which it was packed: 2 bytes of index, 32 of hash."""
    section = layout.pack_share_hashes(CHAIN)

    assert section[: layout.CHAIN_ENTRY_SIZE] == b"\0\x0a" + b"a" * 32
    assert list(CHAIN.items()) == list(layout.unpack_share_hashes(section).items())


def test_no_share_hashes() -> None:
    """An empty section is an empty chain; the layout does not judge whether that is enough."""
    assert layout.unpack_share_hashes(b"") == {}


def test_share_hashes_cut() -> None:
    """A chain that ends inside an entry is refused."""
    section = layout.pack_share_hashes(CHAIN)
    for length in set(range(len(section))) - {0, 34, 68}:
        with pytest.raises(CorruptShareError, match=f"has {length} bytes"):
            layout.unpack_share_hashes(section[:length])


def test_split_hashes() -> None:
    """The hashes are split from the beginning, and only as many as requested."""
    section = b"a" * 32 + b"b" * 32 + b"c"

    assert layout.split_hashes(section, 0) == []
    assert layout.split_hashes(section, 1) == [b"a" * 32]
    assert layout.split_hashes(section, 2) == [b"a" * 32, b"b" * 32]
    with pytest.raises(CorruptShareError, match="65 bytes do not hold 3 hashes"):
        layout.split_hashes(section, 3)


def test_split_a_great_many() -> None:
    """A count that no share can hold is refused without allocating memory for it."""
    with pytest.raises(CorruptShareError):
        layout.split_hashes(bytes(64), 2**60)


def container(version: int, length: int, leases: int, rest: bytes) -> bytes:
    """Return a share file with this header."""
    return b"".join(i.to_bytes(4, "big") for i in (version, length, leases)) + rest


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("leases", [0, 1, 3])
def test_container(version: int, leases: int) -> None:
    """The share data lies between the container's header and the leases."""
    file = container(version, 5, leases, b"share" + b"lease..." * 9 * leases)

    assert layout.share_data(file) == b"share"


def test_real_container() -> None:
    """A real share file is twelve bytes, the share, and a lease of 72 bytes."""
    file = (FOLDER / "k3n10-56" / "0").read_bytes()

    assert file[12:-72] == layout.share_data(file)


@pytest.mark.parametrize(
    ("words", "file"),
    [
        ("0 bytes has no container", b""),
        ("11 bytes has no container", bytes(11)),
        ("version is 0", container(0, 0, 0, b"")),
        ("version is 3", container(3, 0, 0, b"")),
        ("4 bytes and 0 leases; the file has 17", container(1, 4, 0, b"share")),
        ("6 bytes and 0 leases; the file has 17", container(1, 6, 0, b"share")),
        ("5 bytes and 1 leases; the file has 17", container(1, 5, 1, b"share")),
        ("0 bytes and 1 leases; the file has 17", container(1, 0, 1, b"share")),
        ("5 bytes and 1 leases; the file has 88", container(1, 5, 1, b"share" + bytes(71))),
        ("5 bytes and 4294967295 leases", container(1, 5, 2**32 - 1, b"share")),
    ],
)
def test_bad_container(words: str, file: bytes) -> None:
    """A share file is refused if its length does not match its header."""
    with pytest.raises(CorruptShareError, match=words):
        layout.share_data(file)


@pytest.mark.parametrize("version", [1, 2])
def test_encoded(version: int) -> None:
    """The encoder writes the sections in the order of the header, without gaps."""
    share = encode(bytes(range(100)), k=2, n=3, segment_size=40, version=version).shares[0]
    header = layout.parse_header(share[: layout.HEADER_SIZE])

    assert (header.block_size, header.data_size) == (20, 50)
    assert layout.header_size(version) == header.data
    assert bytes(7 * 32) == share[header.plaintext_hashes : header.crypttext_hashes]
    sizes = [50, 224, 224, 224, 34 * 3]
    offsets = [getattr(header, name) for name in OFFSETS]
    assert sizes == [end - start for start, end in pairwise(offsets)]
