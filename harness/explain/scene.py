"""The final state of a simulated download: what it waits for, and from where."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import cast

from firstk.harness.grid.trace import Exchange
from firstk.harness.grid.untriggered import ranges
from firstk.harness.kernel.raised import Place, raised_at
from firstk.harness.kernel.waiting import Chain, Link, chain_of
from firstk.harness.run.download import SimulatedDownload
from firstk.harness.run.under_test import is_strategy_code, runs_strategy

#: Path parts of libraries, whose lines do not belong to the code under test.
_LIBRARIES = f"{os.sep}site-packages{os.sep}"

#: Names in chains that are internals of libraries.
_NOT_OWN = {"firstk", "simpy", "twisted", "zope"} | sys.stdlib_module_names


@dataclass
class Scene:
    """The state of a download when nothing happens any more; `look` fills it in.

    `outstanding` are its unanswered requests; `awaited` are those that it waits for by a known
    chain. `raised` and `wrong` are the lines that raised its error and wrote the first wrong byte.
    """

    chain: list[Link] = field(default_factory=list)
    outstanding: list[Exchange] = field(default_factory=list)
    awaited: list[Exchange] = field(default_factory=list)
    timers: Sequence[str] = ()
    raised: Place | None = None
    wrong: Place | None = None
    ours: bool = False

    def look(self, download: SimulatedDownload) -> None:
        """Inspect a download whose simulation still exists."""
        self.ours = runs_strategy(download.strategy)
        requests = {id(r.deferred): r.exchange for r in download.client.outstanding}
        self.outstanding = list(requests.values())
        self.timers = download.timers
        self.wrong = download.wrong_from
        if download.failure is not None:
            self.raised = raised_at(download.failure)
        elif download.finished is None:
            ends = {key: exchange.operation for key, exchange in requests.items()}
            chain: Chain = chain_of(download.deferred, ends)
            self.chain = chain.links
            self.awaited = [one for key, one in requests.items() if key in chain.ends]

    def is_own(self, link: Link) -> bool:
        """Return whether a link is a line of the code under test itself."""
        if link.place is None:
            return False
        if self.ours:
            return is_strategy_code(link.module) and link.how != "callback"
        return link.module.partition(".")[0] not in _NOT_OWN and _LIBRARIES not in link.place.path

    @property
    def where(self) -> str | None:
        """The line that waits, and for what; None if no line is known."""
        own = [i for i, link in enumerate(self.chain) if self.is_own(link)]
        waiting = [i for i in own if self.chain[i].how != "callback"]
        if waiting:
            link = self.chain[waiting[-1]]
            what = self._named(waiting[-1] + 1) or "a Deferred that nothing fires"
            return f"{cast(Place, link.place).file_and_line}, {link.how} {what}"
        sent = next((one.source for one in self.awaited or self.outstanding if one.source), None)
        place = "" if sent is None else sent.file_and_line
        if own:
            link = self.chain[own[-1]]
            callback = f"callback {link.name}"
            there = cast(Place, link.place).file_and_line
            if not place:
                return f"{there}, {callback}"
            return f"{there}, {callback}, of the {self._named(own[-1] + 1)} that {place} sent"
        if place:
            return f"{place}, {self._what(self.outstanding)}"
        return None

    def _named(self, begin: int) -> str | None:
        """Return the first name in the chain that says more than Deferred."""
        last = len(self.chain) - 1
        for i, link in enumerate(self.chain[begin:], begin):
            if link.name == "Deferred" or (link.place is not None and not self.is_own(link)):
                continue
            if i == last and self.awaited:
                return self._what(self.awaited)
            return link.name
        if self.timers:
            return "a timer"
        return self._what(self.outstanding) if self.outstanding and self.ours else None

    def path(self, subject: str) -> str:
        """Return the chain as text, from the download to what it waits for."""
        names = [subject]
        last = len(self.chain) - 1
        for i, link in enumerate(self.chain):
            name = link.name
            if i == last and self.awaited:
                name = self._what(self.awaited)
            elif name == "Deferred" or (link.place is not None and not self.is_own(link)):
                continue
            if name != names[-1]:
                names.append(name)
        if not self.awaited:
            if self.timers:
                names.append("a timer")
            elif self.ours and self.outstanding:
                names.append(self._what(self.outstanding))
            else:
                names.append("a Deferred that nothing fires")
        return ", ".join(names)

    def _what(self, exchanges: Sequence[Exchange]) -> str:
        """Return what is waited for, such as "get_buckets(s7)"."""
        operation = exchanges[0].operation
        return f"{operation}({servers([e for e in exchanges if e.operation == operation])})"


def servers(exchanges: Sequence[Exchange]) -> str:
    """Return the names of the servers of some requests, in order."""
    names = sorted({exchange.server for exchange in exchanges}, key=lambda name: int(name[1:]))
    return ranges(names)
