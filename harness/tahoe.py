"""The immutable downloader of Tahoe-LAFS 1.20 as a downloader under test, unmodified.

To import this imports Tahoe-LAFS (`pip install 'firstk[tahoe]'`), and with it Twisted's real
reactor, as every program has that imports Tahoe-LAFS. Nothing here ever runs that one: for the
time of a run the names by which Tahoe-LAFS knows a reactor, a clock and a thread pool mean those
of the simulation, and after it they mean what they did before. So there is one run at a time in
a process, and a Tahoe-LAFS that is there for real does nothing meanwhile.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IConsumer

from downloader.interfaces import IBucket, IStorageServer

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what they import is old, and not ours to mend
    import foolscap.eventual
    from allmydata import uri
    from allmydata.immutable import filenode
    from allmydata.immutable.downloader import finder, node, segmentation, share
    from allmydata.util import cputhreadpool

#: Where Tahoe-LAFS takes the reactor that is installed for the one that it runs on.
_WITH_REACTOR = (foolscap.eventual, finder, cputhreadpool)

#: Where it takes the time: it sorts shares by the round trips that it measured.
_WITH_CLOCK = (finder, share, node, segmentation, filenode)

#: What a server says that can do what those of the last fifteen years can.
_VERSION = {
    b"http://allmydata.org/tahoe/protocols/storage/v1": {
        b"tolerates-immutable-read-overrun": True,
    }
}

#: What makes the names mean again what they meant; empty between the runs.
_rebound = ExitStack()


def download(
    reactor: Any,
    servers: Sequence[IStorageServer],
    cap: str,
    consumer: IConsumer,
    offset: int = 0,
    size: int | None = None,
) -> Deferred[Any]:
    """Download a file, or `size` bytes of it from `offset` on, as Tahoe-LAFS does.

    `reactor` is that of a simulation: what is rebound for it is bound back when it shuts down.
    """
    _rebind(reactor)
    reactor.addSystemEventTrigger("after", "shutdown", _rebound.close)
    broker = _Broker([_Server(server, i) for i, server in enumerate(servers)])
    file = filenode.ImmutableFileNode(uri.from_string(cap.encode()), broker, None, None, None)
    file._cnode._maybe_create_download_node()
    download_node = file._cnode._node
    # It is a set of objects that are hashed by where they lie in memory.
    download_node._shares = _OrderedSet()

    def over(result: Any) -> Any:
        # A client goes on for other downloads, and ends its file nodes when it is shut down.
        download_node.stop()
        return foolscap.eventual.flushEventualQueue().addCallback(lambda _: result)

    reading: Deferred[Any] = maybeDeferred(file.read, consumer, offset, size)
    reading.addBoth(over)
    return reading


def _rebind(reactor: Any) -> None:
    """Make Tahoe-LAFS run on `reactor`, and in nothing else."""
    _rebound.close()  # a run that was broken off has not done so
    for module in _WITH_REACTOR:
        _set(module, "reactor", reactor)
    for module in _WITH_CLOCK:
        _set(module, "now", reactor.seconds)
    # What is computed there is there at once, as all that is computed is in virtual time.
    _set(cputhreadpool, "_CPU_THREAD_POOL", reactor.getThreadPool())
    # There is one for the process: what another run has left in it would block this one's.
    _set(foolscap.eventual, "_theSimpleQueue", foolscap.eventual._SimpleCallQueue())


def _set(module: Any, name: str, value: Any) -> None:
    _rebound.callback(setattr, module, name, getattr(module, name))
    setattr(module, name, value)


class _OrderedSet(dict[Any, None]):
    """As much of a set as Tahoe-LAFS uses of one, in the order in which things came."""

    def update(self, items: Iterable[Any]) -> None:  # type: ignore[override]
        super().update(dict.fromkeys(items))


class _Broker:
    """Knows the servers, as a client's storage broker does."""

    def __init__(self, servers: Sequence[_Server]) -> None:
        self._servers = servers

    def get_servers_for_psi(self, storage_index: bytes) -> Sequence[_Server]:
        """Return the servers in the order in which they are to be asked."""
        return self._servers


class _Server:
    """A server as Tahoe-LAFS sees it, and its storage protocol."""

    def __init__(self, server: IStorageServer, number: int) -> None:
        self._server = server
        self._name = str(getattr(server, "name", number)).encode()

    def get_name(self) -> bytes:
        """Return what logs call it."""
        return self._name

    def get_version(self) -> Mapping[bytes, Any]:
        """Return what it can do."""
        return _VERSION

    def get_storage_server(self) -> _Server:
        """Return what its storage protocol is spoken with."""
        return self

    def get_buckets(self, storage_index: bytes) -> Deferred[dict[int, _Bucket]]:
        """Ask for the buckets it holds of a file, by share number."""
        asked = maybeDeferred(self._server.get_buckets, storage_index)
        return asked.addCallback(lambda found: {n: _Bucket(bucket) for n, bucket in found.items()})


class _Bucket:
    """A bucket as Tahoe-LAFS sees it: a remote object."""

    def __init__(self, bucket: IBucket) -> None:
        self._bucket = bucket

    def callRemote(self, method: str, *arguments: Any) -> Deferred[Any]:
        """Read from the share; the other thing that is called is advice that it is corrupt."""
        if method == "read":
            return maybeDeferred(self._bucket.read, *arguments)
        return succeed(None)
