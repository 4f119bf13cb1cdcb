"""A policy for clients with few connections: it asks three servers at a time."""

from __future__ import annotations

from dataclasses import replace

import firstk

#: As `hedged`, but three servers are asked at a time. One that has not answered for a second gives
#: its place to another. After ten seconds without progress the download fails.
THREE_AT_A_TIME = replace(
    firstk.STRATEGIES["hedged"],
    name="three-at-a-time",
    window=3,
    overdue=1.0,
    give_up=10.0,
)


def download(reactor, servers, cap, consumer):
    """Download a file with this policy."""
    return firstk.download(reactor, servers, cap, consumer, strategy=THREE_AT_A_TIME)
