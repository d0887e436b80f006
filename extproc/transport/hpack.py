"""HPACK (RFC 7541), the reading half: the compressed headers of HTTP/2, as Envoy sends them."""

from collections import deque
from functools import lru_cache
from typing import Final, TypeAlias

Headers: TypeAlias = dict[str, str]

_ENTRY_OVERHEAD: Final = 32
_LARGEST_INTEGER: Final = 1 << 24
# What is kept because it is the same each time: so many, and none that is longer (in bytes).
_MOST_KNOWN: Final = 256
_LONGEST_KNOWN: Final = 1024

# RFC 7541, appendix A; entry 1 is the first.
_STATIC: Final = tuple(
    tuple(line.split(" ", 1))
    for line in (
        ":authority ",
        ":method GET",
        ":method POST",
        ":path /",
        ":path /index.html",
        ":scheme http",
        ":scheme https",
        ":status 200",
        ":status 204",
        ":status 206",
        ":status 304",
        ":status 400",
        ":status 404",
        ":status 500",
        "accept-charset ",
        "accept-encoding gzip, deflate",
        "accept-language ",
        "accept-ranges ",
        "accept ",
        "access-control-allow-origin ",
        "age ",
        "allow ",
        "authorization ",
        "cache-control ",
        "content-disposition ",
        "content-encoding ",
        "content-language ",
        "content-length ",
        "content-location ",
        "content-range ",
        "content-type ",
        "cookie ",
        "date ",
        "etag ",
        "expect ",
        "expires ",
        "from ",
        "host ",
        "if-match ",
        "if-modified-since ",
        "if-none-match ",
        "if-range ",
        "if-unmodified-since ",
        "last-modified ",
        "link ",
        "location ",
        "max-forwards ",
        "proxy-authenticate ",
        "proxy-authorization ",
        "range ",
        "referer ",
        "refresh ",
        "retry-after ",
        "server ",
        "set-cookie ",
        "strict-transport-security ",
        "transfer-encoding ",
        "user-agent ",
        "vary ",
        "via ",
        "www-authenticate ",
    )
)

# RFC 7541, appendix B: the code is canonical, so which bytes have how many bits says all. The end of a string comes
# behind the last of 30 bits.
_BYTES_BY_BITS: Final = {
    5: b"012aceiost",
    6: b" %-./3456789=A_bdfghlmnpru",
    7: b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz",
    8: b"&*,;XZ",
    10: b'!"()?',
    11: b"'+|",
    12: b"#>",
    13: b"\x00$@[]~",
    14: b"^}",
    15: b"<`{",
    19: b"\\\xc3\xd0",
    20: b"\x80\x82\x83\xa2\xb8\xc2\xe0\xe2",
    21: b"\x99\xa1\xa7\xac\xb0\xb1\xb3\xd1\xd8\xd9\xe3\xe5\xe6",
    22: b"\x81\x84\x85\x86\x88\x92\x9a\x9c\xa0\xa3\xa4\xa9\xaa\xad\xb2\xb5\xb9\xba\xbb\xbd\xbe\xc4\xc6\xe4\xe8\xe9",
    23: b"\x01\x87\x89\x8a\x8b\x8c\x8d\x8f\x93\x95\x96\x97\x98\x9b\x9d\x9e\xa5\xa6\xa8\xae\xaf\xb4\xb6\xb7\xbc\xbf"
    b"\xc5\xe7\xef",
    24: b"\t\x8e\x90\x91\x94\x9f\xab\xce\xd7\xe1\xec\xed",
    25: b"\xc7\xcf\xea\xeb",
    26: b"\xc0\xc1\xc8\xc9\xca\xcd\xd2\xd5\xda\xdb\xee\xf0\xf2\xf3\xff",
    27: b"\xcb\xcc\xd3\xd4\xd6\xdd\xde\xdf\xf1\xf4\xf5\xf6\xf7\xf8\xfa\xfb\xfc\xfd\xfe",
    28: b"\x02\x03\x04\x05\x06\x07\x08\x0b\x0c\x0e\x0f\x10\x11\x12\x13\x14\x15\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f\x7f"
    b"\xdc\xf9",
    30: b"\n\r\x16",
}


class HpackError(ValueError):
    """A block of headers that is no HPACK."""


class HeaderDecoder:
    """Reads the header blocks of one connection, in their order. `table_size` is its sender's, in bytes."""

    def __init__(self, table_size: int = 4096) -> None:
        self._most_allowed = table_size
        self._most = table_size
        self._size = 0
        self._table: deque[tuple[str, str]] = deque()
        self._known: dict[bytes, Headers] = {}

    def decode(self, block: bytes) -> Headers:
        """The headers of a block; of a name that is there twice, the last value. Raises HpackError.

        Blocks that neither use nor change the table are remembered with their result: nearly all calls have the same
        headers.
        """
        if not self._table and (known := self._known.get(block)) is not None:
            return known
        was_empty, most = not self._table, self._most
        headers = self._read(block)
        if self._most != most:
            self._known.clear()  # at the new size the same blocks may change the table
        elif was_empty and not self._table and len(block) <= _LONGEST_KNOWN and len(self._known) < _MOST_KNOWN:
            self._known[block] = headers
        return headers

    def _read(self, block: bytes) -> Headers:
        headers: Headers = {}
        at, end = 0, len(block)
        try:
            while at < end:
                first = block[at]
                if first & 0x80:
                    index, at = _integer(block, at, 0x7F)
                    name, value = self._entry(index)
                elif first & 0x40:
                    name, value, at = self._literal(block, at, 0x3F)
                    self._add(name, value)
                elif first & 0x20:
                    if headers:
                        raise HpackError("a table that changes its size behind a header")
                    size, at = _integer(block, at, 0x1F)
                    self._resize(size)
                    continue
                else:
                    name, value, at = self._literal(block, at, 0x0F)
                headers[name] = value
        except IndexError:
            raise HpackError("a block that ends too soon") from None
        return headers

    def _literal(self, block: bytes, at: int, mask: int) -> tuple[str, str, int]:
        index, at = _integer(block, at, mask)
        if index:
            name = self._entry(index)[0]
        else:
            name, at = _string(block, at)
        value, at = _string(block, at)
        return name, value, at

    def _entry(self, index: int) -> tuple[str, str]:
        if not index:
            raise HpackError("there is no entry 0")
        if index <= len(_STATIC):
            name, value = _STATIC[index - 1]
            return name, value
        if index > len(_STATIC) + len(self._table):
            raise HpackError(f"there is no entry {index}")
        return self._table[index - len(_STATIC) - 1]

    def _add(self, name: str, value: str) -> None:
        size = len(name) + len(value) + _ENTRY_OVERHEAD
        self._shrink(self._most - size)
        if size <= self._most:
            self._table.appendleft((name, value))
            self._size += size

    def _resize(self, size: int) -> None:
        if size > self._most_allowed:
            raise HpackError(f"a table of {size} bytes, and {self._most_allowed} are allowed")
        self._most = size
        self._shrink(size)

    def _shrink(self, size: int) -> None:
        while self._table and self._size > size:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + _ENTRY_OVERHEAD


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """The integer whose first bits are within the mask at a place, and the place behind it."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        if value > _LARGEST_INTEGER or shift > 28:
            raise HpackError("an integer that is too large")
        if byte < 0x80:
            return value, at
        shift += 7


def _string(block: bytes, at: int) -> tuple[str, int]:
    is_coded = block[at] & 0x80
    length, at = _integer(block, at, 0x7F)
    end = at + length
    if end > len(block):
        raise HpackError("a block that ends too soon")
    text = block[at:end]
    if is_coded:
        text = _decoded(text) if length <= _LONGEST_KNOWN else _decode(text)
    return text.decode("latin-1"), end


def _codes() -> dict[tuple[int, int], int]:
    """The byte of each code, by its number of bits and its value."""
    codes, code, bits = {}, 0, 0
    for length, coded in _BYTES_BY_BITS.items():
        code <<= length - bits
        bits = length
        for byte in coded:
            codes[length, code] = byte
            code += 1
    return codes


_CODES: Final = _codes()
_LONGEST_CODE: Final = 30
_LONGEST_PADDING: Final = 7


def _decode(text: bytes) -> bytes:
    """What a string in Huffman's code says."""
    said, code, bits = bytearray(), 0, 0
    for byte in text:
        code, bits = code << 8 | byte, bits + 8
        while (used := _first_code(code, bits)) is not None:
            bits -= used
            said.append(_CODES[used, code >> bits])
            code &= (1 << bits) - 1
        if bits > _LONGEST_CODE:
            raise HpackError("no code of a byte")
    if bits > _LONGEST_PADDING or code != (1 << bits) - 1:
        raise HpackError("a string that ends within a byte's code")
    return bytes(said)


_decoded: Final = lru_cache(maxsize=512)(_decode)  # nearly all are the same each time


def _first_code(code: int, bits: int) -> int | None:
    """How many of these bits are the code of a byte; None if none of so few is."""
    for length in _BYTES_BY_BITS:
        if length > bits:
            return None
        if (length, code >> (bits - length)) in _CODES:
            return length
    return None
