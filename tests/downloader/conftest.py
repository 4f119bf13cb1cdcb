"""A check that no test of the downloader leaves an error behind in a log."""

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer


@implementer(ILogObserver)
class Failures:
    """Collects unhandled errors that Twisted logs."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.seen.append(repr(event["log_failure"].value))


@pytest.fixture(autouse=True)
def nothing_unhandled() -> Iterator[None]:
    """Fail a test if a Deferred fails unhandled or fires twice, which Twisted only logs."""
    failures = Failures()
    globalLogPublisher.addObserver(failures)
    yield
    gc.collect(1)  # a Deferred logs its failure when it is collected
    globalLogPublisher.removeObserver(failures)

    assert failures.seen == []
