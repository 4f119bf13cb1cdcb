"""Where the parts of a share lie, by its header, and that what is wrong with them is found."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstk.downloader import sections
from firstk.downloader.encode import encode
from firstk.downloader.errors import BadURIExtensionError, CorruptShareError
from firstk.downloader.hashes import uri_extension_hash
from firstk.downloader.layout import HEADER_SIZE, pack_uri_extension, parse_header
from firstk.downloader.sections import ByteRange
from firstk.downloader.ueb import read_uri_extension
from tests.downloader.scenery import flipped

PLAINTEXT = bytes(range(1, 101))


class Made:
    """A share of a file, and what is known of it."""

    def __init__(
        self, *, k: int = 2, n: int = 5, segment_size: int = 40, version: int = 1, number: int = 0
    ) -> None:
        file = encode(PLAINTEXT, k=k, n=n, segment_size=segment_size, version=version)
        self.cap = file.cap
        self.number = number
        self.data = file.shares[number]
        self.header = parse_header(self.data[:HEADER_SIZE])
        self.extension = read_uri_extension(self.data, file.cap)

    def cut(self, span: ByteRange) -> bytes:
        """Return what a server would answer."""
        offset, length = span
        return self.data[offset : offset + length]


@given(
    k=st.integers(1, 5),
    more=st.integers(0, 12),
    segment_size=st.integers(1, 120),
    version=st.sampled_from([1, 2]),
)
@settings(deadline=None, max_examples=50)
def test_good(k: int, more: int, segment_size: int, version: int) -> None:
    """Every part of every share of an honest file lies where its span says, and passes."""
    n = k + more
    for number in {0, n // 2, n - 1}:
        made = Made(k=k, n=n, segment_size=segment_size, version=version, number=number)
        header, extension = made.header, made.extension
        section = made.cut(sections.uri_extension_span(header))

        assert extension == sections.check_uri_extension(section, header, made.cap)
        section = made.cut(sections.crypttext_hashes_span(header, extension))
        assert extension.num_segments == len(sections.check_crypttext_hashes(section, extension))
        section = made.cut(sections.block_hashes_span(header, extension))
        hashes = sections.check_block_hashes(section, header, extension, number)
        for segment in range(extension.num_segments):
            block = made.cut(sections.block_span(header, extension, segment))
            assert block == sections.check_block(block, hashes, extension, segment)


def test_spans() -> None:
    """Three segments: a tree has four leaves and three nodes above; the chain follows it."""
    made = Made()
    header = made.header

    assert (header.uri_extension, 1024) == sections.uri_extension_span(header)
    assert (header.crypttext_hashes + 96, 96) == sections.crypttext_hashes_span(
        header, made.extension
    )
    assert (header.block_hashes + 96, 128 + 4 * 34) == sections.block_hashes_span(
        header, made.extension
    )
    assert [sections.block_span(header, made.extension, segment) for segment in range(3)] == [
        (36, 20),
        (56, 20),
        (76, 10),
    ]


@pytest.mark.parametrize("segment_size", [40, 100])
def test_any_byte_of_a_hash(segment_size: int) -> None:
    """A flipped bit anywhere in what is checked is found out; in padding it does not matter."""
    made = Made(segment_size=segment_size)
    extension, header = made.extension, made.header
    crypttext = made.cut(sections.crypttext_hashes_span(header, extension))
    blocks = made.cut(sections.block_hashes_span(header, extension))
    leaves = 32 * extension.num_segments
    padding = 32 * (extension.num_segments == 3)
    for offset in range(len(crypttext)):
        with pytest.raises(CorruptShareError, match="crypttext hash tree does not match the UEB"):
            sections.check_crypttext_hashes(flipped(crypttext, offset), extension)
    for offset in range(len(blocks)):
        if leaves <= offset < leaves + padding:
            assert sections.check_block_hashes(flipped(blocks, offset), header, extension, 0)
            continue
        with pytest.raises(CorruptShareError, match=r"do not match the UEB|chain has no node"):
            sections.check_block_hashes(flipped(blocks, offset), header, extension, 0)


def test_cut_short() -> None:
    """What ends too early is corrupt, wherever it ends."""
    made = Made()
    extension, header = made.extension, made.header
    ueb = made.cut(sections.uri_extension_span(header))
    crypttext = made.cut(sections.crypttext_hashes_span(header, extension))
    blocks = made.cut(sections.block_hashes_span(header, extension))
    block = made.cut(sections.block_span(header, extension, 0))
    hashes = sections.check_block_hashes(blocks, header, extension, 0)
    for length in range(len(ueb)):
        with pytest.raises(CorruptShareError):
            sections.check_uri_extension(ueb[:length], header, made.cap)
    for length in range(len(crypttext)):
        with pytest.raises(CorruptShareError):
            sections.check_crypttext_hashes(crypttext[:length], extension)
    for length in range(len(blocks)):
        with pytest.raises(CorruptShareError):
            sections.check_block_hashes(blocks[:length], header, extension, 0)
    for length in range(len(block)):
        with pytest.raises(CorruptShareError, match="block 0 does not match its hash"):
            sections.check_block(block[:length], hashes, extension, 0)


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_another_number(number: int) -> None:
    """The hashes of one share are not those of another."""
    made = Made()
    section = made.cut(sections.block_hashes_span(made.header, made.extension))
    with pytest.raises(CorruptShareError, match=r"do not match the UEB|chain has no node"):
        sections.check_block_hashes(section, made.header, made.extension, number)


def test_another_segment() -> None:
    """The block of one segment is not that of another."""
    made = Made()
    section = made.cut(sections.block_hashes_span(made.header, made.extension))
    hashes = sections.check_block_hashes(section, made.header, made.extension, 0)
    block = made.cut(sections.block_span(made.header, made.extension, 1))
    with pytest.raises(CorruptShareError, match="block 0 does not match"):
        sections.check_block(block, hashes, made.extension, 0)


@pytest.mark.parametrize("room", [-256, -32, -1, 1, 32, 256])
def test_no_room_for_the_tree(room: int) -> None:
    """A block hash tree of another size than the file's is not even asked for."""
    made = Made()
    header = replace(made.header, block_hashes=made.header.block_hashes - room)
    with pytest.raises(CorruptShareError, match="does not leave room"):
        sections.block_hashes_span(header, made.extension)


def test_room_for_the_chain() -> None:
    """A chain may be as long as all nodes of the tree but the root, and no longer."""
    made = Made()  # eight leaves
    longest = 14 * 34
    header = replace(made.header, uri_extension=made.header.share_hashes + longest)

    assert 128 + longest == sections.block_hashes_span(header, made.extension)[1]
    header = replace(header, uri_extension=header.uri_extension + 1)
    with pytest.raises(CorruptShareError, match="does not leave room"):
        sections.block_hashes_span(header, made.extension)


def test_room_for_the_chain_of_one() -> None:
    """Where there is one share, its chain has the root for a leaf."""
    made = Made(k=1, n=1)

    assert sections.block_hashes_span(made.header, made.extension)[1] == 128 + 34


def test_file_made_wrong() -> None:
    """A UEB that the cap vouches for and that makes no sense is nothing of the share's."""
    made = Made()
    cap = replace(made.cap, ueb_hash=uri_extension_hash(b"nonsense"))
    section = pack_uri_extension(1, b"nonsense")
    with pytest.raises(BadURIExtensionError):
        sections.check_uri_extension(section, made.header, cap)
