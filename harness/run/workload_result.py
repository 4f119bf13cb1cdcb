"""The result of a workload: the downloads' outcomes, their times, what they cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import Any, Self

from firstk.downloader.text import message_of
from firstk.harness.grid.server import SimServer
from firstk.harness.grid.untriggered import Unmet
from firstk.harness.kernel.escapes import EscapeError
from firstk.harness.kernel.raised import as_error, error_name
from firstk.harness.run.result import WORST_FIRST, Outcome, Result
from firstk.harness.run.under_test import DownloaderSpec, name_of
from firstk.harness.stats.histogram import Histogram
from firstk.scenarios.model import Scenario

#: The times that are measured in each download.
TIMES = ("located", "ttfb", "finished")


@dataclass(frozen=True, slots=True)
class WorkloadResult:
    """The result of one simulation of a workload. Times are in virtual seconds, sizes in bytes.

    `outcomes` says how many of the `downloads` that count ended how, and `errors` how many
    failed with which error; `message` is that of the first. `strays` counts the errors among
    them that no download reported: they came up in callbacks. The times are from each download's
    own start: to K distinct shares, to the first byte, to success. `requests` and
    `bytes_received` are means of all. `span` is the time from the first start to the last end,
    and `in_system` the mean number of downloads in progress: None if no time passed. `piled_up` is
    by how many more downloads are in progress once the last one has begun than before the first.
    `utilisation` is the mean utilisation of the busiest resource: a server's `concurrency`, its
    uplink or the client's downlink; None if nothing has a limit. `digest` is the SHA-256 of the
    outcomes and digests of all downloads. `untriggered_faults` are the scenario's faults that met
    no request; they are not kept in a store.
    """

    scenario: str
    strategy: str
    run: int
    seed: int
    downloads: int
    outcomes: Mapping[Outcome, int]
    errors: Mapping[str, int]
    message: str | None
    strays: int
    located: Histogram
    ttfb: Histogram
    finished: Histogram
    requests: float
    bytes_received: float
    content_ok: bool | None
    span: float
    in_system: float | None
    piled_up: int
    utilisation: float | None
    digest: str
    untriggered_faults: Unmet = field(default_factory=dict, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON data."""
        found = {one.name: getattr(self, one.name) for one in fields(self) if one.compare}
        return found | {name: found[name].to_json() for name in TIMES}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the result for the JSON data of `to_json`."""
        times = {name: Histogram.from_json(data[name]) for name in TIMES}
        return cls(**{**data, **times})

    @property
    def success_fraction(self) -> float:
        """The fraction of the downloads that succeeded."""
        return self.outcomes.get("ok", 0) / self.downloads

    @property
    def outcome(self) -> Outcome:
        """The worst outcome of all downloads; `ok` if every download succeeded."""
        return next((o for o in WORST_FIRST if self.outcomes.get(o)), "ok")


class Tally:
    """Counts the downloads of one simulation."""

    def __init__(self, servers: Sequence[SimServer]) -> None:
        self._limits = {level: of for server in servers for level, of in server.limits.items()}
        self._digest = sha256()
        self._outcomes: Counter[Outcome] = Counter()
        self._errors: Counter[str] = Counter()
        self._message: str | None = None
        self._strays = 0
        self._content_ok: bool | None = None
        self._times = {name: Histogram() for name in TIMES}
        self._requests = 0
        self._bytes = 0
        self._opened = self._closed = 0.0
        self._under_way = 0.0
        self.piled_up = 0
        self._busy: list[float] = []

    def open(self, now: float, under_way: float) -> None:
        """Begin measuring servers, and downloads in progress (an area; see `TimeAverage`)."""
        self._opened, self._under_way = now, under_way
        self._busy = [level.area for level in self._limits]

    def close(self, now: float, under_way: float) -> None:
        """End what `open` began."""
        self._closed, self._under_way = now, under_way - self._under_way
        self._busy = [
            (level.area - before) / of
            for (level, of), before in zip(self._limits.items(), self._busy, strict=True)
        ]

    def add(self, number: int, result: Result, *, counts: bool) -> None:
        """Add the outcome of the download with this number."""
        self._digest.update(f"{number} {result.outcome} {result.digest}\n".encode())
        if not counts:
            return
        self._outcomes[result.outcome] += 1
        if result.error is not None:
            self._errors[result.error] += 1
            self._message = self._message or result.message
        self._times["located"].add(result.located)
        self._times["ttfb"].add(result.ttfb)
        self._times["finished"].add(result.finished if result.outcome == "ok" else None)
        self._requests += result.requests
        self._bytes += result.bytes_received
        if result.content_ok is not None:
            self._content_ok = result.content_ok and self._content_ok is not False

    def add_strays(self, failures: Sequence[BaseException]) -> None:
        """Add errors that no download reports."""
        for failure in failures:
            if isinstance(failure, EscapeError) and self._errors[EscapeError.__name__]:
                continue  # a download has reported it: it counts once
            self._strays += 1
            error = as_error(failure)
            self._errors[error_name(error)] += 1
            self._message = self._message or message_of(error)

    def result(
        self,
        scenario: Scenario,
        strategy: DownloaderSpec,
        run: int,
        untriggered_faults: Unmet,
    ) -> WorkloadResult:
        """Return the result of the whole workload."""
        downloads = sum(self._outcomes.values())
        span = self._closed - self._opened
        return WorkloadResult(
            scenario=scenario.name,
            strategy=name_of(strategy),
            run=run,
            seed=scenario.seed_of(run),
            downloads=downloads,
            outcomes=dict(sorted(self._outcomes.items())),
            errors=dict(sorted(self._errors.items())),
            message=self._message,
            strays=self._strays,
            requests=self._requests / downloads,
            bytes_received=self._bytes / downloads,
            content_ok=self._content_ok,
            span=span,
            in_system=self._under_way / span if span else None,
            piled_up=self.piled_up,
            utilisation=max(self._busy) / span if span and self._busy else None,
            digest=self._digest.hexdigest(),
            untriggered_faults=untriggered_faults,
            **self._times,
        )
