"""Process-wide objects for simulated hosts that share an interpreter: each host has its own.

The code of all hosts runs in one Python process. What is process-wide there (the global reactor,
the clocks, `os.urandom`, the module `random`, some objects of libraries) is that of the host whose
code is running. All of it is undone where the simulation is left.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from socket import AF_INET
from typing import Any

from twisted.internet import task

from firstk.harness.kernel.environment import Environment
from firstk.harness.kernel.rng import stream
from firstk.harness.net.host_reactor import HostReactor, Processor

#: What `time.time()` is when virtual time is 0: the beginning of 2026. Much code takes 0 for
#: "never", and would do nothing in the first minute of 1970.
EPOCH = 1_767_225_600

#: Objects of libraries that processes have one of: where they are, and what makes another one. A
#: Cooperator that hosts shared would stop on all of them when one is frozen.
_SINGLETONS: dict[tuple[str, str], Callable[[Any, HostReactor], Any]] = {
    ("twisted.internet.task", "_theCooperator"): lambda real, _: task.Cooperator(),
    ("foolscap.eventual", "_theSimpleQueue"): (
        lambda real, _: sys.modules["foolscap.eventual"]._SimpleCallQueue()
    ),
    ("treq.api", "_global_pool"): lambda real, _: [None],
    ("allmydata.util.cputhreadpool", "_CPU_THREAD_POOL"): (
        lambda real, reactor: reactor.getThreadPool()
    ),
}


#: Functions of libraries that ask the kernel for a free port, with a socket of their own.
_FREE_PORTS = [
    ("foolscap.util", "allocate_tcp_port"),
    ("allmydata.util.iputil", "allocate_tcp_port"),
]


class _PerHost:
    """Stands for an object that processes have one of."""

    def __init__(
        self,
        real: Any,
        name: str,
        make: Callable[[Any, HostReactor], Any],
        processor: Processor,
    ) -> None:
        self._real = real
        self._name = name
        self._make = make
        self._processor = processor

    def _own(self) -> Any:
        reactor = self._processor.running
        if reactor is None:
            return self._real
        if self._name not in reactor.singletons:
            reactor.singletons[self._name] = self._make(self._real, reactor)
        return reactor.singletons[self._name]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own(), name)

    def __getitem__(self, key: Any) -> Any:
        return self._own()[key]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._own()[key] = value


class Processes:
    """The processes of a network's hosts; it is a `Process` of `isolation`.

    Random numbers follow from the seed and the name of the host that draws them.
    """

    def __init__(self, env: Environment, processor: Processor, seed: int) -> None:
        self._env = env
        self._processor = processor
        self._seed = seed

    @property
    def reactor(self) -> HostReactor | None:
        """The reactor of the host whose code is running."""
        return self._processor.running

    @property
    def random(self) -> Random:
        """What the module `random` draws from."""
        return self._stream("random")

    @property
    def hostname(self) -> str:
        """What `socket.gethostname` returns."""
        return "localhost" if self._processor.running is None else self._processor.running.name

    def entropy(self, size: int) -> bytes:
        """Return what `os.urandom` returns."""
        return self._stream("os.urandom").randbytes(size)

    def _stream(self, purpose: str) -> Random:
        reactor = self._processor.running
        if reactor is None:
            return stream(self._seed, "", purpose)
        if purpose not in reactor.singletons:
            reactor.singletons[purpose] = stream(self._seed, reactor.name, purpose)
        found: Random = reactor.singletons[purpose]
        return found

    def read_clock(self, name: str) -> float:
        """Return what a function of the module `time` returns; it begins at 0, or at `EPOCH`."""
        epoch = EPOCH if name.startswith("time") else 0
        if name.endswith("_ns"):
            return epoch * 10**9 + round(self._env.clock * 1e9)
        return epoch + self._env.clock

    def _free_port(self) -> int:
        """Return a port of the host whose code is running that nothing listens on."""
        if self._processor.running is None:
            raise RuntimeError("no host's code is running; call host.run(function)")
        stack = self._processor.running.stack
        looking = stack.stream_socket(AF_INET)
        try:
            return stack.free_port(looking)
        finally:
            looking.close()

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Let each host have its own of what processes have one of."""
        put: list[tuple[Any, str, Any, Any]] = []
        slice_before = task._Timer.MAX_SLICE
        for (module, name), make in _SINGLETONS.items():
            holder = sys.modules.get(module)
            if holder is not None and hasattr(holder, name):
                real = getattr(holder, name)
                one = _PerHost(real, f"{module}.{name}", make, self._processor)
                setattr(holder, name, one)
                put.append((holder, name, real, one))
        for module, name in _FREE_PORTS:
            holder = sys.modules.get(module)
            if holder is not None and hasattr(holder, name):
                put.append((holder, name, getattr(holder, name), self._free_port))
                setattr(holder, name, self._free_port)
        # A Cooperator works until 10 ms have passed, which no work does in virtual time.
        task._Timer.MAX_SLICE = 0
        try:
            yield
        finally:
            task._Timer.MAX_SLICE = slice_before
            for holder, name, real, one in put:
                if getattr(holder, name) == one:
                    setattr(holder, name, real)
