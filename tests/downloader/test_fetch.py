"""Phases 2 to 4: which shares are asked for what, and how a failing share is replaced."""

from collections.abc import Callable
from dataclasses import asdict
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from firstk.downloader.encode import encode
from firstk.downloader.errors import NoSharesError, NotEnoughSharesError
from firstk.downloader.fetch import decode
from firstk.downloader.strategy import STRATEGIES
from tests.doubles import MemoryServer, servers_of
from tests.downloader.scenery import (
    FOUR_PHASES,
    PARTS,
    AnyServer,
    Download,
    ManualBucket,
    ManualServer,
    boom,
    corrupt,
    delayed,
    manual_servers,
    reading,
)

PLAINTEXT = bytes(range(200))
FILE = encode(PLAINTEXT, k=3, n=10, segment_size=60)
SHARES = FILE.shares

strategies = pytest.mark.parametrize("strategy", FOUR_PHASES)
all_strategies = pytest.mark.parametrize("strategy", STRATEGIES)
parts = pytest.mark.parametrize("part", PARTS)

#: What requests are called that read a part of a share.
READ_OF = {part: part for part in PARTS} | {"share hashes": "block hashes", "block": "block 0"}


def located(numbers: dict[int, bytes] | None = None) -> list[ManualServer]:
    """Return servers with these shares, or all, whose reads are answered manually."""
    return manual_servers(SHARES if numbers is None else numbers)


def buckets_of(servers: list[ManualServer]) -> list[ManualBucket]:
    """Return the one bucket of each server."""
    return [bucket for server in servers for bucket in server.buckets.values()]


def serve(buckets: list[ManualBucket]) -> None:
    """Answer reads until none is pending."""
    while any(bucket.waiting for bucket in buckets):
        for bucket in buckets:
            bucket.answer_all()


def failing_at(data: bytes, count: int) -> Callable[[int, int], Any]:
    """Return a `read` that answers the first `count` reads, and fails the later ones."""
    left = [count]

    def read(offset: int, length: int) -> Any:
        left[0] -= 1
        if left[0] < 0:
            boom()
        return succeed(data[offset : offset + length])

    return read


# Decoding


@pytest.mark.parametrize(("k", "n"), [(1, 1), (1, 3), (2, 2), (2, 4), (3, 6), (5, 7)])
def test_decode(k: int, n: int) -> None:
    """Any k of the n blocks restore the segment, in any order."""
    segment = bytes(range(k * 4))
    shares = encode(segment, k=k, n=n).shares
    block = {number: share[36:40] for number, share in shares.items()}
    crypttext = b"".join(block[number] for number in range(k))
    for numbers in combinations(range(n), k):
        for order in numbers, numbers[::-1]:
            assert crypttext == decode({number: block[number] for number in order}, k, n)


# Choice of shares


@pytest.mark.parametrize("seed", range(5))
def test_primary_first(seed: int) -> None:
    """Primary shares are preferred, and decoding is not needed then."""
    servers = servers_of(SHARES, reversed(range(10)))
    run = Download(servers, FILE.cap, strategy="wait-for-all", random=Random(seed))

    assert run.done().shares_used == {0, 1, 2}
    assert not run.done().decode_needed
    assert run.consumer.data == PLAINTEXT


def test_primary_then_secondary() -> None:
    """Secondary shares fill up at random: over many downloads, each is used."""
    seen: set[int] = set()
    for seed in range(50):
        servers = servers_of(SHARES, [9, 8, 7, 6, 5, 1])
        run = Download(servers, FILE.cap, strategy="wait-for-all", random=Random(seed))
        used = run.done().shares_used
        seen |= used

        assert 1 in used
        assert len(used) == 3
        assert run.done().decode_needed
        assert run.consumer.data == PLAINTEXT

    assert seen == {1, 5, 6, 7, 8, 9}


def test_lowest_primary_first() -> None:
    """The UEB is read from the share with the lowest number."""
    run = Download(servers_of(SHARES, [5, 2, 1]), FILE.cap)

    assert [request.share for request in run.requests("UEB")] == [1]


def test_any_holder() -> None:
    """If several servers hold the same share, any of them may be read."""
    holders: set[str] = set()
    for seed in range(50):
        servers = [MemoryServer({0: SHARES[0]}, f"s{i}") for i in range(4)]
        run = Download(
            [*servers, *servers_of(SHARES, [1, 2])],
            FILE.cap,
            strategy="wait-for-all",
            random=Random(seed),
        )
        run.done()
        holders |= {r.server for r in run.status.requests if r.share == 0}

    assert holders == {"s0", "s1", "s2", "s3"}


@all_strategies
def test_repeatable(strategy: str) -> None:
    """Without outside randomness, equal downloads send equal requests."""
    servers = servers_of(SHARES, [9, 8, 7, 6, 5])
    runs = [Download(servers, FILE.cap, strategy=strategy) for _ in range(5)]

    assert [asdict(runs[0].done())] * 5 == [asdict(run.done()) for run in runs]


@strategies
def test_same_shares_throughout(strategy: str) -> None:
    """The shares chosen for the first segment are read for all segments, and no others."""
    run = Download(servers_of(SHARES, [9, 8, 7, 6, 5]), FILE.cap, strategy=strategy)
    used = run.done().shares_used

    assert len(used) == 3
    for segment in range(4):
        assert used == {request.share for request in run.requests(f"block {segment}")}
        assert len(run.requests(f"block {segment}")) == 3


# Phases


@strategies
def test_five_round_trips(strategy: str) -> None:
    """The first block takes five round trips: buckets, header, UEB, crypttext hashes, block."""
    clock = Clock()
    servers = [delayed(clock, 1.0, {i: share}, f"s{i}") for i, share in SHARES.items()]
    run = Download(servers, FILE.cap, strategy=strategy, clock=clock)
    pieces = []
    for _ in range(9):
        clock.advance(1.0)
        pieces.append(len(run.consumer.data))

    assert pieces == [0, 0, 0, 0, 60, 120, 180, 200, 200]
    assert run.done().phases == [
        ("starting", 0.0),
        ("locating", 0.0),
        ("uri-extension", 1.0),
        ("crypttext-hashes", 3.0),
        ("blocks", 4.0),
        ("done", 8.0),
    ]


@strategies
def test_blocks_in_parallel(strategy: str) -> None:
    """The blocks of a segment are requested from K shares at once."""
    servers = located({number: SHARES[number] for number in (0, 1, 2)})
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers:
        server.answer_manual()
    buckets = buckets_of(servers)

    assert [len(bucket.waiting) for bucket in buckets] == [1, 1, 1]  # their headers
    for bucket in buckets:
        bucket.answer()

    assert [len(bucket.waiting) for bucket in buckets] == [1, 0, 0]  # the UEB
    buckets[0].answer()

    assert [len(bucket.waiting) for bucket in buckets] == [1, 0, 0]  # the crypttext hashes
    buckets[0].answer()

    assert [len(bucket.waiting) for bucket in buckets] == [2, 2, 2]  # blocks and their hashes
    serve(buckets)

    assert run.consumer.data == PLAINTEXT


@strategies
@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_one_share_at_a_time(strategy: str, part: str) -> None:
    """UEB and crypttext hashes are requested from one share after another, until one has them."""
    bad = {number: corrupt(SHARES[number], part) for number in (0, 1)}
    servers = located(bad | {2: SHARES[2]})
    run = Download(servers, FILE.cap, strategy=strategy)
    for server in servers:
        server.answer_manual()
    buckets = buckets_of(servers)
    for bucket in buckets:
        bucket.answer()
    if part == "crypttext hashes":
        buckets[0].answer()

    for number, bucket in enumerate(buckets):
        assert [number] == [i for i, other in enumerate(buckets) if other.waiting]
        assert list(range(number + 1)) == [r.share for r in run.requests(part)]
        bucket.answer()
    serve(buckets)

    assert run.done().shares_used == {0, 1, 2}


@strategies
@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_all_but_one_corrupt(strategy: str, part: str) -> None:
    """A corrupt UEB (or crypttext hash tree) in K-1 of the K shares does not matter."""
    for good in range(3):
        shares = {i: SHARES[i] if i == good else corrupt(SHARES[i], part) for i in range(3)}
        run = Download(servers_of(shares), FILE.cap, strategy=strategy)

        assert run.done().shares_used == {0, 1, 2}
        assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_over_all_located(part: str) -> None:
    """They are requested from all located shares, not only from K: the tenth has them."""
    shares = {number: corrupt(SHARES[number], part) for number in range(9)} | {9: SHARES[9]}
    run = Download(servers_of(shares), FILE.cap, strategy="wait-for-all")

    assert run.done().shares_used == {0, 1, 2}
    assert set(range(10)) == {request.share for request in run.requests(part)}
    assert len(run.requests(part)) == 10


@all_strategies
@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_corrupt_everywhere(strategy: str, part: str) -> None:
    """If all copies are corrupt, no share is good, and each line of the error says why."""
    shares = {number: corrupt(SHARES[number], part) for number in range(3)}
    run = Download(servers_of(shares), FILE.cap, strategy=strategy)
    error = run.shortage()

    # Windowed fails once it cannot succeed, whatever is still being judged.
    assert error.have == 0 or (strategy == "windowed" and error.have < 3)
    assert sum("not match the" in line for line in error.servers) == 3


# Replacement


@parts
@pytest.mark.parametrize("victims", [(0,), (1,), (0, 1, 2), (3, 4, 5, 6, 7, 8, 9)])
def test_corrupt_replaced(part: str, victims: tuple[int, ...]) -> None:
    """Up to N-K corrupt shares are replaced by others, whichever part is corrupt."""
    shares = {i: corrupt(s, part) if i in victims else s for i, s in SHARES.items()}
    run = Download(servers_of(shares), FILE.cap, strategy="wait-for-all")
    used = run.done().shares_used

    assert run.consumer.data == PLAINTEXT
    if part not in ("UEB", "crypttext hashes"):
        assert used.isdisjoint(victims)


@parts
@all_strategies
def test_corrupt_with_duplicate(part: str, strategy: str) -> None:
    """A corrupt share is replaced by the same share on another server."""
    servers = [MemoryServer({0: corrupt(SHARES[0], part)}, "bad"), *servers_of(SHARES, [0, 1, 2])]
    run = Download(servers, FILE.cap, strategy=strategy)
    run.done()

    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("count", range(8))
@pytest.mark.parametrize("victim", [0, 1, 2])
def test_error_replaced(count: int, victim: int) -> None:
    """A share whose server fails a later read is replaced, whichever read it is."""
    rest = servers_of(SHARES, [i for i in range(5) if i != victim])
    bad = reading(failing_at(SHARES[victim], count), victim, "bad")
    run = Download([bad, *rest], FILE.cap, strategy="wait-for-all")
    run.done()

    assert run.consumer.data == PLAINTEXT
    failed = [r.what for r in run.status.requests if r.failed is not None]
    assert len(failed) <= 1 or failed == ["block 0", "block hashes"]  # these go together


@pytest.mark.parametrize("segment", range(4))
def test_corrupt_in_a_later_segment(segment: int) -> None:
    """A share with one bad block is used up to that block, and not after it."""
    start = 36 + 20 * segment
    bad = SHARES[1][:start] + b"?" + SHARES[1][start + 1 :]
    run = Download(servers_of(SHARES | {1: bad}), FILE.cap, strategy="wait-for-all")
    used = run.done().shares_used

    assert run.consumer.data == PLAINTEXT
    assert (segment > 0) == (1 in used)
    later = [r.share for i in range(segment + 1, 4) for r in run.requests(f"block {i}")]
    assert 1 not in later


def test_held_blocks_are_kept() -> None:
    """Blocks that have arrived are not read again when another block is replaced."""
    servers = servers_of(SHARES | {1: corrupt(SHARES[1], "block")})
    run = Download(servers, FILE.cap, strategy="wait-for-all")
    run.done()

    shares = [request.share for request in run.requests("block 0")]
    assert shares[:3] == [0, 1, 2]
    assert len(shares) == 4
    assert len(run.requests("block 1")) == 3


def test_many_replacements() -> None:
    """One share after another may turn out bad, as long as K are left."""
    bad = {i: corrupt(SHARES[i], PARTS[i % len(PARTS)]) for i in (0, 3, 4, 5)}
    failing = [reading(failing_at(SHARES[i], i), i, f"failing{i}") for i in (6, 7, 8)]
    servers = [*failing, *servers_of(bad), *servers_of(SHARES, [1, 2, 9])]
    run = Download(servers, FILE.cap, strategy="wait-for-all")
    run.done()

    assert run.consumer.data == PLAINTEXT


@parts
def test_shortage_while_reading(part: str) -> None:
    """A shortage found while reading raises the same error as one found while locating."""
    servers = servers_of({0: corrupt(SHARES[0], part), 1: SHARES[1], 2: SHARES[2]})
    run = Download(servers, FILE.cap)
    if part in ("UEB", "crypttext hashes"):
        assert run.done()
        return
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    bad, *rest = error.servers
    assert bad.startswith("m0: share 0: ")
    assert "good" not in bad
    assert rest == ["m1: share 1: good", "m2: share 2: good"]
    assert run.consumer.pieces == []


def test_shortage_counts_numbers() -> None:
    """Good copies of one share count once."""
    servers = [
        *servers_of({0: corrupt(SHARES[0], "block"), 1: corrupt(SHARES[1], "header")}),
        *servers_of(SHARES, [2, 2, 2]),
        *servers_of(SHARES, [0]),
    ]
    run = Download(servers, FILE.cap, strategy="wait-for-all")
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    assert len(error.servers) == 6


def test_shortage_in_a_later_segment() -> None:
    """If a shortage shows in a later segment, what was written is right."""
    bad = SHARES[1][:80] + b"?" + SHARES[1][81:]
    run = Download(servers_of({0: SHARES[0], 1: bad, 2: SHARES[2]}), FILE.cap)
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    assert error.servers[1] == "m1: share 1: block 2 does not match its hash"
    assert run.consumer.data == PLAINTEXT[:120]
    assert (run.status.phase, run.consumer.unregistered) == ("failed", 1)


@all_strategies
@pytest.mark.parametrize("read", [lambda *_: None, lambda *_: succeed("text"), boom, None])
def test_buckets_of_nonsense(strategy: str, read: Any) -> None:
    """A bucket that answers nonsense, or that cannot be read, loses its share."""
    bad = AnyServer(lambda _: succeed({0: None}), "any") if read is None else reading(read)
    run = Download([bad, *servers_of(SHARES, [1, 2])], FILE.cap, strategy=strategy)
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    assert error.servers[0].startswith("any: share 0: ")
    assert "good" not in error.servers[0]


@pytest.mark.parametrize("read", [lambda *_: None, lambda *_: succeed("text"), boom, None])
def test_buckets_of_nonsense_replaced(read: Any) -> None:
    """Another share replaces it, if there is one."""
    bad = AnyServer(lambda _: succeed({0: None}), "any") if read is None else reading(read)
    run = Download([bad, *servers_of(SHARES, [1, 2, 7])], FILE.cap, strategy="wait-for-all")

    assert run.done().shares_used == {1, 2, 7}


# Late answers


@parts
def test_first_k_ignores_late_shares(part: str) -> None:
    """First-k fails although a late answer has a share that could replace the corrupt one."""
    bad = {0: corrupt(SHARES[0], part), 1: SHARES[1], 2: SHARES[2]}
    run = Download([*servers_of(bad), *servers_of(SHARES, [5])], FILE.cap, strategy="first-k")
    if part in ("UEB", "crypttext hashes"):
        assert run.done()
        return
    error = run.error(NotEnoughSharesError)

    assert (error.have, error.need) == (2, 3)
    assert error.servers[3] == "m5: share 5: good (too late, ignored)"


@parts
@pytest.mark.parametrize("come", ["before", "after"])
def test_first_k_late_uses_late_shares(part: str, come: str) -> None:
    """First-k-late uses a share from a late answer, and waits for one if it must."""
    bad = {0: corrupt(SHARES[0], part), 1: SHARES[1], 2: SHARES[2]}
    early, late = manual_servers(bad), ManualServer("late", {5: SHARES[5]})
    run = Download([*early, late], FILE.cap, strategy="first-k-late")
    for server in early:
        server.answer_manual()
    if come == "before":
        late.answer()
    serve(buckets_of(early))
    if come == "after":
        assert (part in ("UEB", "crypttext hashes")) == run.fired
        late.answer()
        serve(buckets_of(early))
    used = run.done().shares_used

    assert run.consumer.data == PLAINTEXT
    assert {1, 2} < used
    assert len(used) == 3


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_first_k_late_waits_for_a_ueb(part: str) -> None:
    """If no share has a good UEB, first-k-late reads it from a share that arrives later."""
    bad = {number: corrupt(SHARES[number], part) for number in range(3)}
    late = [ManualServer("late", {5: bad[0]}), ManualServer("later", {6: SHARES[6]})]
    run = Download([*servers_of(bad), *late], FILE.cap, strategy="first-k-late")

    assert not run.fired
    late[0].answer()

    assert not run.fired
    late[1].answer()

    assert run.done().shares_used == {0, 1, 2}
    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("part", ["UEB", "crypttext hashes"])
def test_first_k_late_while_the_last_is_asked(part: str) -> None:
    """A share that arrives while the last of the others is read in vain is read next."""
    early = manual_servers({number: corrupt(SHARES[number], part) for number in range(3)})
    late = ManualServer("late", {6: SHARES[6]})
    run = Download([*early, late], FILE.cap, strategy="first-k-late")
    for server in early:
        server.answer_manual()
    buckets = buckets_of(early)
    while 2 not in {request.share for request in run.requests(part)}:
        next(bucket for bucket in buckets if bucket.waiting).answer()
    late.answer()

    assert len(run.requests(part)) == 3
    serve(buckets)

    assert run.done().shares_used == {0, 1, 2}
    assert run.consumer.data == PLAINTEXT


@pytest.mark.parametrize("part", ["UEB", "header", "block"])
def test_first_k_late_gives_up(part: str) -> None:
    """When all servers have answered and shares are missing, the download fails."""
    bad = {number: corrupt(SHARES[number], part) for number in range(3)}
    late = [ManualServer(f"late{i}", {}) for i in range(3)]
    run = Download([*servers_of(bad), *late], FILE.cap, strategy="first-k-late")
    late[0].answer()
    late[1].fail()

    assert not run.fired
    late[2].answer_with(None)
    error = run.error(NoSharesError)

    assert (error.have, error.need) == (0, 3)
    assert list(error.servers[3:]) == [
        "late0: no shares",
        "late1: failed: BoomError: query",
        "late2: answered NoneType, not buckets",
    ]


def test_first_k_late_fails_over_again() -> None:
    """A late share may be as bad as the earlier ones."""
    early = servers_of({0: corrupt(SHARES[0], "block"), 1: SHARES[1], 2: SHARES[2]})
    late = [
        ManualServer("late0", {3: corrupt(SHARES[3], "block")}),
        ManualServer("late1", {0: SHARES[0]}),
    ]
    run = Download([*early, *late], FILE.cap, strategy="first-k-late")
    late[0].answer()

    assert not run.fired
    late[1].answer()

    assert run.done().shares_used == {0, 1, 2}


# All at once


@given(
    grid=st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(["good", "query", "read", *PARTS])),
        max_size=12,
    ),
    strategy=st.sampled_from([*FOUR_PHASES, "hedged", "windowed"]),
    random=st.randoms(use_true_random=False),
)
@settings(deadline=None, max_examples=150)
def test_any_grid(grid: list[tuple[int, str]], strategy: str, random: Random) -> None:
    """All but first-k succeed wherever K distinct good shares are; all end.

    Each server holds one share and has one fault, and the answers come in any order. A UEB
    or a crypttext hash tree may come from another share than the blocks, but for windowed.
    """
    servers = [
        ManualServer(f"s{i}", {n: corrupt(SHARES[n], fault) if fault in PARTS else SHARES[n]})
        for i, (n, fault) in enumerate(grid)
    ]
    run = Download(servers, FILE.cap, strategy=strategy, random=random)
    unanswered = list(zip(servers, grid, strict=True))
    while unanswered or any(bucket.waiting for bucket in buckets_of(servers)):
        choice = random.randrange(len(unanswered) + len(servers))
        if choice < len(unanswered):
            server, (_, fault) = unanswered.pop(choice)
            server.fail() if fault == "query" else server.answer_manual()
            run.clock.advance(0)
            continue
        index = choice - len(unanswered)
        (bucket,) = servers[index].buckets.values()
        if bucket.waiting:
            bucket.fail() if grid[index][1] == "read" else bucket.answer()
        run.clock.advance(0)

    assert run.fired
    assert PLAINTEXT.startswith(run.consumer.data)
    good = {n for n, fault in grid if fault in ("good", "UEB", "crypttext hashes")}
    surely = {n for n, fault in grid if fault == "good"}
    known = all(
        any(fault not in ("query", "read", "header", part) for _, fault in grid)
        for part in ("UEB", "crypttext hashes")
    )
    failed = run.status.phase == "failed"
    if failed:
        error = run.results[0].value
        assert isinstance(error, NotEnoughSharesError)
        assert error.have < 3
        assert len(grid) == len(error.servers)
    if strategy == "windowed":  # corrupt hashes may be those that are not needed
        assert not (failed and len(surely) >= 3)
        usable = {n for n, fault in grid if fault in ("good", *PARTS)}
    else:
        assert not (failed and len(good) >= 3 and known) or strategy == "first-k"
        # Only the first block of such a share is corrupt: for a later segment it will do. To
        # hedged others may tell the share hashes.
        faults = ("block", "share hashes") if strategy == "hedged" else ("block",)
        usable = good | {n for n, fault in grid if fault in faults}
        assert failed or (len(usable) >= 3 and known)
    if not failed:
        assert run.done().shares_used <= usable
        assert run.consumer.data == PLAINTEXT


@strategies
def test_hung_read(strategy: str) -> None:
    """A server that answers its query and hangs on a read stalls the four-phase strategies.

    So it was in 2010, and only other strategies help. Stopping the download works.
    """
    hung = reading(lambda *_: Deferred())
    run = Download([hung, *servers_of(SHARES, [1, 2, 3, 4])], FILE.cap, strategy=strategy)
    run.clock.advance(1e6)

    assert not run.fired
    run.consumer.producer.stopProducing()

    assert run.done().phase == "stopped"
    assert run.consumer.pieces == []
