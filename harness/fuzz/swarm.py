"""Random scenarios: any file, grid and faults that a scenario file can describe, mostly small.

Each scenario first draws which features it can have at all, and how often, and only then uses them
(swarm testing: Groce, Zhang, Eide, Chen and Regehr, ISSTA 2012). So some have one kind of fault on
half of the servers, and others a little of everything. This reaches bugs that take much of one
thing, and bugs that another feature would hide.

Faults are drawn one by one, and as plots in which faults conspire: the fastest server lies, a
connection is lost in the middle of the download, a rack goes down, only K good shares are left.

Drawing only zeros gives the simplest scenario. Features that need another file are left out: real
shares, and the law `empirical`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from firstk.downloader.strategy import ONE_ROUND
from firstk.harness.fuzz.client_side import TROUBLES, client, reads
from firstk.harness.fuzz.kinds import FAULTS, kind_of
from firstk.harness.fuzz.transport import with_transport
from firstk.scenarios.presets import PRESETS

T = TypeVar("T")

#: Returns a whole number from 0 up to, but not including, its argument.
Draw = Callable[[int], int]

#: A time at which only a heavy tail can still be busy, in virtual seconds.
LATE = 1e6

#: The strategies that each scenario is tried with, in addition to one that has spares, and to
#: `one-round` if servers can read with a query: otherwise that is `hedged`.
STRATEGIES = ("wait-for-all", "first-k", "first-k-late", "windowed", "hedged")
_SPARING = ("hedged+1", "hedged+2", "hedged+5")

_K = (1, 2, 3, 3, 3, 4, 5, 8)
_MORE = (0, 1, 2, 3, 4, 5, 7, 9)  # the number of shares beyond K, or of servers beyond N
_SEGMENTS = (1, 2, 3, 5, 8, 17, 40)
_TIMES = (0.25, 0.05, 0.1, 0.5, 1.0, 2.0, 7.0, 30.0)
_LASTING = (0.05, 0.2, 0.5, 1.0, 5.0, 20.0, 100.0)
_TRANSFERS = (1.0, 0.01, 0.1, 10.0)  # the file's transfer time on a line, in seconds
_PARTS = ("block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header")
_LAWS = (
    *("constant", "uniform", "exponential", "shifted-exponential", "lognormal", "pareto"),
    *("mixture", "shifted", "sum", "quantiles", "preset"),
)
_SHORTEST = 0.001  # the minimum unit for times measured in round trips, in seconds
_LARGE = 200_000  # a few times the size of a consumer's buffer
_ENTRIES = 6
_SELDOM = 4  # one scenario in so many has servers that read with a query

#: Half of the scenarios are plain: few servers, short round trips and no limits. They are cheap,
#: most downloads succeed in them, and what goes wrong is rarely the fault of the servers.
_PLAIN_K, _PLAIN_MORE, _PLAIN_TIMES = (1, 2, 3, 3), (0, 1, 2, 3), (0.25, 0.05, 0.1, 0.1)
_LIMITED = {"queues", "downlink", "large", "instant"}

#: The latest time at which a run of another downloader ends: one that repeats something forever
#: would otherwise take long.
_ENOUGH = 1000.0

#: The optional features of a scenario, apart from faults.
_FEATURES = (
    *("segments", "range", "placement", "other-servers", "rtt-per-server", "own-rtt", "order"),
    *("queues", "downlink", "consumer", "first-block", "soon", "large", "racks", "plots"),
    *("spells", "several-faults", "everywhere", "instant", "transport"),
)

#: The features that only scenarios for other downloaders have.
_OTHERS = ("reads", *sorted(TROUBLES))


def tables(draw: Draw) -> dict[str, Any]:
    """Return the tables of a scenario, made from the numbers that `draw` returns."""
    return Swarm(draw).tables()


class Swarm:
    """Makes one scenario, with the features that it has drawn.

    `faults` are the permitted kinds. If it is for an `external` downloader, the scenario may have
    several reads of the file, and a client with troubles of its own; with `ranges`, it may read
    only a part of the file.
    """

    def __init__(
        self,
        draw: Draw,
        faults: Sequence[str] = FAULTS,
        *,
        ranges: bool = True,
        external: bool = False,
    ) -> None:
        self._draw = draw
        self._latest = _ENOUGH if external else LATE
        self._has = {feature for feature in _FEATURES if draw(2)}
        plain = not draw(2)
        self._k: Sequence[int] = _PLAIN_K if plain else _K
        self._more: Sequence[int] = _PLAIN_MORE if plain else _MORE
        self._times: Sequence[float] = _PLAIN_TIMES if plain else _TIMES
        if plain:
            self._has -= _LIMITED
        if external:
            self._has |= {feature for feature in _OTHERS if draw(8) == 7}
        if not ranges:
            self._has -= {"range", "reads"}
        self._faults = [kind for kind in faults if draw(2)] or list(faults)
        # A share has many parts that can be corrupt, and each matters to a different check.
        self._faults += ["corrupt"] * ("corrupt" in self._faults)
        self._laws = [law for law in _LAWS if draw(3) == 2] or ["constant"]
        self._often = 1 + draw(4)  # how often an entry has a fault, in quarters

    def tables(self) -> dict[str, Any]:
        """Return the tables of the scenario."""
        draw = self._draw
        file = self._file()
        grid = self._grid(file)
        self._shared = "machine" in grid.get("groups", ())  # what single entries must not set
        self._rtt = max(_SHORTEST, _typical(grid["rtt"]))
        made: dict[str, Any] = {
            "name": "fuzz",
            "strategies": [*STRATEGIES, self._of(_SPARING)],
            "seed": draw(1000),
            "deadline": 3.0 if self._sometimes("soon", 4) else self._latest,
            "stop": "first-block" if self._sometimes("first-block", 2) else "complete",
            "file": file,
            "grid": grid,
        }
        entries = [self._entry(grid["servers"], file) for _ in range(draw(1 + _ENTRIES))]
        if "plots" in self._has:
            entries += self._of(_PLOTS)(self, grid, file)
        made["servers"] = entries
        if troubles := self._has & TROUBLES:
            made["client"] = client(draw, troubles, self._law)
        if self._sometimes("consumer", 3):
            made |= self._slow_consumer(file)
        elif "reads" in self._has:
            made |= {"reads": reads(draw, file["size"], self._rtt), "stop": "complete"}
            made["file"] = {key: file[key] for key in file if key not in ("offset", "length")}
        if "transport" in self._has:
            made = with_transport(draw, made)
            for entry in made["servers"]:
                several = entry.get("fault", [])
                found = several if isinstance(several, list) else [several]
                if any(kind_of(fault) not in self._faults for fault in found):
                    del entry["fault"]
        if draw(_SELDOM) == _SELDOM - 1:
            made["grid"] = {**made["grid"], "reading_queries": True}
            made["strategies"].append(ONE_ROUND.name)
        made["servers"] = [entry for entry in made["servers"] if len(entry) > 1]
        return {key: value for key, value in made.items() if value != []}

    def _of(self, values: Sequence[T]) -> T:
        """Return one of the values; the first is the simplest."""
        return values[self._draw(len(values))]

    def _sometimes(self, feature: str, rarely: int) -> bool:
        """Return whether to use a feature now: never if it was not drawn, else once in `rarely`."""
        return feature in self._has and self._draw(rarely) == rarely - 1

    def _file(self) -> dict[str, Any]:
        draw = self._draw
        k, more = self._of(self._k), self._of(self._more)
        if self._sometimes("large", 32):
            k, more = 5 * k, 12 * more
        size = (1 + draw(1000)) * self._of((1, 1, 1, 5, 5, 60))
        file = {"size": size, "k": k, "n": k + more}
        if "segments" in self._has and (segments := self._of(_SEGMENTS)) > 1:
            file["segment_size"] = -(-size // segments)
        if self._sometimes("range", 2):
            file["offset"] = size * draw(11) // 10
            file["length"] = (size - file["offset"]) * draw(11) // 10
        return file

    def _grid(self, file: dict[str, Any]) -> dict[str, Any]:
        n = file["n"]
        servers = n
        if self._sometimes("other-servers", 2):
            servers = (1 + self._draw(9), n + self._draw(9))[self._draw(2)]
        grid: dict[str, Any] = {"servers": servers, "rtt": self._law()}
        if self._sometimes("rtt-per-server", 1):
            grid["rtt_per"] = "server"
        if self._sometimes("order", 1):
            grid["order"] = self._of(("permuted", "shuffled"))
        if self._sometimes("downlink", 2):
            grid["client_bandwidth"] = self._rate(file)
        if "racks" in self._has and servers > 1:
            grid["groups"] = {self._of(("rack", "machine")): 2 + self._draw(3)}
        return grid | self._limits(file, 2)

    def _slow_consumer(self, file: dict[str, Any]) -> dict[str, Any]:
        """Return a slow consumer, and a file that is larger than its buffer."""
        times = 1 + _LARGE // file["size"]
        sizes = ("size", "segment_size", "offset", "length")
        larger = {key: value * times for key, value in file.items() if key in sizes}
        rate = self._of((1000.0, 10_000.0, 100_000.0))
        return {"consumer": {"bandwidth": rate}, "file": file | larger}

    def _limits(self, file: dict[str, Any], rarely: int) -> dict[str, Any]:
        """Return the limits that slow servers down."""
        limits: dict[str, Any] = {}
        if self._sometimes("queues", rarely):
            limits["bandwidth"] = self._rate(file)
        if self._sometimes("queues", rarely):
            limits["service"] = self._law()
        if self._sometimes("queues", rarely):
            limits["concurrency"] = 1 + self._draw(3)
        return limits

    def _rate(self, file: dict[str, Any]) -> float:
        return float(f"{(100 + file['size']) / self._of(_TRANSFERS):.2g}")

    def _law(self, deep: bool = True) -> dict[str, Any]:
        law, time, other, form = (
            self._of(self._laws if deep else ("constant", "exponential")),
            self._of(self._times),
            self._of(self._times),
            self._draw(4),
        )
        match law:
            case "uniform":
                return {"law": law, "low": min(time, other), "high": max(time, other)}
            case "exponential":
                return {"law": law, "mean": time}
            case "shifted-exponential":
                return {"law": law, "shift": time, "mean": other}
            case "lognormal":
                return {"law": law, "median": time, "sigma": float(form)}
            case "pareto":
                return {"law": law, "alpha": 0.5 + form / 2, "scale": time}
            case "mixture":
                laws = [self._law(deep=False), self._law(deep=False)]
                return {"law": law, "weights": [1 + form, 1], "laws": laws}
            case "shifted":
                return {"law": law, "shift": time, "base": self._law(deep=False)}
            case "sum":
                return {"law": law, "laws": [self._law(deep=False), self._law(deep=False)]}
            case "quantiles":
                table = [[0.0, 0.0], [0.5, min(time, other)], [1.0, max(time, other)]]
                return {"law": law, "table": table}
            case "preset":
                return {"law": law, "name": sorted(PRESETS)[form % len(PRESETS)]}
        return {"law": "constant", "value": 0.0 if self._sometimes("instant", 4) else time}

    def _entry(self, servers: int, file: dict[str, Any]) -> dict[str, Any]:
        entry: dict[str, Any] = {"select": self._select(servers)}
        if self._draw(4) < self._often:
            more = self._draw(3) if "several-faults" in self._has else 0
            found = [self._fault() for _ in range(1 + more)]
            entry["fault"] = found[0] if len(found) == 1 else found
        if self._sometimes("placement", 2):
            entry["shares"] = sorted({self._draw(file["n"]) for _ in range(self._draw(4))})
        if self._sometimes("own-rtt", 2):
            entry["rtt"] = self._law()
        if self._sometimes("rtt-per-server", 4):
            entry["rtt_per"] = self._of(("request", "server"))
        return entry | ({} if self._shared else self._limits(file, 6))

    def _select(self, servers: int) -> str | dict[str, Any]:
        """Return a few servers, or any number of them if faults may be everywhere."""
        if "everywhere" not in self._has:
            first = self._draw(servers)
            match self._draw(8):
                case 6:
                    return f"{first}-{min(servers - 1, first + self._draw(3))}"
                case 7:
                    return {"count": min(servers, 1 + self._draw(3))}
            return str(first)
        some = sorted({self._draw(servers) for _ in range(3)})
        match self._draw(8):
            case 0 | 1:
                return str(some[0])
            case 2 | 3:
                return f"{some[0]}-{some[-1]}"
            case 4 | 5:
                return ",".join(map(str, some))
            case 6:
                return {"count": some[-1]}
        return {"probability": some[-1] / servers}

    def _fault(self, kind: str | None = None, *, under_way: bool = False) -> dict[str, Any]:
        """Return a fault of this kind, or of any permitted kind; see `_when` for its times."""
        kind, detail = kind or self._of(self._faults), self._draw(12)
        fault: dict[str, Any] = {"kind": kind}
        match kind:
            case "hung":
                fault["on"] = [["get_buckets", "read"], ["get_buckets"]][detail % 2]
            case "hung-read":
                fault = {"kind": "hung", "on": ["read"]}
            case "slow":
                fault |= {"factor": (2.0, 0.1, 20.0)[detail % 3], "extra": self._of(_TIMES)}
            case "flaky":
                fault["probability"] = detail / 11
            case "corrupt":
                fault["part"] = _PARTS[detail % 6]
            case "truncated":
                fault["length"] = 60 * detail
            case "trickle":
                return fault | {"piece": 1 + 100 * detail, "every": self._of(_TIMES)}
            case "stall":
                fault["after_bytes"] = 100 * detail
            case "throttled":
                fault["bandwidth"] = 100.0 + 1000.0 * detail
        return fault | self._when(under_way)

    def _when(self, under_way: bool) -> dict[str, Any]:
        """Return when a fault begins and ends, usually in units of round trips.

        It may begin at the start, unless it is `under_way`: then it begins during the download.
        """
        when: dict[str, Any] = {}
        if under_way or self._draw(2):
            trips = 0.5 * (1 + self._draw(8 if not under_way else 40))
            when["start"] = float(f"{trips * self._rtt * self._of((1.0, 0.9, 1.1)):.3g}")
        if self._sometimes("spells", 2):
            lasts = self._of(_LASTING)
            when["end"] = when.get("start", 0.0) + lasts
            if self._draw(4) == 3:
                when["every"] = 2 * lasts
        return when

    # Plots: faults that conspire

    def _the_fastest_lies(self, grid: dict[str, Any], file: dict[str, Any]) -> list[Any]:
        """Give the fastest server a fault, and let the next one fail during the download."""
        first, second = self._draw(grid["servers"]), self._draw(grid["servers"])
        own = {"law": "constant", "value": float(f"{self._rtt / 3:.2g}")}
        jitter = {"law": "lognormal", "median": float(f"{self._rtt / 2:.2g}"), "sigma": 1.0}
        then = self._pick("disconnect", "broken", "hung", "hung-read", "flaky")
        later = {"select": str(second), "rtt": jitter}
        if then is not None:
            later["fault"] = self._fault(then, under_way=True)
        bad = self._pick("corrupt", "flaky", "truncated", "read-error")
        entry: dict[str, Any] = {"select": str(first), "rtt": own}
        return [later, entry | ({"fault": self._fault(bad)} if bad else {})]

    def _lost_on_the_way(self, grid: dict[str, Any], file: dict[str, Any]) -> list[Any]:
        """Let servers fail one after another during the download."""
        kind = self._pick("disconnect", "broken", "hung", "hung-read", "read-error")
        if kind is None:
            return []
        fault = self._fault(kind, under_way=True)
        if self._draw(2):
            return [{"select": self._select(grid["servers"]), "fault": fault}]
        rolling = {"rolling": float(f"{self._rtt * (1 + self._draw(4)):.2g}")}
        return [{"select": "all", "fault": fault | rolling}]

    def _no_spare(self, grid: dict[str, Any], file: dict[str, Any]) -> list[Any]:
        """Leave just K good servers, or one more: the others all have the same fault."""
        bad = grid["servers"] - file["k"] - self._draw(2)
        if bad < 1:
            return []
        place = self._draw(grid["servers"] - bad + 1)
        return [{"select": f"{place}-{place + bad - 1}", "fault": self._fault()}]

    def _a_rack_fails(self, grid: dict[str, Any], file: dict[str, Any]) -> list[Any]:
        """Let the servers of a rack fail together."""
        size = max(1, min(grid["servers"], 2 + self._draw(3)))
        fault = self._fault(under_way=bool(self._draw(2)))
        return [{"select": {"count": 1, "group": size}, "fault": fault}]

    def _pick(self, *kinds: str) -> str | None:
        """Return one of these kinds of faults that is permitted; None if none is."""
        there = [kind for kind in kinds if kind in self._faults]
        return self._of(there) if there else None


_PLOTS = (
    Swarm._the_fastest_lies,
    Swarm._lost_on_the_way,
    Swarm._no_spare,
    Swarm._a_rack_fails,
)


def _typical(law: dict[str, Any]) -> float:
    """Return a typical time of a law, in seconds."""
    for key in ("value", "median", "mean", "scale", "high", "shift"):
        if key in law:
            return float(law[key])
    return 0.1
