"""When to ask a server again whose connection was lost: exponential back-off with jitter."""

from __future__ import annotations

from random import Random

from twisted.internet.error import ConnectError, ConnectionClosed

#: A server whose connection was lost is asked again after about so many seconds, after twice as
#: many when that fails, and so on; never after more than these.
FIRST_RETRY = 0.25
LONGEST_RETRY = 10.0


def is_connection_lost(error: BaseException) -> bool:
    """Return whether a request failed with its connection: the server may be well.

    >>> from twisted.internet.error import ConnectionLost
    >>> is_connection_lost(ConnectionLost()), is_connection_lost(KeyError("x"))
    (True, False)
    """
    return isinstance(error, ConnectionClosed | ConnectError | ConnectionError)


def back_off(attempts: int, random: Random) -> float:
    """Return after how many seconds to ask again what has failed so many times.

    It doubles with each time. Up to half of it is left to chance, so that clients that lost
    their connections at the same time do not come back at the same time (M. Brooker,
    "Exponential Backoff and Jitter", 2015: equal jitter).

    >>> 0.125 <= back_off(1, Random(1)) <= 0.25
    True
    >>> 5.0 <= back_off(1000, Random(1)) <= 10.0
    True
    """
    longest = min(LONGEST_RETRY, FIRST_RETRY * 2.0 ** min(attempts - 1, 16))
    return longest * (1 + random.random()) / 2
