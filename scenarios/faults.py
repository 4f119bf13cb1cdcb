"""Faults: what is wrong with a server, and when.

Each fault is a table with the key `kind`. It is a rule, and knows no clock and no
network: a simulated server asks each of its faults that is active, and concerns a request,
what becomes of it. A fault says so by overriding one method of `_Fault`; the others leave all
as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import inf
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from firstk.downloader.errors import CorruptShareError
from firstk.downloader.layout import HEADER_SIZE, header_size, parse_header
from firstk.scenarios.base import Seconds, Table, mistakes
from firstk.scenarios.times import spell_at

#: What a server is asked for: to set up a connection, for the shares it has, for bytes of one.
Operation = Literal["connect", "get_buckets", "read"]

_REQUESTS: tuple[Operation, ...] = ("get_buckets", "read")

#: The number of a share.
ShareNumber = Annotated[int, Field(ge=0)]


class _Fault(Table):
    """What all faults have in common."""

    stochastic: ClassVar[bool] = False
    """Whether it takes a draw for each request."""
    streams: ClassVar[bool] = False
    """Whether it changes when the bytes of an answer leave the server."""
    throttles: ClassVar[bool] = False
    """Whether it limits the server's uplink."""
    operations: ClassVar[Sequence[Operation]] = _REQUESTS
    """The requests that a fault of this kind concerns by default."""
    connects: ClassVar[bool] = False
    """Whether it can concern the set-up of a connection too."""
    reconnects: ClassVar[bool] = False
    """Whether it can last until a client reconnects."""
    start: Seconds = 0.0
    """When it begins, in virtual seconds."""
    end: Seconds | None = None
    """When it is over; default never."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Have it again and again: so many seconds after it began it begins anew."""
    until: Seconds | Literal["reconnect"] | None = None
    """When a fault that comes `every` so often is over for good; default never. "reconnect": it
    lasts until the client sets up a new connection."""
    rolling: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Let one server after another have it: each that is selected so many seconds after the one
    before, or each group where groups are."""
    on: list[Operation] | None = Field(default=None, min_length=1)
    """Which requests it concerns; default queries and reads, as far as such a fault can."""
    shares: list[ShareNumber] | None = Field(default=None, min_length=1)
    """Which shares it concerns, by number; then it concerns no query, unless it is `empty`.
    Default all."""

    @field_validator("on")
    @classmethod
    def _possible(cls, on: list[Operation] | None) -> list[Operation] | None:
        for operation in on or ():
            if operation not in cls.operations and not (cls.connects and operation == "connect"):
                problem = f"is about {cls.operations[0]} only, not {operation}"
                raise mistakes([("", f"a fault {cls._kind()!r} {problem}")])
        return on

    @classmethod
    def _kind(cls) -> str:
        kind: str = get_args(cls.model_fields["kind"].annotation)[0]
        return kind

    @model_validator(mode="after")
    def _of_shares(self) -> Self:
        named = self.on if "on" in self.model_fields_set else None
        if self.shares is not None and {*(named or ())} - {"read"} and "read" in self.operations:
            problem = "with `shares` only reads can be concerned: all else is about all shares"
            raise mistakes([("on", problem)])
        return self

    @field_validator("end")
    @classmethod
    def _ordered(cls, end: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("start", 0.0)
        if end is not None and end <= start:
            raise mistakes([("", f"should be later than start = {start}, not {end}")])
        return end

    @field_validator("every")
    @classmethod
    def _apart(cls, every: float | None, info: ValidationInfo) -> float | None:
        start, end = info.data.get("start", 0.0), info.data.get("end")
        if every is not None and "end" in info.data:
            if end is None:
                raise mistakes([("", "needs an `end`: when it is over each time")])
            if start + every <= end:
                problem = f"should be more than it lasts ({end - start:g} s), not {every}"
                raise mistakes([("", problem)])
        return every

    @field_validator("until")
    @classmethod
    def _repeated(
        cls, until: float | Literal["reconnect"] | None, info: ValidationInfo
    ) -> float | Literal["reconnect"] | None:
        start = info.data.get("start", 0.0)
        if until == "reconnect":
            if not cls.reconnects:
                raise mistakes([("", f"a fault {cls._kind()!r} is not about a connection")])
            if info.data.get("every") is not None:
                raise mistakes([("", "a fault that lasts until then cannot come again and again")])
            return until
        if until is not None and "every" in info.data:
            if info.data["every"] is None:
                raise mistakes([("", "goes with `every`; without it `end` says when it is over")])
            if until <= start:
                raise mistakes([("", f"should be later than start = {start}, not {until}")])
        return until

    @property
    def repeats(self) -> float | None:
        """How many seconds after it began it begins anew; None if it comes once."""
        return self.every

    @property
    def _last(self) -> float:
        """When it is over for good."""
        return self.until if isinstance(self.until, float) else inf

    def spell(self, time: float) -> tuple[float, float]:
        """Return when the fault begins and is over: the first time that it is not over at `time`.

        Both are infinity if it does not come any more.
        """
        end = inf if self.end is None else self.end
        return spell_at(time, self.start, end, self.repeats, self._last)

    def active(self, time: float) -> bool:
        """Return whether the server has this fault at `time`."""
        if self.every is not None and self.repeats is not None:
            begin, over = self.spell(time)
            return begin <= time < over
        return self.start <= time and (self.end is None or time < self.end)

    def over_at(self, time: float) -> Self:
        """Return a fault that is over at a time, and never begins if it has not by then."""
        if self.repeats is not None:
            return self.model_copy(update={"until": min(time, self._last)})
        if self.end is not None and self.end <= time:
            return self
        return self.model_copy(update={"start": inf} if self.start > time else {"end": time})

    def rolled(self, place: int) -> Self:
        """Return what the server at this place has, of those that have it one after another."""
        if self.rolling is None or place == 0:
            return self
        times = {key: getattr(self, key) for key in ("start", "end", "until")}
        later = place * self.rolling
        return self.model_copy(
            update={key: at + later for key, at in times.items() if isinstance(at, float)}
        )

    def affects(self, operation: Operation) -> bool:
        """Return whether it can concern such a request, at least for some share."""
        if self.shares is not None and "read" in self.operations:
            return operation == "read"
        return operation in (self.on or self.operations)

    def concerns(self, operation: Operation, share: int | None = None) -> bool:
        """Return whether it concerns such a request; a read is of the share with this number."""
        if self.shares is not None and operation == "read" and share not in self.shares:
            return False
        return self.affects(operation)

    def round_trip(self, rtt: float) -> float:
        """Return what becomes of a round-trip time, in seconds."""
        return rtt

    def holds(self, operation: Operation) -> bool:
        """Return whether such a request is kept without an answer while the fault lasts."""
        return False

    def failure(self, operation: Operation, chance: float) -> str | None:
        """Return why such a request fails, if it does.

        `chance` was drawn for it, from 0 up to 1; it is 1 if the fault is not `stochastic`.
        """
        return None

    def lost(self, sent: float) -> float:
        """Return when the connection of a request is lost that is sent at `sent`.

        It is infinity if it never is. A request that was answered before loses nothing.
        """
        return inf

    def fails(self, sent: float) -> float:
        """Return when a request fails that is sent at `sent` and that the fault keeps till then."""
        return inf

    @property
    def of_connection(self) -> bool:
        """Whether it depends on the connection, and not on the server alone."""
        return "connect" in (self.on or ())

    @cached_property
    def is_special(self) -> bool:
        """Whether it is about streams, channels or connections, and not about requests alone."""
        return (
            self.streams
            or self.throttles
            or self.of_connection
            or self.begins_after() != (0, 0)
            or "connect" in (self.on or ())
        )

    def begins_after(self) -> tuple[float, float]:
        """Return after how many requests and bytes of a connection it begins; 0, 0 for at once."""
        return 0, 0

    def begun_at(self, time: float) -> Self:
        """Return one that has begun at a time, if it waits for requests or bytes."""
        return self

    def next_change(self, time: float) -> float:
        """Return when the fault begins or is over, the first time after `time`; or infinity."""
        begin, over = self.spell(time)
        return begin if time < begin else over

    def is_between(self, begin: float, end: float) -> bool:
        """Return whether the server has this fault at some time between these two."""
        return self.active(begin) or self.next_change(begin) < end

    def rate(self, time: float) -> float:
        """Return the most bytes/s that pass the server's uplink at a time."""
        return inf

    def leaves(self, position: int, ready: float) -> float:
        """Return when a byte of an answer leaves the server, the first one being 0.

        The answer was `ready` at a time, when the server had this fault.
        """
        return ready

    def together(self, position: int) -> float:
        """Return how many bytes of an answer leave together, from this one on."""
        return inf

    def buckets(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return which of the share numbers it has the server admits to."""
        return numbers

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        """Return what becomes of `answer`, the bytes of `share` from `offset` on."""
        return answer


class _Silent(_Fault):
    """A fault that keeps the client waiting."""

    fails_after: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How many seconds after its sending a request fails that is kept so long; default never."""

    def fails(self, sent: float) -> float:
        return inf if self.fails_after is None else sent + self.fails_after


class _OfConnection(_Fault):
    """A fault of a connection: what the connection has carried may set it off."""

    reconnects = True
    connects = True
    after_requests: int | None = Field(default=None, ge=0)
    """After how many requests of a connection it begins, of those that it concerns; default 0."""
    after_bytes: int | None = Field(default=None, ge=0)
    """After how many bytes of shares that a connection has carried it begins; default 0."""

    @property
    def of_connection(self) -> bool:
        keys = self.after_requests, self.after_bytes
        return super().of_connection or self.until == "reconnect" or keys != (None, None)

    def begins_after(self) -> tuple[float, float]:
        given = [
            inf if after is None else after for after in (self.after_requests, self.after_bytes)
        ]
        return (0, 0) if 0 in given or given == [inf, inf] else (given[0], given[1])

    def begun_at(self, time: float) -> Self:
        times = {"start": time, "after_requests": None, "after_bytes": None}
        over = self.end is not None and self.end <= time
        return self.model_copy(update=times | ({"start": inf, "end": None} if over else {}))

    def active(self, time: float) -> bool:
        waits = self.after_requests is not None or self.after_bytes is not None
        return not waits and super().active(time)


class Hung(_Silent, _OfConnection):
    """Holds the connection and answers nothing; after `end` it answers what it was asked."""

    kind: Literal["hung"]
    # Not None: the hashes of scenarios contain it.
    on: list[Operation] | None = Field(default=list(_REQUESTS), min_length=1)
    """What it does not answer."""

    def holds(self, operation: Operation) -> bool:
        return self.affects(operation)


class Slow(_Fault):
    """Takes longer: round-trip times are multiplied, and added to."""

    connects = True
    kind: Literal["slow"]
    factor: float = Field(default=1.0, gt=0)
    """What its round-trip times are multiplied with."""
    extra: Seconds = 0.0
    """What is added to them, in seconds."""

    @model_validator(mode="after")
    def _does_something(self) -> Self:
        if not self.model_fields_set & {"factor", "extra"}:
            raise mistakes([("kind", "a slow server needs a factor, or extra seconds")])
        return self

    def round_trip(self, rtt: float) -> float:
        return rtt * self.factor + self.extra


class Broken(_Fault):
    """Fails every request."""

    connects = True
    kind: Literal["broken"]

    def failure(self, operation: Operation, chance: float) -> str | None:
        return "the server is broken" if self.affects(operation) else None


class Empty(_Fault):
    """Answers that it has no shares."""

    operations = ("get_buckets",)
    kind: Literal["empty"]

    def buckets(self, numbers: Sequence[int]) -> Sequence[int]:
        hidden = self.shares
        return () if hidden is None else [number for number in numbers if number not in hidden]


class ReadError(_Fault):
    """Says yes to get_buckets, and fails every read."""

    operations = ("read",)
    kind: Literal["read-error"]

    def failure(self, operation: Operation, chance: float) -> str | None:
        return "the share cannot be read" if self.affects(operation) else None


class Disconnect(_OfConnection):
    """Loses its connections: what is outstanding at `start` fails, and what is sent later."""

    operations = ("connect", *_REQUESTS)
    kind: Literal["disconnect"]

    def lost(self, sent: float) -> float:
        if self.begins_after() != (0, 0):
            return inf
        return max(sent, self.spell(sent)[0])


class Flaky(_Fault):
    """Fails some requests, each by chance."""

    stochastic = True
    connects = True
    kind: Literal["flaky"]
    probability: float = Field(ge=0, le=1)
    """How likely each request is to fail."""

    def failure(self, operation: Operation, chance: float) -> str | None:
        if chance < self.probability and self.affects(operation):
            return "the server is flaky"
        return None


class Corrupt(_Fault):
    """Makes every byte of one part of its shares a wrong one."""

    operations = ("read",)
    kind: Literal["corrupt"]
    part: Literal["block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header"]
    """Which part of the share is wrong."""

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        begin, end = (edge - offset for edge in self._span(share))
        begin, end = max(0, begin), max(0, end)
        return answer[:begin] + answer[begin:end].translate(_WRONG) + answer[end:]

    def _span(self, share: bytes) -> tuple[int, int]:
        """Return where the part begins and ends in the share data."""
        try:
            header = parse_header(share[:HEADER_SIZE])
        except CorruptShareError:
            return 0, len(share)  # it has no parts
        return {
            "header": (0, header_size(header.version)),
            "block": (header.data, header.plaintext_hashes),
            "crypttext-hashes": (header.crypttext_hashes, header.block_hashes),
            "block-hashes": (header.block_hashes, header.share_hashes),
            "share-hashes": (header.share_hashes, header.uri_extension),
            "ueb": (header.uri_extension, len(share)),
        }[self.part]


# Not a flipped bit: two such faults on one server must not mend each other.
_WRONG = bytes((byte + 1) % 256 for byte in range(256))


class Truncated(_Fault):
    """Its shares end too early."""

    operations = ("read",)
    kind: Literal["truncated"]
    length: int = Field(ge=0)
    """How many bytes of the share data are left."""

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        return answer[: max(0, self.length - offset)]


class Trickle(_Fault):
    """Sends each answer piece by piece: the first at once, each other one some time later."""

    streams = True
    operations = ("read",)
    kind: Literal["trickle"]
    piece: int = Field(ge=1)
    """How many bytes it sends at once."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """How many seconds lie between two pieces."""

    @field_validator("every")
    @classmethod
    def _apart(cls, every: float | None, info: ValidationInfo) -> float | None:
        return every

    @field_validator("until")
    @classmethod
    def _repeated(
        cls, until: float | Literal["reconnect"] | None, info: ValidationInfo
    ) -> float | Literal["reconnect"] | None:
        if until is not None:
            problem = "a trickle does not come again: its `every` is the time between two pieces"
            raise mistakes([("", problem)])
        return until

    @property
    def repeats(self) -> None:
        return None

    def leaves(self, position: int, ready: float) -> float:
        if not self.active(ready):
            return ready
        return min(ready + position // self.piece * self.every, self.spell(ready)[1])

    def together(self, position: int) -> float:
        return self.piece - position % self.piece


class Stall(_Silent):
    """Sends the beginning of each answer, and the rest when the fault is over."""

    streams = True
    operations = ("read",)
    kind: Literal["stall"]
    after_bytes: int = Field(ge=0)
    """How many bytes of the answer it sends before."""

    def leaves(self, position: int, ready: float) -> float:
        if position < self.after_bytes or not self.active(ready):
            return ready
        return self.spell(ready)[1]

    def together(self, position: int) -> float:
        return self.after_bytes - position if position < self.after_bytes else inf


class Throttled(_Fault):
    """Sends all that it sends at a lower bandwidth, also what is under way when it begins."""

    throttles = True
    operations = ("read",)
    kind: Literal["throttled"]
    bandwidth: float = Field(gt=0, allow_inf_nan=False)
    """The most bytes/s that pass its uplink."""

    @model_validator(mode="after")
    def _for_all(self) -> Self:
        if self.shares is not None:
            problem = "an uplink is throttled for all shares; `trickle` may be for some"
            raise mistakes([("shares", problem)])
        return self

    def rate(self, time: float) -> float:
        return self.bandwidth if self.active(time) else inf


Fault = Annotated[
    Hung
    | Slow
    | Broken
    | Empty
    | ReadError
    | Disconnect
    | Flaky
    | Corrupt
    | Truncated
    | Trickle
    | Stall
    | Throttled,
    Field(discriminator="kind"),
]
"""Any fault; the key `kind` says which."""
