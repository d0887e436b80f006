"""How the demo's table looks while requests come and go."""

import io
from typing import Any

from rich.console import Console

from extproc.demo.numbers import History, Totals
from extproc.demo.table import table

TOTALS = Totals(
    at=0.0,
    workers=3,
    max_workers=20,
    waiting=0,
    allowed_at_once=0.0,
    allowed_per_second=0.0,
    requests={"200": 42, "429": 1},
    refused={},
    errors={"quota": 1},
    retries=0,
    tokens={"input": 1500, "output": 500},
    estimated_tokens=0,
    cost=0.25,
    first_byte={1.0: 10.0, float("inf"): 10.0},
)
REQUEST = {"path": "/v1/messages", "model": "glm-5.3", "client": "demo", "age_seconds": 1.25, "response_bytes": 2048}


def shown(running: list[dict[str, Any]], width: int = 100, height: int = 50) -> str:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(table(History().add(TOTALS), running, "Ctrl-C stops it", width=width, height=height))
    return capture.get()


def test_it_shows_figures_and_running_requests() -> None:
    text = shown([REQUEST])

    for piece in ("zai-proxy demo: Ctrl-C stops it", "3 of 20 busy", "quota 1", "$0.2500", "off"):
        assert piece in text
    for piece in ("/v1/messages", "glm-5.3", "1.2 s", "2.0 kB"):
        assert piece in text


def test_it_keeps_its_height_however_many_requests_run() -> None:
    assert len({len(shown([REQUEST] * count).splitlines()) for count in (0, 1, 5, 40)}) == 1
