"""The cipher of the files: AES-128 in counter mode, one keystream over the whole file."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_BLOCK_SIZE = 16


class Keystream:
    """The keystream of a 16-byte `key` from `offset` bytes into the file on.

    Encryption and decryption are the same; each `apply` goes on where the last ended.
    """

    def __init__(self, key: bytes, offset: int = 0) -> None:
        counter, skipped = divmod(offset, _BLOCK_SIZE)
        start = CTR(counter.to_bytes(_BLOCK_SIZE, "big"))
        self._context = Cipher(AES(key), start).encryptor()
        self._context.update(bytes(skipped))

    def apply(self, data: bytes) -> bytes:
        """Return `data` with the next bytes of the keystream added."""
        return self._context.update(data)
