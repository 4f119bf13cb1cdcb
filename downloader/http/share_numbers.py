"""A server's list of shares: a CBOR set (RFC 8949, tag 258) of share numbers."""

from __future__ import annotations

import cbor2

from firstk.downloader.cap import MAX_SHARES
from firstk.downloader.http.errors import BadAnswerError
from firstk.downloader.text import message_of, one_line, shown

#: The maximum size of a list in bytes: a file has at most 256 shares, and each number at most
#: 3 bytes.
MAX_LIST = 1024


def decode_share_numbers(data: bytes) -> list[int]:
    """Return the share numbers of a list in ascending order.

    Raises `BadAnswerError` if `data` is not a set of share numbers.

    >>> decode_share_numbers(bytes.fromhex("d90102820709"))
    [7, 9]
    """
    try:
        found = cbor2.loads(data)
    except (Exception, RecursionError) as e:  # the decoder raises many kinds of errors
        reason = one_line(f"{type(e).__name__}: {message_of(e)}")
        raise BadAnswerError(f"the list of shares is not CBOR: {reason}") from None
    if not isinstance(found, set | frozenset):
        raise BadAnswerError(f"the list of shares is not a set: {shown(found)}")
    for number in found:
        if type(number) is not int or not 0 <= number < MAX_SHARES:
            raise BadAnswerError(
                f"the list of shares has {shown(number)}: share numbers are 0 to {MAX_SHARES - 1}"
            )
    return sorted(found)
