"""What servers and encoders with bad intentions can do: waste a little time, and nothing else.

No byte is ever written that is not the file's; nothing is raised but what is documented;
and neither memory nor traffic follows from a number that nobody has checked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
import zfec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import fail, succeed

from firstk.downloader import hashes, layout, trees
from firstk.downloader.aes import Keystream
from firstk.downloader.cap import CHKCap
from firstk.downloader.encode import Encoded, encode
from firstk.downloader.errors import (
    BadCiphertextHashError,
    BadURIExtensionError,
    NoSharesError,
    NotEnoughSharesError,
)
from firstk.downloader.strategy import STRATEGIES
from firstk.downloader.ueb import URIExtension, read_uri_extension
from tests.doubles import MemoryServer, servers_of
from tests.downloader.scenery import (
    AnyBucket,
    BoomError,
    Download,
    answering,
    flipped,
    reading,
)
from tests.marks import few

PLAINTEXT = bytes(range(1, 41))


@dataclass(frozen=True)
class Case:
    """A small file, any one of whose two shares makes it."""

    version: int
    segment_size: int

    def __str__(self) -> str:
        return f"v{self.version}-{-(-len(PLAINTEXT) // self.segment_size)}"

    @property
    def file(self) -> Encoded:
        """The file's cap and shares."""
        return FILES[self]


CASES = [Case(version, size) for version in (1, 2) for size in (40, 16)]
FILES = {
    case: encode(PLAINTEXT, k=1, n=2, segment_size=case.segment_size, version=case.version)
    for case in CASES
}
cases = pytest.mark.parametrize("case", CASES, ids=str)

#: The stride between the places of a share that are damaged, one after another.
strides = pytest.mark.parametrize("stride", [7, pytest.param(1, marks=pytest.mark.slow)])

#: Which bits of each byte are flipped.
MASKS = (0x01, 0x80)

#: How a download from bad shares may end if it does not restore the file.
SHORTAGES = (NotEnoughSharesError, NoSharesError)


class Recorder:
    """Servers that hold shares, and count their reads."""

    def __init__(self) -> None:
        self.reads = 0
        self.longest = 0

    def server(self, number: int, data: bytes) -> Any:
        """Return a server of one share."""

        def read(offset: int, length: int) -> Any:
            assert offset >= 0
            assert length > 0
            self.reads += 1
            self.longest = max(self.longest, length)
            return succeed(data[offset : offset + length])

        return reading(read, number, f"r{number}")


def header_of(share: bytes) -> layout.Header:
    """Return the header of a good share."""
    return layout.parse_header(share[: layout.HEADER_SIZE])


def check_bad(case: Case, bad: bytes, *, must_fail: bool = False) -> None:
    """Check that a bad share 0 does no harm: alone, and with a good share 1."""
    recorder = Recorder()
    alone = Download([recorder.server(0, bad)], case.file.cap)
    if must_fail or not alone.consumer.pieces:
        assert (alone.error(NoSharesError).have, alone.error(NoSharesError).need) == (0, 1)
        assert alone.consumer.pieces == []
    elif alone.status.phase == "done":
        assert alone.consumer.data == PLAINTEXT
    else:
        assert PLAINTEXT.startswith(alone.consumer.data)
        assert alone.error(NoSharesError)

    for strategy in "wait-for-all", "windowed", "hedged":
        servers = [recorder.server(0, bad), recorder.server(1, case.file.shares[1])]
        spare = Download(servers, case.file.cap, strategy=strategy)

        assert spare.done().phase == "done"
        assert spare.consumer.data == PLAINTEXT
    assert recorder.longest <= 4096
    assert recorder.reads <= 60


# Shares that are damaged


@cases
def test_good(case: Case) -> None:
    """The shares that the tests below damage are good."""
    for number in 0, 1:
        run = Download(servers_of(case.file.shares, [number]), case.file.cap)

        assert run.done()
        assert run.consumer.data == PLAINTEXT


@cases
@strides
def test_any_bit(case: Case, stride: int) -> None:
    """A flipped bit never yields a wrong byte, and the other share replaces the bad one."""
    share = case.file.shares[0]
    for offset in range(0, len(share), stride):  # the bits of all of them take turns
        check_bad(case, flipped(share, offset, MASKS[offset % len(MASKS)]))


@cases
@strides
@pytest.mark.parametrize("section", ["data", "crypttext", "block hashes", "chain", "UEB"])
def test_every_bit_counts(case: Case, section: str, stride: int) -> None:
    """A flipped bit in any part that is read is always detected: the share alone yields no file."""
    share, header = case.file.shares[0], header_of(case.file.shares[0])
    skipped = 0 if case.segment_size == 40 else 3 * 32  # inner nodes follow from the leaves
    padding = 0 if case.segment_size == 40 else 32
    start, end = {
        "data": (header.data, header.data + 1),
        "crypttext": (header.crypttext_hashes + skipped, header.block_hashes - padding),
        "block hashes": (header.block_hashes + skipped, header.share_hashes - padding),
        "chain": (header.share_hashes, header.uri_extension),
        "UEB": (header.uri_extension, len(share)),
    }[section]

    assert end > start
    masks = [1 << bit for bit in range(8)] if case is CASES[0] else MASKS
    for offset in range(start, end, stride):
        for mask in masks:
            bad = Download([MemoryServer({0: flipped(share, offset, mask)})], case.file.cap)

            assert bad.error(NoSharesError), (offset, mask)
            assert bad.consumer.pieces == []


@cases
@strides
def test_cut_anywhere(case: Case, stride: int) -> None:
    """A truncated share is bad, wherever it is cut, and the other one replaces it."""
    share = case.file.shares[0]
    for length in range(0, len(share), stride):
        check_bad(case, share[:length], must_fail=True)


@cases
def test_longer(case: Case) -> None:
    """Extra bytes after the end of a share do not matter."""
    for more in b"\0", b"\xff" * 5000:
        run = Download([MemoryServer({0: case.file.shares[0] + more})], case.file.cap)

        assert run.done()
        assert run.consumer.data == PLAINTEXT


@cases
@strides
def test_a_byte_more(case: Case, stride: int) -> None:
    """A byte inserted or deleted anywhere does no harm."""
    share = case.file.shares[0]
    for offset in range(0, len(share), stride):
        check_bad(case, share[:offset] + b"\1" + share[offset:])
        check_bad(case, share[:offset] + share[offset + 1 :])


FIELDS = (
    "version",
    "block_size",
    "data_size",
    "data",
    "plaintext_hashes",
    "crypttext_hashes",
    "block_hashes",
    "share_hashes",
    "uri_extension",
)

VALUES = (0, 1, 2, 3, 31, 32, 33, 255, 256, 1023, 65535, 2**20, 2**31 - 1, 2**31, 2**32 - 1)
LARGE_VALUES = (2**32, 2**32 + 1, 2**40, 2**62, 2**63 - 1, 2**63, 2**64 - 32, 2**64 - 1)


def with_fields(share: bytes, fields: Mapping[str, int]) -> bytes:
    """Return a share with other header fields, truncated to the width of each field."""
    width = 4 * header_of(share).version
    header = b""
    for name in FIELDS:
        size = 4 if name == "version" else width
        number = fields.get(name, getattr(header_of(share), name))
        header += (number % 256**size).to_bytes(size, "big")
    return header + share[len(header) :]


@cases
@pytest.mark.parametrize("name", few(5, FIELDS))
def test_any_field(case: Case, name: str) -> None:
    """No header field causes a large read, an endless loop, or an unexpected error."""
    share = case.file.shares[0]
    right = getattr(header_of(share), name)
    near = [right + by for by in (-34, -33, -32, -1, 1, 32, 33, 34, 1000)]
    for value in (*VALUES, *LARGE_VALUES, *near):
        check_bad(case, with_fields(share, {name: value}))


@cases
def test_all_fields(case: Case) -> None:
    """No value in several header fields at once does harm."""
    share = case.file.shares[0]
    for value in (*VALUES, *LARGE_VALUES):
        for first in range(1, len(FIELDS)):
            check_bad(case, with_fields(share, dict.fromkeys(FIELDS[first:], value)))


@given(
    case=st.sampled_from(CASES),
    numbers=st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 700), min_size=8, max_size=8),
    ordered=st.booleans(),
)
@settings(deadline=None, max_examples=100)
def test_any_header(case: Case, numbers: list[int], ordered: bool) -> None:
    """No values in a header do harm, sorted (so that the header passes) or not."""
    fields = dict(zip(FIELDS[1:], sorted(numbers) if ordered else numbers, strict=True))

    check_bad(case, with_fields(case.file.shares[0], fields))


@cases
def test_ueb_length(case: Case) -> None:
    """The length before the UEB is not trusted either."""
    share, header = case.file.shares[0], header_of(case.file.shares[0])
    width = 4 * case.version
    start = header.uri_extension
    for value in (*VALUES, *LARGE_VALUES):
        length = (value % 256**width).to_bytes(width, "big")

        check_bad(case, share[:start] + length + share[start + width :], must_fail=True)


@cases
def test_chain_of_any_index(case: Case) -> None:
    """The indexes in the share hash chain are not trusted."""
    share, header = case.file.shares[0], header_of(case.file.shares[0])
    for entry in range(header.share_hashes, header.uri_extension, 34):
        for index in (0, 3, 4, 255, 256, 2**15, 2**16 - 1):
            bad = share[:entry] + index.to_bytes(2, "big") + share[entry + 2 :]

            check_bad(case, bad, must_fail=True)


@given(st.sampled_from(CASES), st.binary(max_size=200), st.sampled_from([b"", b"\0\0\0"]))
@settings(deadline=None, max_examples=50)
def test_garbage(case: Case, data: bytes, start: bytes) -> None:
    """A share of arbitrary bytes does no harm."""
    check_bad(case, start + data, must_fail=True)


# Shares of other files, and in other places


def test_share_of_another_file() -> None:
    """A good share of another file, with the same number, is bad for this one."""
    other = encode(PLAINTEXT[::-1], k=1, n=2, segment_size=40)

    check_bad(CASES[0], other.shares[0], must_fail=True)


def test_blocks_of_another_file() -> None:
    """A share with the blocks of another file is bad, with or without their hashes."""
    other = encode(PLAINTEXT[::-1], k=1, n=2, segment_size=40).shares[0]
    share, header = CASES[0].file.shares[0], header_of(CASES[0].file.shares[0])
    blocks = other[header.data : header.plaintext_hashes]
    with_blocks = share[: header.data] + blocks + share[header.plaintext_hashes :]
    section = slice(header.block_hashes, header.share_hashes)
    with_hashes = with_blocks[: section.start] + other[section] + with_blocks[section.stop :]
    section = slice(header.share_hashes, header.uri_extension)
    with_chain = with_hashes[: section.start] + other[section] + with_hashes[section.stop :]

    for bad in with_blocks, with_hashes, with_chain:
        check_bad(CASES[0], bad, must_fail=True)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_server_lies_about_numbers(strategy: str) -> None:
    """Shares with each other's numbers are bad, however many there are."""
    file = encode(PLAINTEXT, k=3, n=10)
    wrong = {number: file.shares[(number + 1) % 10] for number in range(10)}
    run = Download(servers_of(wrong), file.cap, strategy=strategy)

    assert run.shortage().have < (3 if strategy == "windowed" else 1)
    assert run.consumer.pieces == []


def test_copies_of_one_share() -> None:
    """One share under all numbers counts once."""
    file = encode(PLAINTEXT, k=3, n=10)
    run = Download([MemoryServer(dict.fromkeys(range(10), file.shares[0]))], file.cap)

    assert (
        run.error(NotEnoughSharesError).have,
        run.error(NotEnoughSharesError).need,
    ) == (1, 3)


@given(st.integers(0, 2**32), st.sampled_from(CASES), st.sampled_from(list(STRATEGIES)))
@settings(deadline=None, max_examples=100)
def test_moody_server(seed: int, case: Case, strategy: str) -> None:
    """A server that answers each read at random causes no wrong byte and no unexpected error."""
    random = Random(seed)
    reads = 0

    def read(offset: int, length: int) -> Any:
        nonlocal reads
        reads += 1
        data = case.file.shares[0][offset : offset + length]
        answers: Sequence[Callable[[], Any]] = [
            lambda: flipped(data, random.randrange(len(data))) if data else data,
            lambda: data[: random.randrange(length)],
            lambda: data + b"x",
            lambda: random.randbytes(length),
            lambda: bytes(length),
            lambda: None,
            lambda: "x" * length,
            lambda: fail(BoomError("moody")),
        ]
        return random.choice([lambda: succeed(data)] * 20 + [*answers])()

    servers = [answering({0: AnyBucket(read)}), answering({0: AnyBucket(read)})]
    run = Download(servers, case.file.cap, strategy=strategy, random=random)

    assert reads <= 30
    assert PLAINTEXT.startswith(run.consumer.data)
    if run.status.phase == "done":
        assert run.consumer.data == PLAINTEXT
    else:
        assert type(run.results[0].value) in SHORTAGES


# Files that were made wrong


def section(version: int, sections: Iterable[bytes], sizes: tuple[int, int]) -> bytes:
    """Return a share of these sections; the last includes the length of the UEB."""
    offsets, offset, body = [], layout.header_size(version), b""
    for data in sections:
        offsets.append(offset)
        offset += len(data)
        body += data
    return layout.Header(version, *sizes, *offsets).pack() + body


def make(
    segments: list[list[bytes]], hashed: list[bytes], k: int, /, version: int = 1, **changes: Any
) -> Encoded:
    """Return a file of these blocks, by segment and share, with hashes over `hashed`.

    The blocks and all trees are right in themselves. `changes` are made to the UEB.
    """
    n = len(segments[0])
    blocks = list(zip(*segments, strict=True))
    block_trees = [trees.build([hashes.block_hash(b) for b in share]) for share in blocks]
    share_tree = trees.build([tree[0] for tree in block_trees])
    crypttext_tree = trees.build([hashes.crypttext_segment_hash(h) for h in hashed])
    extension = URIExtension(
        k=k,
        n=n,
        size=sum(len(segment) for segment in hashed),
        segment_size=len(segments[0][0]) * k,
        crypttext_hash=hashes.crypttext_hash(b"".join(hashed)),
        crypttext_root_hash=crypttext_tree[0],
        share_root_hash=share_tree[0],
    )
    extension = replace(extension, **changes)
    packed = extension.pack()
    shares = {}
    for number in range(n):
        leaf = trees.padded(n) - 1 + number
        chain = {i: share_tree[i] for i in [leaf, *trees.needed(leaf)]}
        shares[number] = section(
            version,
            [
                b"".join(blocks[number]),
                bytes(32 * len(crypttext_tree)),
                b"".join(crypttext_tree),
                b"".join(block_trees[number]),
                layout.pack_share_hashes(chain),
                layout.pack_uri_extension(version, packed),
            ],
            (len(blocks[number][0]), sum(map(len, blocks[number]))),
        )
    cap = CHKCap(bytes(16), hashes.uri_extension_hash(packed), k, n, extension.size)
    return Encoded(cap, shares)


def encrypted(plaintext: bytes) -> bytes:
    """Return the ciphertext of the files that `make` makes."""
    return Keystream(bytes(16)).apply(plaintext)


def split(segment: bytes, k: int, n: int) -> list[bytes]:
    """Return the blocks of a segment whose length is a multiple of k."""
    size = len(segment) // k
    pieces = [segment[i * size : (i + 1) * size] for i in range(k)]
    blocks: list[bytes] = zfec.Encoder(k, n).encode(pieces)
    return blocks


CRYPTTEXT = [encrypted(PLAINTEXT)[i : i + 20] for i in (0, 20)]
BLOCKS = [split(segment, 2, 4) for segment in CRYPTTEXT]


@pytest.mark.parametrize("version", [1, 2])
def test_made_right(version: int) -> None:
    """Without changes, `make` makes a good file."""
    file = make(BLOCKS, CRYPTTEXT, 2, version=version)
    run = Download(servers_of(file.shares, [1, 3]), file.cap)

    assert run.done()
    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("segment", [0, 1])
def test_wrong_ciphertext(segment: int, strategy: str, version: int) -> None:
    """Valid blocks that do not decode to the hashed segment raise; no byte of it is written."""
    hashed = list(CRYPTTEXT)
    hashed[segment] = bytes(20)
    file = make(BLOCKS, hashed, 2, version=version)
    run = Download(servers_of(file.shares), file.cap, strategy=strategy)

    assert f"segment {segment} is not" in str(run.error(BadCiphertextHashError))
    assert [PLAINTEXT[:20]] * segment == run.consumer.pieces
    assert (run.status.phase, run.consumer.unregistered) == ("failed", 1)


def test_two_files_in_one() -> None:
    """If some shares decode to one file and others to another, only the hashed file is written.

    Every share is valid by itself, so that no other share could help.
    """
    other = split(encrypted(bytes(20)), 2, 4)
    mixed = [[BLOCKS[0][0], BLOCKS[0][1], other[2], other[3]], BLOCKS[1]]
    file = make(mixed, CRYPTTEXT, 2)
    right = Download(servers_of(file.shares, [0, 1]), file.cap)

    assert right.done()
    assert right.consumer.data == PLAINTEXT
    for numbers in (2, 3), (0, 3), (1, 2):
        wrong = Download(servers_of(file.shares, numbers), file.cap)

        assert wrong.error(BadCiphertextHashError)
        assert wrong.consumer.pieces == []


GOOD = make(BLOCKS, CRYPTTEXT, 2)


def packed_with(**changes: bytes | None) -> bytes:
    """Return the UEB of the good file with other entries; None removes an entry."""
    extension = read_uri_extension(GOOD.shares[0], GOOD.cap)
    entries: dict[str, bytes | None] = {
        "codec_name": b"crs",
        "codec_params": b"20-2-4",
        "crypttext_hash": extension.crypttext_hash,
        "crypttext_root_hash": extension.crypttext_root_hash,
        "needed_shares": b"2",
        "num_segments": b"2",
        "segment_size": b"20",
        "share_root_hash": extension.share_root_hash,
        "size": b"40",
        "tail_codec_params": b"20-2-4",
        "total_shares": b"4",
    }
    return b"".join(
        key.encode() + b":" + hashes.netstring(value)
        for key, value in sorted((entries | changes).items())
        if value is not None
    )


SENSELESS = {
    "wrong k": packed_with(needed_shares=b"3"),
    "wrong n": packed_with(total_shares=b"5"),
    "k is 0": packed_with(needed_shares=b"0"),
    "n is 0": packed_with(total_shares=b"0"),
    "wrong size": packed_with(size=b"41"),
    "size 0": packed_with(size=b"0"),
    "great size": packed_with(size=b"%d" % 2**63),
    "negative size": packed_with(size=b"-40"),
    "segment size 0": packed_with(segment_size=b"0"),
    "segment size 0, and all that follows": packed_with(
        segment_size=b"0", codec_params=b"0-2-4", num_segments=b"0", tail_codec_params=b"0-2-4"
    ),
    "segment size no multiple of k": packed_with(segment_size=b"21", codec_params=b"21-2-4"),
    "segment size and codec at odds": packed_with(segment_size=b"40"),
    "great segment size": packed_with(segment_size=b"9" * 21),
    "no segment size": packed_with(segment_size=None),
    "segments at odds": packed_with(num_segments=b"3"),
    "segments 0": packed_with(num_segments=b"0"),
    "a great many segments": packed_with(num_segments=b"%d" % 2**63),
    "another codec": packed_with(codec_name=b"xor"),
    "wrong codec": packed_with(codec_params=b"20-1-4"),
    "wrong tail": packed_with(tail_codec_params=b"19-2-4"),
    "no crypttext root": packed_with(crypttext_root_hash=None),
    "no share root": packed_with(share_root_hash=None),
    "short crypttext root": packed_with(crypttext_root_hash=bytes(31)),
    "long share root": packed_with(share_root_hash=bytes(33)),
    "empty share root": packed_with(share_root_hash=b""),
    "key that is not ASCII": packed_with(ä=b"x"),
    "empty": b"",
    "zeros": bytes(300),
    "text": b"I am a UEB",
    "cut": packed_with()[:-1],
}


def test_sensible_ueb() -> None:
    """Without changes, `packed_with` returns the good file's UEB."""
    assert GOOD.cap.ueb_hash == hashes.uri_extension_hash(packed_with())


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("reason", SENSELESS)
def test_senseless_ueb(reason: str, version: int) -> None:
    """A nonsensical UEB that matches the cap ends the download at once."""
    good = make(BLOCKS, CRYPTTEXT, 2, version=version)
    packed = SENSELESS[reason]
    shares = {
        number: share[: header_of(share).uri_extension] + layout.pack_uri_extension(version, packed)
        for number, share in good.shares.items()
    }
    cap = replace(good.cap, ueb_hash=hashes.uri_extension_hash(packed))
    run = Download(servers_of(shares), cap)

    assert run.error(BadURIExtensionError)
    assert run.consumer.pieces == []
    assert len(run.requests("UEB")) == 1
    assert run.consumer.unregistered == 1


def test_great_ueb() -> None:
    """A UEB that is longer than any valid one is not read to its end."""
    packed = packed_with(x=bytes(3000))
    shares = {
        number: share[: header_of(share).uri_extension] + layout.pack_uri_extension(1, packed)
        for number, share in GOOD.shares.items()
    }
    recorder = Recorder()
    cap = replace(GOOD.cap, ueb_hash=hashes.uri_extension_hash(packed))
    run = Download([recorder.server(i, share) for i, share in shares.items()], cap)

    assert run.error(NoSharesError)
    assert recorder.longest <= 1024


@pytest.mark.parametrize("segment_size", [2, 4, 10, 22, 38, 2**40, 2 * (10**19 // 2)])
def test_another_segment_size(segment_size: int) -> None:
    """A valid UEB that does not fit the shares yields no wrong byte."""
    file = make(BLOCKS, CRYPTTEXT, 2, segment_size=segment_size)
    recorder = Recorder()
    servers = [recorder.server(i, share) for i, share in file.shares.items()]
    run = Download(servers, file.cap, strategy="wait-for-all")

    assert type(run.results[0].value) in (*SHORTAGES, BadCiphertextHashError)
    assert run.consumer.pieces == []
    assert recorder.reads <= 40


@pytest.mark.parametrize("size", [1, 19, 20, 21, 39, 41, 10**6, 2**32, 2**63, 2**64 - 1])
@pytest.mark.parametrize("segment_size", [2, 20, 2**50])
def test_another_size(size: int, segment_size: int) -> None:
    """A UEB with another file size, even of exabytes, yields no wrong byte, and costs little."""
    file = make(BLOCKS, CRYPTTEXT, 2, size=size, segment_size=segment_size)
    recorder = Recorder()
    servers = [recorder.server(i, share) for i, share in file.shares.items()]
    for offset in 0, size - 1:
        run = Download(servers, file.cap, strategy="wait-for-all", offset=offset)

        assert type(run.results[0].value) in (*SHORTAGES, BadCiphertextHashError)
        assert PLAINTEXT[offset:].startswith(run.consumer.data)
    assert recorder.reads <= 80


@pytest.mark.parametrize("change", [{"share_root_hash": bytes(32)}, {"k": 1}, {"k": 3}, {"n": 5}])
def test_another_encoding(change: dict[str, Any]) -> None:
    """A cap and a UEB with another encoding than the shares' yield no wrong byte."""
    file = make(BLOCKS, CRYPTTEXT, 2, segment_size=12 if change.get("k") == 3 else 20, **change)
    cap = replace(file.cap, k=change.get("k", 2), n=change.get("n", 4))
    run = Download(servers_of(file.shares), cap, strategy="wait-for-all")

    assert type(run.results[0].value) in (*SHORTAGES, BadCiphertextHashError)
    assert run.consumer.pieces == []


def test_wrong_key() -> None:
    """A cap with another key queries another storage index."""
    cap = replace(GOOD.cap, key=b"k" * 16)
    asked: list[bytes] = []

    def get_buckets(storage_index: bytes) -> Any:
        asked.append(storage_index)
        return {}

    server = answering({})
    server.get_buckets = get_buckets

    assert Download([server], cap).error(NoSharesError)
    assert [hashes.storage_index(b"k" * 16)] == asked
    assert GOOD.cap.storage_index != asked[0]
