"""Where the parts of a share lie according to its header, and the checks of their contents."""

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
    """A share of a file, with its parsed header and UEB."""

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
        """Return the bytes of a span, as a server would."""
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
    """Every part of every share of an honest file lies in its span, and passes its check."""
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
    """Of three segments, a tree has four leaves and three inner nodes; the chain follows it."""
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
    """A flipped bit is detected in everything that is checked; in padding it does not matter."""
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
    """A truncated part is corrupt, wherever it is cut."""
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
    """The hashes of one share do not match another's number."""
    made = Made()
    section = made.cut(sections.block_hashes_span(made.header, made.extension))
    with pytest.raises(CorruptShareError, match=r"do not match the UEB|chain has no node"):
        sections.check_block_hashes(section, made.header, made.extension, number)


def test_another_segment() -> None:
    """The block of one segment does not match another's hash."""
    made = Made()
    section = made.cut(sections.block_hashes_span(made.header, made.extension))
    hashes = sections.check_block_hashes(section, made.header, made.extension, 0)
    block = made.cut(sections.block_span(made.header, made.extension, 1))
    with pytest.raises(CorruptShareError, match="block 0 does not match"):
        sections.check_block(block, hashes, made.extension, 0)


@pytest.mark.parametrize("room", [-256, -32, -1, 1, 32, 256])
def test_no_room_for_the_tree(room: int) -> None:
    """A block hash tree of the wrong size is not even requested."""
    made = Made()
    header = replace(made.header, block_hashes=made.header.block_hashes - room)
    with pytest.raises(CorruptShareError, match="does not leave room"):
        sections.block_hashes_span(header, made.extension)


def test_room_for_the_chain() -> None:
    """A chain may have all nodes of the tree but the root, and no more."""
    made = Made()  # eight leaves
    longest = 14 * 34
    header = replace(made.header, uri_extension=made.header.share_hashes + longest)

    assert 128 + longest == sections.block_hashes_span(header, made.extension)[1]
    header = replace(header, uri_extension=header.uri_extension + 1)
    with pytest.raises(CorruptShareError, match="does not leave room"):
        sections.block_hashes_span(header, made.extension)


def test_room_for_the_chain_of_one() -> None:
    """If there is only one share, its chain has the root as its leaf."""
    made = Made(k=1, n=1)

    assert sections.block_hashes_span(made.header, made.extension)[1] == 128 + 34


def test_file_made_wrong() -> None:
    """A nonsensical UEB that matches the cap is not the share's fault."""
    made = Made()
    cap = replace(made.cap, ueb_hash=uri_extension_hash(b"nonsense"))
    section = pack_uri_extension(1, b"nonsense")
    with pytest.raises(BadURIExtensionError):
        sections.check_uri_extension(section, made.header, cap)
