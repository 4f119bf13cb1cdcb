"""Reading while shares are located: hedges, spares, salvage, and giving up."""

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock, deferLater

from firstk.downloader.encode import encode
from firstk.downloader.errors import (
    BadCiphertextHashError,
    BadURIExtensionError,
    NoSharesError,
    NotEnoughSharesError,
)
from firstk.downloader.fetch import PhasedFetcher
from firstk.downloader.pipelined import PipelinedFetcher
from firstk.downloader.strategy import STRATEGIES
from firstk.downloader.ueb import guess_segmentation
from tests.doubles import MemoryConsumer, MemoryServer, servers_of
from tests.downloader.scenery import (
    PARTS,
    AnyBucket,
    AnyServer,
    BoomError,
    Download,
    ManualServer,
    boom,
    corrupt,
    delayed,
    manual_servers,
    reading,
)
from tests.downloader.test_hostile import BLOCKS, CRYPTTEXT, make

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=3, n=10, segment_size=60)  # four segments
SHARES = FILE.shares
WHOLE = encode(PLAINTEXT, k=3, n=10)  # one segment, as it is guessed
LARGE = encode(PLAINTEXT * 200, k=3, n=10, segment_size=9000)  # five, and all is far from all

HEDGED = STRATEGIES["hedged"]
assert HEDGED.give_up is not None
GIVE_UP: float = HEDGED.give_up

both = pytest.mark.parametrize("strategy", ["windowed", "hedged"])
files = pytest.mark.parametrize("file", [FILE, WHOLE], ids=["four segments", "one"])


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Use a default segment size of 9000 bytes, so that a large file is read block by block."""
    monkeypatch.setattr("firstk.downloader.ueb.DEFAULT_SEGMENT_SIZE", 9000)
    guess_segmentation.cache_clear()
    yield
    guess_segmentation.cache_clear()


def never(*_: Any) -> Deferred[Any]:
    """Never answer."""
    return Deferred()


def silent(name: str = "silent") -> AnyServer:
    """Return a server that never answers its query."""
    return AnyServer(never, name)


def mute(clock: Clock, number: int, name: str = "mute") -> AnyServer:
    """Return a server that answers its query after a second, and never answers a read."""
    buckets = {number: AnyBucket(never)}
    return AnyServer(lambda _: deferLater(clock, 1.0, lambda: buckets), name)


def hanging_from(clock: Clock, delay: float, hang: float, data: bytes, number: int) -> AnyServer:
    """Return a server that answers after `delay`, and hangs on reads from the time `hang` on."""

    def read(offset: int, length: int) -> Deferred[bytes]:
        if clock.seconds() >= hang:
            return Deferred()
        return deferLater(clock, delay, lambda: data[offset : offset + length])

    buckets = {number: AnyBucket(read)}
    return AnyServer(lambda _: deferLater(clock, delay, lambda: buckets), f"hanging{number}")


def grid(
    clock: Clock, shares: Mapping[int, bytes], delay: float | Callable[[int], float] = 1.0
) -> list[AnyServer]:
    """Return a server s0, s1, ... for each share, which takes some time for each request."""
    return [
        delayed(clock, delay(i) if callable(delay) else delay, {i: data}, f"s{i}")
        for i, data in shares.items()
    ]


def some(*numbers: int, file: Any = FILE) -> dict[int, bytes]:
    """Return some of the shares of a file."""
    return {number: file.shares[number] for number in numbers}


def let_pass(run: Download, seconds: float, step: float = 0.25) -> None:
    """Advance the clock until the download is done, or this many seconds have passed."""
    end = run.clock.seconds() + seconds
    while not run.fired and run.clock.seconds() < end:
        run.clock.advance(step)


def over(run: Download, *, cancelled: int = 0) -> None:
    """Check that a finished download has left nothing on the clock."""
    assert len(run.results) == 1
    assert (run.consumer.registered, run.consumer.unregistered) == (1, 1)
    assert cancelled == len(run.clock.getDelayedCalls())


def read_from(run: Download) -> list[str]:
    """Return the servers that were read from, in order, each only once."""
    return list(dict.fromkeys(r.server for r in run.status.requests if not r.is_query))


# Rounds


@both
def test_two_round_trips(strategy: str) -> None:
    """The first block takes two round trips if the layout is guessed right."""
    clock = Clock()
    run = Download(grid(clock, WHOLE.shares), WHOLE.cap, strategy=strategy, clock=clock)
    clock.advance(1)

    assert len(read_from(run)) == 3
    assert run.status.phase == "blocks"
    clock.advance(1)

    assert run.consumer.data == PLAINTEXT
    assert (run.done().phases) == [
        ("starting", 0.0),
        ("locating", 0.0),
        ("blocks", 1.0),
        ("done", 2.0),
    ]
    assert run.status.located == 1.0
    over(run)


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("windowed", [0, 1, 2, 3, 4, 5, 5]), ("hedged", [0, 0, 5, 5, 5, 5, 5])],
)
def test_three_round_trips(strategy: str, expected: list[int]) -> None:
    """A wrong guess of the layout costs one more round trip, only in the first segment.

    Windowed has read enough for its guess to be lucky, as Tahoe-LAFS does for 5 to 8 segments.
    Hedged has read the other blocks with the one that it guessed, and keeps them.
    """
    clock = Clock()
    run = Download(grid(clock, LARGE.shares), LARGE.cap, strategy=strategy, clock=clock)
    pieces = []
    for _ in range(7):
        clock.advance(1)
        pieces.append(len(run.consumer.pieces))

    assert expected == pieces
    assert run.consumer.data == PLAINTEXT * 200
    assert run.done().shares_used == {0, 1, 2}


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("offset", [0, 1, 8999, 9000, 25_000, 39_999])
def test_offset_and_a_wrong_guess(offset: int, version: int) -> None:
    """For a range at any offset, a wrong guess makes the first block take three round trips."""
    file = encode(PLAINTEXT * 200, k=3, n=10, segment_size=9000, version=version)
    clock = Clock()
    servers = grid(clock, file.shares)
    run = Download(servers, file.cap, strategy="hedged", clock=clock, offset=offset, size=700)
    clock.pump([1, 1])

    assert run.consumer.pieces == []
    clock.pump([1, 1])

    assert (PLAINTEXT * 200)[offset : offset + 700] == run.consumer.data
    assert len(run.consumer.pieces) == (
        1 if offset % 9000 + min(700, 40_000 - offset) <= 9000 else 2
    )
    assert run.done()


def test_reading_starts_with_the_first_share() -> None:
    """The first share is read while the others are still being located."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy="hedged")
    servers[7].answer_manual()

    assert read_from(run) == ["s7"]
    assert run.status.located is None
    servers[3].answer_manual()
    servers[9].answer_manual()

    assert read_from(run) == ["s7", "s3", "s9"]
    assert run.status.located == 0.0
    servers[0].answer_manual()

    assert read_from(run) == ["s7", "s3", "s9"]


def test_fastest_first() -> None:
    """The shares on the servers that answered fastest are read, whatever their numbers."""
    clock = Clock()
    servers = [ManualServer(f"s{i}", {i: data}) for i, data in SHARES.items()]
    run = Download(servers, FILE.cap, strategy="windowed", clock=clock)
    for number in 5, 2:
        clock.advance(1)
        servers[number].answer_manual()
    clock.advance(1)
    servers[8].answer_manual()
    clock.advance(1)
    servers[1].answer_manual()
    clock.advance(1)
    servers[0].answer_manual()
    servers[2].buckets[2].fail()
    clock.advance(0)

    assert read_from(run) == ["s5", "s2", "s8", "s1"]


@both
def test_one_share_a_server(strategy: str) -> None:
    """Each server is read for one share, as long as there are enough servers."""
    rich = MemoryServer(some(0, 1, 2), "rich")
    servers = [ManualServer("rich", rich.shares), *manual_servers(some(3, 4, 5))]
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers[1:3]:
        server.answer_manual()
    servers[0].answer_manual()
    run.clock.advance(0)

    assert {
        name: len({r.share for r in run.status.requests if r.server == name and not r.is_query})
        for name in read_from(run)
    } == {"s3": 1, "s4": 1, "rich": 1}


@both
@files
def test_answers_at_once(strategy: str, file: Any) -> None:
    """Of servers that answer inside the call, no more are read than needed."""
    run = Download(servers_of(file.shares), file.cap, strategy=strategy)

    assert run.done().shares_used == {0, 1, 2}
    assert read_from(run) == ["m0", "m1", "m2"]
    assert run.consumer.data == PLAINTEXT
    assert (run.status.hedges, run.status.blocks_unused) == (0, 0)
    over(run)


def test_many_segments_at_once() -> None:
    """Thousands of segments that arrive at once need no deep stack."""
    plaintext = bytes(range(256)) * 12
    file = encode(plaintext, k=1, n=2, segment_size=1)
    run = Download(servers_of(file.shares), file.cap, strategy="hedged")

    assert len(plaintext) == len(run.consumer.pieces)
    assert plaintext == run.consumer.data


# Hedges


@files
def test_hung_read(file: Any) -> None:
    """A read that hangs is hedged: another share is read in addition, and the download succeeds."""
    clock = Clock()
    servers = [mute(clock, 0), *grid(clock, {n: d for n, d in file.shares.items() if n})]
    run = Download(servers, file.cap, strategy="hedged", clock=clock)
    let_pass(run, 30)

    assert run.done().shares_used == {1, 2, 3}
    assert run.consumer.data == PLAINTEXT
    assert run.status.hedges == 1
    (hung,) = {r.overdue for r in run.status.requests if r.server == "mute" and not r.is_query}
    assert hung is not None
    over(run)


def test_hung_read_stalls_windowed() -> None:
    """Windowed waits for it forever, as Tahoe-LAFS does."""
    clock = Clock()
    servers = [mute(clock, 0), *grid(clock, some(*range(1, 10)))]
    run = Download(servers, FILE.cap, strategy="windowed", clock=clock)
    let_pass(run, 1e6, 1e5)

    assert not run.fired
    assert clock.getDelayedCalls() == []
    run.deferred.cancel()

    assert run.done().phase == "stopped"


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("hang", [1.5, 2.5, 3.5])
def test_hung_between_segments(hang: float) -> None:
    """A server that hangs in the middle of a download is replaced by another."""
    clock = Clock()
    servers = [
        hanging_from(clock, 1.0, hang, LARGE.shares[0], 0),
        *grid(clock, some(1, 2, 3, file=LARGE)),
    ]
    run = Download(servers, LARGE.cap, strategy="hedged", clock=clock)
    let_pass(run, 60)

    assert {1, 2, 3} <= run.done().shares_used
    assert run.consumer.data == PLAINTEXT * 200
    assert run.status.hedges == 1
    later = [r for r in run.status.requests if r.server == "hanging0" and r.sent > hang + 1]
    assert later == []  # once is enough
    over(run)


@pytest.mark.usefixtures("small_segments")
def test_all_fall_silent() -> None:
    """If too many servers hang, the download fails in the end, and reports them."""
    clock = Clock()
    servers = [hanging_from(clock, 1.0, 3.5, LARGE.shares[i], i) for i in range(8)]
    run = Download(
        [*servers, *grid(clock, some(8, 9, file=LARGE))], LARGE.cap, strategy="hedged", clock=clock
    )
    let_pass(run, 1000)
    error = run.error(NotEnoughSharesError)

    assert (PLAINTEXT * 200).startswith(run.consumer.data)
    assert run.consumer.pieces
    assert error.have == 2
    assert error.silence == GIVE_UP
    assert "hanging0: share 0: still being read" in error.servers
    assert "s9: share 9: good" in error.servers
    over(run)


def test_slow_read_that_comes_after_all() -> None:
    """The first K valid blocks win, even a hedge's; a block that arrives too late is not used."""
    servers = manual_servers(some(0, 1, 2, 3, file=WHOLE))
    clock = Clock()
    run = Download(servers, WHOLE.cap, strategy="hedged", clock=clock)
    clock.advance(1)
    for server in servers:
        server.answer_manual()
    buckets = [server.buckets[i] for i, server in enumerate(servers)]
    clock.advance(1)
    buckets[0].answer_all()
    buckets[1].answer_all()
    let_pass(run, 30)

    assert [len(bucket.waiting) for bucket in buckets] == [0, 0, 1, 1]
    assert run.status.hedges == 1
    buckets[2].answer_all()

    assert run.done().shares_used == {0, 1, 2}
    buckets[3].answer_all()

    assert run.done().shares_used == {0, 1, 2}
    over(run)


def test_each_overdue_read_is_hedged() -> None:
    """If several reads hang, each is hedged, as long as there are shares."""
    clock = Clock()
    mutes = [mute(clock, i, f"mute{i}") for i in range(3)]
    servers = [*mutes, *grid(clock, some(*range(3, 10), file=WHOLE))]
    run = Download(servers, WHOLE.cap, strategy="hedged", clock=clock)
    let_pass(run, 60)

    assert run.done().shares_used == {3, 4, 5}
    assert run.status.hedges == 3
    over(run)


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("spares", [0, 1, 2, 5, 255])
def test_spares(spares: int) -> None:
    """For the first segment, `spares` shares beyond K are read, if there are as many."""
    clock = Clock()
    strategy = f"hedged+{spares}" if spares else "hedged"
    run = Download(grid(clock, LARGE.shares), LARGE.cap, strategy=strategy, clock=clock)
    clock.advance(1)

    assert min(10, 3 + spares) == len(read_from(run))
    clock.pump([1] * 10)
    last = run.status.phases[-1][1] - 1

    assert run.done().phase == "done"
    assert len({r.share for r in run.status.requests if r.sent == last}) == 3
    assert run.status.hedges == 0
    over(run)


def test_blocks_unused() -> None:
    """Good blocks beyond the K that are needed are counted as unused."""
    clock = Clock()
    run = Download(grid(clock, LARGE.shares), LARGE.cap, strategy="hedged+2", clock=clock)
    let_pass(run, 60, 1)

    assert run.done().blocks_unused == 2


def test_no_spares_left() -> None:
    """The download does not wait for spares: K shares are enough."""
    run = Download(servers_of(some(4, 5, 6)), FILE.cap, strategy="hedged+7")

    assert run.done().shares_used == {4, 5, 6}


def test_spare_wins() -> None:
    """A spare replaces a read that hangs, without a hedge and without delay."""
    clock = Clock()
    servers = [mute(clock, 0), *grid(clock, some(*range(1, 10), file=WHOLE))]
    run = Download(servers, WHOLE.cap, strategy="hedged+1", clock=clock)
    clock.pump([1, 1])

    assert run.done().phases[-1] == ("done", 2.0)
    assert run.status.hedges == 0


@pytest.mark.usefixtures("small_segments")
def test_second_segment_prefers_the_fast() -> None:
    """The next segment is read from the shares that were fastest for the last one."""
    clock = Clock()

    def server(number: int) -> AnyServer:
        delay = 3.0 if number == 0 else 1.0
        data = LARGE.shares[number]
        bucket = AnyBucket(lambda o, n: deferLater(clock, delay, lambda: data[o : o + n]))
        return AnyServer(lambda _: deferLater(clock, 1.0, lambda: {number: bucket}), f"s{number}")

    run = Download([server(i) for i in range(4)], LARGE.cap, strategy="hedged+1", clock=clock)
    let_pass(run, 60)
    later = {r.server for r in run.status.requests if r.what == "parts" and r.sent > 2.0}

    assert run.consumer.data == PLAINTEXT * 200
    assert later == {"s1", "s2", "s3"}


# Salvage


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
@files
def test_salvage(part: str, file: Any) -> None:
    """Hedged uses the good blocks of shares with a corrupt UEB, even if nine of ten are corrupt."""
    shares = {i: corrupt(d, part) if i < 9 else d for i, d in file.shares.items()}
    run = Download(servers_of(shares), file.cap, strategy="hedged")

    assert len(run.done().shares_used) == 3
    assert run.consumer.data == PLAINTEXT


def test_salvage_from_a_copy() -> None:
    """Another copy of a share that has given its block may supply the UEB or the hashes."""
    for part in "UEB", "crypttext hashes":
        bad = {i: corrupt(SHARES[i], part) for i in range(3)}
        for servers in (
            [MemoryServer(bad, "bad"), MemoryServer(some(1), "good")],
            [MemoryServer(bad, "bad"), MemoryServer({1: bad[1]}, "as bad"), *servers_of(some(0))],
        ):
            run = Download(servers, FILE.cap, strategy="hedged")

            assert run.done().shares_used == {0, 1, 2}
            assert run.consumer.data == PLAINTEXT


def test_salvage_of_both() -> None:
    """Some shares may supply the UEB, and another the crypttext hashes."""
    bad = {i: corrupt(SHARES[i], "UEB") for i in range(3)}
    other = MemoryServer({0: corrupt(SHARES[0], "crypttext hashes")}, "other")
    run = Download([MemoryServer(bad, "bad"), other], FILE.cap, strategy="hedged")

    assert run.done().shares_used == {0, 1, 2}
    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize(("corrupted", "ok"), [(7, True), (8, False), (9, False)])
def test_no_salvage(corrupted: int, ok: bool) -> None:
    """Windowed drops shares with a corrupt UEB, as Tahoe-LAFS does."""
    shares = {i: corrupt(d, "UEB") if i < corrupted else d for i, d in SHARES.items()}
    run = Download(servers_of(shares), FILE.cap, strategy="windowed")
    if ok:
        assert run.done().shares_used == {7, 8, 9}
    else:
        error = run.error(NotEnoughSharesError)
        assert (10 - corrupted, 3) == (error.have, error.need)
        assert error.servers[0] == "m0: share 0: the UEB does not match the cap"


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
@both
def test_no_ueb_at_all(part: str, strategy: str) -> None:
    """If all copies are corrupt, no share is good, and the error says why, share by share."""
    shares = {i: corrupt(d, part) for i, d in SHARES.items()}
    run = Download(servers_of(shares), FILE.cap, strategy=strategy)
    error = run.shortage()

    assert error.have < (3 if strategy == "windowed" else 1)
    assert len(error.servers) == 10
    assert all("not match the" in line for line in error.servers)


@pytest.mark.parametrize("part", PARTS)
@both
def test_replaced(part: str, strategy: str) -> None:
    """Up to N-K corrupt shares are replaced by others, whichever part is corrupt."""
    for victims in (0,), (0, 1, 2), range(7):
        shares = {i: corrupt(d, part) if i in victims else d for i, d in SHARES.items()}
        run = Download(servers_of(shares), FILE.cap, strategy=strategy)

        assert run.done()
        assert run.consumer.data == PLAINTEXT


@both
def test_copy_of_a_bad_share(strategy: str) -> None:
    """A share that is bad on one server may be good on another."""
    for part in PARTS:
        servers = [MemoryServer({0: corrupt(SHARES[0], part)}, "bad"), *servers_of(some(0, 1, 2))]
        run = Download(servers, FILE.cap, strategy=strategy)

        assert run.done().shares_used == {0, 1, 2}
        assert run.consumer.data == PLAINTEXT


def test_bad_block_in_a_later_segment() -> None:
    """A bad block is found when its segment is read; the share is not read again."""
    bad = SHARES[1][:76] + b"?" + SHARES[1][77:]  # in its third block
    for strategy in "windowed", "hedged":
        run = Download(servers_of(SHARES | {1: bad}), FILE.cap, strategy=strategy)

        assert run.done().shares_used == {0, 1, 2, 3}
        assert run.consumer.data == PLAINTEXT


# Giving up


def test_gives_up() -> None:
    """Hedged gives up `give_up` seconds after the last event, and reports the silent servers."""
    clock = Clock()
    servers = [silent("quiet"), *grid(clock, some(0, 1))]
    run = Download(servers, FILE.cap, strategy="hedged", clock=clock)
    let_pass(run, GIVE_UP - 1, 0.5)

    assert not run.fired
    let_pass(run, 1000, 0.5)
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need, error.silence) == (2, 3, GIVE_UP)
    last = max(t for r in run.status.requests for t in (r.sent, r.answered) if t is not None)
    assert pytest.approx(last + GIVE_UP, abs=0.5) == run.status.phases[-1][1]
    assert list(error.servers) == ["quiet: no answer", "s0: share 0: good", "s1: share 1: good"]
    over(run)


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_gives_up_without_a_ueb(part: str) -> None:
    """Shares that cannot be verified do not count: the error never has enough shares."""
    shares = {i: corrupt(SHARES[i], part) for i in range(4)}
    run = Download([silent(), *servers_of(shares)], FILE.cap, strategy="hedged")
    let_pass(run, 2 * GIVE_UP)
    error = run.error(NoSharesError)

    assert (error.have, error.need, error.silence) == (0, 3, GIVE_UP)
    over(run)


def test_late_answer_before_giving_up() -> None:
    """A server that answers just before the download gives up is still used."""
    clock = Clock()
    late = delayed(clock, GIVE_UP - 1, some(5), "late")
    run = Download([late, *grid(clock, some(0, 1))], FILE.cap, strategy="hedged", clock=clock)
    let_pass(run, 1000, 0.5)

    assert run.done().shares_used == {0, 1, 5}
    assert run.consumer.data == PLAINTEXT
    (query,) = [r for r in run.status.requests if r.is_query and r.server == "late"]
    assert query.overdue is not None
    assert query.answered == GIVE_UP - 1
    over(run)


def test_asks_all_before_giving_up() -> None:
    """Hedged does not give up before it has queried every server.

    One fast answer and many silent servers make it patient: the rest might just be slower.
    """
    file = encode(PLAINTEXT, k=3, n=60)
    clock = Clock()
    servers = grid(clock, some(0, file=file), 0.75)
    servers += [silent(f"silent{i}") for i in range(122)]
    servers += [delayed(clock, 1.0, some(i, file=file), f"last{i}") for i in (5, 7)]
    run = Download(servers, file.cap, strategy="hedged", clock=clock)
    let_pass(run, 300)

    assert run.done().shares_used == {0, 5, 7}
    over(run)


@pytest.mark.parametrize("delay", [1.0, 6.0, 15.0])
@pytest.mark.parametrize("mutes", [1, 2, 3, 4, 6, 9])
def test_reads_all_before_giving_up(mutes: int, delay: float) -> None:
    """Hedged does not give up before it has read every share."""
    file = encode(bytes(400_000), k=1, n=10)
    clock = Clock()

    def slow_mute(number: int) -> AnyServer:
        buckets = {number: AnyBucket(never)}
        return AnyServer(lambda _: deferLater(clock, delay, lambda: buckets), f"mute{number}")

    servers = [*(slow_mute(i) for i in range(mutes)), *grid(clock, some(9, file=file), delay + 1)]
    run = Download(servers, file.cap, strategy="hedged", clock=clock)
    let_pass(run, (mutes + 2) * (GIVE_UP + 1), 0.5)

    assert run.done().shares_used == {9}
    over(run)


def test_windowed_never_gives_up() -> None:
    """Windowed waits forever for the last silent server, and has no timer."""
    clock = Clock()
    run = Download([silent(), *grid(clock, some(0, 1))], FILE.cap, strategy="windowed", clock=clock)
    let_pass(run, 1e6, 1e4)

    assert not run.fired
    assert clock.getDelayedCalls() == []
    run.deferred.cancel()


@pytest.mark.parametrize("give_up", [0.5, 5.0, 3600.0])
def test_give_up_is_a_choice(give_up: float) -> None:
    """A strategy sets how long it waits before it gives up."""
    run = Download([silent()], FILE.cap, strategy=replace(HEDGED, give_up=give_up))
    let_pass(run, 2 * give_up, give_up / 10)

    assert give_up == run.error(NoSharesError).silence
    assert pytest.approx(give_up, rel=0.2) == run.status.phases[-1][1]
    over(run)


class Pausing(MemoryConsumer):
    """A consumer that pauses for `pause` seconds after each piece."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self._clock = clock
        self._seconds = seconds

    def write(self, data: bytes) -> None:
        super().write(data)
        self.producer.pauseProducing()
        self._clock.callLater(self._seconds, self.producer.resumeProducing)


@pytest.mark.parametrize("pause", [1, GIVE_UP - 1, GIVE_UP + 1, 10 * GIVE_UP])
def test_pause_is_no_silence(pause: float) -> None:
    """A consumer that pauses for longer than `give_up` does not make the download give up."""
    clock = Clock()
    run = Download(
        grid(clock, SHARES),
        FILE.cap,
        strategy="hedged",
        clock=clock,
        consumer=Pausing(clock, pause),
    )
    let_pass(run, 5 * pause + 10, 0.5)

    assert run.consumer.data == PLAINTEXT
    assert run.done()
    assert run.status.hedges == 0


# Ends


@pytest.mark.parametrize("how", ["stop", "cancel"])
@pytest.mark.parametrize("late", ["answer_all", "fail"])
@pytest.mark.parametrize("strategy", ["windowed", "hedged", "hedged+2"])
def test_stop_while_reading(strategy: str, late: str, how: str) -> None:
    """A download stopped while reads are outstanding ends at once, and leaves no timer."""
    servers = manual_servers(SHARES)
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers[:6]:
        run.clock.advance(0.1)
        server.answer_manual()
    run.clock.advance(0.2)
    buckets = [bucket for server in servers for bucket in server.buckets.values()]

    assert sum(len(bucket.waiting) for bucket in buckets) >= 3
    run.deferred.cancel() if how == "cancel" else run.consumer.producer.stopProducing()

    assert run.done().phase == "stopped"
    over(run)
    requests = len(run.status.requests)
    for bucket in buckets:
        while bucket.waiting:
            getattr(bucket, late)()
    servers[7].answer_manual()
    servers[8].fail()

    assert requests == len(run.status.requests)
    assert run.consumer.pieces == []


@both
@pytest.mark.parametrize("how", ["stop", "cancel"])
def test_stop_while_locating(strategy: str, how: str) -> None:
    """The same while no share is known."""
    run = Download([silent()] * 5, FILE.cap, strategy=strategy)
    run.clock.advance(0.5)
    run.deferred.cancel() if how == "cancel" else run.consumer.producer.stopProducing()

    assert run.done().phase == "stopped"
    over(run)


SINGLE = encode(PLAINTEXT, k=1, n=2)


@pytest.mark.parametrize("how", ["stop", "Control-C"])
def test_stop_in_the_midst_of_a_look(how: str) -> None:
    """If a server answers another read and then stops the download, nothing is written."""
    first: Deferred[bytes] = Deferred()
    asked: list[tuple[int, int]] = []

    def wait(offset: int, length: int) -> Deferred[bytes]:
        asked.append((offset, length))
        return first

    def answer_other_and_stop(*_: int) -> Deferred[bytes]:
        offset, length = asked[0]
        first.callback(SINGLE.shares[0][offset : offset + length])
        if how == "Control-C":
            raise KeyboardInterrupt
        consumer.producer.stopProducing()
        return Deferred()

    consumer = MemoryConsumer()
    servers = [reading(wait, 0, "first"), reading(answer_other_and_stop, 1, "other")]
    run = Download(servers, SINGLE.cap, consumer=consumer, strategy="hedged+1")

    if how == "stop":
        assert run.done().phase == "stopped"
    else:
        assert run.error(KeyboardInterrupt)
    over(run)
    assert consumer.pieces == []


@both
def test_stop_by_the_last_hope(strategy: str) -> None:
    """A stop by the only remaining server is a stop, not a shortage."""
    consumer = MemoryConsumer()

    def stop(*_: int) -> Deferred[bytes]:
        consumer.producer.stopProducing()
        return Deferred()

    run = Download([reading(stop)], FILE.cap, consumer=consumer, strategy=strategy)

    assert run.done().phase == "stopped"
    assert run.status.hedges == 0
    assert all(request.overdue is None for request in run.status.requests)
    over(run)


@both
@pytest.mark.parametrize("when", ["query", "read"])
def test_control_c(strategy: str, when: str) -> None:
    """Control-C in a server's code ends the download, and leaves no timer."""

    def interrupt(*_: Any) -> Any:
        raise KeyboardInterrupt

    server = AnyServer(interrupt) if when == "query" else reading(interrupt)
    run = Download([server, silent(), *servers_of(some(1, 2))], FILE.cap, strategy=strategy)

    assert run.error(KeyboardInterrupt)
    over(run)


@pytest.mark.parametrize("strategy", ["hedged", "hedged+2", "first-k"])
def test_what_was_read_is_let_go(strategy: str) -> None:
    """A request that is never answered keeps no reference to a finished download."""
    clock = Clock()
    hung: list[Deferred[Any]] = []

    def hang(*_: Any) -> Deferred[Any]:
        hung.append(Deferred())
        return hung[-1]

    servers = [AnyServer(hang), *grid(clock, some(0, 1, 2, 3, file=LARGE))]
    if strategy != "first-k":
        servers.insert(0, reading(hang, 4, "hangs"))
    run = Download(servers, LARGE.cap, clock=clock, strategy=strategy)
    let_pass(run, 60)

    assert run.done()
    assert hung
    del run, servers
    gc.collect()

    assert [o for o in gc.get_objects() if isinstance(o, PipelinedFetcher | PhasedFetcher)] == []


# Hostile servers

HOSTILE: dict[str, Callable[[int, int], Any]] = {
    "raises": boom,
    "fails": lambda *_: fail(BoomError("no")),
    "None": lambda *_: None,
    "text": lambda _, n: succeed("x" * n),
    "no bytes": lambda *_: succeed(b""),
    "too many": lambda _, n: succeed(bytes(n + 1)),
    "zeros": lambda _, n: succeed(bytes(n)),
    "ones": lambda _, n: succeed(b"\xff" * n),
    "another file's": lambda o, n: succeed(LARGE.shares[0][o : o + n]),
    "another number's": lambda o, n: succeed(SHARES[7][o : o + n]),
    "a wrong header": lambda o, n: succeed(
        (bytes(3) + b"\1" + bytes(32) + SHARES[0][36:])[o : o + n]
    ),
    "never": never,
}


@pytest.mark.parametrize("hostile", HOSTILE)
@files
@both
def test_hostile(hostile: str, file: Any, strategy: str) -> None:
    """Servers that answer reads with anything cost some time, and nothing else."""
    clock = Clock()
    servers = [reading(HOSTILE[hostile], i, f"hostile{i}") for i in range(7)]
    servers += grid(clock, some(7, 8, 9, file=file))
    run = Download(servers, file.cap, strategy=strategy, clock=clock)
    let_pass(run, 300)
    if (strategy, hostile) == ("windowed", "never"):
        assert not run.fired
        run.deferred.cancel()
        return

    assert run.done().shares_used == {7, 8, 9}
    assert run.consumer.data == PLAINTEXT
    assert len(run.status.requests) < 60
    over(run)


@pytest.mark.parametrize("hostile", [name for name in HOSTILE if name != "another number's"])
@both
def test_only_hostile(hostile: str, strategy: str) -> None:
    """If all servers are hostile, the error quotes each of them."""
    servers = [reading(HOSTILE[hostile], i, f"hostile{i}") for i in range(5)]
    run = Download(servers, FILE.cap, strategy=strategy)
    let_pass(run, 300)
    if (strategy, hostile) == ("windowed", "never"):
        assert not run.fired
        run.deferred.cancel()
        return
    error = run.shortage()

    assert error.have < (3 if strategy == "windowed" else 1)
    assert [f"hostile{i}: share {i}: " for i in range(5)] == [
        line[: len("hostile0: share 0: ")] for line in error.servers
    ]
    assert strategy == "windowed" or "good" not in str(error)
    over(run)


def test_file_made_wrong() -> None:
    """A nonsensical UEB, or a segment with a wrong hash, ends the download at once."""
    wrong = make(BLOCKS, [bytes(20), CRYPTTEXT[1]], 2)
    for strategy in "windowed", "hedged":
        run = Download(servers_of(wrong.shares), wrong.cap, strategy=strategy)

        assert run.error(BadCiphertextHashError)
        over(run)
    wrong = make(BLOCKS, CRYPTTEXT, 2, segment_size=21)
    run = Download(servers_of(wrong.shares), wrong.cap, strategy="hedged")

    assert run.error(BadURIExtensionError)
    over(run)


# Liveness


@dataclass(frozen=True)
class Conduct:
    """The shares of one server, and how it answers: after how many seconds, if at all."""

    numbers: tuple[int, ...]
    query: float | str
    read: float | str

    @property
    def answers(self) -> bool:
        """Whether its shares can be read."""
        return isinstance(self.query, float) and (
            isinstance(self.read, float) or self.read in ("UEB", "crypttext hashes")
        )

    def tells(self, part: str) -> bool:
        """Whether that part of its shares can be read."""
        read = isinstance(self.read, float) or self.read in PARTS
        return isinstance(self.query, float) and read and self.read not in ("header", part)

    def server(self, clock: Clock, shares: Mapping[int, bytes], name: str) -> AnyServer:
        """Return a server that behaves this way."""

        def act(how: float | str, answer: Callable[[], Any]) -> Any:
            match how:
                case "silent":
                    return Deferred()
                case "raises":
                    boom()
                case "fails":
                    return deferLater(clock, 0.3, boom)
                case "at once":
                    return succeed(answer())
                case float() as delay:
                    return deferLater(clock, delay, answer)
            raise AssertionError(how)

        def bucket(data: bytes) -> AnyBucket:
            if self.read in PARTS:
                data = corrupt(data, str(self.read))
                return AnyBucket(lambda o, n: deferLater(clock, 0.2, lambda: data[o : o + n]))
            return AnyBucket(lambda o, n: act(self.read, lambda: data[o : o + n]))

        buckets = {number: bucket(shares[number]) for number in self.numbers}
        return AnyServer(lambda _: act(self.query, lambda: buckets), name)


LIVELY = encode(PLAINTEXT, k=3, n=6, segment_size=90)  # three segments, and a window of 12

times = st.sampled_from([0.01, 0.05, 0.1, 1.0, 5.0, 20.0])
conducts = st.builds(
    Conduct,
    st.lists(st.integers(0, 5), max_size=3, unique=True).map(tuple),
    times | st.sampled_from(["silent", "raises", "fails"]),
    times | st.sampled_from(["silent", "raises", "fails", *PARTS[:-1]]),
)


@given(
    grid=st.lists(conducts, max_size=18),
    strategy=st.sampled_from(["hedged", "hedged+1", "hedged+3"]),
    offset=st.sampled_from([0, 100]),
)
@settings(deadline=None, max_examples=100)
def test_liveness(grid: Sequence[Conduct], strategy: str, offset: int) -> None:
    """If K distinct good shares are on servers that answer in time, hedged succeeds.

    Otherwise it fails in bounded time and names the silent servers. It never stalls, writes
    nothing wrong, and leaves no timer of its own.
    """
    clock = Clock()
    servers = [c.server(clock, LIVELY.shares, f"s{i}") for i, c in enumerate(grid)]
    run = Download(servers, LIVELY.cap, strategy=strategy, clock=clock, offset=offset)
    waits = 0
    while not run.fired:
        calls = clock.getDelayedCalls()
        assert calls, "it stalls"
        waits += 1
        assert waits < 5000
        clock.advance(max(0.0, min(call.getTime() for call in calls) - clock.seconds()))
    assert own_timers(clock) == []
    assert PLAINTEXT[offset:].startswith(run.consumer.data)
    within = {number for c in grid if c.answers for number in c.numbers}
    known = all(
        any(c.numbers and c.tells(part) for c in grid) for part in ("UEB", "crypttext hashes")
    )
    # Others may have told what proves the blocks of these.
    unproven = {n for c in grid if c.read == "share hashes" for n in c.numbers}
    if (len(within) >= 3 and known) or run.status.phase == "done":
        assert PLAINTEXT[offset:] == run.consumer.data
        assert run.done().shares_used <= within | unproven
        return
    error = run.results[0].value
    assert isinstance(error, NotEnoughSharesError)
    assert error.have < 3
    # Every query and every read of a share is one wait, at the most.
    assert clock.seconds() <= (GIVE_UP + 20) * (1 + sum(1 + len(c.numbers) for c in grid))
    for i, conduct in enumerate(grid):
        if conduct.query == "silent":
            assert f"s{i}: no answer" == error.servers[i]
            assert error.silence == GIVE_UP


def own_timers(clock: Clock) -> list[str]:
    """Return the timers of the download: those of the servers are Deferreds' callbacks."""
    return [repr(call) for call in clock.getDelayedCalls() if "Deferred.callback" not in repr(call)]


@given(st.lists(conducts, max_size=8), st.integers(0, 2**32))
@settings(deadline=None, max_examples=50)
def test_cancelled_at_any_time(grid: Sequence[Conduct], seed: int) -> None:
    """Cancelled at any moment, a download ends at once, and leaves no timer of its own."""
    clock = Clock()
    servers = [c.server(clock, LIVELY.shares, f"s{i}") for i, c in enumerate(grid)]
    run = Download(servers, LIVELY.cap, strategy="hedged", clock=clock)
    for _ in range(Random(seed).randrange(40)):
        clock.advance(0.1)
    run.deferred.cancel()

    assert len(run.results) == 1
    assert own_timers(clock) == []


def test_waiting_for_the_ueb() -> None:
    """Shares that have been read and wait for the UEB are not replaced by others."""
    clock, file = Clock(), encode(PLAINTEXT, k=8, n=20)
    reads: list[int] = []

    def server(i: int) -> AnyServer:
        """Return a server; the first five, from which the UEB is read, are a bit slow."""
        rtt, data = 0.05 + 0.001 * i, file.shares[i]

        def read(offset: int, length: int) -> Deferred[bytes]:
            reads.append(i)
            late = 0.02 if i < 5 else 0.0
            return deferLater(clock, rtt + late, lambda: data[offset : offset + length])

        return AnyServer(lambda _: deferLater(clock, rtt, lambda: {i: AnyBucket(read)}), f"s{i}")

    run = Download([server(i) for i in range(20)], file.cap, strategy="hedged", clock=clock)
    clock.pump([0.001] * 200)

    assert run.done().hedges == 0
    assert sorted(set(reads)) == list(range(8))
