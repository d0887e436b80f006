"""Who is let in by its token, who has to wait, and what is booked on whom."""

import asyncio
import contextlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from extproc.domain.clients.clients import Client, ClientRegistry, digest_of
from extproc.domain.clients.usage_ledger import UsageLedger
from extproc.domain.request.head import RequestHead
from extproc.domain.request.refusals import Refusal, RefusalReason
from extproc.domain.request.routes import classify
from extproc.domain.usage.outcome import Outcome, Usage, UsageRecord
from extproc.domain.usage.prices import Cost, PricingTier
from extproc.domain.usage.tokens import NO_TOKENS, TokenCounts
from extproc.runtime import client_file, client_gate
from extproc.runtime.background import Background
from extproc.runtime.client_gate import ClientGate
from extproc.settings import Settings
from tests.harness.processes import make_key
from tests.harness.virtual_time import in_virtual_time
from tests.harness.waiting import eventually
from tests.unit.domain.usage.test_outcome import FINISHED

ANNA = Client("anna", digest_of("zp-anna"), max_in_flight=2, daily_tokens=100)
SOON = 10.0
MIB = 1024 * 1024


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., ClientGate]:
    """Makes a gate; `clients` are those of the file of tokens, without any there is no such file."""

    def gate(*clients: Client, **settings: Any) -> ClientGate:
        if clients:
            file = tmp_path / "tokens.json"
            file.write_text(json.dumps(ClientRegistry(clients).as_dict()))
            settings["client_tokens_file"] = file
        return ClientGate(Settings(zai_api_key=make_key(), **settings))

    return gate


def head(token: str = "", body_bytes: int | None = 100) -> RequestHead:
    return RequestHead(
        "POST", "/v1/messages", "r-1", True, True, "", "", "", peer="203.0.113.1", body_bytes=body_bytes, token=token
    )  # fmt: skip


def ended(client: str = "anna", tokens: int = 0, **fields: Any) -> Outcome:
    entry = replace(FINISHED, client=client, **fields)
    usage = Usage(
        UsageRecord.COMPLETE, "glm-5.3", TokenCounts(input=tokens, output=10), NO_TOKENS, PricingTier.PEAK,
        Cost(0.25, 0.5, 0.0, 0.0), 1.5, None,
    )  # fmt: skip
    return Outcome(entry, classify("/v1/messages", speaks_anthropic=False), 200, None, usage if tokens else None)


def nothing() -> None:
    pass


async def test_without_a_file_of_tokens_nobody_has_to_say_who_it_is(make: Callable[..., ClientGate]) -> None:
    assert await make().identify(head("whatever"), nothing) is None


async def test_a_client_is_known_by_its_token(make: Callable[..., ClientGate]) -> None:
    assert await make(ANNA).identify(head("zp-anna"), nothing) == ANNA


@pytest.mark.parametrize("token", ["", "zp-of-nobody"])
async def test_a_wrong_token_is_refused_and_so_is_none(make: Callable[..., ClientGate], token: str) -> None:
    refusal = await make(ANNA).identify(head(token), nothing)

    assert isinstance(refusal, Refusal)
    assert refusal.reason is RefusalReason.UNAUTHORIZED


class Pauses:
    """Takes the place of sleeping: says how long was to be slept, and sleeps until it is told to wake up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, is_awake: bool = True) -> None:
        self.seconds: list[float] = []
        self.told = 0
        self.awake = asyncio.Event()
        if is_awake:
            self.awake.set()
        monkeypatch.setattr(client_gate.asyncio, "sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await self.awake.wait()

    def tell(self) -> None:
        """Envoy is told to be patient."""
        self.told += 1


async def test_who_tries_tokens_waits_ever_longer_and_envoy_is_told_first(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses = make(ANNA), Pauses(monkeypatch)

    for _ in range(6):
        await gate.identify(head("zp-of-nobody"), pauses.tell)

    assert pauses.seconds == [0.25, 0.5, 1.0]
    assert pauses.told == 3


async def test_so_many_wait_at_most_or_waiting_would_be_a_way_to_harm(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses = make(ANNA, retry_buffer_bytes=48 * MIB), Pauses(monkeypatch, is_awake=False)
    large = 40 * MIB
    for _ in range(3):
        await gate.identify(head(), pauses.tell)

    first = asyncio.create_task(gate.identify(head(body_bytes=large), pauses.tell))
    while not pauses.seconds:
        await asyncio.wait({first}, timeout=0.01)
    refusal = await gate.identify(head(body_bytes=large), pauses.tell)  # two such bodies are more than may be held
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.retry_after) == (429, 5)
    assert len(pauses.seconds) == 1
    assert await gate.identify(head("zp-anna", large), pauses.tell) == ANNA

    pauses.awake.set()
    await first
    await gate.identify(head(body_bytes=large), pauses.tell)
    assert len(pauses.seconds) == 2


@pytest.mark.parametrize("body_bytes", [100 * MIB, 10**15, None])
async def test_a_body_that_is_not_read_before_its_time_is_slowed_like_others_and_counts_as_what_is_held_of_it(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch, body_bytes: int | None
) -> None:
    gate, pauses = make(ANNA), Pauses(monkeypatch, is_awake=False)
    for _ in range(3):
        await gate.identify(head(), pauses.tell)

    tries = [asyncio.create_task(gate.identify(head(body_bytes=body_bytes), pauses.tell)) for _ in range(65)]
    done, waiting = await asyncio.wait(tries, timeout=0.0)

    assert (len(done), len(waiting)) == (1, 64)
    pauses.awake.set()
    await asyncio.gather(*tries)


async def test_a_body_of_which_more_is_held_than_may_wait_in_all_is_slowed_too_if_nothing_else_waits(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses = make(ANNA, retry_buffer_bytes=100 * MIB), Pauses(monkeypatch)
    for _ in range(5):
        await gate.identify(head(body_bytes=90 * MIB), pauses.tell)

    assert pauses.seconds == [0.25, 0.5]


async def test_a_look_at_the_metrics_with_a_wrong_token_is_slowed_with_all_others(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses = make(ANNA), Pauses(monkeypatch)
    assert await gate.refuse_look("zp-anna", "203.0.113.1") is None
    for _ in range(3):
        await gate.identify(head(), pauses.tell)

    refusal = await gate.refuse_look("zp-of-nobody", "203.0.113.1")

    assert refusal is not None
    assert (refusal.status, pauses.seconds) == (401, [0.25])


async def test_who_leaves_while_it_waits_makes_room(
    make: Callable[..., ClientGate], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, pauses = make(ANNA), Pauses(monkeypatch, is_awake=False)
    for _ in range(3):
        await gate.identify(head(), pauses.tell)
    waiting = asyncio.create_task(gate.identify(head(), pauses.tell))
    while not pauses.seconds:
        await asyncio.wait({waiting}, timeout=0.01)

    waiting.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await waiting

    assert (gate._wrong._waiting, gate._wrong._bytes) == (0, 0)


def test_a_client_has_as_many_requests_under_way_as_it_may(make: Callable[..., ClientGate]) -> None:
    gate = make(ANNA)

    with gate.enter(ANNA) as first, gate.enter(ANNA) as second, gate.enter(ANNA) as third:
        assert (first, second) == (None, None)
        assert third is not None
        assert third.reason is RefusalReason.CLIENT_LIMIT

    with gate.enter(ANNA) as later:
        assert later is None


def test_a_request_that_fails_within_is_under_way_no_more(make: Callable[..., ClientGate]) -> None:
    gate = make(ANNA)

    for _ in range(5):
        with contextlib.suppress(RuntimeError), gate.enter(ANNA) as refusal:
            assert refusal is None
            raise RuntimeError


def test_a_client_that_has_used_its_day_up_is_refused_until_the_next(make: Callable[..., ClientGate]) -> None:
    gate = make(ANNA)
    gate.take_outcome(ended(tokens=89))
    with gate.enter(ANNA) as refusal:
        assert refusal is None

    gate.take_outcome(ended(tokens=1))

    with gate.enter(ANNA) as refusal:
        assert refusal is not None
        assert "100 tokens of today" in refusal.message


def test_what_a_request_used_is_booked_on_its_client_and_model(make: Callable[..., ClientGate]) -> None:
    gate = make()
    gate.take_outcome(ended(tokens=30))
    gate.take_outcome(ended(tokens=30))

    (row,) = gate.describe(1)

    assert (row["client"], row["model"], row["requests"]) == ("anna", "glm-5.3", 2)
    assert (row["input_tokens"], row["output_tokens"], row["cost_usd"], row["credits"]) == (60, 20, 1.5, 3.0)


@pytest.mark.parametrize(
    ("client", "source", "booked"), [("anna", "source-07", "anna"), ("", "source-07", "source-07"), ("", "", "unknown")]
)
def test_it_is_booked_on_what_is_known_of_who_asked(
    make: Callable[..., ClientGate], client: str, source: str, booked: str
) -> None:
    gate = make()
    gate.take_outcome(ended(client=client, source=source))

    assert [(row["client"], row["model"]) for row in gate.describe(1)] == [(booked, "unknown")]


@pytest.mark.parametrize(
    ("user_agent", "program"), [("codex_cli_rs/0.44.0 (Linux)", "Codex"), ("something/1.0", None), ("", None)]
)
def test_the_program_that_asked_is_booked_as_its_user_agent_is_known(
    make: Callable[..., ClientGate], user_agent: str, program: str | None
) -> None:
    gate = make()
    gate.take_outcome(ended(user_agent=user_agent))

    assert [row["program"] for row in gate.describe(1)] == [program]


def test_what_never_left_is_booked_on_nobody(make: Callable[..., ClientGate]) -> None:
    gate = make()
    gate.take_outcome(ended(refused="capacity"))
    gate.take_outcome(ended(exchange_id=""))

    assert gate.describe(1) == []


@in_virtual_time
async def test_a_watch_over_the_tokens_that_fails_is_counted_told_and_begun_anew(
    make: Callable[..., ClientGate], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = make(ANNA)
    counted: list[str] = []
    looks = iter([raising])
    stamp = client_file.file_stamp
    monkeypatch.setattr(client_file, "file_stamp", lambda path: next(looks, stamp)(path))
    kept = Background(counted.append)
    tasks = [asyncio.create_task(kept.keep(name, run)) for name, run in gate.background_tasks()]
    await eventually(lambda: kept.failing, lambda failing: failing == {"client_tokens": "LookupError"}, within=SOON)
    assert counted == ["client_tokens"]

    renewed = ClientRegistry((Client("bert", digest_of("zp-bert")),))
    (tmp_path / "tokens.json").write_text(json.dumps(renewed.as_dict()))

    while await gate.identify(head("zp-bert"), nothing) != renewed.find("zp-bert"):
        assert asyncio.get_running_loop().time() < 3600.0
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def raising(_path: Path) -> object:
    raise LookupError("nobody foresaw it")


async def test_the_ledger_is_saved_at_the_end_and_read_at_the_start(
    make: Callable[..., ClientGate], tmp_path: Path
) -> None:
    gate = make(ANNA, state_dir=tmp_path)
    gate.take_outcome(ended(tokens=30))
    running = asyncio.create_task(gate.run())
    await asyncio.sleep(0)

    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running

    assert [row["input_tokens"] for row in make(state_dir=tmp_path).describe(1)] == [30]


@in_virtual_time
async def test_the_ledger_is_saved_soon_after_it_has_changed_and_not_while_it_has_not(
    make: Callable[..., ClientGate], tmp_path: Path
) -> None:
    gate, file = make(state_dir=tmp_path), tmp_path / "usage.json"
    running = asyncio.create_task(gate.run())
    await asyncio.sleep(300.0)
    assert not file.exists()

    for _ in range(2):
        gate.take_outcome(ended(tokens=30))
        await eventually(
            lambda: make(state_dir=tmp_path).describe(1), lambda rows: rows == gate.describe(1), within=SOON
        )

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@in_virtual_time
async def test_a_ledger_that_is_deleted_is_written_again_also_if_nothing_new_is_used(
    make: Callable[..., ClientGate], tmp_path: Path
) -> None:
    gate, directory = make(state_dir=tmp_path / "state"), tmp_path / "state"
    gate.take_outcome(ended(tokens=30))
    running = asyncio.create_task(gate.run())
    await eventually((directory / "usage.json").exists, bool, within=SOON)

    shutil.rmtree(directory)

    await eventually((directory / "usage.json").exists, bool, within=SOON)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert [row["input_tokens"] for row in make(state_dir=directory).describe(1)] == [30]


@pytest.mark.parametrize(("took", "pause"), [(0.01, 5.0), (1.0, 20.0), (30.0, 60.0)])
def test_a_ledger_that_takes_long_to_write_is_written_less_often(took: float, pause: float) -> None:
    assert client_gate._pause_after(took) == pause


@pytest.mark.parametrize("damaged", ["{", '{"version": 99}', '{"version": 1, "days": {"2026-01-01": [["anna"]]}}'])
def test_a_ledger_that_cannot_be_read_is_begun_anew(
    make: Callable[..., ClientGate], tmp_path: Path, damaged: str
) -> None:
    (tmp_path / "usage.json").write_text(damaged)

    with capture_logs() as logged:
        gate = make(state_dir=tmp_path)

    assert [line["log_level"] for line in logged] == ["warning"]
    assert gate.describe(92) == []


def test_a_ledger_that_cannot_be_saved_stops_nothing(make: Callable[..., ClientGate], tmp_path: Path) -> None:
    gate = make(state_dir=tmp_path / "is-gone")

    with capture_logs() as logged:
        gate._state.save(UsageLedger().snapshot())

    assert [line["log_level"] for line in logged] == ["warning"]


async def test_tokens_that_change_are_in_force_without_a_restart(
    make: Callable[..., ClientGate], tmp_path: Path
) -> None:
    gate = make(ANNA)
    assert gate._file is not None
    berta = Client("berta", digest_of("zp-berta"))
    (tmp_path / "tokens.json").write_text(json.dumps(ClientRegistry([berta, ANNA]).as_dict()))

    gate._file.refresh()

    assert await gate.identify(head("zp-berta"), nothing) == berta
