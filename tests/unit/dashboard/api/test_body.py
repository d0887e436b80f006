"""A body has an end, or the request has."""

import asyncio

import pytest
from starlette.requests import Request
from starlette.types import Message

from dashboard.api.body import read_body
from dashboard.problems import ApiError
from tests.harness.virtual_time import in_virtual_time


def bringing(*messages: Message) -> Request:
    """A request with these pieces of a body, after which nothing comes."""
    left = list(messages)

    async def receive() -> Message:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return Request({"type": "http", "method": "POST", "headers": []}, receive)


def piece(body: bytes, more_body: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more_body}


@in_virtual_time
async def test_what_comes_whole_is_read_to_the_bound() -> None:
    assert await read_body(bringing(piece(b"ab", True), piece(b"c", False)), 3) == b"abc"


@in_virtual_time
@pytest.mark.parametrize(
    ("end", "status"),
    [([], 408), ([{"type": "http.disconnect"}], 400), ([piece(b"cd", True)], 413)],
    ids=["dribbles", "breaks off", "is too large"],
)
async def test_what_does_not_is_refused(end: list[Message], status: int) -> None:
    with pytest.raises(ApiError) as refused:
        await read_body(bringing(piece(b"ab", True), *end), 3)

    assert refused.value.status == status
