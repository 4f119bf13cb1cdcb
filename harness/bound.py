"""The clairvoyant bound: the earliest first block, for one who knows every draw beforehand.

It is a lower bound, not a strategy. What it supposes, and what it leaves out:

- Each server is asked for buckets once and takes its first draws for that; its first read
  takes the next ones. Where a server shows several shares, all may be read at once, each
  with a few requests, and each share counts as fast as the fastest of these. A strategy can
  beat this only with other draws: if it asks a server twice.
- A request may be sent later than it could be, if that is better: when the server is not
  slow any more, or works again.
- Of a share's first requests, the first must come back, and any of them may bring the
  block, with the time that the block's bytes need on the server's uplink. Requests do not
  wait for one another; but the client's downlink carries K blocks. A connection that is lost
  while these bytes pass counts as if they had come through.
- A share is good from when its header, its block, its block hashes and its share hash
  chain can be read as they are in the file, each for itself. The UEB may come from another
  share. The crypttext hashes are not waited for. Real shares count as undamaged.
- A server whose read fails by chance is left out, and so is one that never answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, islice, pairwise
from math import inf, nextafter

import simpy

from downloader.errors import CorruptShareError, DownloadError
from downloader.hashes import HASH_SIZE
from downloader.layout import HEADER_SIZE, header_size, parse_header
from downloader.trees import padded
from downloader.ueb import URIExtension, read_uri_extension
from harness.course import Chances, Course, foresee
from harness.files import GridFile, file_of
from harness.grid import Plan, plan_servers, service_of
from harness.link import Link
from scenarios.faults import Fault, Operation
from scenarios.model import Scenario

#: The most requests that any strategy sends for a share before the first is answered.
_REQUESTS_PER_SHARE = 5

#: Where a part of a share begins and ends, in bytes from its start.
_Part = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Bound:
    """What no strategy can undercut; all are None if no strategy gets a first block.

    `ttfb` is the time to first block in virtual seconds, None also if no byte is asked for.
    `requests` counts one read for each of K shares, and the queries to as many servers as
    hold so many good share numbers together, those with the most first; it is exact where
    no number lies on two servers. `bytes` counts the blocks of K shares (of the first
    segment if the scenario stops there, else of all that are asked for), the hashes beside
    the way from these blocks to the roots of their block hash trees, and the UEB once; no
    header, no share hash chain and no crypttext hashes.
    """

    ttfb: float | None
    requests: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class _Request:
    """One request and what was drawn for it. Times are in seconds."""

    operation: Operation
    rtt: float
    work: float
    chances: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Reads:
    """What the first reads from one server can come to, each the least of any, in seconds.

    When one is taken up, when the server has worked on it, when it ends, and how long its
    way back is; and when the very first of them ends, where it must come back before a block
    can be used.
    """

    taken_up: float
    worked: float
    ends: float
    back: float
    first_ends: float


def bound(scenario: Scenario, run: int = 0) -> Bound:
    """Return the bound for the run of this number, with its draws."""
    seed = scenario.seed_of(run)
    file = file_of(scenario, seed)
    ueb = _ueb(file)
    offset, length = scenario.file.offset, scenario.file.length
    end = file.cap.size if length is None else offset + length
    if offset >= end:
        return Bound(None, 0, 0)
    first, last = offset // ueb.segment_size, (end - 1) // ueb.segment_size
    block = ueb.block_length(first)
    times: dict[int, float] = {}  # the earliest block of each share number
    good: list[int] = []  # how many good shares each server has
    ueb_ends, downlink_begins, back = inf, inf, inf
    for plan in plan_servers(scenario, seed, file.shares):
        reads = _first_reads(plan, seed)
        if reads is None:
            continue
        transfer = block / plan.bandwidth if plan.bandwidth else 0.0
        good.append(0)
        for number in plan.shares:
            share = file.shares[number]
            in_block, in_ueb = (
                _readable(plan.faults, share, parts, reads.taken_up)
                for parts in _needed(share, ueb, first)
            )
            ueb_ends = min(ueb_ends, max(reads.ends, in_ueb))
            if in_block < inf:
                good[-1] += 1
                ends = max(max(reads.ends, in_block) + transfer, reads.first_ends)
                times[number] = min(ends, times.get(number, inf))
                downlink_begins = min(downlink_begins, reads.worked)
                back = min(back, reads.back)
    k = file.cap.k
    if len(times) < k or ueb_ends == inf:
        return Bound(None, None, None)
    ttfb = max(sorted(times.values())[k - 1], ueb_ends)
    if scenario.grid.client_bandwidth:
        downlink = k * block / scenario.grid.client_bandwidth
        ttfb = max(ttfb, downlink_begins + downlink + back)
    if scenario.stop == "first-block":
        last = first
    return Bound(ttfb, k + _queries(good, k), _bytes(ueb, first, last))


def _ueb(file: GridFile) -> URIExtension:
    for share in file.shares.values():
        try:
            return read_uri_extension(share, file.cap)
        except DownloadError:
            continue
    raise AssertionError("a scenario has a share that matches its cap")


def _first_reads(plan: Plan, seed: int) -> _Reads | None:
    """Return what the first reads from a server can come to; None if nothing can be read."""
    faults = plan.faults
    requests = _requests(plan, seed)
    answers = _answers(faults, next(requests), 0.0)
    query = min(
        (ends for course, ends in answers if _shows(course, plan.shares)),
        default=inf,
    )
    if query == inf:
        return None
    found = [
        [
            (course.taken_up, course.taken_up + request.work, ends, course.rtt / 2)
            for course, ends in _answers(faults, request, query)
        ]
        for request in islice(requests, _REQUESTS_PER_SHARE * len(plan.shares))
    ]
    several = len(plan.shares) > 1
    # A share of which a request fails is given up, and it is used when all are answered.
    if not (any(found) if several else found[0]):
        return None
    taken_up, worked, ends, back = map(min, zip(*chain(*found), strict=True))
    first_ends = 0.0 if several else min(ends for _, _, ends, _ in found[0])
    return _Reads(taken_up, worked, ends, back, first_ends)


def _requests(plan: Plan, seed: int) -> Iterator[_Request]:
    """Yield a server's requests with the draws that they take: a query, and then reads."""
    link = Link(plan.rtt, plan.rtt_per, seed, plan.name)
    service = service_of(simpy.Environment(), plan, seed)
    chances = Chances(plan.faults, seed, plan.name)
    operation: Operation = "get_buckets"
    while True:
        work = 0.0 if service is None else service.time()
        yield _Request(operation, link.round_trip(), work, chances.draw())
        operation = "read"


def _shows(course: Course, numbers: Sequence[int]) -> bool:
    """Tell whether the answer to a query shows shares."""
    for fault in course.faults:
        numbers = fault.buckets(numbers)
    return bool(numbers)


def _answers(
    faults: Sequence[Fault], request: _Request, ready: float
) -> Iterator[tuple[Course, float]]:
    """Yield how a request that may be sent from `ready` on can be answered, and when.

    Between the beginnings and the ends of faults nothing changes, so it is sent at once,
    at one of these times, or such that it arrives then.
    """
    edges = sorted({t for f in faults for t in (f.start, f.end) if t is not None and t > ready})
    for begin, end in pairwise([ready, *edges, inf]):
        course = foresee(faults, request.operation, begin, request.rtt, request.chances)
        times = [begin]
        for edge in edges:
            time = edge - course.rtt / 2
            while time + course.rtt / 2 < edge:  # it was rounded down
                time = nextafter(time, inf)
            if begin < time < end:
                times.append(time)
        for time in times:
            course = foresee(faults, request.operation, time, request.rtt, request.chances)
            ends = course.ends(request.work)
            if course.failure is None and ends < course.lost:
                yield course, ends


def _needed(share: bytes, ueb: URIExtension, segment: int) -> tuple[list[_Part], list[_Part]]:
    """Return the parts that a share must give for its block of a segment, and for the UEB."""
    try:
        header = parse_header(share[:HEADER_SIZE])
    except CorruptShareError:  # a real share; it counts as undamaged
        return [], []
    begin = header.data + segment * ueb.block_size
    block = [
        (0, header_size(header.version)),
        (begin, begin + ueb.block_length(segment)),
        (header.block_hashes, header.uri_extension),
    ]
    return block, [(header.uri_extension, len(share))]


def _readable(faults: Sequence[Fault], share: bytes, parts: Sequence[_Part], since: float) -> float:
    """Return from when on, at `since` or later, each part can once be read as it is."""
    times = sorted({since, *(f.end for f in faults if f.end is not None and f.end > since)})

    def right(part: _Part, time: float) -> bool:
        begin, end = part
        read = share[begin:end] if faults else b""
        spoiled = read
        for fault in faults:
            if fault.active(time):
                spoiled = fault.spoil(share, begin, spoiled)
        return spoiled == read

    return max((next((t for t in times if right(part, t)), inf) for part in parts), default=since)


def _queries(good: Sequence[int], k: int) -> int:
    """Return how few servers hold `k` good shares together, those with the most first."""
    together = accumulate(sorted(good, reverse=True))
    return next(queries for queries, shares in enumerate(together, 1) if shares >= k)


def _bytes(ueb: URIExtension, first: int, last: int) -> int:
    """Return how many bytes are needed for the segments from `first` to `last`."""
    blocks = sum(ueb.block_length(segment) for segment in range(first, last + 1))
    hashes = _beside(first, last, ueb.num_segments)
    return ueb.k * (blocks + hashes * HASH_SIZE) + len(ueb.pack())


def _beside(first: int, last: int, leaves: int) -> int:
    """Return how many hashes beside the way from some leaves to the root must be read.

    A part of the tree that is padding is known.
    """
    count = 0
    width = padded(leaves)
    while width > 1:
        count += first % 2
        count += last % 2 == 0 and last + 1 < leaves
        first, last, leaves, width = first // 2, last // 2, -(-leaves // 2), width // 2
    return count
