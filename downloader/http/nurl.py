"""NURLs: the address of a storage server, the hash of its key, and the secret for access.

Source: Tahoe-LAFS, "NURLs" (version 1): `pb://SPKI@HOST:PORT/SWISSNUM#v=1`, where SPKI is the
SHA-256 of the server's DER-encoded SubjectPublicKeyInfo (RFC 7469) in base64url without padding.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field

from firstk.downloader.http.errors import BadNURLError
from firstk.downloader.text import shown

_NURL = re.compile(
    r"pb://(?P<pin>[A-Za-z0-9_-]{43})@(?P<host>[A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])"
    r":(?P<port>[0-9]{1,5})/(?P<swissnum>[A-Za-z0-9._~-]{1,200})#v=1",
    re.ASCII,
)

_FORM = "pb://PIN@HOST:PORT/SWISSNUM#v=1, where PIN has 43 characters"


@dataclass(frozen=True)
class NURL:
    """The address of a storage server.

    `pin` is the SHA-256 of its public key, 32 bytes. `swissnum` is the secret that grants access;
    it is not part of the repr.
    """

    pin: bytes
    host: str
    port: int
    swissnum: str = field(repr=False)

    def __str__(self) -> str:
        pin = urlsafe_b64encode(self.pin).decode("ascii").rstrip("=")
        return f"pb://{pin}@{self.place}/{self.swissnum}#v=1"

    @property
    def place(self) -> str:
        """The host and port, as in a URL, without any secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_nurl(text: str) -> NURL:
    """Parse a NURL. Raises `BadNURLError` if it is malformed.

    >>> parse_nurl("pb://1WUX44xKjKdpGLohmFcBNuIRN-8rlv1Iij_7rQ-lRGc@a.example:34399/s3cret#v=1")
    ... # doctest: +ELLIPSIS
    NURL(pin=b'...', host='a.example', port=34399)
    """
    match = _NURL.fullmatch(text)
    if match is None:
        # Omit the secret, since error messages end up in logs.
        beginning = text.split("/", 3)[:3]
        raise BadNURLError(f"not a NURL: {shown('/'.join(beginning), 120)}; should be {_FORM}")
    pin = urlsafe_b64decode(match["pin"] + "=")
    port = int(match["port"])
    if not 0 < port < 65536:
        raise BadNURLError(f"not a NURL: the port {port} is not between 1 and 65535")
    return NURL(pin, match["host"].strip("[]"), port, match["swissnum"])
