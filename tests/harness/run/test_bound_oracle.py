"""The bound compared with the earliest download of its class, found by brute force.

The grids are small: up to four servers, each with one or a few shares of a file of one segment.
For each server, all scripts of the class are played: which parts a download reads, in which
order, and when. The simulated servers determine when each part arrives; the earliest combination
that has everything for a first byte counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import chain, combinations, permutations, product
from math import inf
from random import Random
from typing import Any, NamedTuple

import pytest
from twisted.internet.defer import Deferred

from firstk.downloader.layout import HEADER_SIZE, parse_header
from firstk.downloader.strategy import STRATEGIES
from firstk.harness.fuzz.kinds import FAULTS
from firstk.harness.fuzz.swarm import Swarm
from firstk.harness.grid.build import make_servers
from firstk.harness.grid.connection import Client, Connection
from firstk.harness.grid.files import GridFile, file_of
from firstk.harness.grid.trace import Trace
from firstk.harness.kernel.reactor import SimReactor
from firstk.harness.run.bound import bound
from firstk.harness.run.bound_needs import ueb_of
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, exponential, needs_tahoe, scenario
from tests.marks import few

#: The subjects: all strategies, one with spares, and Tahoe-LAFS if it is installed.
SUBJECTS = [*STRATEGIES, "hedged+2", *(["tahoe"] if find_spec("allmydata") else [])]

#: Which part of which share arrives, and when.
Came = dict[tuple[str, int], float]

#: How often a failed read is sent again.
TRIES = 100


class Read(NamedTuple):
    """A read in a script: of a share's bytes from one part to another, at a time or later."""

    number: int
    first: str
    last: str
    at: float = 0.0


class Script(NamedTuple):
    """What is sent to one server: a query, and after its answer, reads in this order."""

    at: float
    reads: tuple[Read, ...]


class Spans:
    """Where the needed parts of the shares lie."""

    def __init__(self, file: GridFile) -> None:
        self.file = file
        self._ueb = len(ueb_of(file).pack())

    def of(self, number: int) -> dict[str, tuple[int, int]]:
        """Return the parts of a share in order, each with its start and end."""
        header = parse_header(self.file.shares[number][:HEADER_SIZE])
        block = header.data + header.data_size
        ueb = header.uri_extension + 4
        return {
            "block": (0, block),  # with the header before it
            "chain": (header.share_hashes, header.uri_extension),
            "ueb": (ueb, ueb + self._ueb),
        }


def play(made: Scenario, scripts: Sequence[Script | None]) -> Came:
    """Return which parts arrive when, if each server gets its script."""
    reactor, file, came = SimReactor(), file_of(made), Came()
    spans = Spans(file)
    servers = make_servers(made, made.seed, file, reactor)

    def send(bucket: Any, read: Read, tries: int) -> None:
        parts = spans.of(read.number)
        offset, end = parts[read.first][0], parts[read.last][1]

        def answered(data: bytes) -> None:
            share = file.shares[read.number]
            for part, (begin, stop) in parts.items():
                if offset <= begin and stop <= end:
                    right = data[begin - offset : stop - offset] == share[begin:stop]
                    if right:
                        came.setdefault((part, read.number), reactor.seconds())

        def failed(_: object) -> None:
            if tries:
                send(bucket, read, tries - 1)

        reading: Deferred[bytes] = bucket.read(offset, end - offset)
        reading.addCallbacks(answered, failed)

    def located(buckets: Any, reads: Sequence[Read]) -> None:
        for read in reads:
            bucket = buckets.get(read.number)
            if bucket is None:
                continue
            if read.at <= reactor.seconds():
                send(bucket, read, TRIES)
            else:
                reactor.callLater(read.at - reactor.seconds(), send, bucket, read, TRIES)

    def ask(connection: Connection, reads: Sequence[Read]) -> None:
        asked = connection.get_buckets(file.cap.storage_index)
        asked.addCallbacks(located, lambda _: None, callbackArgs=(reads,))

    for server, script in zip(servers, scripts, strict=True):
        if script is not None:
            reactor.callLater(script.at, ask, Connection(server, Client(Trace())), script.reads)
    reactor.run()
    return came


def first_block(made: Scenario, came: Iterable[Came]) -> float:
    """Return when everything for a first byte has arrived; infinity if it never does."""
    blocks: dict[int, float] = {}
    chains: dict[int, float] = {}
    ueb = inf
    for (part, number), time in chain.from_iterable(each.items() for each in came):
        if part == "ueb":
            ueb = min(ueb, time)
        else:
            parts = blocks if part == "block" else chains
            parts[number] = min(time, parts.get(number, inf))
    if made.file.n == 1:
        chains = dict.fromkeys(blocks, 0.0)
    shares = sorted(
        max(time, min(chains.get(number, inf), chains.get(number ^ 1, inf)))
        for number, time in blocks.items()
    )
    return max(ueb, shares[made.file.k - 1]) if len(shares) >= made.file.k else inf


def earliest(made: Scenario, scripts: Sequence[Iterable[Script]]) -> float:
    """Return the earliest first byte over all choices of a script for each server."""
    options: list[list[Came]] = []
    for server, some in enumerate(scripts):
        nobody: list[Script | None] = [None] * made.grid.servers
        came = []
        for script in some:
            alone = nobody.copy()
            alone[server] = script
            came.append(play(made, alone))
        options.append(_best(came))
    return min(first_block(made, some) for some in product(*options))


def _best(came: Sequence[Came]) -> list[Came]:
    """Return the results that no other result dominates."""
    best: list[Came] = [{}]
    for one in sorted(came, key=len, reverse=True):
        if not any(
            all(time >= other.get(part, inf) for part, time in one.items()) for other in best
        ):
            best.append(one)
    return best


def held(made: Scenario) -> list[list[int]]:
    """Return the share numbers on each server."""
    count, servers = made.file.n, made.grid.servers
    return [list(range(server, count, servers)) for server in range(servers)]


def agree(made: Scenario, oracle: float, low: float = 0.0) -> None:
    """Check that the bound equals the oracle, or is lower by at most `low` seconds."""
    least = bound(made).ttfb
    if oracle == inf:
        assert least is None
    else:
        assert least is not None
        assert least <= oracle * (1 + 1e-9)
        assert least >= (oracle - low) * (1 - 1e-9)


# Scripts


def front(number: int, at: float = 0.0) -> Read:
    """Return a read of the header and the block."""
    return Read(number, "block", "block", at)


def rest(number: int, at: float = 0.0) -> Read:
    """Return a read of the share hash chain and the UEB."""
    return Read(number, "chain", "ueb", at)


def whole(number: int, at: float = 0.0) -> Read:
    """Return a read of the whole share."""
    return Read(number, "block", "ueb", at)


def of_one_share(number: int) -> list[Script]:
    """Return the scripts for a server with one share: its header is in the first read."""
    reads = [(front(number), rest(number)), (whole(number),), (rest(number),)]
    return [Script(0.0, some) for some in reads]


def at_times(number: int, times: Sequence[float]) -> Iterator[Script]:
    """Yield the scripts for a server with one share at these times."""
    for query, first, second in product(times, repeat=3):
        yield Script(query, (whole(number, first), whole(number, second)))


def of_sets(numbers: Sequence[int], k: int) -> Iterator[Script]:
    """Yield which parts a server may give: any blocks, chains and the UEB."""
    chains = [Read(number, "chain", "chain") for number in numbers]
    uebs = [Read(number, "ueb", "ueb") for number in numbers[:1]]
    for blocks in range(min(k, len(numbers)) + 1):
        for chosen in combinations(numbers, blocks):
            for some in chain.from_iterable(combinations(chains, n) for n in range(k + 1)):
                for ueb in ([], uebs):
                    yield Script(0.0, (*map(front, chosen), *some, *ueb))


# Only round trips


def drawn(seed: int) -> Scenario:
    """Return a grid of servers with one share each, and random times for each request."""
    random = Random(seed)
    servers = random.randint(2, 4)
    grid: dict[str, Any] = {"servers": servers, "rtt": exponential()}
    if random.random() < 0.3:
        grid["service"] = exponential(0.5)
    if random.random() < 0.3:
        grid["rtt_per"] = "server"
    kinds: list[dict[str, Any]] = [
        {"kind": "corrupt", "part": part} for part in ("ueb", "share-hashes", "block-hashes")
    ]
    kinds += [{"kind": "read-error"}, {"kind": "slow", "factor": 3.0}, {"kind": "empty"}]
    kinds += [{"kind": "corrupt", "part": "block"}, {"kind": "truncated", "length": 250}]
    entries = [
        {"select": str(server), "fault": random.choice(kinds)}
        for server in range(servers)
        if random.random() < 0.4
    ]
    file = {"n": servers, "k": random.randint(1, servers)}
    return scenario(*entries, file=file, grid=grid, seed=seed)


@pytest.mark.parametrize("seed", few(25, range(100)))
def test_draws(seed: int) -> None:
    """If each server has one share, the bound is exact, whatever the draws are."""
    made = drawn(seed)

    agree(made, earliest(made, [of_one_share(server[0]) for server in held(made)]))


def test_draws_of_all_kinds() -> None:
    """In the grids of the previous test, most have a first byte, and some have none."""
    found = [bound(drawn(seed)).ttfb is None for seed in range(100)]

    assert 10 < sum(found) < 50


def retried(seed: int) -> Scenario:
    """Return a grid whose servers fail some reads."""
    random = Random(seed)
    servers = random.randint(1, 3)
    flaky = {"kind": "flaky", "probability": random.choice([0.3, 0.6, 0.9]), "start": 0.3}
    return scenario(
        {"select": "all", "fault": flaky},
        file={"n": servers, "k": random.randint(1, servers)},
        grid={"servers": servers, "rtt": constant(0.5)},
        seed=seed,
    )


@pytest.mark.parametrize("seed", few(12, range(50)))
def test_reading_again(seed: int) -> None:
    """No download that reads failed parts again beats the bound.

    It may be earlier by a few round trips: failures are used up by reads of other parts.
    """
    made = retried(seed)

    agree(made, earliest(made, [of_one_share(server[0]) for server in held(made)]), low=0.5 * TRIES)


# Faults with a start and an end


def timed(seed: int) -> Scenario:
    """Return a grid of servers with faults that begin and end at multiples of one interval."""
    random = Random(seed)
    kinds: list[dict[str, Any]] = [{"kind": kind} for kind in ("hung", "broken", "disconnect")]
    kinds += [{"kind": "corrupt", "part": part} for part in ("ueb", "share-hashes", "block")]
    kinds += [{"kind": "empty"}, {"kind": "read-error"}, {"kind": "slow", "extra": 1.0}]
    kinds += [{"kind": "hung", "on": ["read"]}, {"kind": "flaky", "probability": 1}]
    entries = []
    for server in range(2):
        faults = []
        for kind in random.sample(kinds, random.randint(1, 2)):
            start = random.randrange(5) / 4
            end = {"end": start + random.randint(1, 4) / 4} if random.random() < 0.8 else {}
            faults.append(kind | {"start": start} | end)
        entries.append({"select": str(server), "fault": faults})
    return scenario(
        *entries,
        file={"n": 2, "k": random.randint(1, 2)},
        grid={"servers": 2, "rtt": constant(0.5)},
        seed=seed,
    )


@pytest.mark.parametrize("seed", few(1, range(60)))
def test_for_a_time(seed: int) -> None:
    """A download that knows when faults begin and end attains the bound."""
    made = timed(seed)
    times = [beat / 4 for beat in range(11)]

    agree(made, earliest(made, [at_times(server[0], times) for server in held(made)]))


# Bandwidth and queues


def limited(seed: int, servers: int) -> Scenario:
    """Return a grid of servers with several shares, each server with its own uplink."""
    random = Random(seed)
    n = random.randint(max(1, servers), 4)
    entries = [
        {"select": str(server), "bandwidth": random.choice([500.0, 2000.0, 10_000.0])}
        for server in range(servers)
    ]
    return scenario(
        *entries,
        file={"size": random.choice([60, 600, 90_000]), "n": n, "k": random.randint(1, n)},
        grid={"servers": servers, "rtt": constant(0.5)},
        seed=seed,
    )


@pytest.mark.parametrize("seed", few(3, range(20)))
def test_one_uplink(seed: int) -> None:
    """If all shares are on one server, the bound is exact."""
    made = limited(seed, servers=1)

    agree(made, earliest(made, [of_sets(server, made.file.k) for server in held(made)]))


@pytest.mark.parametrize("seed", few(3, range(20)))
def test_uplinks(seed: int) -> None:
    """With several servers, chains that come from others may make the bound lower."""
    made = limited(seed, servers=2)
    slowest = min(entry.bandwidth or inf for entry in made.servers)
    chains = made.file.k * 34 * (1 + (made.file.n - 1).bit_length())

    oracle = earliest(made, [of_sets(server, made.file.k) for server in held(made)])
    agree(made, oracle, low=chains / slowest)


@pytest.mark.parametrize("seed", few(3, range(20)))
def test_queues(seed: int) -> None:
    """If servers work on a few requests at once, all for the same time, the bound is exact."""
    random = Random(seed)
    servers = random.randint(1, 2)
    n = random.randint(servers, 5)
    made = scenario(
        *({"select": str(i), "service": constant(random.randint(1, 4))} for i in range(servers)),
        file={"n": n, "k": random.randint(1, n)},
        grid={"servers": servers, "concurrency": random.randint(1, 3)},
    )
    scripts = [
        [
            Script(0.0, tuple(map(whole, some)))
            for count in range(len(server) + 1)
            for some in permutations(server, count)
        ]
        for server in held(made)
    ]

    agree(made, earliest(made, scripts))


@pytest.mark.parametrize("seed", few(3, range(20)))
def test_downlink(seed: int) -> None:
    """If servers are equally far, and only the downlink is limited, the bound is exact."""
    random = Random(seed)
    servers = random.randint(1, 3)
    made = scenario(
        file={
            "size": random.choice([60, 600, 9000]),
            "n": servers,
            "k": random.randint(1, servers),
        },
        grid={"servers": servers, "client_bandwidth": random.choice([500.0, 5000.0])},
        seed=seed,
    )
    scripts = [list(of_sets(server, 1)) for server in held(made)]
    oracle = min(first_block(made, [play(made, some)]) for some in product(*scripts))

    agree(made, oracle)


# Against all subjects


def undercut(made: Scenario) -> list[str]:
    """Return which strategies beat the bound of a scenario, and by how much."""
    least, found = bound(made), []
    for strategy in SUBJECTS:
        result = simulate(made, strategy).result
        if result.ttfb is not None and not (
            least.ttfb is not None and least.ttfb <= result.ttfb * (1 + 1e-9)
        ):
            found.append(f"{strategy}: {result.ttfb} s, not {least.ttfb}")
        if result.outcome == "ok" and result.requests < (least.requests or 0):
            found.append(f"{strategy}: {result.requests} requests, not {least.requests}")
        if result.outcome == "ok" and result.bytes_received < (least.bytes or 0):
            found.append(f"{strategy}: {result.bytes_received} bytes, not {least.bytes}")
    return found


def random_scenario(seed: int) -> Scenario:
    """Return a random scenario, except those in which Tahoe-LAFS may read forever.

    It does if no time passes, or if a share is shorter than its header.
    """
    kinds = [kind for kind in FAULTS if kind != "truncated"]
    made = Scenario.model_validate(
        Swarm(Random(seed).randrange, kinds).tables() | {"deadline": 500.0}
    )
    laws = [made.grid.rtt, *(entry.rtt for entry in made.servers if entry.rtt is not None)]
    if any(law.law == "constant" and law.value == 0 for law in laws):
        return random_scenario(seed + 1_000_000)
    return made


#: Thousands of scenarios, in parts that can run in parallel.
THOUSANDS = [
    pytest.param(range(first, first + 250), marks=pytest.mark.slow)
    for first in range(10, 4010, 250)
]


@pytest.mark.parametrize("seeds", [range(10), *THOUSANDS], ids=str)
def test_nobody_undercuts_it(seeds: range) -> None:
    """Neither a strategy nor Tahoe-LAFS beats the bound, in random scenarios of all kinds."""
    assert {seed: found for seed in seeds if (found := undercut(random_scenario(seed)))} == {}


@needs_tahoe
def test_tahoe_reads_needed_hashes() -> None:
    """Tahoe-LAFS needs no block hashes of a file of one segment, and attains the bound."""
    made = scenario(
        {"select": "3", "rtt": constant(0.5)},
        {"select": "0", "fault": {"kind": "corrupt", "part": "block-hashes"}},
        file={"size": 1000, "n": 4},
        grid={"servers": 4, "rtt": constant(0.05)},
    )

    assert 0.1 == bound(made).ttfb == simulate(made, "tahoe").result.ttfb
    assert simulate(made, "windowed").result.ttfb == 0.1


@needs_tahoe
def test_tahoe_at_one_uplink() -> None:
    """With ten blocks on one uplink, Tahoe-LAFS takes hardly longer than the bound."""
    made = scenario(
        file={"size": 1_000_000, "k": 10},
        grid={"servers": 1, "rtt": constant(0.05), "bandwidth": 1e6},
    )
    least, tahoe = bound(made).ttfb, simulate(made, "tahoe").result.ttfb
    assert least is not None
    assert tahoe is not None

    assert least <= tahoe < 1.01 * least


@needs_tahoe
def test_tahoe_reads_in_three_places() -> None:
    """With only one share, Tahoe-LAFS reads nothing between its hashes and the UEB."""
    made = scenario(
        file={"size": 40_000, "k": 1, "n": 1},
        grid={
            "servers": 1,
            "rtt": {"law": "pareto", "alpha": 0.8, "scale": 0.05},
            "service": {"law": "lognormal", "median": 0.1, "sigma": 1.0},
            "bandwidth": 1e6,
        },
        seed=680,
    )

    assert undercut(made) == []
