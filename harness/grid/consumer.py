"""The consumer of a simulated download, which records the first byte and checks every byte.

It treats producers as Twisted's transports do (`twisted.internet.abstract.FileDescriptor`): it
pauses a push producer while its buffer is too full, and resumes a push or pull producer whenever
the buffer is empty.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.interfaces import IConsumer, IDelayedCall, IProducer, IReactorTime
from zope.interface import implementer

from firstk.downloader.text import shown
from firstk.harness.grid.files import GridFile
from firstk.harness.grid.trace import Kind, Trace
from firstk.harness.kernel.raised import Place

#: The consumer pauses a push producer when more bytes than this are in its buffer: the
#: `bufferSize` of Twisted's transports.
BUFFER_SIZE = 2**16


@implementer(IConsumer)
class SimConsumer:
    """A consumer of a file's bytes, starting at `offset`.

    With `stop`, it stops its producer at the first byte. It drains `bandwidth` bytes per second
    from its buffer; None means that it accepts everything at once. `misconduct` lists violations of
    the consumer interface by producers.
    `progress` is called whenever bytes of the file are written. `source` returns the line that
    writes; `wrong_from` is the one that wrote the first wrong byte.
    `later` calls a function when the client has worked on a write; without it that takes no time.
    """

    def __init__(
        self,
        clock: IReactorTime,
        file: GridFile,
        offset: int,
        stop: bool,
        trace: Trace,
        bandwidth: float | None = None,
        progress: Callable[[], None] = lambda: None,
        source: Callable[[], Place | None] = lambda: None,
        later: Callable[[Callable[[], None]], None] | None = None,
    ) -> None:
        self.first: float | None = None
        self.content_ok: bool | None = None
        self.wrote = 0
        self.stopped = False
        self.producer: Any = None  # the last one, even if it is not registered any more
        self.misconduct: list[str] = []
        self.wrong_from: Place | None = None
        self._clock = clock
        self._file = file
        self._offset = offset
        self._stop = stop
        self._trace = trace
        self._bandwidth = bandwidth
        self._progress = progress
        self._source = source
        self._later = later
        self._registered = self._streaming = self._paused = False
        self._unregistered = self._ended = False
        self._empty_at = 0.0
        self._timer: IDelayedCall | None = None  # resumes the producer when the buffer is empty

    def __repr__(self) -> str:
        return f"<SimConsumer: {self.wrote} bytes written>"

    @property
    def buffered(self) -> int:
        """The number of bytes that are in the buffer now."""
        if self._bandwidth is None:
            return 0
        return round(max(0.0, self._empty_at - self._clock.seconds()) * self._bandwidth)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:
        """Register a producer; see `IConsumer`. Raises `RuntimeError` if there is one already.

        A producer that is registered after the consumer has stopped, or after the download has
        ended, is stopped at once.
        """
        if self._registered:
            what = f"cannot register producer {shown(producer)}: producer {shown(self.producer)}"
            raise self._refuse(RuntimeError(f"{what} was never unregistered"))
        self.producer = producer
        if self.stopped or self._ended:
            producer.stopProducing()
            return
        self._registered, self._streaming, self._paused = True, streaming, False
        self._unregistered = False
        if not streaming:
            self._resume()

    def unregisterProducer(self) -> None:
        """Unregister the producer; see `IConsumer`."""
        if self._registered:
            self._let_go()
            self._unregistered = True

    def write(self, data: bytes) -> None:
        """Receive the file's next bytes; see `IConsumer`.

        Raises `TypeError` for anything but bytes, and `RuntimeError` after the end of the download.
        """
        if not isinstance(data, bytes):
            kind = type(data).__name__
            raise self._refuse(TypeError(f"wrote an object of type {kind}: data must be bytes"))
        if self._ended and not self.stopped:
            raise self._refuse(RuntimeError("wrote after the end of the download"))
        if self._unregistered and not self.stopped:
            self._report("wrote after its producer was unregistered")
        if self._later is None:
            self._take(data)
        else:
            self._later(partial(self._take, data))

    def _take(self, data: bytes) -> None:
        now = self._clock.seconds()
        self._trace.note(now, "wrote", len(data), self._offset)
        if not data:
            return
        if self.content_ok is not False:
            self.content_ok = self._file.holds(self._offset, data)
            if self.content_ok is False:
                self.wrong_from = self._source()
        if self.content_ok:
            self._progress()
        self._offset += len(data)
        self.wrote += len(data)
        if self._bandwidth is not None:
            self._empty_at = max(self._empty_at, now) + len(data) / self._bandwidth
        if self.first is None:
            self.first = now
            if self._stop and self._registered:
                self.stop()
        if self._registered:
            self._hold_back()

    def stop(self) -> None:
        """Stop the producer, and any that is registered later."""
        self.stopped = True
        if self._registered:
            self._let_go()
            self.producer.stopProducing()

    def end(self) -> None:
        """Accept nothing more: the download has ended."""
        if self._registered:
            self._let_go()
            self._report("left its producer registered")
        self._ended = True

    def _hold_back(self) -> None:
        """Pause a push producer if the buffer is too full, and schedule its resumption."""
        if self._streaming and self.buffered > BUFFER_SIZE:
            self._paused = True
            self._note("paused")
            self.producer.pauseProducing()
        if not self._registered or (self._streaming and not self._paused):
            return
        delay = max(0.0, self._empty_at - self._clock.seconds())
        if self._timer is None:
            self._timer = self._clock.callLater(delay, self._drained)
        else:
            self._timer.reset(delay)

    def _drained(self) -> None:
        self._timer = None
        self._resume()

    def _resume(self) -> None:
        self._paused = False
        self._note("resumed")
        self.producer.resumeProducing()

    def _note(self, what: Kind) -> None:
        self._trace.note(self._clock.seconds(), what, self.buffered)

    def _let_go(self) -> None:
        self._registered = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, error: Exception) -> Exception:
        """Record a violation, even if the downloader catches the error; return the error."""
        self._report(str(error))
        return error

    def _report(self, what: str) -> None:
        if what not in self.misconduct:
            self.misconduct.append(what)
