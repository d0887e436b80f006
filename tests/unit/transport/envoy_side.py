"""Envoy's side of a stream with the processor: real messages, and no gRPC between."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from extproc.domain.request.admission import AdmissionSnapshot
from extproc.transport.ext_proc import ExternalProcessor
from extproc.transport.pb import ext_proc_pb2 as pb
from tests.harness.proxy_in_process import ProxyInProcess
from tests.harness.waiting import eventually

SOON = 10.0
TRAILERS = pb.ProcessingRequest(response_trailers=pb.HttpTrailers())


def asking(path: str = "/v1/messages", body: Mapping[str, Any] | None = None, **headers: str) -> pb.ProcessingRequest:
    """The head of a POST; `body` is what Envoy has read of its body, `headers` have underscores for hyphens."""
    values = {
        ":method": "POST",
        ":path": path,
        "x-request-id": "r-1",
        "x-forwarded-for": "203.0.113.1",
        "content-length": "1000",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    held = [pb.HeaderValue(key=name, raw_value=value.encode()) for name, value in values.items()]
    message = pb.ProcessingRequest(request_headers=pb.HttpHeaders(headers=pb.HeaderMap(headers=held)))
    if body is not None:
        message.metadata_context.filter_metadata["zai.request"].fields["body"].struct_value.update(body)
    return message


class Stream:
    """One HTTP request, as the processor sees it: what Envoy sends is read, what is written is kept."""

    def __init__(self, *messages: pb.ProcessingRequest) -> None:
        self.told: list[pb.ProcessingResponse] = []
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()
        for message in messages:
            self.send(message)

    def send(self, message: pb.ProcessingRequest) -> None:
        self._messages.put_nowait(message.SerializeToString())

    def end(self) -> None:
        """The HTTP stream has ended."""
        self._messages.put_nowait(None)

    async def read(self) -> bytes | None:
        return await self._messages.get()

    def write(self, message: bytes) -> None:
        self.told.append(pb.ProcessingResponse.FromString(message))

    @property
    def answers(self) -> list[pb.ProcessingResponse]:
        """What the processor decided, without its asking for patience."""
        return [each for each in self.told if not each.HasField("override_message_timeout")]

    @property
    def is_answered(self) -> bool:
        return bool(self.answers)

    @property
    def headers(self) -> dict[str, str]:
        """What the first answer sets in the head of the request."""
        changed = self.answers[0].request_headers.response.header_mutation.set_headers
        return {each.header.key: each.header.raw_value.decode() for each in changed}

    @property
    def noted(self) -> dict[str, str]:
        """What the first answer has Envoy remember."""
        fields = self.answers[0].dynamic_metadata.fields["zai"].struct_value.fields
        return {name: value.string_value for name, value in fields.items()}


class Envoy:
    """A proxy's processor, and the requests that Envoy has it decide about."""

    def __init__(self, **settings: Any) -> None:
        self.proxy = ProxyInProcess(**settings)
        self._tasks: dict[Stream, asyncio.Task[None]] = {}

    @property
    def processor(self) -> ExternalProcessor:
        return self.proxy.service.processor

    @property
    def slots(self) -> AdmissionSnapshot:
        return self.proxy.service.admission.snapshot()

    @property
    def waiting(self) -> list[str]:
        """The ids of the requests that wait for their turn."""
        return [each.id for each in self.proxy.service.pacer.waiting()]

    def begin(self, *messages: pb.ProcessingRequest) -> Stream:
        """Opens a stream with these messages."""
        stream = Stream(*messages)
        self._tasks[stream] = asyncio.create_task(self.processor._process(stream))  # type: ignore[arg-type]
        return stream

    async def ask(self, *messages: pb.ProcessingRequest) -> Stream:
        """The same, and waits for an answer."""
        stream = self.begin(*messages or (asking(),))
        task = self._tasks[stream]
        await eventually(lambda: stream.is_answered or task.done(), bool, within=SOON)
        if task.done():
            task.result()
        return stream

    async def queue(self, *messages: pb.ProcessingRequest) -> Stream:
        """The same, and waits until the request waits."""
        before = len(self.waiting)
        stream = self.begin(*messages or (asking(),))
        await eventually(lambda: len(self.waiting), lambda waiting: waiting > before, within=SOON)
        return stream

    async def end(self, stream: Stream) -> None:
        """The HTTP stream ends, and with it the processor's part. Raises what the processor raised."""
        stream.end()
        await asyncio.wait_for(self._tasks.pop(stream), SOON)

    async def reset(self, stream: Stream) -> None:
        """Envoy cancels the stream: the client has left, or the connection is lost."""
        task = self._tasks.pop(stream)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def close(self) -> None:
        for stream in list(self._tasks):
            await self.reset(stream)


@contextlib.asynccontextmanager
async def envoy(**settings: Any) -> AsyncIterator[Envoy]:
    side = Envoy(**settings)
    try:
        yield side
    finally:
        await side.close()
