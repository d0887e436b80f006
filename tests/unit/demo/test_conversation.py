"""The demo's conversations go on from turn to turn, and one of them with another beginning each time."""

import asyncio
import json

import httpx

from extproc.demo.conversation import MEMBERS, Member, body, converse
from extproc.domain.request.programs import program_of
from simulator.api.prompt import ANTHROPIC, prompt_of
from simulator.api.turn import BYTES_PER_TOKEN
from simulator.plan.prefix_cache import LEAST_TOKENS, PrefixCache

COLD, WARM = MEMBERS


def cached(member: Member) -> list[int]:
    """The tokens that each of its first turns finds in a cache."""
    cache = PrefixCache(300.0, bytes_per_token=BYTES_PER_TOKEN)
    return [cache.read("a", prompt_of(body(member, turn), ANTHROPIC), 0.0) for turn in range(8)]


def test_one_finds_all_that_it_had_said_and_the_other_nothing() -> None:
    assert cached(COLD) == [0] * 8
    warm = cached(WARM)
    assert warm[0] == 0
    assert all(tokens > 2 * LEAST_TOKENS for tokens in warm[1:])
    assert warm == sorted(warm)


def test_their_programs_are_known() -> None:
    assert [program_of(member.user_agent) for member in MEMBERS] == ["Claude Code", "OpenCode"]


async def test_a_conversation_grows_within_its_session_until_it_is_told_to_stop() -> None:
    stopping, asked = asyncio.Event(), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((request.headers[COLD.session_header], len(json.loads(request.content)["messages"])))
        if len(asked) == 1:
            raise httpx.ConnectError("nobody there")
        stopping.set()
        return httpx.Response(503, stream=httpx.ByteStream(b"no"))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        await asyncio.wait_for(converse(client, "http://proxy", COLD, stopping), 30)

    [(first, messages), (second, more)] = asked
    assert first == second
    assert more > messages
