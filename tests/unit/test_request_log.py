import io
import json
from dataclasses import replace

from common.settings import LogFormat
from extproc.domain.usage.log_entry import NOTHING_READ, Ending, ReadAnswer
from extproc.domain.usage.outcome import interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from extproc.request_log import RequestLog
from tests.unit.domain.usage.test_outcome import FINISHED, REPORTED

PRICES = parse_price_table(packaged_prices())


def line_of(log_format: LogFormat = LogFormat.JSON, **changes: object) -> str:
    stream = io.StringIO()
    entry = replace(FINISHED, **changes)  # type: ignore[arg-type]
    request_log = RequestLog(stream.write, log_format)
    request_log.write(interpret(entry, TokenEstimator(), PRICES))
    request_log.flush()
    return stream.getvalue()


def test_a_request_is_one_json_line_with_the_most_useful_first() -> None:
    line = line_of()

    assert line.count("\n") == 1
    assert list(json.loads(line))[:5] == ["time", "status", "method", "path", "duration"]
    assert json.loads(line)["output_tokens"] == 50
    assert json.loads(line)["request_id"] == "r-1"


def test_what_went_wrong_comes_right_after_the_status() -> None:
    fields = list(json.loads(line_of(status=429, business_code="1308", answer=NOTHING_READ)))

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
    assert line_of(path_label="/health", answer=NOTHING_READ) == ""
    assert line_of(path_label="/health", answer=NOTHING_READ, status=503) != ""


def test_the_console_form_begins_with_what_a_person_looks_for() -> None:
    line = line_of(LogFormat.CONSOLE)

    assert line.startswith("2026-11-23T07:00:00.000Z 200 POST /v1/messages  duration=3.0 ")


def test_the_model_that_was_asked_for_is_told_where_another_one_answered() -> None:
    other, same = line_of(model_asked="claude-haiku-4-5"), line_of(model_asked="glm-5.3")

    assert json.loads(other)["model_asked"] == "claude-haiku-4-5"
    assert json.loads(other)["model"] == "glm-5.3"
    assert "model_asked" not in same


def test_a_failure_within_an_answer_is_told_and_an_ordinary_stop_is_not() -> None:
    assert json.loads(line_of(answer=replace(REPORTED, stop="network_error")))["stop"] == "network_error"
    assert "stop" not in line_of()


def test_what_could_not_be_read_is_told() -> None:
    assert json.loads(line_of(answer=ReadAnswer("json", unread="encoding")))["unread"] == "encoding"


def test_envoys_reason_is_told_of_an_end_that_was_not_the_right_one() -> None:
    left = {"ending": Ending.CLIENT_LEFT, "details": "downstream_remote_disconnect"}

    assert "why" not in json.loads(line_of(**left))
    assert json.loads(line_of(**left, answer=replace(REPORTED, final=False)))["why"] == "downstream_remote_disconnect"


def test_times_are_told_to_the_millisecond() -> None:
    assert json.loads(line_of(started=1795417199.9996))["time"] == "2026-11-23T07:00:00.000Z"
    assert json.loads(line_of(started=1795417200.0456))["time"] == "2026-11-23T07:00:00.046Z"


def test_lines_are_written_together_when_told_to_or_when_they_are_many() -> None:
    written: list[str] = []
    request_log = RequestLog(written.append, LogFormat.JSON)
    outcome = interpret(FINISHED, TokenEstimator(), PRICES)

    request_log.write(outcome)
    request_log.write(outcome)
    assert written == []

    request_log.flush()
    request_log.flush()
    assert [text.count("\n") for text in written] == [2]

    for _ in range(120):
        request_log.write(outcome)
    assert [text.count("\n") for text in written] == [2, 50, 50]
