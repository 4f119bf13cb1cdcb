"""The clairvoyant bound: the earliest first byte of a download that knows every draw in advance.

`BOUND` says in a sentence for which downloads it holds. In full:

- A server's requests take their draws in the order in which they are sent. The query takes the
  first ones, and there is no second query, unless the first one is lost with its connection, or
  that is refused. If `[grid] reading_queries` allows it, a query may return what one read would.
  Any request may be delayed if that is better: until the server is no longer slow, or works again.
- A share is read in parts, several at once if necessary. Adjacent parts are one read, and the
  header is in the first. The data of a failed read may be requested again, but not before the read
  has failed.
- The download knows the layout of the file and which shares are good, and reads only data that it
  needs; `bound_needs` defines this data. Real shares count as undamaged if their header is valid.
- All data from a server passes its queue and its uplink, and then the client's downlink.
  `bound_reads` computes when a server can have provided one, two, three, ... shares;
  `bound_choice` chooses K with distinct numbers, and one of the servers also provides the UEB.

So a downloader that queries a server twice, requests the same bytes twice at a time, or sends reads
only to use up draws may be earlier. firstk's strategies and Tahoe-LAFS never do this: they request
more than they need, but this always includes what they need.

The bound is None only if no such download succeeds, and none is ever earlier. Brute force shows
it to be exact for a file of one segment: whatever is drawn, if each server has one share and
nothing waits; and with queues, one uplink or the downlink, if the draws of each server are all
the same. In other cases it may be too low: for a server with several shares, the best draws count;
failed reads of one part use up draws for another, and after 256 of them one succeeds; data that
several servers may provide takes no time on their uplinks, and the downlink is never idle. A fault
that waits for requests or bytes on a connection, or that a reconnect ends, has no effect; a server
that is throttled for a time counts as never throttled; and answers that trickle or stall are only
waited for if the layout is guessed correctly, so that a block is one read.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from math import inf
from operator import attrgetter

from firstk.harness.grid.build import server_specs, subset_of
from firstk.harness.grid.files import file_of
from firstk.harness.run.bound_choice import Offer, earliest_choice
from firstk.harness.run.bound_needs import (
    Needs,
    Parts,
    Spans,
    bytes_from_one,
    reads_at_once,
    ueb_of,
    unaltered,
)
from firstk.harness.run.bound_reads import Brings, Foreseen, Wanted, may_answer
from firstk.scenarios.model import Scenario, UnopenedShare, one_read

#: The definition of the bound in a sentence, for every table, picture and page that shows it.
BOUND = (
    "the earliest possible first byte for a download that knows every random draw in"
    " advance, queries each server once, reads only the parts of each share that it needs (the"
    " header first, none twice at once), and waits its turn in queues and on links"
)


@dataclass(frozen=True, slots=True)
class Bound:
    """Lower bounds for downloads of the class in `BOUND`; all None if none of these succeeds.

    `ttfb` is the time to first byte in virtual seconds; it is also None if no bytes are requested,
    and for several reads. `requests` counts one read for each of K shares, and the queries to the
    minimum number of servers that together hold K good share numbers; with `[grid]
    reading_queries`, a query to a server may be one of these reads. `bytes` counts the data
    needed for the first segment if the scenario stops there, otherwise for all requested segments:
    headers and blocks of K shares, the sibling hashes on the paths from these blocks to the roots
    of their hash trees, share hash chains (one per pair of siblings), and once the crypttext hashes
    and the UEB.
    """

    ttfb: float | None
    requests: int | None
    bytes: int | None


def bound(scenario: Scenario, run: int = 0) -> Bound:
    """Return the bound for run number `run`, with its draws.

    Of several reads no least time is known: each may query a server again, and have better draws.
    """
    if scenario.reads is not None:
        return _of_reads(
            [bound(one_read(scenario, read), run) for read in scenario.reads if read.cancel is None]
        )
    seed = scenario.seed_of(run)
    file = file_of(scenario)
    ueb = ueb_of(file)
    offset, length = scenario.file.offset, scenario.file.length
    end = file.cap.size if length is None else min(file.cap.size, offset + length)
    if offset >= end:
        return Bound(None, 0, 0)
    first, last = offset // ueb.segment_size, (end - 1) // ueb.segment_size
    downlink = scenario.grid.client_bandwidth
    at_once = reads_at_once(file.cap, ueb)
    plans = subset_of(scenario, seed, 0, server_specs(scenario, seed, file.shares))
    servers = [
        Foreseen(plan, seed, at_once, downlink, reading_queries=bool(scenario.grid.reading_queries))
        for plan in plans
        if plan.shares
        and may_answer(plan)
        and not any(isinstance(file.shares[n], UnopenedShare) for n in plan.shares)
    ]
    grid = _Grid(Needs(file, ueb, first), [s for s in servers if s.answered < inf])
    ttfb = grid.first_block()
    if ttfb == inf:
        return Bound(None, None, None)
    if downlink is not None:
        ttfb = max(ttfb, grid.carried(grid.size(first, first) / downlink))
    if scenario.stop == "first-block":
        last = first
    return Bound(ttfb, grid.requests(), grid.size(first, last))


def _of_reads(each: Sequence[Bound]) -> Bound:
    """Return the bound of all reads that are not cancelled: that of the most expensive one."""
    requests = [one.requests for one in each if one.requests is not None]
    sizes = [one.bytes for one in each if one.bytes is not None]
    if len(requests) < len(each):
        return Bound(None, None, None)
    return Bound(None, max(requests, default=0), max(sizes, default=0))


class _Grid:
    """The servers that have shares, and when they can provide the needed data, in seconds."""

    def __init__(self, needs: Needs, servers: Sequence[Foreseen]) -> None:
        self._needs = needs
        self._k = needs.ueb.k
        self._servers = servers
        self._parts: dict[tuple[Foreseen, int | None, _Part], float] = {}
        self._holders: dict[int, list[Foreseen]] = {}
        for server in servers:
            for number in server.numbers:
                self._holders.setdefault(number, []).append(server)
        self._offers = [self._offer(server) for server in servers]

    def first_block(self) -> float:
        """Return when K shares and their proofs can have arrived; infinity if never."""
        without = earliest_choice(self._k, self._offers)
        if without == inf:
            return inf
        for server, offer in zip(self._servers, self._offers, strict=True):
            plain = not server.alters and not server.limited
            if plain and min(offer.shares.values()) <= without:
                return without  # whatever else is needed can come with the first of its reads
        ttfb = self._with_ueb(without)
        if self._needs.crypttext_hashes:
            ttfb = max(ttfb, self._from_any(self._holders, _CRYPTTEXT_HASHES))
        return ttfb

    def carried(self, seconds: float) -> float:
        """Return when the downlink can have carried data that keeps it busy for `seconds`."""
        begins = min(server.begins() for server in self._servers)
        back = min(server.back(begins) for server in self._servers)
        back = min(server.back(begins + seconds + back) for server in self._servers)
        return begins + seconds + back

    def requests(self) -> int:
        """Return the minimum number of requests: queries, and a read for each of K shares.

        A query that may read can save one of these reads.
        """
        together = accumulate(sorted((len(o.good) for o in self._offers), reverse=True))
        queries = next(queries for queries, good in enumerate(together, 1) if good >= self._k)
        saving = sum(server.reads_with_query for server in self._servers)
        return self._k + max(0, queries - saving)

    def size(self, first: int, last: int) -> int:
        """Return the minimum number of bytes needed for these segments."""
        good = {number for offer in self._offers for number in offer.good}
        return self._needs.size(good, first, last)

    def _with_ueb(self, without: float) -> float:
        """Return when K shares and the UEB, which one of the servers provides, can have arrived.

        `without` is when the K shares alone can have arrived.
        """
        best = inf
        uebs = [
            (min(self._part(server, number, _UEB) for number in server.numbers), place)
            for place, server in enumerate(self._servers)
        ]
        for ueb, place in sorted(uebs):
            if max(ueb, without) >= best:
                break
            offers, server = list(self._offers), self._servers[place]
            if server.limited:  # the UEB and its shares take longer together
                shares = offers[place].shares
                offers[place] = Offer(self._steps(server, shares, self._needs.ueb_size), shares)
            best = min(best, max(ueb, earliest_choice(self._k, offers)))
        return best

    # Data from one server

    def _offer(self, server: Foreseen) -> Offer:
        shares: dict[int, float] = {}
        times: dict[Parts, float] = {}  # where nothing is altered, equal parts come together
        for number in server.numbers:
            parts = self._needs.parts(number)
            if parts is None:
                shares[number] = inf
            elif server.alters:
                shares[number] = self._alone(server, number, parts)
            else:
                if parts not in times:
                    times[parts] = self._alone(server, number, parts)
                shares[number] = times[parts]
        return Offer(self._steps(server, shares), shares)

    def _alone(self, server: Foreseen, number: int, parts: Parts) -> float:
        """Return when a share can have arrived if its server provides no other."""
        needs, together = self._needs, parts.adjoining and len(server.numbers) == 1
        transfer = server.transfer(needs.block + needs.header * together)
        brings = self._brings(server, number, parts.block)
        wanted = Wanted(brings, transfer, needs.block * needs.guessed, number)
        block = server.earliest(wanted, opening=parts.adjoining)
        if parts.adjoining and not server.alters:
            return block
        brings = self._brings(server, number, parts.header)
        time = max(block, server.earliest(Wanted(brings, share=number), opening=True))
        if server.alters and needs.chain:
            time = max(time, self._from_any((number, number ^ 1), _CHAIN))
        if server.alters and needs.block_hashes:
            time = max(time, self._from_any((number,), _BLOCK_HASHES))
        return time

    def _steps(
        self, server: Foreseen, shares: Mapping[int, float], more: int = 0
    ) -> Sequence[float]:
        """Return when one, two, ... up to K of a server's shares can have arrived.

        The server provides `more` bytes in addition.
        """
        good = Offer((), shares).good
        count = min(len(good), self._k)
        steps: Sequence[float] = [0.0] * count
        if count > 1:
            steps = server.in_turn(count)
        if server.limited:
            sizes = bytes_from_one(self._needs, good, self._holders, count)
            busy = [server.stream(size + more) for size in sizes]
            steps = list(map(max, steps, server.through(busy)))
        if server.queues and count > 1:
            last = server.transfer(self._needs.block)
            busy = [server.work(number) + last for number in range(1, count + 1)]
            steps = list(map(max, steps, server.through(busy, worked=False)))
        return steps

    # Data from any share

    def _from_any(self, numbers: Collection[int], part: _Part) -> float:
        """Return when a part from any of the shares with these numbers can have arrived."""
        return min(
            (self._part(s, n, part) for n in numbers for s in self._holders.get(n, ())), default=inf
        )

    def _part(self, server: Foreseen, number: int, part: _Part) -> float:
        """Return when a part of a share can have arrived."""
        key = server, number if server.alters else None, part  # unaltered shares are alike
        if key not in self._parts:
            parts = self._needs.parts(number)
            self._parts[key] = inf
            if parts is not None:
                spans = part(parts)
                sizes = [end - begin for begin, end in spans]
                transfer, most = server.transfer(sum(sizes)), max(sizes, default=0)
                brings = self._brings(server, number, spans)
                self._parts[key] = server.earliest(
                    Wanted(brings, transfer, most * self._needs.guessed, number)
                )
        return self._parts[key]

    def _brings(self, server: Foreseen, number: int, spans: Spans) -> Brings | None:
        """Return a test of whether a read provides these bytes; None if every read does."""
        if not server.alters:
            return None
        return partial(unaltered, share=self._needs.share(number), spans=spans)


#: One of the parts of a share.
_Part = Callable[[Parts], Spans]
_UEB: _Part = attrgetter("ueb")
_CHAIN: _Part = attrgetter("chain")
_BLOCK_HASHES: _Part = attrgetter("block_hashes")
_CRYPTTEXT_HASHES: _Part = attrgetter("crypttext_hashes")
