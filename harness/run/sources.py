"""The lines of firstk's own strategies that send requests: for reports, since they take time."""

from __future__ import annotations

from types import FrameType

from firstk.downloader.locate import ShareFinder
from firstk.downloader.pipelined import PipelinedFetcher
from firstk.downloader.progress import read_in_pieces
from firstk.downloader.reading import Readings
from firstk.downloader.share import Share
from firstk.harness.run.under_test import is_strategy_code

#: The functions that every query, or every read, passes through. The line that calls them shows
#: why a request was sent.
_COMMON = {
    function.__qualname__
    for function in (
        PipelinedFetcher._read,
        Readings.read,
        Share._read,
        Share.ask,
        Share.read,
        ShareFinder._query,
        ShareFinder._send,
        read_in_pieces,
    )
}


def sends_requests(frame: FrameType) -> bool:
    """Return whether a frame is of code of firstk's strategies, and not of a common function."""
    if not is_strategy_code(str(frame.f_globals.get("__name__"))):
        return False
    return frame.f_code.co_qualname.partition(".<locals>")[0] not in _COMMON
