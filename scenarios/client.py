"""The table `[client]`: processor time, pauses and wall-clock changes of the client."""

from __future__ import annotations

from typing import Annotated

from pydantic import Discriminator, Field, Tag, ValidationInfo, field_validator

from firstk.scenarios.base import Seconds, Table, mistakes
from firstk.scenarios.laws import Law
from firstk.scenarios.times import spell_at


class Pause(Table):
    """A time during which the client does nothing, as if its process were stopped."""

    at: Seconds
    """When it begins, in virtual seconds."""
    seconds: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """How long it lasts."""
    every: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    """The number of seconds from one start to the next, if the pause repeats; default once."""

    @field_validator("every")
    @classmethod
    def _apart(cls, every: float | None, info: ValidationInfo) -> float | None:
        lasts = info.data.get("seconds", 0.0)
        if every is not None and every <= lasts:
            raise mistakes([("", f"should be more than it lasts ({lasts:g} s), not {every}")])
        return every

    def spell(self, time: float) -> tuple[float, float]:
        """Return the start and end of the first pause that ends after `time`, or infinities."""
        return spell_at(time, self.at, self.at + self.seconds, self.every)


class Jump(Table):
    """A change of the wall clock."""

    at: Seconds
    """When it is set, in virtual seconds."""
    by: float
    """The number of seconds to add; a negative number sets the clock back."""


def _which_pause(value: object) -> str:
    return "@several" if isinstance(value, list) else "@one"


Pauses = Annotated[
    Annotated[Pause, Tag("@one")] | Annotated[list[Pause], Tag("@several")],
    Discriminator(_which_pause),
]


class Client(Table):
    """The client that downloads. Without this table, its own work takes no time."""

    cpu_per_byte: Seconds = 0.0
    """The processor time for each byte of an answer, in seconds, before the downloader receives
    it."""
    cpu_per_segment: Seconds = 0.0
    """The processor time for each segment, in seconds: each `write` reaches the consumer that
    much later."""
    pause: Pauses | None = None
    """One or several pauses during which the client does nothing: answers and timers are late."""
    compute: Law | None = None
    """The time for each piece of work in the reactor's thread pool; default no time. For
    Tahoe-LAFS, this includes its `cputhreadpool`."""
    clock: list[Jump] | None = None
    """Changes of the wall clock while the client runs. With this key, even if empty, the
    downloader may read clocks; without it, that is an escape from the simulation."""

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
        """Return when the client has run for `work` seconds since `time`, not counting pauses."""
        while self.pauses:
            begin, over = min(pause.spell(time) for pause in self.pauses)
            if time < begin:
                if time + work <= begin:
                    break
                work -= begin - time
            time = over
        return time + work
