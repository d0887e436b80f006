"""Every field of our subset has the number and the type that it has in the Envoy binary itself.

The binary carries its API's descriptors; they are read out of it here, so an Envoy upgrade that changes one fails.
"""

import functools
import mmap
from pathlib import Path

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.message import DecodeError

import envoy
from extproc.transport.pb import access_log_pb2, ext_proc_pb2

ENVOY = Path(envoy.__file__).parent / "_bin" / "envoy"
LARGEST_DESCRIPTOR = 400_000

EXT_PROC = "envoy/service/ext_proc/v3/external_processor.proto"
BASE = "envoy/config/core/v3/base.proto"
ACCESS_LOG = "envoy/data/accesslog/v3/accesslog.proto"
ALS = "envoy/service/accesslog/v3/als.proto"

PAIRS = [
    (ext_proc_pb2.ProcessingRequest, EXT_PROC, "ProcessingRequest"),
    (ext_proc_pb2.ProcessingResponse, EXT_PROC, "ProcessingResponse"),
    (ext_proc_pb2.HttpHeaders, EXT_PROC, "HttpHeaders"),
    (ext_proc_pb2.HttpTrailers, EXT_PROC, "HttpTrailers"),
    (ext_proc_pb2.HeadersResponse, EXT_PROC, "HeadersResponse"),
    (ext_proc_pb2.TrailersResponse, EXT_PROC, "TrailersResponse"),
    (ext_proc_pb2.CommonResponse, EXT_PROC, "CommonResponse"),
    (ext_proc_pb2.HeaderMutation, EXT_PROC, "HeaderMutation"),
    (ext_proc_pb2.ImmediateResponse, EXT_PROC, "ImmediateResponse"),
    (ext_proc_pb2.HeaderMap, BASE, "HeaderMap"),
    (ext_proc_pb2.HeaderValue, BASE, "HeaderValue"),
    (ext_proc_pb2.HeaderValueOption, BASE, "HeaderValueOption"),
    (access_log_pb2.Metadata, BASE, "Metadata"),
    (access_log_pb2.StreamAccessLogsMessage, ALS, "StreamAccessLogsMessage"),
    (access_log_pb2.HTTPAccessLogEntry, ACCESS_LOG, "HTTPAccessLogEntry"),
    (access_log_pb2.AccessLogCommon, ACCESS_LOG, "AccessLogCommon"),
    (access_log_pb2.ResponseFlags, ACCESS_LOG, "ResponseFlags"),
    (access_log_pb2.HTTPRequestProperties, ACCESS_LOG, "HTTPRequestProperties"),
    (access_log_pb2.HTTPResponseProperties, ACCESS_LOG, "HTTPResponseProperties"),
]


@functools.cache
def descriptor_in_envoy(name: str) -> FileDescriptorProto:
    """Finds the serialised descriptor of a .proto file in the binary: it begins with the file's name and package."""
    start = b"\n" + bytes([len(name)]) + name.encode() + b"\x12"
    with ENVOY.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        offset = binary.find(start)
        assert offset >= 0, f"{name} is not in this Envoy"
        data = binary[offset : offset + LARGEST_DESCRIPTOR]
    return FileDescriptorProto.FromString(data[: _length(data)])


def _length(data: bytes) -> int:
    """The bytes up to and including the field `syntax` (12), the last of a proto3 file's descriptor."""
    at = 0
    while True:
        key, at = _varint(data, at)
        number, wire_type = key >> 3, key & 7
        if wire_type != 2:
            raise DecodeError(f"unexpected wire type {wire_type} at {at}")
        size, at = _varint(data, at)
        at += size
        if number == 12:
            return at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def wire_type(field: FieldDescriptor | FieldDescriptorProto) -> int:
    """The type on the wire; an enum and an int32 are the same there, and so are bytes and string."""
    same = {
        FieldDescriptorProto.TYPE_ENUM: FieldDescriptorProto.TYPE_INT32,
        FieldDescriptorProto.TYPE_BYTES: FieldDescriptorProto.TYPE_STRING,
    }
    return same.get(field.type, field.type)


@pytest.mark.parametrize(("ours", "file", "name"), PAIRS, ids=[name for _, _, name in PAIRS])
def test_our_fields_are_those_of_the_envoy_binary(ours: type, file: str, name: str) -> None:
    [theirs] = [message for message in descriptor_in_envoy(file).message_type if message.name == name]
    in_envoy: dict[str, FieldDescriptorProto] = {field.name: field for field in theirs.field}
    descriptor: Descriptor = ours.DESCRIPTOR  # type: ignore[attr-defined]

    for field in descriptor.fields:
        assert field.name in in_envoy, f"{name}.{field.name} does not exist"
        assert (field.number, wire_type(field)) == (in_envoy[field.name].number, wire_type(in_envoy[field.name]))


@pytest.mark.parametrize(
    ("ours", "file", "path"),
    [
        (access_log_pb2.AccessLogType, ACCESS_LOG, ("AccessLogType",)),
        (ext_proc_pb2.HeaderValueOption.AppendAction, BASE, ("HeaderValueOption", "HeaderAppendAction")),
    ],
)
def test_our_enum_numbers_are_those_of_the_envoy_binary(ours: object, file: str, path: tuple[str, ...]) -> None:
    scope: FileDescriptorProto | DescriptorProto = descriptor_in_envoy(file)
    if len(path) == 2:
        [scope] = [message for message in descriptor_in_envoy(file).message_type if message.name == path[0]]
    [theirs] = [enum for enum in scope.enum_type if enum.name == path[-1]]
    in_envoy = {value.name.replace("_", "").lower(): value.number for value in theirs.value}

    for value in ours.DESCRIPTOR.values:  # type: ignore[attr-defined]
        assert in_envoy[value.name.replace("_", "").lower()] == value.number
