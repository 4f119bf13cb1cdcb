"""What a host was asked over a connection, and has not answered."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unanswered:
    """A connection on which the host that was connected to owes an answer.

    It was sent bytes after the last that it sent itself, or has sent nothing at all. `received` is
    when its last byte arrived there, in seconds; None if there was none. `opened` is when the
    connection was asked for. `note` says what else is known: that the host is frozen, that
    the connection was never accepted, when the client gave up.
    """

    host: str
    port: int
    client: str
    client_port: int
    opened: float
    received: float | None
    note: str = ""

    def __str__(self) -> str:
        if self.received is None:
            last = f"no byte received since it was opened at {shown_time(self.opened)}"
        else:
            last = f"last byte received at {shown_time(self.received)}"
        note = f" ({self.note})" if self.note else ""
        return (
            f"never answered: host {self.host}, connection from"
            f" {self.client}:{self.client_port}, {last}{note}"
        )


def shown_time(time: float) -> str:
    """Return a virtual time as text, without the microseconds that turns of reactors take."""
    return f"{round(time, 4):g} s" if time < 10 else f"{time:.6g} s"
