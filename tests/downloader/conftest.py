"""No test of the downloader may leave an error behind in a log."""

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class Failures:
    """Keeps what Twisted logs of errors that nobody has handled."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.seen.append(repr(event["log_failure"].value))


@pytest.fixture(autouse=True)
def nothing_unhandled() -> Iterator[None]:
    """Make a test fail whose Deferreds fail unseen, or fire twice: Twisted only logs that."""
    failures = Failures()
    globalLogPublisher.addObserver(failures)
    yield
    gc.collect(1)  # a Deferred logs its failure when it goes
    globalLogPublisher.removeObserver(failures)

    assert failures.seen == []
