"""HPACK read back: beside another implementation's encoder, and beside garbage."""

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.transport.hpack import HeaderDecoder, HpackError

NAMES = st.sampled_from((":path", ":method", "te", "content-type", "x-exchange", "x-code"))
VALUES = st.one_of(
    st.sampled_from(("POST", "/", "trailers", "application/grpc", "")),
    st.text(st.characters(max_codepoint=255), max_size=40),
)
HEADERS = st.dictionaries(NAMES, VALUES, max_size=6)


def encoded(encoder: hpack.Encoder, headers: dict[str, str], huffman: bool) -> bytes:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    block: bytes = encoder.encode(pairs, huffman=huffman)
    return block


@given(st.lists(st.tuples(HEADERS, st.booleans()), max_size=12), st.sampled_from((None, 0, 60, 200, 4096)))
def test_what_another_encoder_wrote_is_read_back(
    blocks: list[tuple[dict[str, str], bool]], table_size: int | None
) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    if table_size is not None:
        encoder.header_table_size = table_size

    for headers, huffman in blocks:
        assert decoder.decode(encoded(encoder, headers, huffman)) == headers


@given(st.lists(st.tuples(HEADERS, st.booleans(), st.sampled_from((None, 0, 40, 100, 4096))), max_size=20))
def test_a_table_may_change_its_size_at_any_time(blocks: list[tuple[dict[str, str], bool, int | None]]) -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()

    for headers, huffman, table_size in blocks:
        if table_size is not None:
            encoder.header_table_size = table_size
        assert decoder.decode(encoded(encoder, headers, huffman)) == headers


def test_what_went_into_no_table_goes_into_one_that_has_become_larger() -> None:
    decoder, indexed = HeaderDecoder(), b"\x40\x01a\x01b"
    assert decoder.decode(b"\x20" + indexed) == {"a": "b"}
    assert decoder.decode(indexed) == {"a": "b"}

    assert decoder.decode(b"\x3f\xe1\x1f\x88") == {":status": "200"}
    assert decoder.decode(indexed) == {"a": "b"}
    assert decoder.decode(b"\xbe") == {"a": "b"}


def test_long_blocks_are_read_and_not_kept() -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    encoder.header_table_size = 0

    for length in (10, 2000, 60_000):
        headers = {"x-long": "z" * length}
        block = encoded(encoder, headers, huffman=True)
        assert decoder.decode(block) == decoder.decode(block) == headers

    assert sum(map(len, decoder._known)) < 2000


def test_each_byte_has_the_code_of_the_standard() -> None:
    every = {"x-all": bytes(range(256)).decode("latin-1")}

    assert HeaderDecoder().decode(encoded(hpack.Encoder(), every, huffman=True)) == every


def test_a_block_that_means_the_same_each_time_is_read_once() -> None:
    encoder, decoder = hpack.Encoder(), HeaderDecoder()
    encoder.header_table_size = 0
    headers = {":path": "/zai.proxy.Turns/Await", "te": "trailers"}
    decoder.decode(encoded(encoder, headers, huffman=True))  # says the size of the table too

    first, second = (decoder.decode(encoded(encoder, headers, huffman=True)) for _ in range(2))

    assert first == headers
    assert second is first


@given(st.binary(max_size=60))
def test_garbage_is_headers_or_an_error_and_nothing_else(block: bytes) -> None:
    try:
        headers = HeaderDecoder().decode(block)
    except HpackError:
        return
    assert all(isinstance(each, str) for pair in headers.items() for each in pair)


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",  # entry 0
        b"\xbe",  # of an empty table
        b"\x00\x05te",  # a name that is not there in full
        b"\x41",  # a value that is not there
        b"\x3f\xff\xff\xff\xff\x0f",  # a table beyond all bounds
        b"\x3f\xe2\x1f",  # a table of 4097 bytes
        b"\x88\x20",  # a table that changes its size behind a header
        b"\x00\x82\xff\xff\x00",  # coded: sixteen bits of padding
        b"\x00\x84\xff\xff\xff\xff\x00",  # coded: the end of a string within it
    ],
)
def test_what_the_standard_forbids_is_an_error(block: bytes) -> None:
    with pytest.raises(HpackError):
        HeaderDecoder().decode(block)
