"""Pacing with a clock and an event loop around it, and nothing else: no Envoy, no socket."""

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from extproc.domain.pacing.config import PacingConfig, PacingMode
from extproc.domain.pacing.records import Admitted
from extproc.domain.request.exchange import Exchange
from extproc.domain.request.model_names import ModelNames
from extproc.domain.request.refusals import Refusal, RefusalReason
from extproc.domain.request.routes import classify
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.prices import CreditRates, PriceRow, PriceTable
from extproc.domain.usage.tokens import TokenCounts
from extproc.runtime.pacer import Pacer, Ticket
from extproc.runtime.state_file import StateFile
from tests.harness.waiting import eventually
from tests.unit.domain.usage.test_outcome import REPORTED, outcome_of

MESSAGES = "/v1/messages"
COUNTING = "/v1/messages/count_tokens"
TOOLS = "/api/mcp/zread/mcp"


def pacer_of(
    mode: PacingMode = PacingMode.FIXED,
    timeout: float = 60.0,
    state: StateFile | None = None,
    prices: PriceTable | None = None,
) -> Pacer:
    """One request at a time."""
    config = PacingConfig(mode, concurrency_initial=1, rate_initial=100.0, rate_burst=100.0, queue_timeout=timeout)
    return Pacer(config, ModelNames(), dict, state, prices)


class Requests:
    """Requests that are under way until the test ends, or ends them."""

    def __init__(self, pacer: Pacer) -> None:
        self._pacer = pacer
        self._open: dict[str, ExitStack] = {}
        self.exchanges: dict[str, Exchange] = {}

    def begin(
        self, name: str, path: str = MESSAGES, method: str = "POST", asked: str = "glm-5.3", source: str = "source-00"
    ) -> Ticket:
        exchange = Exchange(name, name, method, path, source, time.time(), principal=source, asked=asked)
        self.exchanges[name] = exchange
        self._open[name] = ExitStack()
        route = classify(path, speaks_anthropic=False)
        return self._open[name].enter_context(self._pacer.enter(exchange, route, 1000))

    def end(self, name: str) -> None:
        self._open.pop(name).close()


async def is_still_waiting(ticket: Ticket) -> bool:
    """Whether it has not been decided although everything that could happen by now has happened."""
    await asyncio.sleep(0)
    return not ticket.is_decided


async def test_a_request_that_has_a_place_is_decided_at_once() -> None:
    ticket = Requests(pacer_of()).begin("first")

    assert ticket.is_decided
    assert await ticket.decided() == Admitted(0.0)


@pytest.mark.parametrize("seconds", [3600.0, 2.0, -3600.0])
async def test_a_clock_that_jumps_moves_no_deadline(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    pacer = pacer_of(timeout=10.0)
    requests = Requests(pacer)
    requests.begin("first")
    second = requests.begin("second")
    wall, steady, passed = time.time(), time.monotonic(), 1.0
    monkeypatch.setattr(time, "time", lambda: wall + seconds + passed)
    monkeypatch.setattr(time, "monotonic", lambda: steady + passed)
    pacer.go_on()

    passed = 9.5
    pacer.go_on()
    assert await is_still_waiting(second)

    passed = 10.5
    pacer.go_on()
    answer = await second.decided()
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.RATE


async def test_the_next_one_goes_when_the_first_has_ended() -> None:
    requests = Requests(pacer_of())
    requests.begin("first")
    second = requests.begin("second")
    assert await is_still_waiting(second)

    requests.end("first")

    answer = await second.decided()
    assert isinstance(answer, Admitted)
    assert answer.waited > 0.0


async def test_who_leaves_the_queue_leaves_its_turn_to_the_next() -> None:
    pacer = pacer_of()
    requests = Requests(pacer)
    requests.begin("first")
    requests.begin("second")
    third = requests.begin("third")

    requests.end("second")
    requests.end("first")

    assert isinstance(await third.decided(), Admitted)
    assert [each.id for each in pacer.waiting()] == []


async def test_who_has_waited_for_the_time_that_it_may_is_refused_without_being_asked_for() -> None:
    requests = Requests(pacer_of(timeout=0.02))
    requests.begin("first")

    answer = await requests.begin("second").decided()

    assert isinstance(answer, Refusal)
    assert (answer.reason, answer.status) == (RefusalReason.RATE, 429)


async def test_a_person_ends_a_wait_once_and_nothing_but_a_wait() -> None:
    pacer = pacer_of()
    requests = Requests(pacer)
    requests.begin("first")
    second = requests.begin("second")

    assert [pacer.give_up(name) for name in ("first", "second", "second", "unknown")] == [False, True, False, False]

    answer = await second.decided()
    assert isinstance(answer, Refusal)
    assert answer.reason is RefusalReason.CANCELLED


@pytest.mark.parametrize(
    ("path", "method"), [(COUNTING, "POST"), (TOOLS, "GET")], ids=["counts tokens", "hears of a tool's news"]
)
async def test_what_takes_no_place_of_the_plan_never_waits(path: str, method: str) -> None:
    requests = Requests(pacer_of())
    requests.begin("first")

    assert await requests.begin("second", path, method).decided() == Admitted(0.0)


async def test_calls_of_tools_have_places_beside_those_of_the_models() -> None:
    requests = Requests(pacer_of())
    requests.begin("first")

    assert await requests.begin("call", TOOLS).decided() == Admitted(0.0)


@pytest.mark.parametrize("asked", ["mcp", "unknown", "model:mcp"])
async def test_a_model_whose_name_stands_for_something_else_has_places_of_its_own(asked: str) -> None:
    pacer = pacer_of(PacingMode.ADAPTIVE)
    requests = Requests(pacer)
    for name, path, model in (("call", TOOLS, ""), ("nameless", MESSAGES, ""), ("odd", MESSAGES, asked)):
        requests.begin(name, path, asked=model)

    in_flight = {each.model: each.in_flight + each.waiting for each in pacer.status().models}
    assert in_flight == {"mcp": 1, "unknown": 1, f"model:{asked}": 1}
    requests.end("call")
    assert await is_still_waiting(requests.begin("odd too", asked=asked))


async def test_an_answer_of_a_model_that_is_named_like_the_tools_takes_places_of_its_own() -> None:
    pacer = pacer_of()
    requests = Requests(pacer)
    requests.begin("first", asked="alias")

    pacer.take_answer("alias", "mcp")

    assert {each.model: each.in_flight for each in pacer.status().models if each.in_flight} == {"model:mcp": 1}
    assert await requests.begin("call", TOOLS).decided() == Admitted(0.0)


async def test_without_pacing_nobody_waits_and_nothing_is_hinted_at() -> None:
    pacer = pacer_of(PacingMode.OFF)
    requests = Requests(pacer)
    tickets = [requests.begin(str(number)) for number in range(5)]

    assert [await ticket.decided() for ticket in tickets] == [Admitted(0.0)] * 5
    assert pacer.hints(Exchange("x", "x", "POST", MESSAGES, "source-00", 0.0), classify(MESSAGES, False)) == {}


async def test_a_request_is_told_where_its_model_stands() -> None:
    pacer = pacer_of()
    requests = Requests(pacer)
    requests.begin("first")

    told = pacer.hints(
        Exchange("x", "x", "POST", MESSAGES, "source-00", 0.0, asked="glm-5.3"), classify(MESSAGES, False)
    )

    assert (told["limit"], told["remaining"]) == ("1", "0")
    assert told["reset"].endswith("s")


async def test_what_a_request_takes_is_guessed_by_what_its_model_costs() -> None:
    rates = {"dear": CreditRates(60.0, 60.0, 600.0), "cheap": CreditRates(1.0, 1.0, 10.0)}
    rows = {model: [PriceRow(0.0, 1.0, 1.0, 1.0, 0.0, of)] for model, of in rates.items()}
    pacer = pacer_of(prices=PriceTable(date(2026, 11, 1), rows))
    requests = Requests(pacer)
    for name in ("runs", "dear", "cheap"):
        requests.begin(name, asked=name)

    costs = {each.asked: each.cost for each in pacer.waiting()}

    assert costs["dear"] == pytest.approx(60 * costs["cheap"])


@pytest.mark.parametrize(("tokens", "order"), [(1_000, "abbab"), (100_000, "abbba")])
async def test_what_a_request_took_counts_for_the_turns_of_its_source(tokens: int, order: str) -> None:
    """Of requests that are alike those of one source turn out to take less, or more, than those of the other."""
    taken = {"a": tokens, "b": 2_000}
    pacer = pacer_of()
    requests = Requests(pacer)
    waiting = {name: requests.begin(name, source=name[0]) for name in ("a0", "a1", "a2", "b0", "b1", "b2")}
    running = "a0"
    del waiting[running]

    went = []
    while waiting:
        requests.end(running)
        answer = replace(REPORTED, tokens=TokenCounts(input=taken[running[0]], output=10))
        pacer.take_outcome(outcome_of(exchange_id=running, answer=answer))
        (running,) = await eventually(lambda: [name for name in waiting if waiting[name].is_decided], bool)
        del waiting[running]
        went.append(running[0])

    assert "".join(went) == order


async def test_a_refused_request_waits_for_a_place_before_all_that_came_later() -> None:
    requests = Requests(pacer := pacer_of())
    requests.begin("first")
    again = asyncio.ensure_future(pacer.wait_again(requests.exchanges["first"]))
    later = requests.begin("later")

    await asyncio.wait_for(again, 60)

    assert await is_still_waiting(later)
    requests.end("first")
    assert isinstance(await later.decided(), Admitted)


async def test_who_is_sent_again_is_told_when_to_come_back_by_how_many_wait_for_its_place() -> None:
    told = []
    for others in (0, 3):
        requests = Requests(pacer := pacer_of())
        requests.begin("refused")
        for number in range(others):
            requests.begin(f"waits-{number}")
        told.append(await asyncio.wait_for(pacer.wait_again(requests.exchanges["refused"]), 60))

    alone, behind = told
    assert alone is not None
    assert behind is not None
    assert 1 <= alone < behind


async def test_who_has_waited_too_long_to_be_sent_again_is_told_how_long_in_all_and_when_to_come_back() -> None:
    requests = Requests(pacer := pacer_of(PacingMode.ADAPTIVE, timeout=1.0))
    requests.begin("refused")
    requests.begin("next")  # it takes the place
    exchange = requests.exchanges["refused"]
    exchange.waited = 50.0

    told = await asyncio.wait_for(pacer.wait_again(exchange), 60)

    assert isinstance(told, Refusal)
    assert (told.reason, told.status) == (RefusalReason.RATE, 429)
    assert told.retry_after is not None
    assert told.message == f"The plan has had no place for this request for 52 s: try again in {told.retry_after} s."
    assert exchange.waited == pytest.approx(52.0, abs=0.5)


async def test_a_request_that_nobody_knows_is_sent_again_at_once() -> None:
    unknown = Exchange("unknown", "of a processor before", "POST", MESSAGES, "source-00", time.time())

    told = await asyncio.wait_for(pacer_of().wait_again(unknown), 60)

    assert told is None, "nobody knows when to come back either"


async def test_whoever_wants_to_know_hears_of_every_change() -> None:
    heard: list[int] = []
    pacer = pacer_of()
    pacer.on_change = lambda: heard.append(len(pacer.waiting()))
    requests = Requests(pacer)
    requests.begin("first")
    requests.begin("second")

    requests.end("second")

    assert heard
    assert (max(heard), heard[-1]) == (1, 0)


async def test_places_are_those_of_the_model_that_answers() -> None:
    pacer = pacer_of(PacingMode.ADAPTIVE)
    requests = Requests(pacer)
    requests.begin("first", asked="claude-sonnet")

    pacer.take_answer("claude-sonnet", "glm-5.3")

    assert [each.model for each in pacer.status().models if each.in_flight] == ["glm-5.3"]


@pytest.fixture
def state(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path / "limits.json")


async def ended(pacer: Pacer) -> None:
    """Runs it until it has begun, and ends it as a service does."""
    running = asyncio.ensure_future(pacer.run())
    await asyncio.sleep(0)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


async def test_names_that_nothing_has_answered_for_share_one_limit_and_one_name() -> None:
    pacer = pacer_of(prices=parse_price_table(packaged_prices()))
    requests = Requests(pacer)
    requests.begin("first", asked="made-up-1")

    assert await is_still_waiting(requests.begin("second", asked="made-up-2"))
    assert {each.model for each in pacer.status().models} == {"unknown"}

    pacer.take_answer("made-up-1", "glm-4.7")

    assert {each.model for each in pacer.status().models if each.in_flight} == {"glm-4.7"}


async def test_what_was_learned_is_there_after_a_restart(state: StateFile) -> None:
    await ended(pacer_of(PacingMode.ADAPTIVE, state=state))
    saved = state.read()
    assert isinstance(saved, dict)
    saved["accounts"]["main"]["concurrency"]["limit"] = 7
    state.write(saved)

    assert pacer_of(PacingMode.ADAPTIVE, state=state).status().concurrency.limit == 7


@pytest.mark.parametrize("spoil", [lambda path: path.write_text("{"), lambda path: path.write_text('{"version": -1}')])
async def test_a_file_that_tells_nothing_is_as_good_as_none(state: StateFile, spoil: Callable[[Path], object]) -> None:
    spoil(state.path)

    assert pacer_of(PacingMode.ADAPTIVE, state=state).status().concurrency.limit == 1
