"""The gRPC server beside another implementation of HTTP/2, which holds it to the protocol."""

import asyncio
import contextlib
import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import h2.config
import h2.connection
import h2.events
import uvloop
from h2.exceptions import StreamClosedError
from h2.settings import SettingCodes
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from extproc.transport.grpc_server import GrpcServer
from tests.unit.transport.http2_peer import SOON, Methods, message

LARGEST_FRAME = 16_384
MESSAGES = st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 300).map(bytes)), max_size=3)
TALKS = st.lists(st.tuples(MESSAGES, st.booleans()), min_size=1, max_size=4)
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        SettingCodes.HEADER_TABLE_SIZE: st.sampled_from((0, 100, 4096, 65_536)),
        SettingCodes.INITIAL_WINDOW_SIZE: st.sampled_from((0, 100, 1000, 65_535, 2**20)),
        SettingCodes.MAX_FRAME_SIZE: st.sampled_from((16_384, 2**24 - 1)),
    },
)


@dataclass
class Talk:
    """One call: what is said in it, and what was answered."""

    left: bytes
    ends_with_trailers: bool
    said: bytes = b""
    has_ended: bool = False
    heard: bytes = b""
    status: bytes = b""


@dataclass
class Client:
    """Speaks as many calls at once as there are talks, in an order that chance decides."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    chance: random.Random
    talks: dict[int, Talk] = field(default_factory=dict)
    changes: list[dict[SettingCodes, int]] = field(default_factory=list)
    # It takes whatever it has changed for acknowledged with the first acknowledgement that comes, so one change waits
    # for that of the one before; the greeting is the first.
    waits_for_acknowledgement: bool = True

    def __post_init__(self) -> None:
        self.http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True, header_encoding=None))
        self.http2.initiate_connection()

    async def run(self) -> None:
        while not all(talk.status for talk in self.talks.values()):
            ready = [number for number, talk in self.talks.items() if self.may_say(number, talk)]
            if ready and self.chance.random() < 0.9:
                self.say(self.chance.choice(ready))
            elif self.changes and not self.waits_for_acknowledgement:
                self.change(self.changes.pop())
            else:
                await self.hear()

    def begin(self, talk: Talk) -> None:
        number = self.http2.get_next_available_stream_id()
        self.talks[number] = talk
        chance = f"{self.chance.random()}".encode()
        head = {
            b":method": b"POST",
            b":scheme": b"http",
            b":authority": b"a",
            b":path": b"/t.T/Echo",
            b"x-chance": chance,
        }
        self.http2.send_headers(number, list(head.items()))

    def may_say(self, number: int, talk: Talk) -> bool:
        return not talk.has_ended and (not talk.left or self.http2.local_flow_control_window(number) > 0)

    def say(self, number: int) -> None:
        talk = self.talks[number]
        window = min(LARGEST_FRAME, self.http2.local_flow_control_window(number))
        padding = self.chance.choice((None, None, 0, 1, 255))
        room = window - (0 if padding is None else padding + 1)
        size = min(len(talk.left), self.chance.choice((1, 50, LARGEST_FRAME)))
        if room < size:
            padding, size = None, min(size, window)
        piece, talk.left = talk.left[:size], talk.left[size:]
        talk.said += piece
        talk.has_ended = not talk.left
        if talk.has_ended and talk.ends_with_trailers:
            self.http2.send_data(number, piece, pad_length=padding)
            self.http2.send_headers(number, [(b"x-trailer", b"t")], end_stream=True)
        else:
            self.http2.send_data(number, piece, end_stream=talk.has_ended, pad_length=padding)
        self.flush()

    def change(self, values: dict[SettingCodes, int]) -> None:
        self.http2.update_settings(values)
        self.waits_for_acknowledgement = True
        self.flush()

    def flush(self) -> None:
        data, size = self.http2.data_to_send(), self.chance.choice((7, 100, 100_000))
        for at in range(0, len(data), size):
            self.writer.write(data[at : at + size])

    async def hear(self) -> None:
        self.http2.ping(b"and now?")  # so that there is something to hear
        self.flush()
        data = await asyncio.wait_for(self.reader.read(100_000), SOON)
        assert data
        for event in self.http2.receive_data(data):
            self.take(event)
        self.flush()

    def take(self, event: h2.events.Event) -> None:
        assert not isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated)
        if isinstance(event, h2.events.DataReceived):
            self.talks[event.stream_id].heard += event.data
            self.widen(event.stream_id, event.flow_controlled_length)
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            self.talks[event.stream_id].status = dict(event.headers).get(b"grpc-status", b"")
        if isinstance(event, h2.events.SettingsAcknowledged):
            self.waits_for_acknowledgement = False
            for number in self.talks:  # who was given no window at all is given one now
                self.widen(number, 100)

    def widen(self, number: int, size: int) -> None:
        if not size:
            return
        self.http2.increment_flow_control_window(size)
        with contextlib.suppress(StreamClosedError):
            self.http2.increment_flow_control_window(size, number)


async def converse(
    directory: Path, chance: random.Random, talks: Iterable[Talk], changes: list[dict[SettingCodes, int]]
) -> Client:
    methods = Methods()
    server = GrpcServer(methods.by_path)
    await server.start(directory / "s")
    reader, writer = await asyncio.open_unix_connection(str(directory / "s"))
    client = Client(reader, writer, chance, changes=changes)
    try:
        for talk in talks:
            client.begin(talk)
        await client.run()
    finally:
        writer.close()
        await server.stop(0.0)
    return client


# Without shrinking: what fails may wait for a minute each time.
@settings(deadline=None, max_examples=150, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(TALKS, st.lists(CHANGES, max_size=3), st.randoms(use_true_random=True))
def test_another_implementation_finds_nothing_wrong(
    calls: list[tuple[list[bytes], bool]], changes: list[dict[SettingCodes, int]], chance: random.Random
) -> None:
    talks = [Talk(b"".join(map(message, messages)), ends_with_trailers) for messages, ends_with_trailers in calls]

    with TemporaryDirectory() as directory, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        client = runner.run(converse(Path(directory), chance, talks, changes))

    for talk in client.talks.values():
        assert (talk.heard, talk.status) == (talk.said, b"0")
