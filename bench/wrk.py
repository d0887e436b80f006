"""One run of wrk, Debian's HTTP load generator: closed loop, one thread, a fixed number of connections."""

import json
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import traffic
from bench.failure import BenchError

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
# wrk counts in whole seconds, but stops at once and reports when it gets SIGINT.
_LONGEST_RUN: Final = 60
_LAST_REQUESTS_SECONDS: Final = 120
# The signal is sent again and again: one that arrives before wrk goes to sleep, as on a busy machine, does not wake it.
_SIGNAL_SECONDS: Final = 0.5
_LONGER: Final = (1, 4, 16)


@dataclass(frozen=True, slots=True)
class Load:
    """What one run did. Latencies are from the first byte of a request to the last of its answer."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


def is_installed() -> bool:
    return shutil.which("wrk") is not None


def run(
    port: int, connections: int, seconds: float, body: Path, headers: Mapping[str, str] = traffic.REQUEST_HEADERS
) -> Load:
    """Sends the body in the file again and again. Raises BenchError if a single request failed or was refused.

    On a busy machine a short run may be over before its first answer; it is then made again, longer.
    """
    sent = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    options = ["-t1", f"-c{connections}", f"-d{_LONGEST_RUN}", "--timeout", f"{_LAST_REQUESTS_SECONDS}"]
    url = f"http://127.0.0.1:{port}{traffic.MESSAGES.path}"
    command = ["wrk", *options, "-s", str(_SCRIPT), *sent, url, "--", str(body)]
    for longer in _LONGER:
        load = _read(_run(command, seconds * longer))
        if load.requests:
            return load
    raise BenchError(f"no answer within {seconds * _LONGER[-1]:g} s")


def _run(command: list[str], seconds: float) -> str:
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        return _output(child, seconds)
    finally:
        child.kill()
        child.wait()


def _output(child: subprocess.Popen[str], seconds: float) -> str:
    with suppress(subprocess.TimeoutExpired):
        return child.communicate(timeout=seconds)[0]
    deadline = time.monotonic() + _LAST_REQUESTS_SECONDS
    while time.monotonic() < deadline:
        child.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return child.communicate(timeout=_SIGNAL_SECONDS)[0]
    raise BenchError(f"wrk did not end within {_LAST_REQUESTS_SECONDS} s")


def _read(output: str) -> Load:
    line = output.strip().rpartition("\n")[2]
    if not line.startswith("{"):
        raise BenchError(f"wrk printed no result: {output.strip()[-500:]}")
    result = json.loads(line)
    if result["bad_status"] or result["failed"]:
        raise BenchError(f"a run counts only if every request succeeds: {line}")
    return Load(result["requests"], result["seconds"], result["p50_ms"], result["p99_ms"])
