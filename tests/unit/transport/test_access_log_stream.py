"""Taking the access log in: entry by entry, whatever is wrong with one of them."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind, LogEntry
from extproc.transport.access_log import AccessLog, read_entry
from extproc.transport.pb import access_log_pb2 as pb


class Stream:
    """Envoy's side of a log stream."""

    def __init__(self, *messages: pb.StreamAccessLogsMessage) -> None:
        self.left = [*(message.SerializeToString() for message in messages), None]
        self.has_begun = False

    def begin(self) -> None:
        self.has_begun = True

    async def read(self) -> bytes | None:
        return self.left.pop(0)

    def rest(self) -> list[bytes]:
        return [message for message in self.left if message is not None]

    def write(self, message: bytes) -> None:
        assert pb.StreamAccessLogsResponse.FromString(message) == pb.StreamAccessLogsResponse()


class Taken:
    """What was recorded, counted and could not be."""

    def __init__(self, broken: str = "") -> None:
        self.entries: list[LogEntry] = []
        self.counted = self.failed = self.batches = 0
        self.log = AccessLog(self._record, self._count, self._fail, self._end)
        self._broken = broken
        self.at_first: Callable[[], object] = lambda: None  # called at the first entry

    async def read(self, *messages: pb.StreamAccessLogsMessage) -> Stream:
        stream = Stream(*messages)
        await self.log._take_log(stream)  # type: ignore[arg-type]
        return stream

    def _record(self, entry: LogEntry) -> None:
        if entry.request_id == self._broken:
            raise KeyError(entry.request_id)
        self.entries.append(entry)

    def _count(self) -> None:
        self.counted += 1
        if self.counted == 1:
            self.at_first()

    def _fail(self) -> None:
        self.failed += 1

    def _end(self) -> None:
        self.batches += 1


def batch(*request_ids: str) -> pb.StreamAccessLogsMessage:
    message = pb.StreamAccessLogsMessage()
    for request_id in request_ids:
        message.http_logs.log_entry.add().request.request_id = request_id
    return message


async def test_every_entry_is_recorded_in_its_order() -> None:
    taken = Taken()

    stream = await taken.read(batch("a", "b"), pb.StreamAccessLogsMessage(), batch("c"))

    assert [entry.request_id for entry in taken.entries] == ["a", "b", "c"]
    assert (taken.counted, taken.failed, taken.log.streams) == (3, 0, 0)
    assert taken.batches == 3
    assert stream.has_begun


async def test_one_entry_that_cannot_be_recorded_costs_no_other() -> None:
    taken = Taken(broken="b")

    with capture_logs() as logged:
        await taken.read(batch("a", "b", "c"))

    assert [entry.request_id for entry in taken.entries] == ["a", "c"]
    assert (taken.counted, taken.failed) == (3, 1)
    assert [line["request_id"] for line in logged] == ["b"]


async def test_a_stream_counts_as_open_until_it_ends_however_it_ends() -> None:
    taken = Taken()
    stream = Stream()

    async def never() -> bytes | None:
        await asyncio.Event().wait()
        return None

    stream.read = never  # type: ignore[method-assign]
    reading = asyncio.create_task(taken.log._take_log(stream))  # type: ignore[arg-type]
    while not taken.log.streams:
        await asyncio.wait({reading}, timeout=0.001)

    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert taken.log.streams == 0


async def test_a_batch_that_cannot_be_read_costs_no_other() -> None:
    taken = Taken()
    stream = Stream(batch("a"), batch("b"), batch("c"))
    stream.left[1] = b"\x12\x07no"

    with capture_logs() as logged:
        await taken.log._take_log(stream)  # type: ignore[arg-type]

    assert [entry.request_id for entry in taken.entries] == ["a", "c"]
    assert taken.failed == len(logged) == 1


async def test_all_that_has_come_is_counted_though_envoy_has_gone() -> None:
    taken = Taken()
    stream = Stream(batch("a", "b", "c"), batch("d"), batch("e", "f"))
    reading = asyncio.create_task(taken.log._take_log(stream))  # type: ignore[arg-type]

    taken.at_first = reading.cancel
    with pytest.raises(asyncio.CancelledError):
        await reading

    assert [entry.request_id for entry in taken.entries] == ["a", "b", "c", "d", "e", "f"]
    assert (taken.batches, taken.log.streams) == (3, 0)


def test_of_an_entry_without_anything_in_it_nothing_is_known() -> None:
    entry = read_entry(pb.HTTPAccessLogEntry())

    assert entry == LogEntry(EntryKind.REQUEST, "", "", "", 0.0)
    assert (entry.ending, entry.answer, entry.waited) == (Ending.COMPLETE, NOTHING_READ, None)


def test_of_an_entry_that_the_processor_never_saw_only_http_is_known() -> None:
    raw = pb.HTTPAccessLogEntry()
    raw.request.path, raw.request.request_method, raw.response.response_code.value = "/v1/messages", 3, 503
    raw.common_properties.route_name = "no_processor"

    entry = read_entry(raw)

    assert (entry.method, entry.path, entry.status, entry.route_name) == ("POST", "/v1/messages", 503, "no_processor")
    assert (entry.exchange_id, entry.path_label, entry.source, entry.waited) == ("", "", "", None)


def test_fields_methods_and_kinds_that_nobody_knows_yet_change_nothing() -> None:
    raw = pb.HTTPAccessLogEntry()
    raw.request.request_method = 3
    known = read_entry(raw)

    raw.request.MergeFromString(b"\xfa\x7f\x03new")  # field 2047, three bytes
    raw.common_properties.MergeFromString(b"\xfa\x7f\x03new")
    raw.common_properties.access_log_type = 99  # type: ignore[assignment]
    assert read_entry(raw) == known

    raw.request.request_method = 99
    assert read_entry(raw).method == ""
