"""`windowed` compared with Tahoe-LAFS 1.20, in random scenarios of every layout and fault."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from firstk.harness.fuzz.kinds import FAULTS as KINDS
from firstk.harness.fuzz.swarm import Swarm
from firstk.harness.run.result import Result
from firstk.harness.run.simulate import simulate
from firstk.scenarios.model import Scenario
from tests.harness.making import constant, needs_tahoe
from tests.marks import few

pytestmark = needs_tahoe

MIB = 2**20

#: The least and the most bytes and segments of a file (None: the default size of segments), and
#: whether a range of it is read.
LAYOUTS: dict[str, tuple[int, int, tuple[int, int] | None, bool]] = {
    "one segment": (56, 60_000, None, False),
    "a range of one": (56, 60_000, None, True),
    "default segments": (MIB + 1, 3 * MIB, None, False),
    "a range of default segments": (MIB + 1, 3 * MIB, None, True),
    "2 to 8 segments": (300, 60_000, (2, 8), False),
    "9 to 40 segments": (600, 60_000, (9, 40), False),
    "a range of 2 to 20": (600, 60_000, (2, 20), True),
    "many of a large file": (MIB + 1, 2 * MIB, (3, 16), False),
    "one that is larger than the default": (MIB + 1, 3 * MIB, (1, 1), False),
    "a range of larger ones": (MIB + 1, 4 * MIB, (1, 2), True),
}

#: The faults of some of the servers. A share that ends within its header is left out:
#: Tahoe-LAFS reads it without end.
FAULTS: dict[str, list[dict[str, Any]]] = {
    "none": [],
    "hung": [{"kind": "hung"}],
    "hung on read": [{"kind": "hung", "on": ["read"]}],
    "hung for a while": [{"kind": "hung", "start": 0.1, "end": 3.0}],
    "slow": [{"kind": "slow", "factor": 20.0}],
    "broken": [{"kind": "broken"}],
    "broken for a while": [{"kind": "broken", "start": 0.2, "end": 0.6}],
    "empty": [{"kind": "empty"}],
    "read-error": [{"kind": "read-error"}],
    "disconnect": [{"kind": "disconnect", "start": 0.3}],
    "flaky": [{"kind": "flaky", "probability": 0.2}],
    "truncated": [{"kind": "truncated", "length": 700}],
    **{
        f"corrupt {part}": [{"kind": "corrupt", "part": part}]
        for part in ("block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header")
    },
    "corrupt, and later broken": [
        {"kind": "corrupt", "part": "share-hashes"},
        {"kind": "broken", "start": 0.5},
    ],
}

#: How a grid may differ from a plain one, whose servers all have the same round-trip time.
GRIDS: dict[str, dict[str, Any]] = {
    "apart": {},
    "ties": {"rtt": constant(0.05)},
    "random": {"rtt": {"law": "lognormal", "median": 0.05, "sigma": 1.0}},
    "uplinks": {"bandwidth": 1e5},
    "downlink": {"client_bandwidth": 1e6},
    "queues": {"service": {"law": "exponential", "mean": 0.02}, "concurrency": 1},
    "shuffled": {"order": "shuffled"},
}

LARGE = [layout for layout, (least, *_) in LAYOUTS.items() if least > MIB]


def made_up(layout: str, fault: str, grid: str, random: Random) -> Scenario:
    """Return a random scenario with this layout, fault and grid."""
    least, most, segments, ranged = LAYOUTS[layout]
    k = random.choice([1, 2, 3, 3, 4])
    n = k + random.choice([0, 1, 2, 4, 7])
    size = random.randint(least, most)
    file: dict[str, Any] = {"size": size, "k": k, "n": n}
    if segments:
        file["segment_size"] = -(-size // random.randint(*segments))
    if ranged:
        file["offset"] = random.randrange(size)
        file["length"] = random.randint(1, size - file["offset"])
    servers = max(1, n + random.choice([0, 0, 0, -1, 3, 15]))
    apart = [] if "rtt" in GRIDS[grid] else range(servers)
    entries: list[dict[str, Any]] = [
        {"select": str(i), "rtt": constant(round(random.uniform(0.02, 0.5), 3))} for i in apart
    ]
    for server in range(servers):
        if random.random() < 0.1:
            numbers = [random.randrange(n) for _ in range(random.randint(0, 3))]
            entries.append({"select": str(server), "shares": sorted(set(numbers))})
    bad = random.sample(range(servers), random.randint(1, servers))
    if FAULTS[fault]:
        entries.append({"select": ",".join(map(str, bad)), "fault": FAULTS[fault]})
    made = {
        "name": f"{layout}--{fault}--{grid}".replace(" ", "-").replace(",", ""),
        "seed": random.randrange(1000),
        "deadline": 1000.0,
        "file": file,
        "grid": {"servers": servers, "rtt": constant(0.05)} | GRIDS[grid],
        "servers": entries,
    }
    if random.random() < 0.1:
        made["consumer"] = {"bandwidth": 1e5}
    return Scenario.model_validate(made)


def came_to(result: Result) -> tuple[Any, ...]:
    """Return what a user sees of a download, without the last digits of its times."""
    times = (result.ttfb, result.finished)
    return (result.outcome, result.error, *(t and float(f"{t:.9g}") for t in times))


def check(made: Scenario) -> None:
    """Check that `windowed` and Tahoe-LAFS have the same result, and send the same requests."""
    ours, theirs = (simulate(made, subject).result for subject in ("windowed", "tahoe"))

    assert came_to(theirs) == came_to(ours), made.name
    assert theirs.queries == ours.queries
    if ours.outcome != "failed":  # a download of ours that has failed sends no more
        assert theirs.bytes_received == ours.bytes_received
        assert theirs.reads == ours.reads or theirs.reads > 100  # it asks without a limit


def a_sample(seed: int, layouts: list[str]) -> list[Scenario]:
    """Return a scenario for each fault and each grid, with the layouts in turn."""
    random = Random(seed)
    classes = [*((fault, "apart") for fault in FAULTS), *(("none", grid) for grid in GRIDS)]
    return [
        made_up(layouts[(seed + i) % len(layouts)], *classes[i], random)
        for i in range(len(classes))
    ]


@pytest.mark.parametrize("seed", few(1, range(2)))
def test_small_files(seed: int) -> None:
    """They agree on small files, whatever the fault and the layout: a sample."""
    small = [layout for layout in LAYOUTS if layout not in LARGE]
    for made in a_sample(seed, small):
        check(made)


def test_large_files() -> None:
    """They agree on files larger than 1 MiB, the default size of a segment."""
    random = Random(0)
    for i, layout in enumerate(LARGE):
        check(made_up(layout, list(FAULTS)[i], "apart", random))


#: The scenarios of `test_many`, of 3,990, in which they differ: names and seeds. If all connections
#: are lost at one time, Tahoe-LAFS may report another error, since it still counts a share whose
#: loss it has not processed. In the other one it asks again and again for bytes that a share does
#: not have, without the limit that `windowed` has, so that its other reads wait for the uplink.
DIFFERENT = {
    ("9-to-40-segments--disconnect--queues", 210),
    ("a-range-of-2-to-20--disconnect--random", 608),
    ("a-range-of-larger-ones--corrupt-block--uplinks", 108),
}


@pytest.mark.slow
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("fault", FAULTS)
def test_many(layout: str, fault: str) -> None:
    """They agree in many more scenarios, on every kind of grid."""
    random = Random(f"{layout} {fault}")
    for _ in range(3):
        for grid in GRIDS:
            made = made_up(layout, fault, grid, random)
            if (made.name, made.seed) not in DIFFERENT:
                check(made)


@pytest.mark.slow
def test_anything() -> None:
    """They agree in 99 of 100 of the fuzzer's scenarios, in which everything happens at once.

    Scenarios in which Tahoe-LAFS never ends are left out: a share cut within its header, and a
    server that answers at once.
    """
    kinds = [kind for kind in KINDS if kind != "truncated"]
    random, same, total = Random(1), 0, 0
    while total < 500:
        made = Swarm(random.randrange, kinds).tables()
        if random.random() < 0.5:
            file = made["file"]
            file["segment_size"] = -(-file["size"] // random.randint(1, 40))
        if "'value': 0.0" in str(made):
            continue
        scenario = Scenario.model_validate(made | {"deadline": 300.0})
        ours, theirs = (simulate(scenario, subject).result for subject in ("windowed", "tahoe"))
        total += 1
        same += came_to(theirs) == came_to(ours)

    assert same >= 0.99 * total
