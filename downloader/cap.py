"""Read-caps: the key of a file, and the hash that its shares are checked against.

Source: Tahoe-LAFS, uri specification.
"""

from __future__ import annotations

import re
from base64 import b32decode, b32encode
from dataclasses import dataclass
from functools import cached_property

from firstk.downloader import hashes
from firstk.downloader.errors import BadCapError
from firstk.downloader.text import shown

#: The maximum number of shares that zfec can make: it works in a field of 256 elements.
MAX_SHARES = 256

#: The largest file whose size fits the fields of a v2 share, in bytes.
MAX_SIZE = 2**64 - 1

_CHK = re.compile(
    r"URI:CHK:(?P<key>[a-z2-7]{26}):(?P<ueb_hash>[a-z2-7]{52})"
    r":(?P<k>[0-9]{1,3}):(?P<n>[0-9]{1,3}):(?P<size>[0-9]{1,20})"
)
_LIT = re.compile(r"URI:LIT:(?P<data>[a-z2-7]*)")


def to_base32(data: bytes) -> str:
    """Return `data` in RFC 4648 base32, lower case, without padding."""
    return b32encode(data).decode("ascii").rstrip("=").lower()


def from_base32(text: str) -> bytes:
    """Return the bytes that `text` encodes.

    Raises `BadCapError` for any text that `to_base32` cannot produce.
    """
    try:
        data = b32decode(text.upper() + "=" * (-len(text) % 8))
    except ValueError as e:
        raise BadCapError(f"not base32: {shown(text)}") from e
    if to_base32(data) != text:
        raise BadCapError(f"not base32: {shown(text)} has bits left over")
    return data


@dataclass(frozen=True)
class CHKCap:
    """The read-cap of an immutable file that is stored as shares on storage servers.

    `key` has 16 bytes and `ueb_hash` 32. Any `k` of the `n` shares are enough to decode the file.
    `size` is the file's size in bytes. Raises `BadCapError` for values that are out of range.
    """

    key: bytes
    ueb_hash: bytes
    k: int
    n: int
    size: int

    def __post_init__(self) -> None:
        if (len(self.key), len(self.ueb_hash)) != (16, 32):
            raise BadCapError("a key has 16 bytes, and a UEB hash 32")
        if not 1 <= self.k <= self.n <= MAX_SHARES:
            raise BadCapError(
                f"{self.k}-of-{self.n} is impossible: it must be 1 <= k <= n <= {MAX_SHARES}"
            )
        if not 0 <= self.size <= MAX_SIZE:
            raise BadCapError(f"the size {self.size} is not between 0 and {MAX_SIZE}")

    def __str__(self) -> str:
        key, ueb_hash = to_base32(self.key), to_base32(self.ueb_hash)
        return f"URI:CHK:{key}:{ueb_hash}:{self.k}:{self.n}:{self.size}"

    @cached_property
    def storage_index(self) -> bytes:
        """The storage index: the 16 bytes by which servers identify the file's shares."""
        return hashes.storage_index(self.key)


@dataclass(frozen=True)
class LITCap:
    """The read-cap of a small file, which contains the file's data itself."""

    data: bytes

    def __str__(self) -> str:
        return f"URI:LIT:{to_base32(self.data)}"

    @property
    def size(self) -> int:
        """The file's size in bytes."""
        return len(self.data)


Cap = CHKCap | LITCap


def parse_cap(text: str) -> Cap:
    """Parse a read-cap.

    Raises `BadCapError` if `text` is not a well-formed `URI:CHK:` or `URI:LIT:` cap.

    >>> parse_cap("URI:LIT:krugkidfnzsc4").data
    b'The end.'
    """
    if match := _LIT.fullmatch(text):
        return LITCap(from_base32(match["data"]))
    if match := _CHK.fullmatch(text):
        return CHKCap(
            key=from_base32(match["key"]),
            ueb_hash=from_base32(match["ueb_hash"]),
            k=int(match["k"]),
            n=int(match["n"]),
            size=int(match["size"]),
        )
    raise BadCapError(
        f"not a read-cap: {shown(text, 200)};"
        " it should look like URI:CHK:<key>:<hash>:<k>:<n>:<size>"
        " or URI:LIT:<data>"
    )
