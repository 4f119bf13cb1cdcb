"""Retries for servers whose connections were lost: exponential back-off with jitter."""

from __future__ import annotations

from random import Random

from twisted.internet.error import ConnectError, ConnectionClosed

#: The delay before the first retry, in seconds, which doubles after each failure; and the maximum
#: delay.
FIRST_RETRY = 0.25
LONGEST_RETRY = 10.0


def is_connection_lost(error: BaseException) -> bool:
    """Return whether a request failed because of its connection: the server may be healthy.

    >>> from twisted.internet.error import ConnectionLost
    >>> is_connection_lost(ConnectionLost()), is_connection_lost(KeyError("x"))
    (True, False)
    """
    return isinstance(error, ConnectionClosed | ConnectError | ConnectionError)


def back_off(attempts: int, random: Random) -> float:
    """Return the delay in seconds before the next retry, after `attempts` failures.

    It doubles with each failure. Up to half of it is random, so that clients that lost their
    connections at the same time do not reconnect at the same time (M. Brooker, "Exponential Backoff
    and Jitter", 2015: equal jitter).

    >>> 0.125 <= back_off(1, Random(1)) <= 0.25
    True
    >>> 5.0 <= back_off(1000, Random(1)) <= 10.0
    True
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(attempts - 1, 16))
    return longest * (1 + random.random()) / 2
