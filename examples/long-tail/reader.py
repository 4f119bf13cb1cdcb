"""A long-tail reader: it asks 39 servers for a share each, and decodes the first 29 that come.

Storj's uplink reads in this way, with these numbers. The servers read a share in the round trip of
the query, so a read is a single race.
"""

from __future__ import annotations

from dataclasses import replace

import firstk

#: 29 shares are needed, ten more are asked for. An answer is overdue after 4 s: another server is
#: then asked in its place, and the answer still counts.
LONG_TAIL = firstk.Strategy(
    "39-of-29",
    locating_ends="never",
    late_answers="used",
    window=39,
    overdue=4.0,
    hedge=True,
    spares=10,
    speculates=True,
    give_up=60.0,
)

#: The same without the ten.
NO_SPARES = replace(LONG_TAIL, name="29-of-29", window=29, overdue="never", spares=0)


def download(reactor, servers, cap, consumer):
    """Download a file with the long-tail policy."""
    return firstk.download(reactor, servers, cap, consumer, strategy=LONG_TAIL)


def without_spares(reactor, servers, cap, consumer):
    """Download a file from the first 29 servers, all of which have to answer."""
    return firstk.download(reactor, servers[:29], cap, consumer, strategy=NO_SPARES)
