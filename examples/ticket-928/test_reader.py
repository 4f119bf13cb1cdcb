"""The old reader hangs, and the failure names the server; the new one does not."""

import pytest
from reader import download, old_download

from firstk import UnmetError


def test_the_bug(firstk):
    """One hung server hangs the old reader, and the failed check names it."""
    result = firstk.run("scenarios/one-hung.toml", downloader=old_download)

    assert result.outcome == "stalled"
    with pytest.raises(UnmetError, match="never answered: s7"):
        firstk.check(result)


def test_most_servers_hang(firstk):
    """The new reader needs three servers, whatever the seven others do."""
    result = firstk.run("three-good-seven-hung", downloader=download)

    firstk.check(result, outcome="ok", ttfb_max=0.5)
