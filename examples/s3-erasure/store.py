"""A small store that is read as S3 is: `GET /KEY` returns the object, its ETag and its metadata."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import md5

import zfec
from twisted.web.resource import Resource
from twisted.web.server import Request


@dataclass
class Shard:
    """One of the n pieces of an object, any k of which are enough. `size` is that of the object."""

    body: bytes
    etag: str
    size: int


def shards_of(data: bytes, k: int, n: int) -> list[Shard]:
    """Return the n shards of an object."""
    length = -(-len(data) // k)
    blocks = [data[i * length : (i + 1) * length].ljust(length, b"\0") for i in range(k)]
    encoded = zfec.Encoder(k, n).encode(blocks)
    return [Shard(bytes(body), md5(body).hexdigest(), len(data)) for body in encoded]


class Store(Resource):
    """Serves shards by their keys."""

    isLeaf = True

    def __init__(self, **shards: Shard) -> None:
        super().__init__()
        self.shards = shards

    def render_GET(self, request: Request) -> bytes:
        shard = self.shards.get(request.path.decode().removeprefix("/"))
        if shard is None:
            request.setResponseCode(404)
            return b"<Error><Code>NoSuchKey</Code></Error>"
        request.setHeader("ETag", f'"{shard.etag}"')
        request.setHeader("x-amz-meta-size", str(shard.size))
        return shard.body
