"""The client's own trouble: what its processor does, when it stands still, what its clock says."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from firstk.scenarios.base import Seconds, Table, mistakes
from firstk.scenarios.laws import Law
from firstk.scenarios.times import spell_at


class Pause(Table):
    """A time for which the client does nothing at all, as while its process is stopped."""

    at: Seconds
    """When it begins, in virtual seconds."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """How long it lasts."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """Again and again, so many seconds after it began; default once."""

    @field_validator("every")
    @classmethod
    def _apart(cls, every: float | None, info: ValidationInfo) -> float | None:
        lasts = info.data.get("seconds", 0.0)
        if every is not None and every <= lasts:
            raise mistakes([("", f"should be more than it lasts ({lasts:g} s), not {every}")])
        return every

    def spell(self, time: float) -> tuple[float, float]:
        """Return when the pause begins and is over that is not over at `time`; else infinity."""
        return spell_at(time, self.at, self.at + self.seconds, self.every)


class Jump(Table):
    """A change of the wall clock."""

    at: Seconds
    """When it is set, in virtual seconds."""
    by: float
    """By how many seconds; a negative number sets it back."""


def _which_pause(value: object) -> str:
    return "@several" if isinstance(value, list) else "@one"


Pauses = Annotated[
    Annotated[Pause, Tag("@one")] | Annotated[list[Pause], Tag("@several")],
    Discriminator(_which_pause),
]


class Client(Table):
    """The client that downloads: without the table it takes no time for anything."""

    cpu_per_byte: Seconds = 0.0
    """For how many seconds its processor works on each byte of an answer, before the downloader
    hears it."""
    cpu_per_segment: Seconds = 0.0
    """For how many seconds it works on each segment: on each `write` to the consumer, which
    reaches it that much later."""
    pause: Pauses | None = None
    """When the client does nothing: one pause or several. Answers and timers are late then."""
    compute: Law | None = None
    """How long each piece of work takes that is given to the reactor's thread pool; default no
    time. For Tahoe-LAFS it is its `cputhreadpool` too."""
    clock: list[Jump] | None = None
    """How the wall clock is set while the client runs. With the key, empty too, the downloader may
    read clocks; without it that is an escape from the simulation."""

    @field_validator("pause")
    @classmethod
    def _runs(cls, pause: Pause | list[Pause] | None) -> Pause | list[Pause] | None:
        if isinstance(pause, list) and sum(one.every is not None for one in pause) > 1:
            raise mistakes([("", "only one pause can have `every`: the client must run sometimes")])
        return pause

    @property
    def pauses(self) -> list[Pause]:
        """The pauses as a list."""
        if self.pause is None:
            return []
        return self.pause if isinstance(self.pause, list) else [self.pause]

    @property
    def takes_time(self) -> bool:
        """Whether answers, timers or writes may be late."""
        return bool(self.cpu_per_byte or self.cpu_per_segment or self.pause)

    def running_at(self, time: float, work: float = 0.0) -> float:
        """Return when the client has run for `work` seconds from `time` on, pauses left out."""
        while self.pauses:
            begin, over = min(pause.spell(time) for pause in self.pauses)
            if time < begin:
                if time + work <= begin:
                    break
                work -= begin - time
            time = over
        return time + work
