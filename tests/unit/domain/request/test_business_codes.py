"""The table of Z.AI's business codes, row by row, and what happens to codes that it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.request.business_codes import (
    TABLE,
    TRANSIENT_CODES,
    TRANSIENT_WORDS,
    ErrorClass,
    classify,
    http_status,
    known_status,
)

CODES_BY_CLASS = {
    ErrorClass.AUTH: "401 1000 1001 1002 1003 1004 1005",
    ErrorClass.ACCOUNT: "1110 1111 1112 1113 1120 1121 1309 1311 1313 1314 1315 1318 1319 1320 1321",
    ErrorClass.CLIENT: "404 1210 1211 1212 1213 1214 1215 1220 1221 1222 1261 1301",
    ErrorClass.CONCURRENCY: "1302 3008 3009 3010",
    ErrorClass.FREQUENCY: "1303",
    ErrorClass.OVERLOAD: "1305 1312 2007",
    ErrorClass.QUOTA: "1304 1308 1310 1316 1317",
    ErrorClass.INTERNAL: "500 1200 1230 1234",
}
CLASS_OF = {code: error_class for error_class, codes in CODES_BY_CLASS.items() for code in codes.split()}


def test_every_code_has_its_class() -> None:
    assert {code: row.error_class for code, row in TABLE.items()} == CLASS_OF


@pytest.mark.parametrize("code", TABLE)
def test_a_known_code_is_classified_whatever_the_http_status(code: str) -> None:
    assert {classify(code, status) for status in (200, 400, 401, 429, 500, 529)} == {TABLE[code]}
    assert TABLE[code].code == code


@pytest.mark.parametrize("code", TABLE)
def test_every_row_says_in_a_sentence_what_a_person_should_do(code: str) -> None:
    row = TABLE[code]
    assert row.meaning
    assert row.advice[0].isupper()
    assert row.advice.endswith(".")
    assert "\n" not in row.meaning + row.advice


def test_a_retry_is_for_what_passes_by_itself() -> None:
    assert {code for code, row in TABLE.items() if row.transient} == TRANSIENT_CODES
    passing = {ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD, ErrorClass.INTERNAL}
    assert {code for code, row in TABLE.items() if row.error_class in passing} | {"1120"} == TRANSIENT_CODES


@pytest.mark.parametrize(
    "code", ["1308", "1310", "1316", "1317", "1304", "1113", "1309", "1311", "1313", "1301", "401", "404"]
)
def test_a_retry_is_never_for_what_only_time_or_a_person_cures(code: str) -> None:
    assert not TABLE[code].transient


@pytest.mark.parametrize(
    ("status", "error_class", "transient"),
    [
        (401, ErrorClass.AUTH, False),
        (529, ErrorClass.OVERLOAD, True),
        (200, ErrorClass.UNKNOWN, False),
        (400, ErrorClass.UNKNOWN, False),
        (403, ErrorClass.UNKNOWN, False),
        (429, ErrorClass.UNKNOWN, False),
        (500, ErrorClass.UNKNOWN, False),
        (0, ErrorClass.UNKNOWN, False),
    ],
)
@pytest.mark.parametrize("code", [None, "", "9999", "0", "1302 ", "a_word"])
def test_an_unknown_code_has_the_class_of_its_status_where_that_is_certain(
    code: str | None, status: int, error_class: ErrorClass, transient: bool
) -> None:
    row = classify(code, status)
    assert (row.code, row.error_class, row.transient) == ("other", error_class, transient)


@pytest.mark.parametrize(
    ("word", "error_class", "status"),
    [
        ("overloaded_error", ErrorClass.OVERLOAD, 529),
        ("api_error", ErrorClass.INTERNAL, 500),
        ("server_error", ErrorClass.INTERNAL, 500),
        ("timeout_error", ErrorClass.INTERNAL, 504),
        ("network_error", ErrorClass.INTERNAL, 500),
        ("rate_limit_error", ErrorClass.FREQUENCY, 429),
        ("rate_limit_exceeded", ErrorClass.FREQUENCY, 429),
        ("too_many_requests", ErrorClass.FREQUENCY, 429),
        ("rate_limit", ErrorClass.FREQUENCY, 429),
        ("overloaded", ErrorClass.OVERLOAD, 529),
        ("internal_server_error", ErrorClass.INTERNAL, 500),
        ("server_is_overloaded", ErrorClass.OVERLOAD, 529),
        ("slow_down", ErrorClass.OVERLOAD, 529),
        ("insufficient_quota", ErrorClass.ACCOUNT, 429),
        ("invalid_api_key", ErrorClass.AUTH, 401),
        ("context_length_exceeded", ErrorClass.CLIENT, 400),
        ("model_not_found", ErrorClass.CLIENT, 404),
        ("authentication_error", ErrorClass.AUTH, 401),
        ("permission_error", ErrorClass.ACCOUNT, 403),
        ("invalid_request_error", ErrorClass.CLIENT, 400),
        ("not_found_error", ErrorClass.CLIENT, 404),
        ("request_too_large", ErrorClass.CLIENT, 413),
        ("too_hot", ErrorClass.UNKNOWN, None),
        ("unknown", ErrorClass.UNKNOWN, None),
    ],
)
def test_an_error_without_a_code_has_the_class_of_its_type(
    word: str, error_class: ErrorClass, status: int | None
) -> None:
    assert (classify(word, 200).code, classify(word, 200).error_class) == ("other", error_class)
    assert known_status(word) == status
    passing = error_class in (ErrorClass.FREQUENCY, ErrorClass.OVERLOAD) or word == "network_error"
    assert classify(word, 200).transient == (word in TRANSIENT_WORDS) == passing


@pytest.mark.parametrize(
    ("status", "error_class"),
    [
        (400, ErrorClass.UNKNOWN),
        (403, ErrorClass.UNKNOWN),
        (429, ErrorClass.FREQUENCY),
        (502, ErrorClass.UNKNOWN),
        (503, ErrorClass.UNKNOWN),
        (529, ErrorClass.OVERLOAD),
    ],
)
def test_an_http_status_in_place_of_a_code_stays_the_status(status: int, error_class: ErrorClass) -> None:
    row = classify(str(status), 200)
    assert (row.code, row.error_class, known_status(str(status))) == ("other", error_class, status)
    assert row.transient == (str(status) in TRANSIENT_WORDS) == (status in (429, 529))


def test_a_type_that_tells_nothing_has_the_class_of_the_status() -> None:
    assert classify("too_hot", 529).error_class is ErrorClass.OVERLOAD


@pytest.mark.parametrize(
    ("status", "codes"),
    [
        (401, "401 1000 1005"),
        (403, "1110 1121 1220"),
        (404, "404"),
        (429, "1302 1303 1304 1308 1310 1113 1309 1313 1317 3008"),
        (529, "1305 1312"),
        (500, "500 1200 1230 1234 1120 2007 unknown"),
        (400, "1210 1214 1261 1301"),
    ],
)
def test_an_error_inside_a_stream_has_the_status_that_it_has_outside(status: int, codes: str) -> None:
    assert {http_status(code) for code in codes.split()} == {status}


@given(st.none() | st.text(), st.integers())
def test_the_code_is_bounded_by_the_table(code: str | None, status: int) -> None:
    assert classify(code, status).code == (code if code in TABLE else "other")
    assert 400 <= http_status(code or "") <= 529
