"""The consumer of a simulated download: it times the first byte and checks every one."""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConsumer, IProducer
from zope.interface import implementer

from harness.files import GridFile
from harness.reactor import SimReactor
from harness.trace import Trace


@implementer(IConsumer)
class SimConsumer:
    """Takes a file's bytes from `offset` on; `stop` after the first if it is told to."""

    def __init__(
        self, reactor: SimReactor, file: GridFile, offset: int, stop: bool, trace: Trace
    ) -> None:
        self.first: float | None = None
        self.content_ok: bool | None = None
        self.wrote = 0
        self.stopped = False
        self.producer: Any = None
        self._reactor = reactor
        self._file = file
        self._offset = offset
        self._stop = stop
        self._trace = trace

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Let a producer write; see `IConsumer`."""
        self.producer = producer

    def unregisterProducer(self) -> None:
        """Expect no more; see `IConsumer`."""

    def write(self, data: bytes) -> None:
        """Take the file's next bytes; see `IConsumer`."""
        now = self._reactor.seconds()
        self._trace.note(now, "wrote", f"{len(data)} bytes at {self._offset}")
        if not data:
            return
        if self.content_ok is not False:
            self.content_ok = self._file.holds(self._offset, data)
        self._offset += len(data)
        self.wrote += len(data)
        if self.first is None:
            self.first = now
            if self._stop and self.producer is not None:
                self.stopped = True
                self.producer.stopProducing()
