"""With a prefix cache the simulator reports and charges what a prompt has in common with the one before."""

import secrets
from collections.abc import Iterator
from typing import Any

import pytest

from simulator.plan.prefix_cache import BLOCK_TOKENS
from simulator.server.settings import SimulatorSettings
from simulator.server.threaded import SimulatorThread
from tests.unit.simulator.talk import CHAT, MESSAGES, RESPONSES, SPOKEN, Api, events

FILLER = "The quick brown fox. " * 1000


@pytest.fixture(scope="module")
def shared_simulator() -> Iterator[SimulatorThread]:
    with SimulatorThread(SimulatorSettings(prefix_cache_seconds=300)) as simulator:
        yield simulator


def conversation(path: str, turns: int, first: str = FILLER) -> dict[str, Any]:
    said = [{"role": "user", "content": f"{first if turn == 0 else 'go on'}"} for turn in range(turns)]
    return {"input": said} if path == RESPONSES else {"messages": said}


def figures(path: str, usage: dict[str, Any]) -> tuple[int, int]:
    """All input, and the cached part of it, as the dialect tells them."""
    if path == MESSAGES:
        return usage["input_tokens"] + usage["cache_read_input_tokens"], usage["cache_read_input_tokens"]
    names = ("prompt_tokens", "prompt_tokens_details") if path == CHAT else ("input_tokens", "input_tokens_details")
    return usage[names[0]], usage[names[1]]["cached_tokens"]


@pytest.mark.parametrize("path", SPOKEN)
def test_a_turn_more_is_cached_but_for_what_is_new(api: Api, path: str) -> None:
    first = figures(path, api.ask(path, body=conversation(path, 1)).json()["usage"])
    second = figures(path, api.ask(path, body=conversation(path, 2)).json()["usage"])

    assert first[1] == 0
    assert second[0] > first[0]
    assert first[0] - 2 * BLOCK_TOKENS < second[1] < first[0]


def test_a_stream_reports_it_at_its_end(api: Api) -> None:
    api.ask(MESSAGES, body=conversation(MESSAGES, 1))

    last = events(api.ask(MESSAGES, stream=True, body=conversation(MESSAGES, 2)).text)[-2]["usage"]

    assert last["cache_read_input_tokens"] > 5000 > last["input_tokens"]


def test_a_line_that_changes_in_front_makes_the_cache_cold(api: Api) -> None:
    for turn in range(1, 4):
        body = conversation(MESSAGES, turn, f"version {turn}\n{FILLER}")
        assert figures(MESSAGES, api.ask(MESSAGES, body=body).json()["usage"])[1] == 0


def test_cached_tokens_cost_a_quarter_of_the_plan(api: Api) -> None:
    charged = []
    for _ in range(2):
        api.ask(MESSAGES, body={**conversation(MESSAGES, 1), "model": "glm-5.3"}, output_tokens=0)
        charged.append(api.settled()["credits"])

    assert charged[1] == pytest.approx(charged[0] * 1.7 / 6.9, rel=0.05)


@pytest.mark.parametrize("stated", [{"input_tokens": 900}, {"cached_tokens": 0}, {"cached_tokens": 5}])
def test_an_answer_that_states_its_tokens_reports_those(api: Api, stated: dict[str, int]) -> None:
    api.ask(MESSAGES, body=conversation(MESSAGES, 1))

    usage = api.ask(MESSAGES, body=conversation(MESSAGES, 2), **stated).json()["usage"]

    assert usage["cache_read_input_tokens"] == stated.get("cached_tokens", 0)
    assert usage["input_tokens"] == stated.get("input_tokens", usage["input_tokens"]) > 0


def test_models_and_accounts_share_nothing(api: Api) -> None:
    body = conversation(MESSAGES, 1)
    api.ask(MESSAGES, body=body)

    assert api.ask(MESSAGES, body={**body, "model": "glm-4.7"}).json()["usage"]["cache_read_input_tokens"] == 0
    with Api(api.simulator, f"{secrets.token_hex(16)}.{secrets.token_hex(8)}") as other:
        assert other.ask(MESSAGES, body=body).json()["usage"]["cache_read_input_tokens"] == 0
    assert api.ask(MESSAGES, body=body).json()["usage"]["cache_read_input_tokens"] > 0


def test_a_reset_empties_the_cache(api: Api) -> None:
    api.ask(MESSAGES, body=conversation(MESSAGES, 1))
    api.simulator.reset()

    assert api.ask(MESSAGES, body=conversation(MESSAGES, 1)).json()["usage"]["cache_read_input_tokens"] == 0
