"""TCP: one side of a connection, as the kernel of a simulated host keeps it.

Each segment is acknowledged at once. There is no congestion control: what the peer's window admits
is sent. The first sequence number is 0 on either side: that of the SYN.
"""

from __future__ import annotations

from errno import ECONNREFUSED, ECONNRESET, EPIPE, ETIMEDOUT, EWOULDBLOCK
from typing import TYPE_CHECKING, Protocol

from firstk.harness.net.retransmission import RetransmissionTimeout
from firstk.harness.net.segment import Address, Segment, os_error

if TYPE_CHECKING:
    from firstk.harness.net.stack import Stack
    from firstk.harness.net.stream_socket import StreamSocket

#: The sizes of the send and receive buffers on one side of a connection, in bytes.
BUFFER = 256 * 1024

#: The most bytes of data in a segment: as with segmentation offload, more than on the wire.
SEGMENT = 64 * 1024

#: How often a SYN, and how often any other segment, is retransmitted before the connection times
#: out.
SYN_RETRIES, RETRIES = 6, 15

#: How long a closed connection answers retransmissions, or waits for the peer's FIN, in seconds.
LINGER = 60.0


#: What is written so shortly before a connection is closed, in seconds, asks for nothing: TLS says
#: goodbye.
LAST_WORDS = 1e-3


class Timer(Protocol):
    """A call that can be cancelled."""

    def cancel(self) -> None:
        """Cancel it."""


class Connection:
    """One side of a TCP connection.

    `_una` is the first sequence number that is not acknowledged, `_nxt` the next one to be sent,
    `_sent` the next one that never was, `_tail` the one after all data that is there to be sent,
    which is that of the FIN, and `_limit` the first one that the peer has no room for. `_expected`
    is the next one that is expected of the peer, None before its SYN has come.
    """

    def __init__(self, stack: Stack, local: Address, remote: Address) -> None:
        self.local = local
        self.remote = remote
        self.socket: StreamSocket | None = None
        self.error = 0
        self.reads = True
        self.incoming = bytearray()
        self.is_client = False
        self.opened = stack.seconds()
        self.wrote: float | None = None  # when its process last wrote, and its kernel last received
        self.received: float | None = None
        self._waited = False  # whether it did so when its process last wrote
        self.closed: float | None = None  # when its process closed it
        self._stack = stack
        self._listener: StreamSocket | None = None
        self._outgoing = bytearray()  # from `_una` up to `_tail`
        self._una = self._nxt = self._sent = 0
        self._tail = 1
        self._limit = 1
        self._expected: int | None = None
        self._early: dict[int, bytes] = {}
        self._early_fin: int | None = None
        self._promised = 0  # the first sequence number that the peer may not send
        self._closing = False  # a FIN follows what is to be sent
        self._peer_closed = False
        self._orphan = False
        self._broken = 0  # the error that ended it, once everything was read
        self._timer: Timer | None = None
        self._rto = RetransmissionTimeout()
        self._retries = 0
        self._timed: tuple[int, float] | None = None
        self._left = 0.0  # when the last segment left, or will
        stack.connections[local, remote] = self

    def __repr__(self) -> str:
        return f"<Connection {self.local} to {self.remote}>"

    # What a socket shows

    @property
    def is_open(self) -> bool:
        """Whether the handshake is done, and nothing has broken it."""
        return self._una > 0 and self._expected is not None and not self._broken

    @property
    def broken(self) -> bool:
        """Whether it has ended with an error."""
        return bool(self._broken)

    @property
    def readable(self) -> bool:
        """Whether a read would not block."""
        return bool(self.incoming or self._peer_closed or self._broken or not self.reads)

    @property
    def writable(self) -> bool:
        """Whether a write would not block."""
        if self._broken:
            return True
        return self.is_open and (self._closing or len(self._outgoing) < BUFFER)

    @property
    def waits(self) -> bool:
        """Whether a client has heard nothing since it last wrote, or since it connected."""
        if not self.is_client or self._peer_closed:
            return False
        if self._broken and self._broken != ETIMEDOUT:
            return False  # it was refused, or reset
        return self.received is None or (self.wrote is not None and self.received < self.wrote)

    @property
    def waits_for_room(self) -> bool:
        """Whether all that it does is ask, time and again, whether the peer has room by now."""
        return self._una > 0 and self._nxt == self._una < self._tail and self._retries == 0

    @property
    def limit(self) -> int:
        """The first sequence number that the peer, as far as is known, has no room for."""
        return self._limit

    @property
    def promised(self) -> int:
        """The first sequence number that the peer was not allowed to send."""
        return self._promised

    def send(self, data: bytes) -> int:
        """Take data to be sent."""
        if self._broken:
            raise os_error(self._broken)
        if self._closing:
            raise os_error(EPIPE)
        if not self.is_open:
            raise os_error(EWOULDBLOCK)
        room = BUFFER - len(self._outgoing)
        if room <= 0:
            raise os_error(EWOULDBLOCK)
        taken = data[:room]
        self._waited = self.waits
        self.wrote = self._stack.seconds()
        self._outgoing += taken
        self._tail += len(taken)
        self._push()
        return len(taken)

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes of received data."""
        if self.incoming:
            data = bytes(self.incoming[:size])
            del self.incoming[:size]
            if self._expected is not None and not self._broken and not self._peer_closed:
                room = self._expected + BUFFER - len(self.incoming)
                if room - self._promised >= SEGMENT:  # that much is worth a word to the peer
                    self._acknowledge()
            return data
        if self._broken:
            raise os_error(self._broken)
        if self._peer_closed or not self.reads:
            return b""
        raise os_error(EWOULDBLOCK)

    # What a socket does

    def connect(self) -> None:
        """Ask the peer for a connection."""
        self.is_client = True
        self._transmit(0, syn=True)
        self._nxt = self._sent = 1
        self._timed = 1, self._left
        self._set_timer()

    def answer_syn(self, segment: Segment, listener: StreamSocket) -> None:
        """Answer the peer's SYN with a SYN-ACK."""
        self._listener = listener
        self._expected = 1
        self._limit = 1 + segment.window
        self._transmit(0, syn=True)
        self._nxt = self._sent = 1
        self._timed = 1, self._left
        self._set_timer()

    def accepted(self) -> None:
        """Detach the connection from its listening socket."""
        self._listener = None

    def finish(self) -> None:
        """Send a FIN when everything is sent."""
        if not self._closing and not self._broken:
            self._closing = True
            self._push()

    def close(self, abruptly: bool = False) -> None:
        """Close in an orderly way; with a reset if `abruptly`, or if there is unread data."""
        self.closed = self._stack.seconds()
        wrote_at_last = self.wrote is not None and self.closed - self.wrote < LAST_WORDS
        if self.waits and (self._waited or not wrote_at_last):
            self._stack.given_up.append(self)
        self._orphan = True
        if abruptly or not self.is_open or self.incoming:
            self.abort()
            return
        self.finish()
        self._done()

    def abort(self) -> None:
        """Drop the connection, and let the peer know."""
        if not self._broken and self._expected is not None:
            self._transmit(self._nxt, reset=True)
        self.drop()

    def drop(self, error: int = ECONNRESET) -> None:
        """Drop the connection because of an error, without notifying the peer."""
        self._cancel_timer()
        self._broken = self._broken or error
        self._stack.forget(self)
        if self._listener is not None:
            self._listener.failed(self)
        if self.socket is not None:
            self.error = error
            self._stack.changed(self.socket)

    # What the peer does

    def receive(self, segment: Segment) -> None:
        """Process a segment from the peer."""
        if segment.reset:
            self._take_reset(segment)
            return
        if self._expected is None:
            if not (segment.syn and segment.ack == 1):
                if not segment.syn:  # of a connection that this host had before it was restarted
                    self._stack.refuse(segment)
                return
            self._expected = 1
        elif segment.syn:
            if segment.ack is None and self._una == 0:
                self._transmit(0, syn=True)  # the answer to the SYN was lost
            else:
                self._acknowledge()
            return
        if self._orphan and segment.data and segment.end > self._expected:
            self.abort()
            return
        was_open = self._una > 0
        if segment.ack is not None:
            self._take_ack(segment)
        if self._una > 0 and not was_open and self._listener is not None:
            self._listener.established(self)
        before = self._expected
        news = self._take_data(segment)
        if segment.syn or segment.data or segment.fin or segment.sequence < before:
            self._acknowledge()
        self._push()
        if self._done():
            return
        if self.socket is not None and (news or not was_open or segment.ack is not None):
            self._stack.changed(self.socket)

    def _take_reset(self, segment: Segment) -> None:
        if self._expected is None:
            if segment.ack == 1:
                self.drop(ECONNREFUSED)
        else:
            self.drop(ECONNRESET)

    def _take_ack(self, segment: Segment) -> None:
        ack = segment.ack
        assert ack is not None
        if ack > self._sent:
            return  # of what was never sent
        self._limit = max(self._limit, ack + segment.window)
        if ack <= self._una:
            if self._nxt == self._una:
                self._retries = 0  # a probe of a closed window was answered
            return
        if self._timed is not None and ack >= self._timed[0]:
            self._rto.measure(self._stack.seconds() - self._timed[1])
            self._timed = None
        del self._outgoing[: min(ack, self._tail) - max(self._una, 1)]
        self._una = ack
        self._nxt = max(self._nxt, ack)
        self._retries = 0
        self._rto.reset()
        self._set_timer()

    def _take_data(self, segment: Segment) -> bool:
        """Take the data of a segment; return whether a read has become possible."""
        assert self._expected is not None
        if not segment.data and not segment.fin:
            return False
        start = segment.sequence + segment.syn
        if segment.data:
            room = self._expected + BUFFER - len(self.incoming)
            data = segment.data[: max(0, room - start)]
            if data:
                known = self._early.get(start, b"")
                self._early[start] = max(known, data, key=len)
        if segment.fin:
            self._early_fin = start + len(segment.data)
        before = self._expected
        for at in sorted(self._early):
            if at > self._expected:
                break
            data = self._early.pop(at)[self._expected - at :]
            if self.reads:
                self.incoming += data
            self._expected += len(data)
        if self._expected > before:
            self.received = self._stack.seconds()
        if self._early_fin == self._expected and not self._peer_closed:
            self._expected += 1
            self._peer_closed = True
        return self._expected > before

    # What is sent

    def _push(self) -> None:
        """Send what the window admits."""
        if self._broken or self._una == 0 or (self._nxt == self._tail and not self._closing):
            return
        while self._nxt < min(self._tail, self._limit):
            self._send_from(self._nxt, min(self._tail, self._limit))
        if self._closing and self._nxt == self._tail:
            self._send_from(self._tail, self._tail)
        if self._timer is None:
            self._set_timer()

    def _send_from(self, start: int, limit: int) -> None:
        """Send one segment of what is there from `start` on, with the FIN where it is next."""
        size = min(SEGMENT, limit - start)
        at = start - self._una
        last = self._closing and start + size == self._tail
        is_new = start == self._sent
        self._transmit(start, bytes(self._outgoing[at : at + size]), fin=last)
        if self._timed is None and is_new:
            self._timed = start + size + last, self._left
        self._nxt = start + size + last
        self._sent = max(self._sent, self._nxt)

    def _transmit(
        self,
        sequence: int,
        data: bytes = b"",
        syn: bool = False,
        fin: bool = False,
        reset: bool = False,
    ) -> None:
        window = max(0, BUFFER - len(self.incoming))
        if self._expected is not None:
            self._promised = max(self._promised, self._expected + window)
        segment = Segment(
            self.local, self.remote, sequence, self._expected, window, data, syn, fin, reset
        )
        self._left = self._stack.send(segment)

    def _acknowledge(self) -> None:
        self._transmit(self._sent)

    # Time-outs

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        self._cancel_timer()
        if self._nxt > self._una or self._outgoing:
            # What still waits for its turn to leave is not overdue.
            delay = max(0.0, self._left - self._stack.seconds()) + self._rto.seconds
            self._timer = self._stack.call_later(delay, self._time_out)

    def _time_out(self) -> None:
        self._timer = None
        self._timed = None  # what is sent twice measures nothing
        self._retries += 1
        if self._retries > (SYN_RETRIES if self._una == 0 else RETRIES):
            self.drop(ETIMEDOUT)
            return
        self._rto.back_off()
        if self._una == 0:
            self._transmit(0, syn=True)
        elif self._nxt == self._una:
            self._transmit(self._una - 1)  # a probe of a window that is closed
        else:
            # The others follow when this one is acknowledged.
            self._send_from(self._una, min(self._tail, max(self._limit, self._una + 1)))
        self._set_timer()

    def _linger(self) -> None:
        self._timer = self._timer or self._stack.call_later(LINGER, self.drop)

    def _done(self) -> bool:
        """Forget the connection once both sides have closed, and know it; return whether so."""
        if self._una <= self._tail:
            return False  # the FIN is not acknowledged
        if not self._peer_closed:
            if self._orphan:
                self._linger()
            return False
        self._cancel_timer()
        last = Segment(self.local, self.remote, self._nxt, self._expected, BUFFER)
        self._stack.forget(self, last)
        if self.socket is not None:
            self._stack.changed(self.socket)
        return True
