"""The gRPC server beside gRPC's own client."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc.aio
import pytest
from structlog.testing import capture_logs

from extproc.transport.grpc_server import GrpcServer
from tests.harness.waiting import eventually
from tests.unit.transport.http2_peer import MIB, SOON, Methods


@pytest.fixture
async def channel(server: GrpcServer, tmp_path: Path) -> AsyncIterator[grpc.aio.Channel]:
    options = [("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(f"unix:{tmp_path / 's'}", options=options) as channel:
        yield channel


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
    for _ in range(20):  # meanwhile other calls get through
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
