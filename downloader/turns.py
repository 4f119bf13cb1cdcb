"""Turns: calls that are postponed to the next iteration of the reactor."""

from __future__ import annotations

from collections.abc import Callable

from firstk.downloader.session import Session

Call = Callable[[], None]


class Turns:
    """Calls functions in a later turn of the reactor, in order.

    This ensures that all answers of one instant are known before any of them is processed. It
    corresponds to foolscap's `eventually` in Tahoe-LAFS. A call that is already waiting is not
    added again. After each turn the session's `news` is fired. An error in a call stops the
    download.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._calls: dict[Call, None] = {}
        self._waits = False

    def add(self, call: Call) -> None:
        """Call a function in the next turn, after those that were added earlier."""
        self._calls.setdefault(call)
        if not self._waits:
            self._schedule()

    def _schedule(self) -> None:
        self._waits = True
        self._session.waits.turn(self._session.reactor, self._turn)

    def _turn(self) -> None:
        waits = self._session.waits
        try:
            for _ in range(len(self._calls)):
                call = next(iter(self._calls))
                del self._calls[call]
                call()
                if waits.stopped:
                    return
            self._waits = False
            if self._calls:
                self._schedule()
            self._session.news.fire()
        except BaseException as e:
            waits.stop(e)
