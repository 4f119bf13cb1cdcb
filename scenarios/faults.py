"""Faults: what is wrong with a server, and when.

Each fault is a table with the key `kind`. It is a rule, and knows no clock and no
network: a simulated server asks each of its faults that is active, and concerns a request,
what becomes of it. A fault says so by overriding one method of `_Fault`; the others leave all
as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Annotated, ClassVar, Literal, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from firstk.downloader.errors import CorruptShareError
from firstk.downloader.layout import HEADER_SIZE, header_size, parse_header
from firstk.scenarios.base import Seconds, Table, mistakes
from firstk.scenarios.times import spell_at

#: What a server is asked for.
Operation = Literal["get_buckets", "read"]

_ALL: tuple[Operation, ...] = ("get_buckets", "read")

#: The number of a share.
ShareNumber = Annotated[int, Field(ge=0)]


class _Fault(Table):
    """What all faults have in common."""

    stochastic: ClassVar[bool] = False
    """Whether it takes a draw for each request."""
    operations: ClassVar[Sequence[Operation]] = _ALL
    """The requests that a fault of this kind can concern."""
    start: Seconds = 0.0
    """When it begins, in virtual seconds."""
    end: Seconds | None = None
    """When it is over; default never."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Have it again and again: so many seconds after it began it begins anew."""
    until: Seconds | None = None
    """When a fault that comes `every` so often is over for good; default never."""
    rolling: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Let one server after another have it: each that is selected so many seconds after the one
    before, or each group where groups are."""
    on: list[Operation] | None = Field(default=None, min_length=1)
    """Which requests it concerns; default all that such a fault can."""
    shares: list[ShareNumber] | None = Field(default=None, min_length=1)
    """Which shares it concerns, by number; then it concerns no query, unless it is `empty`.
    Default all."""

    @field_validator("on")
    @classmethod
    def _possible(cls, on: list[Operation] | None) -> list[Operation] | None:
        for operation in on or ():
            if operation not in cls.operations:
                kind = get_args(cls.model_fields["kind"].annotation)[0]
                problem = f"a fault {kind!r} is about {cls.operations[0]} only, not {operation}"
                raise mistakes([("", problem)])
        return on

    @model_validator(mode="after")
    def _of_shares(self) -> Self:
        named = self.on if "on" in self.model_fields_set else None
        if self.shares is not None and "get_buckets" in (named or ()) and "read" in self.operations:
            problem = "a query is about all shares of a server: with `shares` only reads can be"
            raise mistakes([("on", f"{problem} concerned")])
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
    def _repeated(cls, until: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("start", 0.0)
        if until is not None and "every" in info.data:
            if info.data["every"] is None:
                raise mistakes([("", "goes with `every`; without it `end` says when it is over")])
            if until <= start:
                raise mistakes([("", f"should be later than start = {start}, not {until}")])
        return until

    def spell(self, time: float) -> tuple[float, float]:
        """Return when the fault begins and is over: the first time that it is not over at `time`.

        Both are infinity if it does not come any more.
        """
        end, until = (inf if t is None else t for t in (self.end, self.until))
        return spell_at(time, self.start, end, self.every, until)

    def active(self, time: float) -> bool:
        """Return whether the server has this fault at `time`."""
        if self.every is not None:
            begin, over = self.spell(time)
            return begin <= time < over
        return self.start <= time and (self.end is None or time < self.end)

    def over_at(self, time: float) -> Self:
        """Return a fault that is over at a time, and never begins if it has not by then."""
        if self.every is not None:
            until = time if self.until is None else min(time, self.until)
            return self.model_copy(update={"until": until})
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
            update={key: at + later for key, at in times.items() if at is not None}
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

    def buckets(self, numbers: Sequence[int]) -> Sequence[int]:
        """Return which of the share numbers it has the server admits to."""
        return numbers

    def alter(self, share: bytes, offset: int, answer: bytes) -> bytes:
        """Return what becomes of `answer`, the bytes of `share` from `offset` on."""
        return answer


class Hung(_Fault):
    """Holds the connection and answers nothing; after `end` it answers what it was asked."""

    kind: Literal["hung"]
    # Not None: the hashes of scenarios contain it.
    on: list[Operation] | None = Field(default=list(_ALL), min_length=1)
    """What it does not answer."""

    def holds(self, operation: Operation) -> bool:
        return self.affects(operation)


class Slow(_Fault):
    """Takes longer: round-trip times are multiplied, and added to."""

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


class Disconnect(_Fault):
    """Loses its connections: what is outstanding at `start` fails, and what is sent later."""

    kind: Literal["disconnect"]

    def lost(self, sent: float) -> float:
        return max(sent, self.spell(sent)[0])


class Flaky(_Fault):
    """Fails some requests, each by chance."""

    stochastic = True
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


Fault = Annotated[
    Hung | Slow | Broken | Empty | ReadError | Disconnect | Flaky | Corrupt | Truncated,
    Field(discriminator="kind"),
]
"""Any fault; the key `kind` says which."""
