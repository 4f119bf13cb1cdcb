"""Faults: what is wrong with a server, and when.

Each fault is a table with the key `kind`. It is a pure rule, independent of the clock and the
network: for each request, a simulated server asks its active faults that concern the request how
they change it. A fault overrides methods of `_Fault`, whose defaults change nothing.
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

#: The operations of a server: to set up a connection, to list its shares, to read bytes of one.
Operation = Literal["connect", "get_buckets", "read"]

_REQUESTS: tuple[Operation, ...] = ("get_buckets", "read")

#: The number of a share.
ShareNumber = Annotated[int, Field(ge=0)]


class _Fault(Table):
    """The base class of all faults, with the keys that they have in common."""

    stochastic: ClassVar[bool] = False
    """Whether it needs a random draw for each request."""
    streams: ClassVar[bool] = False
    """Whether it changes when the bytes of an answer leave the server."""
    throttles: ClassVar[bool] = False
    """Whether it limits the server's uplink."""
    operations: ClassVar[Sequence[Operation]] = _REQUESTS
    """The requests that this kind of fault concerns by default."""
    connects: ClassVar[bool] = False
    """Whether it can also concern the set-up of a connection."""
    reconnects: ClassVar[bool] = False
    """Whether it can last until a client reconnects."""
    start: Seconds = 0.0
    """When it begins, in virtual seconds."""
    end: Seconds | None = None
    """When it ends, in virtual seconds; default never."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The number of seconds from one start to the next, if the fault repeats; default once."""
    until: Seconds | Literal["reconnect"] | None = None
    """When a fault with `every` stops repeating; default never. "reconnect": the fault lasts until
    the client sets up a new connection."""
    rolling: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Apply it to one selected server after another: each starts this number of seconds after
    the previous one. If groups are selected, apply it to one group after another."""
    on: list[Operation] | None = Field(default=None, min_length=1)
    """The requests that it concerns; default queries and reads, if this kind of fault can."""
    shares: list[ShareNumber] | None = Field(default=None, min_length=1)
    """The numbers of the shares that it concerns; default all. With this key it does not concern
    queries, unless it is `empty`."""

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
        """The number of seconds from one start to the next; None if it does not repeat."""
        return self.every

    @property
    def _last(self) -> float:
        """When it stops repeating."""
        return self.until if isinstance(self.until, float) else inf

    def spell(self, time: float) -> tuple[float, float]:
        """Return the start and end of the first occurrence that ends after `time`.

        Both are infinity if there are no more occurrences.
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
        """Return a copy that ends at a time, and never begins if it has not begun by then."""
        if self.repeats is not None:
            return self.model_copy(update={"until": min(time, self._last)})
        if self.end is not None and self.end <= time:
            return self
        return self.model_copy(update={"start": inf} if self.start > time else {"end": time})

    def rolled(self, place: int) -> Self:
        """Return the fault of the server at this place in the order of a `rolling` fault."""
        if self.rolling is None or place == 0:
            return self
        times = {key: getattr(self, key) for key in ("start", "end", "until")}
        later = place * self.rolling
        return self.model_copy(
            update={key: at + later for key, at in times.items() if isinstance(at, float)}
        )

    def affects(self, operation: Operation) -> bool:
        """Return whether it can concern such a request, for at least one share."""
        if self.shares is not None and "read" in self.operations:
            return operation == "read"
        return operation in (self.on or self.operations)

    def concerns(self, operation: Operation, share: int | None = None) -> bool:
        """Return whether it concerns such a request; `share` is the number of the share read."""
        if self.shares is not None and operation == "read" and share not in self.shares:
            return False
        return self.affects(operation)

    def round_trip(self, rtt: float) -> float:
        """Return the changed round-trip time, in seconds."""
        return rtt

    def holds(self, operation: Operation) -> bool:
        """Return whether such a request is held without an answer while the fault lasts."""
        return False

    def failure(self, operation: Operation, chance: float) -> str | None:
        """Return why such a request fails, or None.

        `chance` is a random number from 0 up to 1; it is 1 if the fault is not `stochastic`.
        """
        return None

    def lost(self, sent: float) -> float:
        """Return when the connection of a request sent at `sent` is lost; infinity if never.

        A request that is answered before then is not affected.
        """
        return inf

    def fails(self, sent: float) -> float:
        """Return when a request sent at `sent` fails, if the fault still holds it by then."""
        return inf

    @property
    def of_connection(self) -> bool:
        """Whether it depends on the connection, not only on the server."""
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
        """Return the numbers of requests and bytes of a connection after which it begins."""
        return 0, 0

    def begun_at(self, time: float) -> Self:
        """Return a copy that begins at a time, if it waits for requests or bytes."""
        return self

    def next_change(self, time: float) -> float:
        """Return the first time after `time` at which the fault begins or ends; or infinity."""
        begin, over = self.spell(time)
        return begin if time < begin else over

    def is_between(self, begin: float, end: float) -> bool:
        """Return whether the server has this fault at some time between these two."""
        return self.active(begin) or self.next_change(begin) < end

    def rate(self, time: float) -> float:
        """Return the maximum bandwidth of the server's uplink at a time, in bytes/s."""
        return inf

    def leaves(self, position: int, ready: float) -> float:
        """Return when the byte at `position` of an answer leaves the server.

        `ready` is when the answer was ready; the server had this fault then.
        """
        return ready

    def together(self, position: int) -> float:
        """Return how many bytes of an answer leave together, starting at `position`."""
        return inf

    def buckets(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return which of its share numbers the server reports."""
        return numbers

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        """Return the changed `answer`, which has the bytes of `share` starting at `offset`."""
        return answer


class _Silent(_Fault):
    """A fault that keeps the client waiting."""

    fails_after: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """How many seconds after it was sent a request that is still held fails; default never."""

    def fails(self, sent: float) -> float:
        return inf if self.fails_after is None else sent + self.fails_after


class _OfConnection(_Fault):
    """A fault of a connection, which requests or bytes on the connection may trigger."""

    reconnects = True
    connects = True
    after_requests: int | None = Field(default=None, ge=0)
    """The number of concerned requests on a connection after which it begins; default 0."""
    after_bytes: int | None = Field(default=None, ge=0)
    """The number of bytes of shares on a connection after which it begins; default 0."""

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
    """Holds the connection and answers nothing; after `end` it answers the held requests."""

    kind: Literal["hung"]
    # The default must not be None: the hashes of scenarios contain it.
    on: list[Operation] | None = Field(default=list(_REQUESTS), min_length=1)
    """The requests that it does not answer."""

    def holds(self, operation: Operation) -> bool:
        return self.affects(operation)


class Slow(_Fault):
    """Takes longer: round-trip times are multiplied by `factor`, and `extra` is added."""

    connects = True
    kind: Literal["slow"]
    factor: float = Field(default=1.0, gt=0)
    """The factor by which round-trip times are multiplied."""
    extra: Seconds = 0.0
    """The time added to round-trip times, in seconds."""

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
    """Answers get_buckets, and fails every read."""

    operations = ("read",)
    kind: Literal["read-error"]

    def failure(self, operation: Operation, chance: float) -> str | None:
        return "the share cannot be read" if self.affects(operation) else None


class Disconnect(_OfConnection):
    """Loses its connections: requests outstanding at `start` fail, and so do later ones."""

    operations = ("connect", *_REQUESTS)
    kind: Literal["disconnect"]

    def lost(self, sent: float) -> float:
        if self.begins_after() != (0, 0):
            return inf
        return max(sent, self.spell(sent)[0])


class Flaky(_Fault):
    """Fails some requests at random."""

    stochastic = True
    connects = True
    kind: Literal["flaky"]
    probability: float = Field(ge=0, le=1)
    """The probability that a request fails."""

    def failure(self, operation: Operation, chance: float) -> str | None:
        if chance < self.probability and self.affects(operation):
            return "the server is flaky"
        return None


class Corrupt(_Fault):
    """Corrupts every byte of one part of its shares."""

    operations = ("read",)
    kind: Literal["corrupt"]
    part: Literal["block", "ueb", "share-hashes", "block-hashes", "crypttext-hashes", "header"]
    """The part of the share that is corrupt."""

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        begin, end = (edge - offset for edge in self._span(share))
        begin, end = max(0, begin), max(0, end)
        return answer[:begin] + answer[begin:end].translate(_WRONG) + answer[end:]

    def _span(self, share: bytes) -> tuple[int, int]:
        """Return where the part begins and ends in the share data."""
        try:
            header = parse_header(share[:HEADER_SIZE])
        except CorruptShareError:
            return 0, len(share)  # the share has no parts
        return {
            "header": (0, header_size(header.version)),
            "block": (header.data, header.plaintext_hashes),
            "crypttext-hashes": (header.crypttext_hashes, header.block_hashes),
            "block-hashes": (header.block_hashes, header.share_hashes),
            "share-hashes": (header.share_hashes, header.uri_extension),
            "ueb": (header.uri_extension, len(share)),
        }[self.part]


# Not a flipped bit: two such faults on one server must not cancel each other.
_WRONG = bytes((byte + 1) % 256 for byte in range(256))


class Truncated(_Fault):
    """Holds truncated shares."""

    operations = ("read",)
    kind: Literal["truncated"]
    length: int = Field(ge=0)
    """The number of bytes of the share data that are left."""

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        return answer[: max(0, self.length - offset)]


class Trickle(_Fault):
    """Sends each answer piece by piece: the first one at once, and one more every `every` s."""

    streams = True
    operations = ("read",)
    kind: Literal["trickle"]
    piece: int = Field(ge=1)
    """The size of a piece, in bytes."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """The time between two pieces, in seconds."""

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
    """Sends the beginning of each answer, and the rest when the fault ends."""

    streams = True
    operations = ("read",)
    kind: Literal["stall"]
    after_bytes: int = Field(ge=0)
    """The number of bytes of the answer that it sends at first."""

    def leaves(self, position: int, ready: float) -> float:
        if position < self.after_bytes or not self.active(ready):
            return ready
        return self.spell(ready)[1]

    def together(self, position: int) -> float:
        return self.after_bytes - position if position < self.after_bytes else inf


class Throttled(_Fault):
    """Sends all data at a lower bandwidth, including answers in progress when it begins."""

    throttles = True
    operations = ("read",)
    kind: Literal["throttled"]
    bandwidth: float = Field(gt=0, allow_inf_nan=False)
    """The maximum bandwidth of its uplink, in bytes/s."""

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
"""A fault of any kind; the key `kind` selects which."""
