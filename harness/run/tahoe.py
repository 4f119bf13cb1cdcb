"""The immutable downloader of Tahoe-LAFS 1.20 as a downloader under test, unmodified.

Importing this imports Tahoe-LAFS (`pip install 'firstk[tahoe]'`), and with it Twisted's real
reactor, as every program does that imports Tahoe-LAFS. Nothing here ever runs that one.

Tahoe-LAFS knows its reactor, its clock, its thread pool and foolscap's queue of eventual sends by
names at module level. They are bound once, when this is imported, to stand-ins: in the context of
a simulated download (`contextvars`) they mean those of that download, and anywhere else what they
meant before. So any number of downloads can be in progress, in any number of simulations.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer

from firstk.downloader.interfaces import IBucket, IStorageServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the code that they import is old, and not ours to fix
    import foolscap.eventual
    from allmydata import uri
    from allmydata.immutable import filenode
    from allmydata.immutable.downloader import finder, node, segmentation, share
    from allmydata.util import cputhreadpool

#: Where Tahoe-LAFS takes the reactor that is installed for the one that it runs on.
_WITH_REACTOR = (foolscap.eventual, finder, cputhreadpool)

#: Where it takes the time: it sorts shares by the round trips that it measured.
_WITH_CLOCK = (finder, share, node, segmentation, filenode)

#: The capabilities that every server of the last fifteen years announces.
_VERSION = {
    b"http://allmydata.org/tahoe/protocols/storage/v1": {
        b"tolerates-immutable-read-overrun": True,
    }
}

#: The reactor of the download whose code is running, and its queue.
_reactor: ContextVar[Any] = ContextVar("reactor")
_queue: ContextVar[Any] = ContextVar("queue")


class _StandIn:
    """Stands for what a simulated download has of its own, and outside of them for `real`."""

    def __init__(self, real: Any, own: Callable[[], Any]) -> None:
        self._real = real
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own() or self._real, name)


def _bind(module: Any, name: str, own: Callable[[], Any]) -> None:
    setattr(module, name, _StandIn(getattr(module, name), own))


def _own_reactor() -> Any:
    return _reactor.get(None)


def _own_pool() -> Any:
    """Return the pool of the download's reactor."""
    reactor = _reactor.get(None)
    return reactor and reactor.getThreadPool()


def _clock(real: Callable[[], float]) -> Callable[[], float]:
    def now() -> float:
        reactor = _reactor.get(None)
        if reactor is None:
            return real()
        # A real client takes the wall clock, which may be set meanwhile.
        wall_clock: Callable[[], float] | None = getattr(reactor, "wall_clock", None)
        time: float = reactor.seconds() if wall_clock is None else wall_clock()
        return time

    return now


for _module in _WITH_REACTOR:
    _bind(_module, "reactor", _own_reactor)
for _module in _WITH_CLOCK:
    _module.now = _clock(_module.now)
_bind(cputhreadpool, "_CPU_THREAD_POOL", _own_pool)
_bind(foolscap.eventual, "_theSimpleQueue", lambda: _queue.get(None))


class Node:
    """A file node of Tahoe-LAFS, as a client keeps one for each file: its reads share their finds.

    `reactor` is that of a simulation. Make one, and call it and all that calls back, in a context
    of the download's own, as firstk does.
    """

    def __init__(self, reactor: Any, servers: Sequence[IStorageServer], cap: str) -> None:
        _reactor.set(reactor)
        # With a queue for each node, flushing it waits for this one and for no other.
        _queue.set(foolscap.eventual._SimpleCallQueue())
        broker = _Broker([_Server(server, i) for i, server in enumerate(servers)])
        self._file = filenode.ImmutableFileNode(
            uri.from_string(cap.encode()), broker, None, None, None
        )
        self._file._cnode._maybe_create_download_node()
        self._node = self._file._cnode._node
        # It is a set of objects that are hashed by their addresses.
        self._node._shares = _OrderedSet()

    def read(self, consumer: IConsumer, offset: int = 0, size: int | None = None) -> Deferred[Any]:
        """Read the file, or `size` bytes of it from `offset` on, into a consumer."""
        reading: Deferred[Any] = maybeDeferred(self._file.read, consumer, offset, size)
        return reading

    def close(self) -> Deferred[Any]:
        """Stop the node, as a client does when it shuts down, and wait for what is queued."""
        self._node.stop()
        flushed: Deferred[Any] = foolscap.eventual.flushEventualQueue()
        return flushed


def download(
    reactor: Any,
    servers: Sequence[IStorageServer],
    cap: str,
    consumer: IConsumer,
    offset: int = 0,
    size: int | None = None,
) -> Deferred[Any]:
    """Download a file, or `size` bytes of it from `offset` on, as Tahoe-LAFS does.

    Call this as a `Node` is made.
    """
    node = Node(reactor, servers, cap)

    def over(result: Any) -> Any:
        # A client goes on to other downloads, and stops its file nodes when it shuts down.
        return node.close().addCallback(lambda _: result)

    return node.read(consumer, offset, size).addBoth(over)


class _OrderedSet(dict[Any, None]):
    """As much of a set as Tahoe-LAFS uses of one, in the order in which things came."""

    def update(self, items: Iterable[Any]) -> None:  # type: ignore[override]
        super().update(dict.fromkeys(items))


class _Broker:
    """Knows the servers, as a client's storage broker does."""

    def __init__(self, servers: Sequence[_Server]) -> None:
        self._servers = servers

    def get_servers_for_psi(self, storage_index: bytes) -> Sequence[_Server]:
        """Return the servers in the order in which to ask them."""
        return self._servers


class _Server:
    """A server as Tahoe-LAFS sees it, and its storage protocol."""

    def __init__(self, server: IStorageServer, number: int) -> None:
        self._server = server
        self._name = str(getattr(server, "name", number)).encode()

    def get_name(self) -> bytes:
        """Return the server's name in logs."""
        return self._name

    def get_version(self) -> Mapping[bytes, Any]:
        """Return the capabilities that the server announces."""
        return _VERSION

    def get_storage_server(self) -> _Server:
        """Return the object that implements the storage protocol."""
        return self

    def get_buckets(self, storage_index: bytes) -> Deferred[dict[int, _Bucket]]:
        """Return the server's buckets for a file, by share number."""
        asked = maybeDeferred(self._server.get_buckets, storage_index)
        return asked.addCallback(lambda found: {n: _Bucket(bucket) for n, bucket in found.items()})


class _Bucket:
    """A bucket as Tahoe-LAFS sees it: a remote object."""

    def __init__(self, bucket: IBucket) -> None:
        self._bucket = bucket

    def callRemote(self, method: str, *arguments: Any) -> Deferred[Any]:
        """Read from the share; the only other remote method reports that it is corrupt."""
        if method == "read":
            return maybeDeferred(self._bucket.read, *arguments)
        return succeed(None)
