from dataclasses import replace

from extproc.domain.usage.finished_request import as_json
from extproc.domain.usage.log_entry import NOTHING_READ, ReadAnswer
from extproc.domain.usage.outcome import interpret
from extproc.domain.usage.price_file import packaged_prices, parse_price_table
from extproc.domain.usage.token_estimates import TokenEstimator
from tests.unit.domain.usage.test_outcome import FINISHED

PRICES = parse_price_table(packaged_prices())


def record_of(**changes: object) -> dict[str, object]:
    entry = replace(FINISHED, **changes)  # type: ignore[arg-type]
    return as_json(interpret(entry, TokenEstimator(), PRICES))


def test_the_feed_tells_which_model_was_asked_for_and_how_the_answer_stopped() -> None:
    record = record_of(model_asked="claude-haiku-4-5")

    assert (record["model"], record["model_asked"]) == ("glm-5.3", "claude-haiku-4-5")
    assert (record["stop"], record["unread"]) == ("end_turn", None)


def test_the_model_of_an_answer_without_tokens_is_told_too() -> None:
    record = record_of(business_code="1305", answer=ReadAnswer("events", "glm-5.3", code="1305", late=True))

    assert (record["model"], record["tokens"], record["error"], record["code"]) == ("glm-5.3", None, "529", "1305")


def test_the_feed_names_the_program_that_asked_where_it_is_known() -> None:
    assert record_of(user_agent="claude-cli/2.1.330 (external, cli)")["program"] == "Claude Code"
    assert record_of(user_agent="invented/1")["program"] is None


def test_what_is_not_known_is_null() -> None:
    record = record_of(answer=NOTHING_READ, status=429)

    assert [record[name] for name in ("model", "model_asked", "stop", "unread", "tokens")] == [None] * 5
