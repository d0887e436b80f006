"""The gRPC server beside a peer that speaks HTTP/2 frame by frame, well and badly."""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from tempfile import TemporaryDirectory

import hpack
import pytest
import uvloop
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from extproc.transport import grpc_server
from extproc.transport.grpc_server import GrpcServer
from tests.harness.waiting import eventually
from tests.unit.transport.http2_peer import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    MIB,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SOON,
    WINDOW_UPDATE,
    Methods,
    Peer,
    connected,
    frame,
    message,
    settings,
    window,
)


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
        frame(HEADERS, END_HEADERS | END_STREAM, 1, peer.encoder.encode([(b"x-trailer", b"1")])),
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


HEAD: bytes = hpack.Encoder().encode([(b":path", b"/t.T/Echo")])
WHOLE, LAST = END_HEADERS, END_HEADERS | END_STREAM
PIECE = frame(CONTINUATION, 0, 3)


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ([frame(DATA, 0, 1, b"\x01" + b"\0" * 4)], 1),  # a compressed message
        ([frame(DATA, 0, 1, b"\0\xff\xff\xff\xff")], 1),  # one of 4 GiB
        ([frame(DATA, END_STREAM, 1, b"\0\0\0\0\x02x")], 1),  # one that ends too soon
        ([frame(DATA, END_STREAM, 1), frame(DATA, 0, 1, message(b"m"))], 5),  # one behind the end
        ([frame(DATA, PADDED, 1, b"\x09padding")], 1),  # more padding than there is
        ([frame(DATA, PADDED, 1)], 1),
        ([frame(DATA, 0, 0, b"")], 1),  # of no call
        ([frame(DATA, 0, 3, b"")], 1),  # of one that has not begun
        ([frame(HEADERS, 0, 0, HEAD)], 1),
        ([frame(HEADERS, WHOLE, 0, HEAD)], 1),
        ([frame(HEADERS, WHOLE, 2, HEAD)], 1),  # a number of the server's
        ([frame(HEADERS, LAST, 1, HEAD)], 1),  # a number twice
        ([frame(HEADERS, WHOLE, 5, HEAD), frame(HEADERS, WHOLE, 3, HEAD)], 1),  # a number too late
        ([frame(HEADERS, WHOLE, 1, hpack.Encoder().encode([(b"x-trailer", b"1")]))], 1),  # trailers that do not end
        ([frame(HEADERS, LAST | PRIORITY, 3, b"\0\0\0")], 6),
        ([frame(HEADERS, WHOLE, 3, b"\x80")], 9),
        ([frame(HEADERS, 0, 3, b""), frame(PING, 0, 0, b"12345678")], 1),
        ([frame(HEADERS, 0, 3, b"x" * 16_000), *[frame(CONTINUATION, 0, 3, b"x" * 16_000)] * 5], 1),
        ([frame(HEADERS, 0, 3, b""), *[PIECE] * 40], 11),
        ([frame(HEADERS, 0, 3, b""), frame(CONTINUATION, 0, 5)], 1),
        ([frame(CONTINUATION, 0, 1)], 1),
        ([frame(CONTINUATION, END_HEADERS, 0, HEAD)], 1),
        ([frame(PUSH_PROMISE, 0, 1)], 1),
        ([frame(RST_STREAM, 0, 0, b"\0\0\0\x08")], 1),
        ([frame(RST_STREAM, 0, 3, b"\0\0\0\x08")], 1),
        ([frame(RST_STREAM, 0, 1, b"\0\0\x08")], 6),
        ([frame(WINDOW_UPDATE, 0, 0, b"12")], 6),
        ([window(0, 0)], 1),
        ([window(1, 0)], 1),
        ([window(3, 1)], 1),
        ([window(0, 2**31 - 1)], 3),
        ([window(1, 2**31 - 1)], 3),
        ([frame(SETTINGS, 0, 0, b"1")], 6),
        ([frame(SETTINGS, ACK, 0, b"123456")], 6),
        ([frame(SETTINGS, 0, 1)], 1),
        ([settings(window=2**31)], 3),
        ([window(1, 2**30), settings(window=2**30 + 2**17)], 3),
        ([settings(frame=16_383)], 1),
        ([settings(frame=2**24)], 1),
        ([settings(push=2)], 1),
        ([frame(PING, 0, 0, b"1234567")], 6),
        ([frame(PING, 0, 1, b"12345678")], 1),
        ([frame(GOAWAY, 0, 0, b"\0\0\0\x01")], 6),
        ([frame(GOAWAY, 0, 1, b"\0" * 8)], 1),
        ([b"\xff\xff\xff" + b"\0" * 20], 6),
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


async def test_the_first_bit_of_a_number_means_nothing(server: GrpcServer, tmp_path: Path) -> None:
    async with connected(tmp_path / "s", PREFACE, settings(window=8)) as peer:
        peer.send(
            frame(HEADERS, END_HEADERS, 1 | 1 << 31, peer.head()),
            frame(DATA, END_STREAM, 1, message(b"reserved")),
            window(1, 1000 | 1 << 31),
        )

        assert await peer.answer(1) == (message(b"reserved"), "0")


async def test_a_window_may_become_negative(server: GrpcServer, tmp_path: Path) -> None:
    talk = message(b"w" * 1000)
    async with connected(tmp_path / "s", PREFACE, settings(window=300)) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, peer.head()), frame(DATA, END_STREAM, 1, talk))
        _, _, _, first = await peer.until(lambda kind, *_: kind == DATA)
        peer.send(settings(window=100), window(1, 200), frame(PING, 0, 0, b"nothing."))
        got = [(await peer.next())[0] for _ in range(2)]
        assert (len(first), got) == (300, [SETTINGS, PING])  # it stands at nothing again

        peer.send(window(1, 50))
        _, _, _, second = await peer.until(lambda kind, *_: kind == DATA)
        peer.send(window(1, 10_000))

        assert (first + second + (await peer.answer(1))[0], len(second)) == (talk, 50)


async def test_a_larger_window_is_acknowledged_before_it_is_used(server: GrpcServer, tmp_path: Path) -> None:
    async with connected(tmp_path / "s", PREFACE, settings(window=300)) as peer:
        peer.send(frame(HEADERS, END_HEADERS, 1, peer.head()), frame(DATA, END_STREAM, 1, message(b"w" * 1000)))
        await peer.until(lambda kind, *_: kind == DATA)

        peer.send(settings(window=10_000))

        assert [(await peer.next())[0] for _ in range(2)] == [SETTINGS, DATA]


async def test_of_a_window_that_changes_more_than_once_at_a_time_the_last_counts(peer: Peer) -> None:
    changes = settings(window=2**31 - 1)[9:] + settings(window=0)[9:] + settings(window=1000)[9:]
    peer.send(
        frame(HEADERS, END_HEADERS, 1, peer.head()),
        frame(SETTINGS, payload=changes),
        frame(DATA, END_STREAM, 1, message(b"m" * 900)),
    )

    assert await peer.answer(1) == (message(b"m" * 900), "0")


async def test_a_peer_without_a_table_of_headers_is_told_that_there_is_none(server: GrpcServer, tmp_path: Path) -> None:
    async with connected(tmp_path / "s", PREFACE, settings(table=0)) as peer:
        peer.decoder.max_allowed_table_size = 0
        for number, path in ((1, "/t.T/Echo"), (3, "/t.T/Nothing")):
            peer.send(frame(HEADERS, LAST, number, peer.head(path)))
            assert (await peer.answer(number))[1] in ("0", "12")


async def test_padding_is_given_back_like_all_else(peer: Peer) -> None:
    padded = frame(DATA, PADDED, 1, b"\xff" + message(b"d") + b"\0" * 255)
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Hold")))
    for _ in range(262_144 // (len(padded) - 9)):
        peer.send(padded)

    _, _, _, given = await peer.until(lambda kind, _flags, number, _: (kind, number) == (WINDOW_UPDATE, 1))
    assert int.from_bytes(given, "big") > 131_072


async def test_empty_messages_are_unread_too(peer: Peer) -> None:
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Count")))
    for _ in range(13):
        peer.send(frame(DATA, 0, 1, message(b"") * 3200))
    peer.send(frame(PING, 0, 0, b"all sent"))

    kinds = []
    while not kinds or kinds[-1] != PING:
        kinds.append((await peer.next())[0])
    assert kinds.count(WINDOW_UPDATE) == 1  # that of the greeting


async def test_who_sends_more_than_a_window_loses_the_connection(peer: Peer) -> None:
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Count")))
    with capture_logs():
        for _ in range(20):
            peer.send(frame(DATA, 0, 1, message(b"x" * 15_000)))

        assert await peer.error() == 3


async def test_calls_that_hold_too_much_cost_the_connection(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc_server, "_MOST_HELD", MIB)
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head()), frame(DATA, 0, 1, message(b"x" * 50 * MIB)[:5]))
    with capture_logs():
        for _ in range(4 * MIB // 16_000 + 1):
            peer.send(frame(DATA, 0, 1, b"x" * 16_000))

        assert await peer.error() == 11


async def test_more_calls_than_were_allowed_are_refused(
    peer: Peer, methods: Methods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "_MOST_CALLS", 2)
    for number in (1, 3, 5):
        peer.send(frame(HEADERS, END_HEADERS, number, peer.head("/t.T/Hold")))
    assert (await peer.until(lambda kind, *_: kind == RST_STREAM))[2:] == (5, b"\0\0\0\x07")

    peer.send(frame(RST_STREAM, 0, 1, b"\0\0\0\x08"), frame(HEADERS, END_HEADERS, 7, peer.head("/t.T/Hold")))

    await peer.until(lambda kind, _flags, number, _: (kind, number) == (HEADERS, 7))
    assert methods.running == 2


async def test_calls_that_are_reset_as_fast_as_they_come_leave_nothing(peer: Peer, methods: Methods) -> None:
    tasks = len(asyncio.all_tasks())
    for number in range(1, 6001, 2):
        peer.send(
            frame(HEADERS, END_HEADERS, number, peer.head("/t.T/Hold")), frame(RST_STREAM, 0, number, b"\0\0\0\x08")
        )
    peer.send(frame(HEADERS, LAST, 6001, peer.head()))

    assert await peer.answer(6001) == (b"", "0")
    await eventually(lambda: len(asyncio.all_tasks()), lambda now: now <= tasks, within=SOON)
    assert methods.running == 0


async def test_a_peer_that_takes_nothing_for_a_while_is_not_listened_to(server: GrpcServer, peer: Peer) -> None:
    async def flood() -> None:
        while True:
            peer.send(frame(PING, 0, 0, b"and more") * 1000)
            await peer.writer.drain()

    (connection,) = await eventually(lambda: server._connections, bool, within=SOON)
    transport = connection._transport
    assert transport is not None
    flooding = asyncio.create_task(flood())
    await eventually(transport.is_reading, lambda listens: not listens, within=SOON)
    assert transport.get_write_buffer_size() < 8 * MIB
    flooding.cancel()

    peer.send(frame(PING, 0, 0, b"the last"))
    told = b""
    while not told.endswith(frame(PING, ACK, 0, b"the last")):
        told = told[-16:] + await asyncio.wait_for(peer.reader.read(MIB), SOON)
    peer.send(frame(HEADERS, LAST, 1, peer.head()))
    assert await peer.answer(1) == (b"", "0")


async def test_a_peer_that_has_said_all_and_reads_nothing_keeps_no_place(
    server: GrpcServer, peer: Peer, methods: Methods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpc_server, "_HANG_UP_SECONDS", 0.1)
    peer.send(frame(HEADERS, END_HEADERS, 1, peer.head("/t.T/Hold")), frame(PING, 0, 0, b"unread..") * 50_000)
    (connection,) = await eventually(lambda: server._connections, bool, within=SOON)
    await eventually(lambda: connection._rest == b"" and methods.running, lambda running: running == 1, within=SOON)

    peer.writer.write_eof()

    await eventually(lambda: (methods.running, methods.cancelled), lambda seen: seen == (0, 1), within=SOON)
    await eventually(lambda: server._connections, lambda left: not left, within=SOON)


async def test_a_peer_that_says_goodbye_is_still_answered(peer: Peer) -> None:
    peer.send(
        frame(HEADERS, END_HEADERS, 1, peer.head()),
        frame(GOAWAY, 0, 0, b"\0" * 8),
        frame(DATA, END_STREAM, 1, message(b"the last")),
    )

    assert await peer.answer(1) == (message(b"the last"), "0")


async def test_that_a_peer_found_an_error_is_logged(peer: Peer) -> None:
    with capture_logs() as logged:
        peer.send(frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\x09and why"), frame(PING, 0, 0, b"whatever"))
        await peer.until(lambda kind, *_: kind == PING)

    assert [line["error"] for line in logged] == [9]


async def test_a_server_that_stops_says_which_calls_it_ends(server: GrpcServer, peer: Peer, methods: Methods) -> None:
    for number in (1, 3):
        peer.send(frame(HEADERS, END_HEADERS, number, peer.head("/t.T/Count")))
        await peer.until(lambda kind, *_: kind == HEADERS)
    stopping = asyncio.create_task(server.stop(SOON))
    _, _, number, told = await peer.until(lambda kind, *_: kind == GOAWAY)
    assert (number, told) == (0, b"\0\0\0\x03\0\0\0\0")

    peer.send(frame(HEADERS, LAST, 5, peer.head()))
    assert (await peer.until(lambda kind, *_: kind == RST_STREAM))[2:] == (5, b"\0\0\0\x07")

    peer.send(*(frame(DATA, END_STREAM, number, message(b"m")) for number in (1, 3)))
    methods.go_on.set()
    assert [(await peer.answer(number))[1] for number in (1, 3)] == ["0", "0"]
    await asyncio.wait_for(stopping, SOON)
    assert await asyncio.wait_for(peer.reader.read(), SOON) == b""


async def test_a_connection_may_end_anywhere(server: GrpcServer, tmp_path: Path, methods: Methods) -> None:
    block = Peer.head_block("/t.T/Hold")
    talk = b"".join(
        (
            PREFACE,
            settings(window=3),
            frame(HEADERS, 0, 1, block[:9]),
            frame(CONTINUATION, END_HEADERS, 1, block[9:]),
            frame(DATA, 0, 1, message(b"one")),
            frame(HEADERS, LAST, 3, Peer.head_block("/t.T/Quit")),
            frame(HEADERS, END_HEADERS, 5, Peer.head_block("/t.T/Echo")),
            frame(DATA, 0, 5, message(b"more than its window")),
            frame(DATA, END_STREAM, 5, message(b"")),
        )
    )
    for at in range(1, len(talk), 5):
        async with connected(tmp_path / "s", talk[:at]):
            await eventually(lambda: server._connections, bool, within=SOON)
        await eventually(lambda: server._connections, lambda left: not left, within=SOON)
        assert methods.running == 0


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
