"""A reader in two steps, as Tahoe-LAFS's: find the shares, then read K of them.

`old_download` has the bug of ticket #928: it reads when all servers have answered. `download`
reads as soon as it knows K distinct shares.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

import firstk

Shares = Mapping[int, firstk.IBucket]


@implementer(firstk.IStorageServer)
class Located:
    """A server that has answered: it is not asked again."""

    def __init__(self, name: str, shares: Shares) -> None:
        self.name = name
        self.shares = shares

    def get_buckets(self, storage_index: bytes) -> Deferred[Shares]:
        return succeed(self.shares)


def locate(
    servers: Sequence[firstk.IStorageServer],
    storage_index: bytes,
    enough: Callable[[list[Located]], bool],
) -> Deferred[list[Located]]:
    """Ask all servers; the Deferred fires when what was found is enough, or all have answered."""
    found: list[Located] = []
    waiting = {server.name for server in servers}
    done: Deferred[list[Located]] = Deferred()

    def answered(shares: Shares, name: str) -> None:
        found.append(Located(name, shares))

    def settled(_: object, name: str) -> None:
        waiting.discard(name)
        if not done.called and (enough(found) or not waiting):
            done.callback(list(found))

    for server in servers:
        asked = server.get_buckets(storage_index)
        asked.addCallback(answered, server.name)
        asked.addErrback(lambda failure: None)  # a server that fails has no shares
        asked.addBoth(settled, server.name)
    return done


async def old_download(reactor, servers, cap, consumer):
    """Download a file as Tahoe-LAFS 1.5 did: every server has to answer first."""
    index = firstk.parse_cap(cap).storage_index
    located = await locate(servers, index, enough=lambda found: False)
    await firstk.download(reactor, located, cap, consumer, strategy="first-k")


async def download(reactor, servers, cap, consumer):
    """Download a file as soon as K distinct shares are known."""
    file = firstk.parse_cap(cap)

    def enough(found: list[Located]) -> bool:
        return len({number for server in found for number in server.shares}) >= file.k

    located = await locate(servers, file.storage_index, enough)
    await firstk.download(reactor, located, cap, consumer, strategy="first-k")
