"""The tagged hashes equal those of Tahoe-LAFS, spelled out here and in real files."""

from hashlib import sha256

import pytest

from firstk.downloader import hashes
from firstk.downloader.cap import CHKCap, from_base32, parse_cap
from firstk.downloader.ueb import read_uri_extension
from tests.tahoe import CHK_FILES, CONVERGENCE, RealFile


def double(data: bytes) -> bytes:
    """Return SHA-256 twice."""
    return sha256(sha256(data).digest()).digest()


@pytest.mark.parametrize(
    ("expected", "data"), [(b"0:,", b""), (b"3:abc,", b"abc"), (b"12:0:,0:,0:,0:,,", b"0:," * 4)]
)
def test_netstring(expected: bytes, data: bytes) -> None:
    """A netstring is the length in decimal, a colon, the value, and a comma."""
    assert expected == hashes.netstring(data)


def test_tags() -> None:
    """The tag is a netstring and the value is not; for inner nodes, both values are."""
    left, right = bytes(32), b"\xff" * 32

    assert double(b"29:allmydata_encoded_subshare_v1,x") == hashes.block_hash(b"x")
    assert double(b"26:allmydata_uri_extension_v1,x") == hashes.uri_extension_hash(b"x")
    assert double(b"22:allmydata_crypttext_v1,x") == hashes.crypttext_hash(b"x")
    assert double(b"30:allmydata_crypttext_segment_v1,x") == hashes.crypttext_segment_hash(b"x")
    assert double(b"22:Merkle tree empty leaf,10") == hashes.empty_leaf_hash(10)
    assert double(
        b"25:Merkle tree internal node,32:%s,32:%s," % (left, right)
    ) == hashes.inner_node_hash(left, right)


def test_storage_index() -> None:
    """The storage index of a key is the one that Tahoe-LAFS computed."""
    key = from_base32("6kyhbozn3fis6jw4b2desql6ju")

    assert from_base32("jlppm2a2uqxu4552juxrrq5uei") == hashes.storage_index(key)


@pytest.mark.parametrize("file", CHK_FILES, ids=str)
def test_convergent_key(file: RealFile) -> None:
    """The key is derived from the secret, the encoding and the plaintext."""
    cap = parse_cap(file.uri)
    assert isinstance(cap, CHKCap)
    assert file.segment_size is not None
    segment_size = read_uri_extension(file.shares[0], cap).segment_size

    key = hashes.convergent_key(CONVERGENCE, cap.k, cap.n, segment_size, file.plaintext)

    assert cap.key == key
