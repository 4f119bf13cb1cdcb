"""The downloader that the scenarios in tests/scenarios test. Put yours in its place.

This one asks every server which shares it has and waits for all of them, as Tahoe-LAFS did
until 2010: one server that never answers hangs it.
"""

from twisted.internet.defer import DeferredList

import firstk


async def download(reactor, servers, cap, consumer):
    index = firstk.parse_cap(cap).storage_index
    answers = [server.get_buckets(index) for server in servers]
    await DeferredList(answers, consumeErrors=True)
    await firstk.download(reactor, servers, cap, consumer, strategy="hedged")
