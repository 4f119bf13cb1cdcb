"""The retransmission time-out of TCP (RFC 6298), with the limits that Linux has."""

from __future__ import annotations

#: The limits of the time-out, and the first one, in seconds.
MIN_RTO, FIRST_RTO, MAX_RTO = 0.2, 1.0, 120.0


class RetransmissionTimeout:
    """How long one side of a connection waits for an acknowledgement: `seconds`."""

    def __init__(self) -> None:
        self.seconds = FIRST_RTO
        self._srtt: float | None = None  # the smoothed round-trip time
        self._rttvar = 0.0

    def measure(self, rtt: float) -> None:
        """Learn from a round-trip time, in seconds."""
        if self._srtt is None:
            self._srtt, self._rttvar = rtt, rtt / 2
        else:
            self._rttvar = 0.75 * self._rttvar + 0.25 * abs(self._srtt - rtt)
            self._srtt = 0.875 * self._srtt + 0.125 * rtt

    def back_off(self) -> None:
        """Wait twice as long: it has run out."""
        self.seconds = min(MAX_RTO, 2 * self.seconds)

    def reset(self) -> None:
        """Wait as long as the measured round trips ask for: the peer has answered."""
        if self._srtt is None:
            self.seconds = FIRST_RTO
        else:
            self.seconds = min(MAX_RTO, max(MIN_RTO, self._srtt + 4 * self._rttvar))
