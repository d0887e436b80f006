"""The gRPC server: beside gRPC's own client, and beside a peer that speaks HTTP/2 frame by frame."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc.aio
import hpack
import pytest
import uvloop
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from extproc.transport.grpc_server import Call, GrpcServer
from tests.harness.waiting import eventually

SOON = 30.0
MIB = 1024 * 1024
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 5, 6, 7, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 32


class Methods:
    """What the server is to serve, and what became of it."""

    def __init__(self) -> None:
        self.got: list[bytes] = []
        self.running = self.cancelled = 0
        self.headers: dict[str, str] = {}
        self.go_on = asyncio.Event()
        self.by_path = {
            "/t.T/Echo": self.echo,
            "/t.T/Count": self.count,
            "/t.T/Hold": self.hold,
            "/t.T/Fail": self.fail,
            "/t.T/Quit": self.quit,
        }

    async def echo(self, call: Call) -> None:
        self.headers = dict(call.headers)
        while (message := await call.read()) is not None:
            self.got.append(message)
            call.write(message)

    async def count(self, call: Call) -> None:
        call.begin()
        await self.go_on.wait()
        while (message := await call.read()) is not None:
            self.got.append(message)
        call.write(b"%d" % len(self.got))

    async def hold(self, call: Call) -> None:
        self.running += 1
        try:
            call.begin()
            while await call.read() is not None:
                pass
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def fail(self, call: Call) -> None:
        await call.read()
        raise KeyError("a secret of the message's")

    async def quit(self, call: Call) -> None:
        call.write(b"enough")


@pytest.fixture
def methods() -> Methods:
    return Methods()


@pytest.fixture
async def server(methods: Methods, tmp_path: Path) -> AsyncIterator[GrpcServer]:
    server = GrpcServer(methods.by_path)
    await server.start(tmp_path / "s")
    yield server
    await server.stop(0.0)


@pytest.fixture
async def channel(server: GrpcServer, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}", options=options) as channel:
        yield channel


# ---------------------------------------------------------------------------------------------- gRPC's own client


async def test_one_message_is_answered_with_one(methods: Methods, channel: grpc.aio.Channel) -> None:
    answer = await channel.unary_unary("/t.T/Echo")(b"hello", metadata=(("x-exchange", "run-1"),), timeout=SOON)

    assert answer == b"hello"
    assert methods.headers["x-exchange"] == "run-1"
    assert methods.headers[":path"] == "/t.T/Echo"


async def test_messages_come_and_go_in_their_order_as_long_as_the_call_lasts(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/t.T/Echo")()
    for number in range(50):
        await call.write(b"%d" % number)
        assert await call.read() == b"%d" % number
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF
    assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("size", [0, 1, 16_379, 16_380, 65_535, 300_000, 5 * MIB])
async def test_messages_of_any_size_pass_both_ways(channel: grpc.aio.Channel, size: int) -> None:
    message = b"x" * size

    assert await channel.unary_unary("/t.T/Echo")(message, timeout=SOON) == message


async def test_many_calls_at_once_do_not_get_mixed_up(channel: grpc.aio.Channel) -> None:
    echo = channel.unary_unary("/t.T/Echo")
    messages = [b"%d" % number * (number % 300 * 40) for number in range(400)]

    assert await asyncio.gather(*(echo(message, timeout=SOON) for message in messages)) == messages


async def test_a_call_may_stand_before_anything_is_said(channel: grpc.aio.Channel) -> None:
    call = channel.stream_unary("/t.T/Count")()

    await asyncio.wait_for(call.initial_metadata(), SOON)
    assert not call.done()
    call.cancel()


async def test_who_reads_slowly_is_sent_a_bounded_amount(methods: Methods, channel: grpc.aio.Channel) -> None:
    call = channel.stream_unary("/t.T/Count")()
    sent = 0

    async def send() -> None:
        nonlocal sent
        for _ in range(100):
            await call.write(b"x" * 100_000)
            sent += 1
        await call.done_writing()

    sending = asyncio.create_task(send())
    await eventually(lambda: sent, lambda sent: sent > 0, within=SOON)
    for _ in range(20):  # while others get through
        await channel.unary_unary("/t.T/Echo")(b"y" * 100_000, timeout=SOON)
    assert sent < 20
    assert not sending.done()

    methods.go_on.set()
    assert await asyncio.wait_for(call, SOON) == b"%d" % len(methods.got)
    assert methods.got.count(b"x" * 100_000) == 100


async def test_who_carries_a_call_hears_that_the_peer_has_gone(methods: Methods, channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/t.T/Hold")()
    await asyncio.wait_for(call.initial_metadata(), SOON)
    assert methods.running == 1

    call.cancel()

    await eventually(lambda: (methods.running, methods.cancelled), lambda seen: seen == (0, 1), within=SOON)


async def test_a_connection_that_is_lost_ends_its_calls(methods: Methods, server: GrpcServer, tmp_path: Path) -> None:
    channel = grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}")
    calls = [channel.stream_stream("/t.T/Hold")() for _ in range(3)]
    for call in calls:
        await asyncio.wait_for(call.initial_metadata(), SOON)

    await channel.close(None)

    await eventually(lambda: (methods.running, methods.cancelled), lambda seen: seen == (0, 3), within=SOON)


async def test_a_method_that_nobody_serves_is_refused(channel: grpc.aio.Channel) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await channel.unary_unary("/t.T/Nothing")(b"", timeout=SOON)

    assert refused.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_call_that_fails_ends_alone_and_is_logged(channel: grpc.aio.Channel) -> None:
    with capture_logs() as logged, pytest.raises(grpc.aio.AioRpcError) as failed:
        await channel.unary_unary("/t.T/Fail")(b"", timeout=SOON)

    assert failed.value.code() is grpc.StatusCode.UNKNOWN
    assert "secret" not in str(failed.value)
    assert [(line["event"], line["path"]) for line in logged] == [("a call has failed", "/t.T/Fail")]
    assert await channel.unary_unary("/t.T/Echo")(b"on", timeout=SOON) == b"on"


async def test_who_has_said_all_does_not_wait_for_the_peer(channel: grpc.aio.Channel) -> None:
    call = channel.stream_stream("/t.T/Quit")()

    assert await asyncio.wait_for(call.read(), SOON) == b"enough"
    assert await asyncio.wait_for(call.code(), SOON) is grpc.StatusCode.OK


async def test_a_server_that_stops_lets_calls_end_and_takes_no_new_ones(
    methods: Methods, server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    call = channel.stream_unary("/t.T/Count")()
    await asyncio.wait_for(call.initial_metadata(), SOON)
    stopping = asyncio.create_task(server.stop(SOON))
    await asyncio.sleep(0)

    with pytest.raises(grpc.aio.AioRpcError):
        await channel.unary_unary("/t.T/Echo")(b"", timeout=SOON)
    methods.go_on.set()
    await call.done_writing()

    assert await asyncio.wait_for(call, SOON) == b"0"
    await asyncio.wait_for(stopping, SOON)


async def test_a_server_that_stops_cuts_what_lasts_longer(
    methods: Methods, server: GrpcServer, channel: grpc.aio.Channel
) -> None:
    call = channel.stream_stream("/t.T/Hold")()
    await asyncio.wait_for(call.initial_metadata(), SOON)

    await asyncio.wait_for(server.stop(0.0), SOON)

    assert (methods.running, methods.cancelled) == (0, 1)
    assert await asyncio.wait_for(call.code(), SOON) is not grpc.StatusCode.OK


# ---------------------------------------------------------------------------------------------- frame by frame


def frame(kind: int, flags: int = 0, number: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", number) + payload


def message(text: bytes) -> bytes:
    return struct.pack(">BI", 0, len(text)) + text


def window(number: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, number, struct.pack(">I", size))


def settings(**values: int) -> bytes:
    names = {"table": 1, "window": 4}
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", names[name], value) for name, value in values.items()))


class Peer:
    """Speaks HTTP/2 by hand."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.encoder, self.decoder = hpack.Encoder(), hpack.Decoder()

    def head(self, path: str = "/t.T/Echo", **headers: str) -> bytes:
        named = {":method": "POST", ":path": path, **headers}
        block: bytes = self.encoder.encode([(name.encode(), value.encode()) for name, value in named.items()])
        return block

    def send(self, *parts: bytes) -> None:
        self._writer.write(b"".join(parts))

    async def next(self) -> tuple[int, int, int, bytes]:
        """The next frame: kind, flags, number, payload."""
        head = await asyncio.wait_for(self._reader.readexactly(9), SOON)
        payload = await asyncio.wait_for(self._reader.readexactly(int.from_bytes(head[:3], "big")), SOON)
        return head[3], head[4], int.from_bytes(head[5:], "big"), payload

    async def until(self, wanted: Callable[[int, int, int, bytes], bool]) -> tuple[int, int, int, bytes]:
        while not wanted(*(found := await self.next())):
            pass
        return found

    async def answer(self, number: int) -> tuple[bytes, str]:
        """The data of a call up to its end, and its status."""
        data = b""
        while True:
            kind, flags, of, payload = await self.next()
            if of == number and kind == DATA:
                data += payload
            if of == number and kind == HEADERS:
                headers = dict(self.decoder.decode(payload))
                if flags & END_STREAM:
                    return data, headers["grpc-status"]

    async def error(self) -> int:
        """The error with which the connection is closed."""
        _, _, _, payload = await self.until(lambda kind, *_: kind == GOAWAY)
        await asyncio.wait_for(self._reader.read(), SOON)  # to its end
        return int.from_bytes(payload[4:8], "big")


@asynccontextmanager
async def connected(path: Path, *greeting: bytes) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        peer = Peer(reader, writer)
        peer.send(*(greeting or (PREFACE, settings())))
        yield peer
    finally:
        writer.close()


@pytest.fixture
async def peer(server: GrpcServer, tmp_path: Path) -> AsyncIterator[Peer]:
    async with connected(tmp_path / "s") as peer:
        yield peer


async def test_one_byte_at_a_time_is_as_good_as_all_at_once(server: GrpcServer, tmp_path: Path) -> None:
    async with connected(tmp_path / "s", b"P") as peer:
        talk = [
            PREFACE[1:],
            settings(table=0),
            frame(HEADERS, END_HEADERS, 1, peer.head()),
            frame(DATA, END_STREAM, 1, message(b"slow")),
        ]
        for byte in b"".join(talk):
            peer.send(bytes((byte,)))
            await asyncio.sleep(0)

        assert await peer.answer(1) == (message(b"slow"), "0")


async def test_padding_priorities_and_headers_in_pieces_change_nothing(peer: Peer) -> None:
    block = peer.head(**{"x-long": "z" * 500})
    peer.send(
        frame(HEADERS, PADDED | PRIORITY, 1, b"\x03" + b"\0\0\0\0\x10" + block[:10] + b"\0\0\0"),
        frame(CONTINUATION, 0, 1, block[10:20]),
        frame(CONTINUATION, END_HEADERS, 1, block[20:]),
        frame(2, 0, 1, b"\0\0\0\0\x10"),  # a priority, which nobody here has
        frame(DATA, PADDED, 1, b"\x05" + message(b"padded") + b"\0" * 5),
        frame(99, 0, 1, b"of a kind that nobody knows"),
        frame(DATA, PADDED | END_STREAM, 1, b"\x00"),
    )

    assert await peer.answer(1) == (message(b"padded"), "0")


async def test_messages_are_cut_by_their_length_and_not_by_frames(peer: Peer, methods: Methods) -> None:
    talk = message(b"one") + message(b"") + message(b"three" * 1000)
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head()))
    for at in range(0, len(talk), 7):
        peer.send(frame(DATA, 0, 1, talk[at : at + 7]))
    peer.send(frame(DATA, END_STREAM, 1))

    assert await peer.answer(1) == (talk, "0")
    assert methods.got == [b"one", b"", b"three" * 1000]


async def test_trailers_end_what_a_peer_has_to_say(peer: Peer) -> None:
    peer.send(
        frame(HEADERS, END_HEADERS, 1, peer.head()),
        frame(DATA, 0, 1, message(b"m")),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.head("")),
    )

    assert await peer.answer(1) == (message(b"m"), "0")


async def test_a_call_without_a_message_is_answered_too(peer: Peer) -> None:
    peer.send(frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.head()))

    assert await peer.answer(1) == (b"", "0")


async def test_a_peer_is_sent_no_more_than_it_takes(server: GrpcServer, tmp_path: Path) -> None:
    talk = message(b"w" * 1000)
    async with connected(tmp_path / "s", PREFACE, settings(window=300)) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, peer.head()), frame(DATA, END_STREAM, 1, talk))
        _, _, _, first = await peer.until(lambda kind, *_: kind == DATA)
        peer.send(frame(PING, 0, 0, b"whatever"))
        kind, flags, _, payload = await peer.next()  # and not more of it
        assert (len(first), kind, flags, payload) == (300, PING, ACK, b"whatever")

        peer.send(settings(window=500))
        _, _, _, second = await peer.until(lambda kind, *_: kind == DATA)
        peer.send(window(1, 10_000))

        assert (first + second + (await peer.answer(1))[0], len(second)) == (talk, 200)


async def test_a_connection_is_sent_no_more_than_it_takes(peer: Peer) -> None:
    allowed, talk = 65_535, message(b"c" * 40_000)
    for number in (1, 3):
        peer.send(frame(HEADERS, END_HEADERS, number, peer.head()))
        peer.send(*(frame(DATA, 0, number, talk[at : at + 16_000]) for at in range(0, len(talk), 16_000)))
        peer.send(frame(DATA, END_STREAM, number))
    got, ended = Counter[int](), set[int]()
    while len(ended) < 2:
        kind, flags, number, payload = await peer.next()
        if kind == DATA:
            got[number] += len(payload)
            assert got.total() <= allowed
        if allowed == got.total() == 65_535:
            allowed *= 2
            peer.send(window(0, 65_535))
        if kind == HEADERS and flags & END_STREAM:
            ended.add(number)

    assert got == {1: 40_005, 3: 40_005}


async def test_a_window_is_given_back_as_data_is_read(peer: Peer, methods: Methods) -> None:
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Count")))
    methods.go_on.set()
    sent = 0
    allowed = {0: 4 * MIB, 1: 262_144}
    for _ in range(1000):
        peer.send(frame(DATA, 0, 1, message(b"d" * 9995)))
        sent += 10_000
        while sent + 10_000 > min(allowed.values()):
            _, _, number, payload = await peer.until(lambda kind, *_: kind == WINDOW_UPDATE)
            allowed[number] += int.from_bytes(payload, "big")
    peer.send(frame(DATA, END_STREAM, 1))

    assert (await peer.answer(1))[0] == message(b"1000")


async def test_what_calls_that_are_over_are_still_sent_costs_others_no_window(peer: Peer) -> None:
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Quit")))
    await peer.answer(1)
    for _ in range(150):
        peer.send(frame(DATA, 0, 1, b"x" * 16_000))

    _, _, number, _ = await peer.until(lambda kind, *_: kind == WINDOW_UPDATE)
    assert number == 0


async def test_a_call_that_is_reset_is_not_answered(peer: Peer, methods: Methods) -> None:
    peer.send(
        frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Hold")),
        frame(RST_STREAM, 0, 1, struct.pack(">I", 8)),
        frame(HEADERS, END_HEADERS, 3, peer.head()),
        frame(DATA, END_STREAM, 3, message(b"next")),
    )

    _, _, number, _ = await peer.until(lambda kind, flags, *_: kind == HEADERS and bool(flags & END_STREAM))
    assert number == 3
    assert methods.running == 0


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ([frame(DATA, 0, 1, b"\x01" + b"\0" * 4)], 1),  # a compressed message
        ([frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")], 1),  # one of 4 GiB
        ([frame(DATA, PADDED, 1, b"\x09padding")], 1),  # more padding than there is
        ([frame(DATA, PADDED, 1)], 1),
        ([frame(CONTINUATION, 0, 1)], 1),
        ([frame(HEADERS, 0, 3, b""), frame(PING, 0, 0, b"12345678")], 1),
        ([frame(HEADERS, 0, 3, b"x" * 16_000), *[frame(CONTINUATION, 0, 3, b"x" * 16_000)] * 5], 1),
        ([frame(PUSH_PROMISE, 0, 1)], 1),
        ([frame(WINDOW_UPDATE, 0, 0, b"12")], 1),
        ([frame(SETTINGS, 0, 0, b"1")], 1),
        ([window(0, 2**31 - 1)], 3),
        ([window(1, 2**31 - 1)], 3),
        ([b"\xff\xff\xff" + b"\0" * 20], 6),
        ([frame(HEADERS, END_HEADERS, 3, b"\x80")], 9),
    ],
)
async def test_who_speaks_no_http2_loses_the_connection_and_its_calls(
    peer: Peer, methods: Methods, sent: list[bytes], error: int
) -> None:
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Hold")))
    await peer.until(lambda kind, *_: kind == HEADERS)

    with capture_logs() as logged:
        peer.send(*sent)
        assert await peer.error() == error

    assert len(logged) == 1
    await eventually(lambda: methods.running, lambda running: running == 0, within=SOON)


async def test_who_begins_with_something_else_loses_the_connection(server: GrpcServer, tmp_path: Path) -> None:
    async with connected(tmp_path / "s", b"GET / HTTP/1.1\r\n\r\n") as peer:
        with capture_logs():
            assert await peer.error() == 1


FRAMES = st.builds(
    frame,
    st.integers(0, 10),
    st.sampled_from((0, 1, 4, 5, 8, 12, 32, 45, 255)),
    st.sampled_from((0, 1, 2, 3, 5)),
    st.one_of(
        st.binary(max_size=30),
        st.just(hpack.Encoder().encode([(b":path", b"/t.T/Echo")])),
        st.binary(max_size=30).map(message),
    ),
)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(FRAMES, st.binary(max_size=12)), max_size=12), st.integers(1, 40))
def test_whatever_a_peer_sends_it_loses_the_connection_at_most(frames: list[bytes], size: int) -> None:
    talk = PREFACE + settings() + b"".join(frames)

    async def converse(directory: Path) -> None:
        methods = Methods()
        server = GrpcServer(methods.by_path)
        await server.start(directory / "s")
        try:
            async with connected(directory / "s", b"") as peer:
                for at in range(0, len(talk), size):
                    peer.send(talk[at : at + size])
            async with connected(directory / "s") as other:  # which goes on
                other.send(frame(HEADERS, END_HEADERS, 1, other.head()), frame(DATA, END_STREAM, 1, message(b"on")))
                assert await other.answer(1) == (message(b"on"), "0")
        finally:
            await server.stop(0.0)
        assert methods.running == 0

    failures: list[object] = []
    with (
        TemporaryDirectory() as directory,
        capture_logs(),
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.get_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        runner.run(converse(Path(directory)))
    assert failures == []
