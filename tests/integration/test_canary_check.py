"""`zai-proxy canary-check` against a real Prometheus with synthetic series, and against servers that misbehave."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from click.testing import CliRunner, Result

from canary.cli import canary_check
from canary.domain.counts import VariantCounts
from canary.prometheus import Prometheus
from canary.readings import Question, read
from tests.harness.ports import free_port
from tests.harness.processes import Process, bare_environment
from tests.harness.waiting import wait_until
from tests.unit.canary.synthetic_series import Rollout, write_blocks
from tests.unit.canary.trials import Canary, World

ROLLOUTS = (
    Rollout("same"),
    Rollout("failing", Canary(more_errors=0.1)),
    Rollout("slow", Canary(duration=1.8)),
    Rollout("dear", Canary(cost=2.0)),
    Rollout("thin", world=World(canary_rate=2.0, production_rate=500.0)),
    Rollout("absent", with_canary=False),
    Rollout("uncounted", with_tokens=False),
    Rollout("restarted", restarts_at=20),
)


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Prometheus that has scraped all of it until now."""
    if shutil.which("prometheus") is None or shutil.which("promtool") is None:
        pytest.skip("prometheus is missing: apt-get install prometheus")
    directory = tmp_path_factory.mktemp("prometheus")
    write_blocks(ROLLOUTS, int(time.time()), directory)
    config, address = directory / "prometheus.yml", f"127.0.0.1:{free_port()}"
    config.write_text("{}")
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={directory / 'data'}"]
    process = Process("prometheus", [*command, f"--web.listen-address={address}"], bare_environment(), directory)
    try:
        wait_until(lambda: is_ready(f"http://{address}"), "Prometheus is ready")
        yield f"http://{address}"
    finally:
        process.kill()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready").status_code == 200
    except httpx.TransportError:
        return False


def check(url: str, *options: str) -> Result:
    return CliRunner().invoke(canary_check, ["--prometheus", url, *options])


def of(namespace: str) -> tuple[str, str]:
    return "--selector", f'namespace="{namespace}"'


def counts(url: str, namespace: str) -> tuple[VariantCounts, VariantCounts]:
    client = Prometheus(url, 30.0)
    try:
        question = Question("canary", "production", f'namespace="{namespace}"', blocks=15, block_seconds=60)
        return read(client, question, time.time())
    finally:
        client.close()


def test_an_equal_canary_is_promoted_with_exit_code_0(prometheus: str) -> None:
    result = check(prometheus, *of("same"))
    assert (result.exit_code, result.output.split(":")[0]) == (0, "promote"), result.output


@pytest.mark.parametrize(
    ("namespace", "measure"), [("failing", "error ratio"), ("slow", "duration"), ("dear", "cost per token")]
)
def test_a_worse_canary_is_rolled_back_with_exit_code_1(prometheus: str, namespace: str, measure: str) -> None:
    result = check(prometheus, *of(namespace))
    assert (result.exit_code, result.output.split(":")[0]) == (1, "roll back"), result.output
    assert measure in result.output.splitlines()[0]


def test_too_little_traffic_waits_with_exit_code_3(prometheus: str) -> None:
    result = check(prometheus, *of("thin"))
    assert result.exit_code == 3
    assert result.output.startswith("wait: too little traffic: ")


def test_without_a_canary_it_waits_and_says_so(prometheus: str) -> None:
    result = check(prometheus, *of("absent"))
    assert (result.exit_code, result.output) == (
        3,
        "wait: there is no canary: no process with its variant label was scraped in the window\n",
    )


def test_without_token_counting_the_rest_decides(prometheus: str) -> None:
    result = check(prometheus, *of("uncounted"))
    assert result.exit_code == 0
    assert "tokens/s, cost per token" in result.output


def test_json_has_the_verdict_and_every_measure(prometheus: str) -> None:
    found = json.loads(check(prometheus, *of("slow"), "--json").output)
    assert found["verdict"] == "roll back"
    assert found["requests"]["canary"] == pytest.approx(15 * 202, rel=0.1)
    duration = {each["measure"]: each for each in found["comparisons"]}["duration"]
    assert duration["judgement"] == "worse"
    assert 0.25 < duration["lower"] < 0.8 < duration["upper"]


def test_a_restart_loses_a_minute_at_most_and_invents_no_request(prometheus: str) -> None:
    _, restarted = counts(prometheus, "restarted")
    assert sum(restarted.requests) == pytest.approx(15 * 802, rel=0.1)
    assert max(restarted.requests) < 1000


def test_probes_do_not_count_and_429_is_no_failure_of_the_canary(prometheus: str) -> None:
    canary, _ = counts(prometheus, "same")
    assert sum(canary.failures) / sum(canary.requests) == pytest.approx(0.01, abs=0.006)


def test_every_count_of_a_histogram_arrives(prometheus: str) -> None:
    canary, _ = counts(prometheus, "same")
    served = sum(canary.requests) - sum(canary.failures) - 15 * 2
    assert sum(canary.duration.totals) == pytest.approx(served)
    assert sum(canary.first_byte.totals) == pytest.approx(served)


def test_a_longer_window_reads_longer_blocks(prometheus: str) -> None:
    result = check(prometheus, *of("same"), "--window", "20m", "--json")
    assert json.loads(result.output)["requests"]["canary"] > 3500


def test_a_wrong_selector_is_wrong_usage_in_one_line(prometheus: str) -> None:
    result = check(prometheus, "--selector", "namespace=")
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1)
    assert "refuses the query" in result.output


@pytest.mark.parametrize(
    "options",
    [
        ["--prometheus", "prometheus:9090"],
        ["--prometheus", "http://[", "--window", "15m"],
        ["--window", "15m"],
        ["--prometheus", "http://127.0.0.1:9", "--window", "1m"],
        ["--prometheus", "http://127.0.0.1:9", "--window", "fifteen"],
        ["--prometheus", "http://127.0.0.1:9", "--canary", 'x"}'],
        ["--prometheus", "http://127.0.0.1:9", "--canary", "production"],
        ["--prometheus", "http://127.0.0.1:9", "--looks", "0"],
        ["--prometheus", "http://127.0.0.1:9", "--nonsense"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(options: list[str]) -> None:
    result = CliRunner().invoke(canary_check, options)
    assert (result.exit_code, len(result.output.splitlines())) == (2, 1), result.output


class Misbehaving:
    """A server that answers every question with the same bytes, or after a while, and counts the questions."""

    def __init__(self, body: bytes, status: int = 200, pause: float = 0.0) -> None:
        self.asked = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                outer.released.wait(pause)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Says nothing."""

        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def _no_long_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.prometheus.PAUSES", (0.01, 0.01))


MATRIX = b'{"status":"success","data":{"resultType":"matrix","result":[%s]}}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 503),
        (b"", 302),
        (b"<html>", 200),
        (b"[]", 200),
        (b'{"status":"success","data":null}', 200),
        (b'{"status":"error"}', 200),
        (MATRIX % b"7", 200),
        (MATRIX % b'{"metric":{},"values":[[1,"1"]]}', 200),
        (MATRIX % b'{"metric":{},"values":[["NaN","x"]]}', 200),
    ],
)
def test_an_answer_that_makes_no_sense_is_asked_for_three_times_and_then_waits(body: bytes, status: int) -> None:
    server = Misbehaving(body, status)
    try:
        result = check(server.url)
    finally:
        server.close()
    assert (result.exit_code, server.asked, len(result.output.splitlines())) == (3, 3, 1), result.output
    assert "gives no usable answer" in result.output


def test_a_prometheus_that_is_down_waits_without_its_password() -> None:
    result = check(f"http://anna:hidden@127.0.0.1:{free_port()}", "--json")
    assert (result.exit_code, json.loads(result.output)["verdict"]) == (3, "wait")
    assert "hidden" not in result.output


def test_a_slow_prometheus_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.cli._PATIENCE", 0.5)
    server = Misbehaving(b"", pause=20.0)
    began = time.monotonic()
    try:
        result = check(server.url)
    finally:
        server.close()
    assert result.exit_code == 3
    assert time.monotonic() - began < 15.0


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("canary.prometheus.MOST_BYTES", 1000)
    server = Misbehaving(MATRIX % (b" " * 2000))
    try:
        result = check(server.url)
    finally:
        server.close()
    assert result.exit_code == 3


def test_it_looks_again_until_the_planned_looks_are_used_up(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("canary.cli.time.sleep", pauses.append)
    server = Misbehaving(MATRIX % b"")
    try:
        result = check(server.url, "--looks", "3", "--every", "5m")
    finally:
        server.close()
    assert (result.exit_code, pauses) == (3, [300, 300])
    assert result.output.count("there is no canary") == 3
