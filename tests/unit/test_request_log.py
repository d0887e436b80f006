import io
import json
from dataclasses import replace

from extproc.domain.outcome import interpret
from extproc.domain.price_file import packaged_prices, parse_price_table
from extproc.domain.token_estimates import TokenEstimator
from extproc.request_log import RequestLog
from extproc.settings import LogFormat
from tests.unit.domain.test_outcome import FINISHED

PRICES = parse_price_table(packaged_prices())


def line_of(log_format: LogFormat = LogFormat.JSON, **changes: object) -> str:
    stream = io.StringIO()
    entry = replace(FINISHED, **changes)  # type: ignore[arg-type]
    RequestLog(stream, log_format).write(interpret(entry, TokenEstimator(), PRICES))
    return stream.getvalue()


def test_a_request_is_one_json_line_with_the_most_useful_first() -> None:
    line = line_of()

    assert line.count("\n") == 1
    assert list(json.loads(line))[:5] == ["time", "status", "method", "path", "duration"]
    assert json.loads(line)["output_tokens"] == 50
    assert json.loads(line)["request_id"] == "r-1"


def test_what_went_wrong_comes_right_after_the_status() -> None:
    fields = list(json.loads(line_of(status=429, business_code="1308", usage=None)))

    assert fields[:4] == ["time", "status", "error", "zai_code"]


def test_query_values_never_reach_the_log() -> None:
    line = line_of(path_label="", path="/v1/messages?note=s3cret", exchange_id="")

    assert "s3cret" not in line


def test_hostile_text_stays_on_its_line() -> None:
    for log_format in LogFormat:
        line = line_of(log_format, user_agent='evil"\n{"status": 200}\x1b[2J', request_id="a\nb")
        assert line.count("\n") == 1
        assert "\x1b" not in line


def test_a_probe_that_succeeds_is_not_worth_a_line() -> None:
    assert line_of(path_label="/health", usage=None) == ""
    assert line_of(path_label="/health", usage=None, status=503) != ""


def test_the_console_form_begins_with_what_a_person_looks_for() -> None:
    line = line_of(LogFormat.CONSOLE)

    assert line.startswith("2026-11-23T07:00:00.000Z 200 POST /v1/messages  duration=3.0 ")
