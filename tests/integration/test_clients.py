"""Clients with tokens of their own: only they may come, each within its limits, and what they use is booked."""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.harness.ports import free_port
from tests.harness.processes import bare_environment, make_key
from tests.harness.stack import PROMPT, ZAI_PROXY, Stack, running_stack
from tests.harness.waiting import eventually, wait_until

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Guarded:
    """A stack that asks for tokens, and the tokens of its clients by name."""

    stack: Stack
    file: Path
    tokens: dict[str, str]

    async def ask(self, client: str, path: str = "/v1/messages", **scenario: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens.get(client, client)}", "x-sim": json.dumps(scenario)}
        async with httpx.AsyncClient(timeout=30) as http:
            return await http.post(self.stack.url + path, json=PROMPT, headers=headers)


def token_command(file: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = bare_environment(CLIENT_TOKENS_FILE=str(file))
    return subprocess.run(
        [ZAI_PROXY, "token", *arguments], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("clients")
    file = directory / "tokens.json"
    options: dict[str, list[str]] = {"anna": [], "one-at-a-time": ["--max-in-flight", "1"]}
    options["thrifty"] = ["--daily-tokens", "30"]
    tokens = {name: token_command(file, "add", name, *more).stdout.strip() for name, more in options.items()}
    settings = {"CLIENT_TOKENS_FILE": str(file), "CLIENT_LABELS": "on", "STATE_DIR": str(directory)}
    with running_stack(directory, **settings) as stack:
        yield Guarded(stack, file, tokens)


@pytest.mark.parametrize("header", ["authorization", "x-api-key", "api-key"])
async def test_a_known_token_opens_in_every_form_and_never_goes_up(guarded: Guarded, header: str) -> None:
    token = guarded.tokens["anna"]
    value = f"Bearer {token}" if header == "authorization" else token

    answer = httpx.post(f"{guarded.stack.url}/v1/messages", json=PROMPT, headers={header: value})

    assert answer.status_code == 200
    assert token not in json.dumps(guarded.stack.simulator.log())
    assert guarded.stack.simulator.log()[-1]["credentials"]


@pytest.mark.parametrize(
    ("path", "field", "value"),
    [("/v1/messages", "type", "authentication_error"), ("/v1/chat/completions", "code", "unauthorized")],
)
@pytest.mark.parametrize("token", [None, "wrong", "zp-" + "A" * 43])
def test_no_token_or_a_wrong_one_gets_401_in_the_callers_dialect_and_nothing_goes_up(
    guarded: Guarded, path: str, field: str, value: str, token: str | None
) -> None:
    before = len(guarded.stack.simulator.log())
    headers = {} if token is None else {"x-api-key": token}

    answer = httpx.post(guarded.stack.url + path, json=PROMPT, headers=headers, timeout=20)

    assert answer.status_code == 401
    assert answer.json()["error"][field] == value
    assert answer.headers["x-should-retry"] == "false"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert len(guarded.stack.simulator.log()) == before


def test_the_proxys_own_health_needs_no_token(guarded: Guarded) -> None:
    assert httpx.get(f"{guarded.stack.url}/health").status_code == 200


async def test_a_client_has_no_more_under_way_than_it_may(guarded: Guarded) -> None:
    running = asyncio.create_task(guarded.ask("one-at-a-time", delay=1.0))
    await eventually(lambda: guarded.stack.status()["requests"], lambda there: len(there) == 1)

    refused = await guarded.ask("one-at-a-time")
    other = await guarded.ask("anna")

    assert (refused.status_code, other.status_code) == (429, 200)
    assert refused.headers["retry-after"] == "2"
    assert "one-at-a-time has 1 requests under way" in refused.json()["error"]["message"]
    assert (await running).status_code == 200
    assert (await guarded.ask("one-at-a-time")).status_code == 200


async def test_a_client_that_has_used_its_tokens_of_the_day_is_refused(guarded: Guarded) -> None:
    assert (await guarded.ask("thrifty", output_tokens=50)).status_code == 200
    await eventually(
        lambda: [row for row in guarded.stack.status()["usage"] if row["client"] == "thrifty"], lambda rows: bool(rows)
    )

    refused = await guarded.ask("thrifty")

    assert refused.status_code == 429
    assert "has used its 30 tokens of today" in refused.json()["error"]["message"]


async def test_usage_is_shown_by_client_model_and_day_and_named_in_metrics_if_wanted(guarded: Guarded) -> None:
    await guarded.ask("anna", input_tokens=100, output_tokens=7)
    await eventually(
        lambda: guarded.stack.metric("zai_proxy_rate_limit_wait_seconds_count", client="anna"), lambda count: count > 0
    )

    shown = subprocess.run(
        [ZAI_PROXY, "usage", "--json"],
        env=guarded.stack.environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    [row] = [row for row in json.loads(shown.stdout) if row["client"] == "anna"]
    assert row["model"] == "glm-5.3"
    assert row["program"] == "httpx"
    assert row["input_tokens"] >= 100
    assert row["day"] == time.strftime("%Y-%m-%d", time.gmtime())


async def test_a_token_that_is_removed_is_worthless_within_seconds_and_a_new_one_good(guarded: Guarded) -> None:
    added = token_command(guarded.file, "add", "for-a-moment")
    token = added.stdout.strip()
    await eventually(lambda: ask_plainly(guarded, token), lambda status: status == 200)

    assert token_command(guarded.file, "remove", "for-a-moment").returncode == 0

    await eventually(lambda: ask_plainly(guarded, token), lambda status: status == 401)


def ask_plainly(guarded: Guarded, token: str) -> int:
    headers = {"x-api-key": token}
    return httpx.post(f"{guarded.stack.url}/v1/messages", json=PROMPT, headers=headers, timeout=20).status_code


async def test_a_damaged_file_keeps_the_last_good_tokens_in_force(guarded: Guarded) -> None:
    good = guarded.file.read_text()
    try:
        guarded.file.write_text(good[: len(good) // 2])
        wait_until(lambda: "the client tokens are unusable" in guarded.stack.processor.output, "it is noticed")
        assert (await guarded.ask("anna")).status_code == 200
    finally:
        guarded.file.write_text(good)


def test_no_token_is_in_the_file_the_logs_the_status_or_the_metrics(guarded: Guarded) -> None:
    stack = guarded.stack
    shown = httpx.get(f"{stack.metrics_url}/status").text + httpx.get(f"{stack.metrics_url}/metrics").text
    written = guarded.file.read_text() + stack.processor.output + stack.envoy.output

    for token in guarded.tokens.values():
        assert token not in shown
        assert token not in written
    assert guarded.file.stat().st_mode & 0o077 == 0


def test_the_list_shows_names_and_limits_and_no_token(guarded: Guarded) -> None:
    listed = token_command(guarded.file, "list").stdout

    assert "one-at-a-time" in listed
    assert not any(token in listed for token in guarded.tokens.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "anna"), "anna has a token already"),
        (("add", "an na"), "is no name for a client"),
        (("remove", "nobody"), "there is no client nobody"),
    ],
)
def test_a_command_that_can_not_be_done_says_why_and_changes_nothing(
    guarded: Guarded, arguments: tuple[str, ...], said: str
) -> None:
    before = guarded.file.read_text()
    done = token_command(guarded.file, *arguments)

    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert guarded.file.read_text() == before


def test_a_missing_file_of_tokens_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    environment = bare_environment(ZAI_API_KEY=make_key(), CLIENT_TOKENS_FILE=str(tmp_path / "none.json"))
    done = subprocess.run(
        [ZAI_PROXY, "extproc"], env=environment, capture_output=True, text=True, timeout=30, check=False
    )

    assert done.returncode == 2
    assert done.stderr.startswith("CLIENT_TOKENS_FILE=")
    assert len(done.stderr.splitlines()) == 1


def doctor(stack: Stack, *options: str, **settings: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [ZAI_PROXY, "doctor", *options],
        env={**stack.environment, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_doctor_finds_nothing_wrong_with_what_works(guarded: Guarded) -> None:
    done = doctor(guarded.stack, "--request")

    assert done.returncode == 0, done.stdout
    assert "glm-4.5-air has answered" in done.stdout
    assert "five-hour" in done.stdout
    assert guarded.stack.key not in done.stdout


def test_the_doctor_finds_a_key_that_is_not_taken_and_says_what_to_do(guarded: Guarded) -> None:
    key = make_key()
    done = doctor(guarded.stack, "--request", ZAI_API_KEY=key, ANTHROPIC_AUTH_TOKEN=key)

    assert done.returncode == 1
    assert "PROBLEM  request: Z.AI answered 401" in done.stdout
    assert "ANTHROPIC_AUTH_TOKEN: holds the Z.AI key itself" in done.stdout
    assert key not in done.stdout + done.stderr


@pytest.mark.parametrize("target", ["http://127.0.0.1:9", "http://no-such-host.invalid"])
def test_the_doctor_says_what_stands_in_the_way(guarded: Guarded, target: str) -> None:
    done = doctor(guarded.stack, ZAI_TARGET_URL=target, METRICS_PORT=str(free_port()))  # no proxy tells another

    assert done.returncode == 1
    assert "PROBLEM" in done.stdout
    assert "Traceback" not in done.stderr


def test_without_a_file_of_tokens_the_processor_does_not_get_to_see_credentials(tmp_path: Path) -> None:
    config = subprocess.run(
        [ZAI_PROXY, "envoy-config"],
        env={**os.environ, **bare_environment()},
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    withheld = next(line for line in config.stdout.splitlines() if "disallowed_headers" in line)

    assert all(name in withheld for name in ("authorization", "x-api-key", "api-key", "cookie"))
