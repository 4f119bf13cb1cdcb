"""One share: what is read of it, in how many round trips, and that all of it is checked."""

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from firstk.downloader import layout, sections
from firstk.downloader.encode import Encoded, encode
from firstk.downloader.errors import (
    BadURIExtensionError,
    CorruptShareError,
    DownloadStopped,
    ServerFailedError,
    ShareError,
)
from firstk.downloader.hashes import block_hash, uri_extension_hash
from firstk.downloader.layout import parse_header
from firstk.downloader.sections import ByteRange
from firstk.downloader.session import Session
from firstk.downloader.share import FileMetadata, Share, _merged
from firstk.downloader.status import DownloadStatus
from firstk.downloader.strategy import find_strategy
from firstk.downloader.ueb import URIExtension, read_uri_extension
from tests.doubles import MemoryBucket, result_of
from tests.downloader.scenery import (
    AnyBucket,
    BoomError,
    ManualBucket,
    boom,
    corrupt,
    flipped,
    part_offset,
)

FILES = {
    version: encode(bytes(range(100)), k=2, n=5, segment_size=40, version=version)
    for version in (1, 2)
}
FILE = FILES[1]
EXTENSION = read_uri_extension(FILE.shares[0], FILE.cap)
BLOCKS = [FILE.shares[0][36:56], FILE.shares[0][56:76], FILE.shares[0][76:86]]

Read = Callable[[Share], Coroutine[Deferred[Any], Any, Any]]

READS: dict[str, Read] = {
    "UEB": lambda share: share.uri_extension(),
    "crypttext hashes": lambda share: share.crypttext_hashes(EXTENSION),
    "block": lambda share: share.block(EXTENSION, 0),
}


def share_of(bucket: Any, number: int = 0, version: int = 1) -> Share:
    """Return the share in a bucket, in a download of its own."""
    session = Session(
        reactor=Clock(),
        cap=FILES[version].cap,
        strategy=find_strategy("first-k"),
        random=Random(0),
        status=DownloadStatus(),
    )
    return Share(session, "s", number, bucket)


def good(number: int = 0, version: int = 1) -> Share:
    """Return a good share."""
    return share_of(MemoryBucket(FILES[version].shares[number]), number, version)


def now(read: Coroutine[Deferred[Any], Any, Any]) -> Any:
    """Run a read, and return its immediate result."""
    return result_of(Deferred.fromCoroutine(read))


def spans_of(share: Share, spans: Sequence[ByteRange]) -> Deferred[None]:
    """Read spans of a share in one round; the Deferred fires when they have arrived."""
    done: Deferred[Any] = Deferred()
    share.read(spans, lambda error: done.errback(error) if error else done.callback(None))
    return done


def whats(share: Share) -> list[str]:
    """Return what was requested, in order."""
    return [request.what for request in share.session.status.requests]


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("number", range(5))
def test_good(version: int, number: int) -> None:
    """A good share gives its UEB, the crypttext hashes, and each block."""
    share = good(number, version)
    extension = now(share.uri_extension())
    data = FILES[version].shares[number]
    start = layout.header_size(version)

    assert read_uri_extension(data, FILES[version].cap) == extension
    assert len(now(share.crypttext_hashes(extension))) == 3
    for segment, (offset, length) in enumerate([(0, 20), (20, 20), (40, 10)]):
        block = data[start + offset : start + offset + length]
        assert block == now(share.block(extension, segment))
    assert (share.problem, share.lost) == (None, False)


def test_reads() -> None:
    """The header and the block hashes are read once; the other parts, on each request."""
    share = good()
    now(share.uri_extension())
    now(share.crypttext_hashes(EXTENSION))
    for segment in 0, 2, 0:
        now(share.block(EXTENSION, segment))

    assert whats(share) == [
        "header",
        "UEB",
        "crypttext hashes",
        "block 0",
        "block hashes",
        "block 2",
        "block 0",
    ]


def test_sizes() -> None:
    """No more is read than needed; of the UEB, whose size is unknown, a kilobyte."""
    share = good()
    now(share.uri_extension())
    now(share.crypttext_hashes(EXTENSION))
    now(share.block(EXTENSION, 2))

    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    leaves = 3 * 32  # a tree of four leaves has three nodes above them
    assert [
        (0, 68),
        (header.uri_extension, 1024),
        (header.crypttext_hashes + leaves, 3 * 32),
        (header.data + 40, 10),
        (header.block_hashes + leaves, 4 * 32 + 4 * 34),
    ] == [(r.offset, r.length) for r in share.session.status.requests]
    received = 68 + (len(data) - header.uri_extension) + 96 + 10 + 264
    assert received == share.session.status.bytes_received


def test_round_trips() -> None:
    """The first block is read together with its hashes; the second takes only its own read."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    first = Deferred.fromCoroutine(share.block(EXTENSION, 0))

    assert whats(share) == ["header"]
    bucket.answer()

    assert whats(share) == ["header", "block 0", "block hashes"]
    bucket.answer_all()

    assert result_of(first) == BLOCKS[0]
    second = Deferred.fromCoroutine(share.block(EXTENSION, 1))
    bucket.answer()

    assert result_of(second) == BLOCKS[1]
    assert whats(share) == ["header", "block 0", "block hashes", "block 1"]


@pytest.mark.parametrize("first", ["block", "hashes"])
def test_either_comes_first(first: str) -> None:
    """The block and its hashes may come in either order."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    reading = Deferred.fromCoroutine(share.block(EXTENSION, 0))
    bucket.answer()
    if first == "hashes":
        bucket.waiting.reverse()
    bucket.answer()

    assert not reading.called
    bucket.answer()

    assert result_of(reading) == BLOCKS[0]


def test_open_once() -> None:
    """The header is read once for all that wait for it."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    waiting = [share.open(), share.open()]
    reading = Deferred.fromCoroutine(share.uri_extension())

    assert whats(share) == ["header"]
    bucket.answer_all()

    assert [result_of(d) for d in waiting] == [None, None]
    assert result_of(reading) == EXTENSION
    assert result_of(share.open()) is None


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("answers", [0, 1])
@pytest.mark.parametrize("late", ["answer", "fail"])
def test_stop(read: str, answers: int, late: str) -> None:
    """A read ends when the download is stopped; a late answer does not count as a problem."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    reading = Deferred.fromCoroutine(READS[read](share))
    for _ in range(answers):
        bucket.answer()

    assert not reading.called
    share.session.waits.stop()

    with pytest.raises(DownloadStopped):
        result_of(reading)
    while bucket.waiting:
        getattr(bucket, late)()

    assert (share.problem, share.lost) == (None, False)


@pytest.mark.parametrize("read", READS)
def test_stopped(read: str) -> None:
    """After a stop, nothing is requested."""
    share = good()
    share.session.waits.stop()
    with pytest.raises(DownloadStopped):
        now(READS[read](share))

    assert whats(share) == []
    assert (share.problem, share.lost) == (None, False)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("how", [boom, lambda *_: fail(BoomError("boom"))])
def test_server_fails(read: str, how: Callable[..., Any]) -> None:
    """A share is lost if its server fails a read, at once or later."""
    data = FILE.shares[0]

    def header_only(offset: int, length: int) -> Any:
        return succeed(data[:length]) if offset == 0 else how()

    share = share_of(AnyBucket(header_only))
    with pytest.raises(ServerFailedError, match="failed: BoomError: boom"):
        now(READS[read](share))

    assert share.lost
    assert share.problem == "failed: BoomError: boom"


@pytest.mark.parametrize("read", READS)
def test_server_fails_header(read: str) -> None:
    """If its header cannot be read, nothing else is requested from a share."""
    share = share_of(AnyBucket(boom))
    for _ in range(2):
        with pytest.raises(ShareError, match="boom"):
            now(READS[read](share))

    assert share.lost
    assert whats(share) == ["header"]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "got NoneType"),
        ("text", "got str"),
        (bytearray(68), "got bytearray"),
        (68, "got int"),
        ([b"x"], "got list"),
        (bytes(5000), "bytes, got 5000"),
        (b"", "the share ends|0 bytes do not hold 3 hashes"),
    ],
)
@pytest.mark.parametrize("part", ["header", *READS])
def test_nonsense(answer: Any, words: str, part: str) -> None:
    """If a server answers nonsense, its share is corrupt, whatever was requested."""
    data = FILE.shares[0]

    def read(offset: int, length: int) -> Any:
        return succeed(data[:length] if offset == 0 and part != "header" else answer)

    share = share_of(AnyBucket(read))
    with pytest.raises(CorruptShareError, match=words):
        now(READS["UEB" if part == "header" else part](share))


@pytest.mark.parametrize("bucket", [None, 3, object(), AnyBucket(lambda *_: None)])
def test_no_bucket(bucket: Any) -> None:
    """An object that is not a bucket is a lost share, and causes no other error."""
    share = share_of(bucket)
    with pytest.raises(ShareError):
        now(share.uri_extension())

    assert share.lost
    assert share.problem


@pytest.mark.parametrize(
    ("part", "read", "words"),
    [
        ("header", "UEB", "version is 4278190081"),
        ("UEB", "UEB", "the UEB does not match the cap"),
        ("crypttext hashes", "crypttext hashes", "tree does not match the UEB"),
        ("block hashes", "block", "the block hashes do not match the UEB"),
        ("share hashes", "block", "the block hashes do not match the UEB"),
        ("block", "block", "block 0 does not match its hash"),
    ],
)
def test_corrupt(part: str, read: str, words: str) -> None:
    """A corrupt part is detected, and the error reports which part it was."""
    share = share_of(MemoryBucket(corrupt(FILE.shares[0], part)))
    with pytest.raises(CorruptShareError, match=words):
        now(READS[read](share))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_another_number(number: int) -> None:
    """The hash chain detects a share with a wrong number."""
    share = share_of(MemoryBucket(FILE.shares[0]), number)
    with pytest.raises(CorruptShareError, match=r"chain has no node|do not match the UEB"):
        now(share.block(EXTENSION, 0))


def test_another_segment() -> None:
    """Swapped blocks are detected."""
    data = FILE.shares[0]
    swapped = data[:36] + BLOCKS[1] + BLOCKS[0] + data[76:]
    share = share_of(MemoryBucket(swapped))

    assert now(share.block(EXTENSION, 2)) == BLOCKS[2]
    for segment in 0, 1:
        with pytest.raises(CorruptShareError, match=f"block {segment} does not match"):
            now(share.block(EXTENSION, segment))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_chain_too_short(kept: int) -> None:
    """A chain that lacks a node is corrupt."""
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    chain = data[header.share_hashes : header.uri_extension]
    section = layout.pack_uri_extension(1, EXTENSION.pack())
    cut = replace(header, uri_extension=header.share_hashes + kept * 34).pack()
    share = cut + data[len(cut) : header.share_hashes] + chain[: kept * 34] + section
    with pytest.raises(CorruptShareError, match="the share hash chain has no node"):
        now(share_of(MemoryBucket(share)).block(EXTENSION, 0))


def test_chain_in_any_order() -> None:
    """A chain may have its nodes in any order, and up to 14, more than needed."""
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    chain = layout.unpack_share_hashes(data[header.share_hashes : header.uri_extension])
    entries = dict(reversed(chain.items())) | {i: bytes(32) for i in range(900, 910)}
    longer = replace(header, uri_extension=header.share_hashes + len(entries) * 34).pack()
    share = longer + data[len(longer) : header.share_hashes] + layout.pack_share_hashes(entries)

    assert now(share_of(MemoryBucket(share)).block(EXTENSION, 0)) == BLOCKS[0]


@pytest.mark.parametrize(
    ("name", "by"),
    [
        ("block_hashes", -32),
        ("block_hashes", 1),
        ("block_hashes", 32),
        ("uri_extension", 14 * 34 - 4 * 34 + 1),
        ("uri_extension", 2**31),
    ],
)
def test_no_room_for_hashes(name: str, by: int) -> None:
    """A header with a wrong-sized block hash tree, or too long a chain, is refused.

    The hashes are not even asked for, so that a lie costs neither traffic nor memory.
    """
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    moved = replace(header, **{name: getattr(header, name) + by}).pack()
    share = share_of(MemoryBucket(moved + data[len(moved) :]))
    with pytest.raises(CorruptShareError, match="does not leave room for the hashes"):
        now(share.block(EXTENSION, 0))

    assert whats(share) == ["header", "block 0"]


def test_no_room_for_hashes_and_no_block() -> None:
    """The same if the block's read fails too: that causes no unhandled error."""
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    bucket = ManualBucket(replace(header, block_hashes=header.block_hashes + 1).pack() + data[36:])
    share = share_of(bucket)
    reading = Deferred.fromCoroutine(share.block(EXTENSION, 0))
    bucket.answer()
    with pytest.raises(CorruptShareError, match="does not leave room for the hashes"):
        result_of(reading)
    bucket.fail()

    assert share.problem == "failed: BoomError: read"


@pytest.mark.parametrize("length", [0, 10, 68, 100, 300, 500])
@pytest.mark.parametrize("read", READS)
def test_truncated(length: int, read: str) -> None:
    """A truncated share gives the parts that are complete, and is corrupt otherwise."""
    data = FILE.shares[0]
    needed = {"UEB": len(data), "crypttext hashes": part_offset(data, "crypttext hashes") + 96}
    share = share_of(MemoryBucket(data[:length]))
    if length >= needed.get(read, part_offset(data, "UEB") - 8):
        assert now(READS[read](share))
    else:
        with pytest.raises(CorruptShareError):
            now(READS[read](share))


def test_file_made_wrong() -> None:
    """A nonsensical UEB that matches the cap is not the share's fault."""
    header = layout.Header(1, 0, 0, 36, 36, 36, 36, 36, 36).pack()
    share = share_of(MemoryBucket(header + layout.pack_uri_extension(1, b"nonsense")))
    cap = replace(share.session.cap, ueb_hash=uri_extension_hash(b"nonsense"))
    share.session = replace(share.session, cap=cap)
    with pytest.raises(BadURIExtensionError):
        now(share.uri_extension())

    assert not share.lost


def test_first_problem_counts() -> None:
    """Of several problems, the first is kept."""
    share = good()
    share.blame(CorruptShareError("first"))
    share.drop(CorruptShareError("second"))

    assert share.problem == "first"
    assert share.lost


def test_one_block_bad() -> None:
    """Each block is checked by itself, even when its hashes have arrived before."""
    share = share_of(MemoryBucket(flipped(FILE.shares[0], 60)))

    assert now(share.block(EXTENSION, 0)) == BLOCKS[0]
    with pytest.raises(CorruptShareError, match="block 1 does not match its hash"):
        now(share.block(EXTENSION, 1))
    assert now(share.block(EXTENSION, 2)) == BLOCKS[2]


def test_block_too_short() -> None:
    """A block of the wrong length is corrupt, even if its hash matches."""
    extension = URIExtension(1, 1, 2, 2, bytes(32), bytes(32), block_hash(b"x"))
    chain = layout.pack_share_hashes({0: block_hash(b"x")})
    header = layout.Header(1, 2, 2, 36, 36, 36, 36, 68, 102)
    data = header.pack() + block_hash(b"x") + chain

    def read(offset: int, length: int) -> Deferred[bytes]:
        return succeed(b"x" if length == 2 else data[offset : offset + length])

    with pytest.raises(CorruptShareError, match="block 0 does not match"):
        now(share_of(AnyBucket(read)).block(extension, 0))


# In rounds

#: Files of one segment: the layout is guessed right if it is the old one.
ONE = {v: encode(bytes(range(100)), k=2, n=5, version=v) for v in (1, 2)}


def known_of(file: Encoded) -> FileMetadata:
    """Return the complete metadata of a file."""
    extension = read_uri_extension(file.shares[0], file.cap)
    share = in_rounds(file)
    return FileMetadata(extension, now(share.crypttext_hashes(extension)))


def in_rounds(file: Encoded, bucket: Any = None, number: int = 0) -> Share:
    """Return a share of a file, in a download of its own."""
    session = Session(Clock(), file.cap, find_strategy("hedged"), Random(0), DownloadStatus())
    return Share(session, "s", number, bucket or MemoryBucket(file.shares[number]))


def round_of(share: Share, known: FileMetadata, position: int = 0) -> list[ByteRange]:
    """Read what is missing for a byte, teach `known`, and return what was read."""
    missing = share.missing(known, position)
    result_of(spans_of(share, missing))
    share.teach(known)
    return missing


@pytest.mark.parametrize("number", range(5))
def test_one_round(number: int) -> None:
    """If the layout is guessed right, one round reads all: header, block, hashes and UEB."""
    file, known = ONE[1], FileMetadata()
    share = in_rounds(file, number=number)
    missing = round_of(share, known)

    assert known_of(file) == known
    assert share.missing(known, 0) == []
    assert [(0, parse_header(file.shares[0]).uri_extension + 1024)] == missing
    assert known.uri_extension is not None
    assert file.shares[number][36:86] == share.take_block(known, 0)
    assert (share.problem, share.lost) == (None, False)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("segment_size", [20, 40, 1000])
@pytest.mark.parametrize("position", [0, 39, 40, 99])
def test_two_rounds(version: int, segment_size: int, position: int) -> None:
    """If the guess is wrong, the header shows it, and a second round is enough, in any segment."""
    file = encode(bytes(range(100)), k=2, n=5, segment_size=segment_size, version=version)
    share, known = in_rounds(file, number=3), FileMetadata()
    rounds = 0
    while share.missing(known, position):
        round_of(share, known, position)
        rounds += 1

    assert rounds <= 2
    assert rounds == 1 or (version, segment_size) != (1, 1000)
    assert known_of(file) == known
    assert known.uri_extension is not None
    segment = position // known.uri_extension.segment_size
    expected = now(in_rounds(file, number=3).block(known.uri_extension, segment))
    assert expected == share.take_block(known, segment)


def test_what_is_known_is_not_read() -> None:
    """Of the second share, only the header, the block and the hashes are read."""
    file = ONE[1]
    share, known = in_rounds(file, number=1), known_of(file)
    header = parse_header(file.shares[1])

    assert [(0, header.uri_extension)] == round_of(share, known)
    assert known.uri_extension is not None
    assert share.take_block(known, 0)


def test_second_segment() -> None:
    """Of the second segment, only the block is read."""
    known = known_of(FILE)
    share = in_rounds(FILE, number=2)
    while share.missing(known, 0):
        round_of(share, known, 0)
    share.take_block(known, 0)

    assert share.missing(known, 40) == []  # it lies in what was read for the first
    share.forget()

    assert share.missing(known, 40) == [(56, 20)]
    assert round_of(share, known, 99) == [(76, 10)]
    assert FILE.shares[2][76:86] == share.take_block(known, 2)


@pytest.mark.parametrize(
    "read", [(0, 68), (36, 200), (300, 2000)], ids=["header", "block", "hashes"]
)
def test_take_too_early(read: ByteRange) -> None:
    """A block that has not arrived completely cannot be taken, and nothing is lost by trying."""
    share, known = in_rounds(FILE), known_of(FILE)
    result_of(spans_of(share, [(0, 68)]))
    if read != (0, 68):
        result_of(spans_of(share, [read]))

    assert share.take_block(known, 1) is None
    while share.missing(known, 40):
        round_of(share, known, 40)

    assert FILE.shares[0][56:76] == share.take_block(known, 1)


def test_take_forgets() -> None:
    """Data is forgotten when its last block is taken."""
    known = known_of(FILE)
    share = in_rounds(FILE)
    while share.missing(known, 0):
        round_of(share, known, 0)
    for segment in range(EXTENSION.num_segments):
        assert share.holds(known, segment * EXTENSION.segment_size)
        assert share.take_block(known, segment) is not None

    assert not share.holds(known, 0)
    assert share.missing(known, 0) == [(36, 20)]
    round_of(share, known, 0)

    assert share.missing(known, 0) == []
    share.forget()

    assert share.missing(known, 0) == [(36, 20)]


@given(
    spans=st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 3000)), max_size=8),
)
def test_merged(spans: list[ByteRange]) -> None:
    """Merged spans cover the given ones in order, lie far apart, and add little."""
    merged = _merged(spans)

    for offset, length in spans:
        assert any(o <= offset and offset + length <= o + n for o, n in merged)
    for (one, size), (other, _) in pairwise(merged):
        assert one + size + 1024 < other
    gaps = sum(n for _, n in merged) - sum(n for _, n in spans)
    assert gaps <= 1024 * max(0, len(spans) - len(merged))
    assert {o for o, _ in merged} <= {o for o, _ in spans}
    assert {o + n for o, n in merged} <= {o + n for o, n in spans}


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([], []),
        ([(5, 5)], [(5, 5)]),
        ([(0, 10), (1034, 5)], [(0, 1039)]),
        ([(0, 10), (1035, 5)], [(0, 10), (1035, 5)]),
        ([(50, 10), (0, 200)], [(0, 200)]),
        ([(5000, 1), (0, 1)], [(0, 1), (5000, 1)]),
    ],
)
def test_merged_examples(spans: list[ByteRange], expected: list[ByteRange]) -> None:
    """Neighbours are merged if at most a kilobyte lies between them."""
    assert expected == _merged(spans)


def test_far_parts_are_read_side_by_side() -> None:
    """Parts that lie far apart are read with several reads at once."""
    file = encode(bytes(40_000), k=2, n=5)
    bucket = ManualBucket(file.shares[0])
    share, known = in_rounds(file, bucket), known_of(file)
    reading = spans_of(share, share.missing(known, 0))

    assert len(bucket.waiting) == 1  # the block reaches from the header to the hashes
    bucket.answer_all()
    result_of(reading)
    extension = known.uri_extension
    assert extension is not None
    assert share.take_block(known, 0)

    file = encode(bytes(40_000), k=2, n=5, segment_size=8000)
    bucket = ManualBucket(file.shares[0])
    share = in_rounds(file, bucket)
    reading = spans_of(share, [(0, 68), (5000, 10), (15_000, 10)])

    assert len(bucket.waiting) == 3
    bucket.answer()
    bucket.waiting.reverse()
    bucket.answer()

    assert not reading.called
    assert share.state == "still being read"
    bucket.answer()

    assert result_of(reading) is None
    assert share.state == "good"


def block_in_rounds(share: Share, known: FileMetadata, extension: URIExtension) -> bytes:
    """Read the first block of a share in at most three rounds."""
    for _ in range(3):
        if share.missing(known, 0):
            round_of(share, known)
    block = share.take_block(known, 0)
    assert block is not None
    return block


def test_answer_that_ends_early() -> None:
    """A short answer means that the share ends there; nothing past it is requested again."""
    file = ONE[1]
    extension = read_uri_extension(file.shares[0], file.cap)
    for length in range(len(file.shares[0])):
        share = in_rounds(file, MemoryBucket(file.shares[0][:length]))
        with pytest.raises(CorruptShareError):
            block_in_rounds(share, FileMetadata(), extension)

        assert len(share.session.status.requests) == 1


@pytest.mark.parametrize("part", ["header", "UEB", "block hashes", "share hashes", "block"])
@pytest.mark.parametrize("file", [ONE[1], ONE[2], FILE, FILES[2]], ids=["1", "2", "1s", "2s"])
def test_corrupt_in_rounds(part: str, file: Encoded) -> None:
    """Corruption is detected here too, in every part that is needed."""
    share = in_rounds(file, MemoryBucket(corrupt(file.shares[0], part)))
    known = FileMetadata() if part == "UEB" else known_of(file)
    extension = read_uri_extension(file.shares[0], file.cap)
    if part == "block hashes" and extension.num_segments == 1:
        assert block_in_rounds(share, known, extension)
        return
    with pytest.raises(CorruptShareError):
        block_in_rounds(share, known, extension)

    assert (part == "header") == share.lost


@pytest.mark.parametrize("version", [1, 2])
def test_wrong_guess(version: int) -> None:
    """If the layout of a large share is guessed wrong, it takes two rounds: the header first."""
    file = encode(bytes(40_000), k=2, n=5, segment_size=700 * version, version=version)
    share, known = in_rounds(file, number=1), FileMetadata()
    first = round_of(share, known, 39_999)

    assert FileMetadata() == known
    assert first[0][0] == 0
    second = round_of(share, known, 39_999)

    assert share.missing(known, 39_999) == []
    assert known_of(file) == known
    assert 0 not in {offset for offset, _ in second}


def test_corrupt_crypttext_hashes() -> None:
    """A corrupt crypttext hash tree raises when it is learned; the UEB is known by then."""
    bad = corrupt(FILE.shares[0], "crypttext hashes")
    share, known = in_rounds(FILE, MemoryBucket(bad)), FileMetadata()
    result_of(spans_of(share, share.missing(known, 0)))
    with pytest.raises(CorruptShareError, match="crypttext hash tree does not match"):
        share.teach(known)

    assert FileMetadata(EXTENSION) == known
    assert FILE.shares[0][36:56] == share.take_block(known, 0)


def test_one_segment_needs_no_crypttext_hashes() -> None:
    """A tree of one leaf is that leaf: if the UEB is known, the tree is not read."""
    share, known = (
        in_rounds(ONE[1], MemoryBucket(corrupt(ONE[1].shares[0], "crypttext hashes"))),
        FileMetadata(),
    )
    round_of(share, known)

    assert known_of(ONE[1]) == known
    assert known.uri_extension is not None
    assert share.take_block(known, 0)


@pytest.mark.parametrize(
    "size", [0, 51, 10**9, 2**32 - 1], ids=["zero", "one too many", "huge", "the most"]
)
def test_hostile_block_size(size: int) -> None:
    """A header with an impossible block size is not trusted."""
    header = replace(parse_header(FILE.shares[0]), block_size=size).pack()
    share, known = in_rounds(FILE, MemoryBucket(header + FILE.shares[0][36:])), FileMetadata()
    result_of(spans_of(share, share.missing(known, 0)))

    assert max((length for _, length in share.missing(known, 0)), default=0) <= 2048
    share.teach(known)
    while share.missing(known, 0):
        round_of(share, known)

    assert FILE.shares[0][36:56] == share.take_block(known, 0)


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 900), min_size=8, max_size=8).map(sorted)
)
@settings(deadline=None, max_examples=150)
def test_hostile_header(numbers: list[int]) -> None:
    """Whatever a header says, reads stay small, and end after two rounds."""
    known = FileMetadata()
    header = layout.Header(2, numbers[0], numbers[1], 68, *numbers[3:])
    share = in_rounds(FILE, MemoryBucket(header.pack() + bytes(1000)))
    try:
        for _ in range(4):
            if share.missing(known, 0):
                round_of(share, known)
    except CorruptShareError:
        pass

    requests = share.session.status.requests
    assert len(requests) <= 8
    for request in requests:
        assert request.length is not None
        # Blocks of one byte make fifty segments: 64 leaves, a chain of 14 nodes, a UEB.
        assert request.length <= 50 * 32 + 64 * 32 + 14 * 34 + 100 + 1024 + 4 * 1024
    assert known.uri_extension is None


@pytest.mark.parametrize("answer", [None, "text", bytes(9000), bytearray(10), boom])
def test_nonsense_in_rounds(answer: Any) -> None:
    """If a server answers nonsense, its share is lost, and its other reads end."""
    share = in_rounds(FILE, AnyBucket(boom if answer is boom else lambda *_: succeed(answer)))
    with pytest.raises(ShareError):
        result_of(spans_of(share, share.missing(FileMetadata(), 0)))

    assert share.lost
    assert share.problem
    assert share.reading == []


@pytest.mark.parametrize("first", ["fail", "answer"])
def test_one_read_of_a_round_fails(first: str) -> None:
    """A round fails with the first failed read; what happens to the others does not matter."""
    bucket = ManualBucket(FILE.shares[0])
    share = in_rounds(FILE, bucket)
    reading = spans_of(share, [(0, 68), (5000, 10)])
    if first == "answer":
        bucket.answer()
    bucket.fail()
    with pytest.raises(ServerFailedError):
        result_of(reading)
    while bucket.waiting:
        bucket.fail()

    assert share.lost
    assert share.problem == "failed: BoomError: read"


def test_nothing_to_read() -> None:
    """A round with nothing missing ends at once."""
    share = in_rounds(FILE)
    result_of(spans_of(share, [(0, 600)]))

    assert result_of(spans_of(share, [])) is None


def test_round_after_the_end() -> None:
    """After a stop, a round never ends, and what it reads does not count."""
    bucket = ManualBucket(FILE.shares[0])
    share = in_rounds(FILE, bucket)
    reading = spans_of(share, [(0, 68)])
    share.session.waits.stop()
    bucket.answer()

    assert not reading.called
    assert share.session.status.bytes_received == 0
    with pytest.raises(DownloadStopped):
        share.read([(0, 68)], lambda _: None)


def test_teach_what_was_not_read() -> None:
    """A share teaches only what was read: nothing if the guess missed, and without an error."""
    share, known = in_rounds(FILE), FileMetadata()
    result_of(spans_of(share, [(0, 68)]))
    share.teach(known)

    assert FileMetadata() == known
    result_of(spans_of(share, [sections.uri_extension_span(parse_header(FILE.shares[0]))]))
    share.teach(known)

    assert FileMetadata(EXTENSION) == known


def test_teach_senseless() -> None:
    """A nonsensical UEB that matches the cap raises here too."""
    share = in_rounds(ONE[1])
    start = parse_header(ONE[1].shares[0]).uri_extension
    share.bucket = MemoryBucket(ONE[1].shares[0][:start] + layout.pack_uri_extension(1, b"no"))
    cap = replace(share.session.cap, ueb_hash=uri_extension_hash(b"no"))
    share.session = replace(share.session, cap=cap)
    with pytest.raises(BadURIExtensionError):
        round_of(share, FileMetadata())


@given(
    k=st.integers(1, 4),
    more=st.integers(0, 6),
    size=st.integers(1, 3000),
    segments=st.integers(1, 20),
    version=st.sampled_from([1, 2]),
    random=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=100)
def test_any_file_in_rounds(
    k: int, more: int, size: int, segments: int, version: int, random: Random
) -> None:
    """Any share of any honest file gives any block within two rounds, whatever is known."""
    plaintext = random.randbytes(size)
    file = encode(plaintext, k=k, n=k + more, segment_size=-(-size // segments), version=version)
    number, position = random.randrange(k + more), random.randrange(size)
    share = in_rounds(file, number=number)
    known = known_of(file) if random.random() < 0.5 else FileMetadata()
    for _ in range(2):
        if share.missing(known, position):
            round_of(share, known, position)

    assert share.missing(known, position) == []
    assert known_of(file) == known
    assert known.uri_extension is not None
    segment = position // known.uri_extension.segment_size
    span = sections.block_span(parse_header(file.shares[number]), known.uri_extension, segment)
    assert file.shares[number][span[0] : sum(span)] == share.take_block(known, segment)


def test_end_of_a_share_is_remembered() -> None:
    """Nothing is requested past the place where an answer ended early."""
    file = encode(bytes(40_000), k=2, n=5, segment_size=700)
    share = in_rounds(file, MemoryBucket(file.shares[0][:500]))
    result_of(spans_of(share, share.missing(FileMetadata(), 0)))

    assert share.missing(FileMetadata(), 39_999) == []
