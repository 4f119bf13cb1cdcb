"""One share: what is read of it, in how many round trips, and that nothing unchecked gets out."""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from downloader import layout
from downloader.encode import encode
from downloader.errors import (
    BadURIExtensionError,
    CorruptShareError,
    DownloadStopped,
    ServerFailedError,
    ShareError,
)
from downloader.hashes import block_hash, uri_extension_hash
from downloader.session import Session
from downloader.share import Share
from downloader.status import DownloadStatus
from downloader.strategy import find_strategy
from downloader.ueb import URIExtension, read_uri_extension
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
    """Return what is read at once."""
    return result_of(Deferred.fromCoroutine(read))


def whats(share: Share) -> list[str]:
    """Return what was asked for, in order."""
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
    assert 3 == len(now(share.crypttext_hashes(extension)))
    for segment, (offset, length) in enumerate([(0, 20), (20, 20), (40, 10)]):
        block = data[start + offset : start + offset + length]
        assert block == now(share.block(extension, segment))
    assert (None, False) == (share.problem, share.lost)


def test_reads() -> None:
    """The header and the block hashes are read once, and everything else when it is wanted."""
    share = good()
    now(share.uri_extension())
    now(share.crypttext_hashes(EXTENSION))
    for segment in 0, 2, 0:
        now(share.block(EXTENSION, segment))

    assert [
        "header",
        "UEB",
        "crypttext hashes",
        "block 0",
        "block hashes",
        "block 2",
        "block 0",
    ] == whats(share)


def test_sizes() -> None:
    """No more is read than is needed; of the UEB, whose size is not known, a kilobyte."""
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
    """The first block brings its hashes in its own round trip; the second needs none."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    first = Deferred.fromCoroutine(share.block(EXTENSION, 0))

    assert ["header"] == whats(share)
    bucket.answer()

    assert ["header", "block 0", "block hashes"] == whats(share)
    bucket.answer_all()

    assert BLOCKS[0] == result_of(first)
    second = Deferred.fromCoroutine(share.block(EXTENSION, 1))
    bucket.answer()

    assert BLOCKS[1] == result_of(second)
    assert ["header", "block 0", "block hashes", "block 1"] == whats(share)


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

    assert BLOCKS[0] == result_of(reading)


def test_open_once() -> None:
    """However many wait for the header, it is read once, and each gets its answer."""
    bucket = ManualBucket(FILE.shares[0])
    share = share_of(bucket)
    waiting = [share.open(), share.open()]
    reading = Deferred.fromCoroutine(share.uri_extension())

    assert ["header"] == whats(share)
    bucket.answer_all()

    assert [None, None] == [result_of(d) for d in waiting]
    assert EXTENSION == result_of(reading)
    assert result_of(share.open()) is None


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("answers", [0, 1])
@pytest.mark.parametrize("late", ["answer", "fail"])
def test_stop(read: str, answers: int, late: str) -> None:
    """A read ends when the download is stopped; a late answer is no problem of the share's."""
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

    assert (None, False) == (share.problem, share.lost)


@pytest.mark.parametrize("read", READS)
def test_stopped(read: str) -> None:
    """When the download has been stopped nothing is asked for."""
    share = good()
    share.session.waits.stop()
    with pytest.raises(DownloadStopped):
        now(READS[read](share))

    assert [] == whats(share)
    assert (None, False) == (share.problem, share.lost)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("how", [boom, lambda *_: fail(BoomError("boom"))])
def test_server_fails(read: str, how: Callable[..., Any]) -> None:
    """A share whose server fails a read, at once or later, is lost."""
    data = FILE.shares[0]

    def header_only(offset: int, length: int) -> Any:
        return succeed(data[:length]) if offset == 0 else how()

    share = share_of(AnyBucket(header_only))
    with pytest.raises(ServerFailedError, match="failed: BoomError: boom"):
        now(READS[read](share))

    assert share.lost
    assert "failed: BoomError: boom" == share.problem


@pytest.mark.parametrize("read", READS)
def test_server_fails_header(read: str) -> None:
    """A share whose header cannot be read is asked for nothing else."""
    share = share_of(AnyBucket(boom))
    for _ in range(2):
        with pytest.raises(ShareError, match="boom"):
            now(READS[read](share))

    assert share.lost
    assert ["header"] == whats(share)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (None, "got NoneType, not bytes"),
        ("text", "got str, not bytes"),
        (bytearray(68), "got bytearray, not bytes"),
        (68, "got int, not bytes"),
        ([b"x"], "got list, not bytes"),
        (bytes(5000), "bytes, got 5000"),
        (b"", "the share ends|0 bytes do not hold 3 hashes"),
    ],
)
@pytest.mark.parametrize("part", ["header", *READS])
def test_nonsense(answer: Any, words: str, part: str) -> None:
    """A server that reads out nonsense has a corrupt share, whatever was asked for."""
    data = FILE.shares[0]

    def read(offset: int, length: int) -> Any:
        return succeed(data[:length] if offset == 0 and part != "header" else answer)

    share = share_of(AnyBucket(read))
    with pytest.raises(CorruptShareError, match=words):
        now(READS["UEB" if part == "header" else part](share))


@pytest.mark.parametrize("bucket", [None, 3, object(), AnyBucket(lambda *_: None)])
def test_no_bucket(bucket: Any) -> None:
    """What is no bucket is a share that is lost, and no error of anybody else's."""
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
    """What no hash matches is found out, and the error says which part it was."""
    share = share_of(MemoryBucket(corrupt(FILE.shares[0], part)))
    with pytest.raises(CorruptShareError, match=words):
        now(READS[read](share))


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_another_number(number: int) -> None:
    """A share that goes by another's number is found out by its hash chain."""
    share = share_of(MemoryBucket(FILE.shares[0]), number)
    with pytest.raises(CorruptShareError, match=r"chain has no node|do not match the UEB"):
        now(share.block(EXTENSION, 0))


def test_another_segment() -> None:
    """Blocks that have changed places are found out."""
    data = FILE.shares[0]
    swapped = data[:36] + BLOCKS[1] + BLOCKS[0] + data[76:]
    share = share_of(MemoryBucket(swapped))

    assert BLOCKS[2] == now(share.block(EXTENSION, 2))
    for segment in 0, 1:
        with pytest.raises(CorruptShareError, match=f"block {segment} does not match"):
            now(share.block(EXTENSION, segment))


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_chain_too_short(kept: int) -> None:
    """A chain in which a node is missing is corrupt."""
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    chain = data[header.share_hashes : header.uri_extension]
    section = layout.pack_uri_extension(1, EXTENSION.pack())
    cut = replace(header, uri_extension=header.share_hashes + kept * 34).pack()
    share = cut + data[len(cut) : header.share_hashes] + chain[: kept * 34] + section
    with pytest.raises(CorruptShareError, match="the share hash chain has no node"):
        now(share_of(MemoryBucket(share)).block(EXTENSION, 0))


def test_chain_in_any_order() -> None:
    """The nodes of the chain may come in any order, and more than are needed: 14 in all."""
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    chain = layout.unpack_share_hashes(data[header.share_hashes : header.uri_extension])
    entries = dict(reversed(chain.items())) | {i: bytes(32) for i in range(900, 910)}
    longer = replace(header, uri_extension=header.share_hashes + len(entries) * 34).pack()
    share = longer + data[len(longer) : header.share_hashes] + layout.pack_share_hashes(entries)

    assert BLOCKS[0] == now(share_of(MemoryBucket(share)).block(EXTENSION, 0))


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
    """A header whose block hash tree has the wrong size, or its chain too many nodes, is refused.

    The hashes are not even asked for, so that a lie costs neither traffic nor memory.
    """
    data = FILE.shares[0]
    header = layout.parse_header(data[: layout.HEADER_SIZE])
    moved = replace(header, **{name: getattr(header, name) + by}).pack()
    share = share_of(MemoryBucket(moved + data[len(moved) :]))
    with pytest.raises(CorruptShareError, match="does not leave room for the hashes"):
        now(share.block(EXTENSION, 0))

    assert ["header", "block 0"] == whats(share)


@pytest.mark.parametrize("length", [0, 10, 68, 100, 300, 500])
@pytest.mark.parametrize("read", READS)
def test_truncated(length: int, read: str) -> None:
    """A share that ends too early gives what is whole, and is corrupt otherwise."""
    data = FILE.shares[0]
    needed = {"UEB": len(data), "crypttext hashes": part_offset(data, "crypttext hashes") + 96}
    share = share_of(MemoryBucket(data[:length]))
    if length >= needed.get(read, part_offset(data, "UEB") - 8):
        assert now(READS[read](share))
    else:
        with pytest.raises(CorruptShareError):
            now(READS[read](share))


def test_file_made_wrong() -> None:
    """A UEB that the cap vouches for and that makes no sense is not the share's fault."""
    header = layout.Header(1, 0, 0, 36, 36, 36, 36, 36, 36).pack()
    share = share_of(MemoryBucket(header + layout.pack_uri_extension(1, b"nonsense")))
    cap = replace(share.session.cap, ueb_hash=uri_extension_hash(b"nonsense"))
    share.session = replace(share.session, cap=cap)
    with pytest.raises(BadURIExtensionError):
        now(share.uri_extension())

    assert not share.lost


def test_first_problem_counts() -> None:
    """Of several problems the first is told."""
    share = good()
    share.blame(CorruptShareError("first"))
    share.drop(CorruptShareError("second"))

    assert "first" == share.problem
    assert share.lost


def test_one_block_bad() -> None:
    """Each block is checked by itself, also when the hashes are there already."""
    share = share_of(MemoryBucket(flipped(FILE.shares[0], 60)))

    assert BLOCKS[0] == now(share.block(EXTENSION, 0))
    with pytest.raises(CorruptShareError, match="block 1 does not match its hash"):
        now(share.block(EXTENSION, 1))
    assert BLOCKS[2] == now(share.block(EXTENSION, 2))


def test_block_too_short() -> None:
    """A block that is cut short is corrupt, although its hash may match."""
    extension = URIExtension(1, 1, 2, 2, bytes(32), bytes(32), block_hash(b"x"))
    chain = layout.pack_share_hashes({0: block_hash(b"x")})
    header = layout.Header(1, 2, 2, 36, 36, 36, 36, 68, 102)
    data = header.pack() + block_hash(b"x") + chain

    def read(offset: int, length: int) -> Deferred[bytes]:
        return succeed(b"x" if length == 2 else data[offset : offset + length])

    with pytest.raises(CorruptShareError, match="block 0 does not match"):
        now(share_of(AnyBucket(read)).block(extension, 0))
