"""File encryption: AES-128 in counter mode, with one keystream for the whole file."""

from __future__ import annotations

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

_BLOCK_SIZE = 16


class Keystream:
    """The keystream of a 16-byte `key`, starting at `offset` bytes into the file.

    Encryption and decryption are the same. Each `apply` continues where the previous one ended.
    """

    def __init__(self, key: bytes, offset: int = 0) -> None:
        counter, skipped = divmod(offset, _BLOCK_SIZE)
        start = CTR(counter.to_bytes(_BLOCK_SIZE, "big"))
        self._context = Cipher(AES(key), start).encryptor()
        self._context.update(bytes(skipped))

    def apply(self, data: bytes) -> bytes:
        """Return `data` XORed with the next bytes of the keystream."""
        return self._context.update(data)
