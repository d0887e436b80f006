"""The frames of HTTP/2 (RFC 9113): as much as a server of gRPC sends and reads."""

import struct
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME: Final = struct.Struct(">HBBBL")  # length in 24 bits, type, flags, stream
NUMBER: Final = struct.Struct(">L")
_SETTING: Final = struct.Struct(">HL")
HEADER_SIZE: Final = FRAME.size
PRIORITY_SIZE: Final = 5

LARGEST_FRAME: Final = 16_384  # that anybody may send who was told nothing else
DEFAULT_WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_TABLE: Final = 4096
# The first bit of these numbers means nothing.
SIGNIFICANT: Final = 2**31 - 1

# Plain numbers: what is looked at for each frame is not to be looked up in a class.
DATA, HEADERS, WINDOW_UPDATE, RST_STREAM = 0, 1, 8, 3
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20


class Kind(IntEnum):
    """The kinds that are rare."""

    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    CONTINUATION = 9


class Setting(IntEnum):
    """What one side tells of itself."""

    HEADER_TABLE_SIZE = 1
    ENABLE_PUSH = 2
    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4
    MAX_FRAME_SIZE = 5


class Error(IntEnum):
    """Why a stream or a connection ends."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Http2Error(Exception):
    """The peer does not speak HTTP/2 as it should: the connection can't go on."""

    def __init__(self, error: Error, what: str) -> None:
        super().__init__(what)
        self.error = error


def frame(kind: int, flags: int, number: int, payload: bytes) -> bytes:
    """A whole frame; its payload must be no longer than the largest."""
    size = len(payload)
    return FRAME.pack(size >> 8, size & 0xFF, kind, flags, number) + payload


def goodbye(latest: int, error: Error) -> bytes:
    """The frame that ends a connection: streams with numbers above `latest` have not been looked at."""
    return frame(Kind.GOAWAY, 0, 0, NUMBER.pack(latest) + NUMBER.pack(error))


def settings(values: Mapping[Setting, int]) -> bytes:
    """A frame of settings."""
    return frame(Kind.SETTINGS, 0, 0, b"".join(_SETTING.pack(name, value) for name, value in values.items()))


def read_settings(payload: bytes) -> dict[int, int]:
    """The settings of a frame; of a setting that is there twice, the last value. Raises Http2Error for a value that
    is not allowed, and struct.error if the frame ends within a setting."""
    values = dict(_SETTING.iter_unpack(payload))
    if values.get(Setting.INITIAL_WINDOW_SIZE, 0) > LARGEST_WINDOW:
        raise Http2Error(Error.FLOW_CONTROL_ERROR, "a window that is too large")
    if values.get(Setting.ENABLE_PUSH, 0) > 1 or not (
        LARGEST_FRAME <= values.get(Setting.MAX_FRAME_SIZE, LARGEST_FRAME) < 1 << 24
    ):
        raise Http2Error(Error.PROTOCOL_ERROR, "a setting that cannot be")
    return values


def without_padding(flags: int, payload: bytes) -> bytes:
    """What a frame carries. Raises Http2Error if there is more padding than frame."""
    if not flags & PADDED:
        return payload
    padding = payload[0] if payload else 0
    if not payload or padding >= len(payload):
        raise Http2Error(Error.PROTOCOL_ERROR, "padding alone")
    return payload[1 : len(payload) - padding]
