"""The table of Z.AI's business codes, row by row, and what happens to codes that it lacks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.domain.business_codes import TABLE, TRANSIENT_CODES, ErrorClass, classify, code_label

CODES_BY_CLASS = {
    ErrorClass.AUTH: "401 1000 1001 1002 1003 1004 1005",
    ErrorClass.ACCOUNT: "1110 1111 1112 1113 1120 1121 1309 1311 1313 1314 1315 1318 1319 1320 1321",
    ErrorClass.CLIENT: "1210 1211 1212 1213 1214 1215 1220 1221 1222 1261 1301",
    ErrorClass.CONCURRENCY: "1302 3008 3009 3010",
    ErrorClass.FREQUENCY: "1303",
    ErrorClass.OVERLOAD: "1305 1312 2007",
    ErrorClass.QUOTA: "1304 1308 1310 1316 1317",
    ErrorClass.UNKNOWN: "500 1200 1230 1234",
}
CLASS_OF = {code: error_class for error_class, codes in CODES_BY_CLASS.items() for code in codes.split()}


def test_every_code_has_its_class() -> None:
    assert {code: row.error_class for code, row in TABLE.items()} == CLASS_OF


@pytest.mark.parametrize("code", TABLE)
def test_a_known_code_is_classified_whatever_the_http_status(code: str) -> None:
    assert {classify(code, status) for status in (200, 400, 401, 429, 500, 529)} == {TABLE[code]}
    assert TABLE[code].code == code_label(code) == code


@pytest.mark.parametrize("code", TABLE)
def test_every_row_says_in_a_sentence_what_a_person_should_do(code: str) -> None:
    row = TABLE[code]
    assert row.meaning
    assert row.advice[0].isupper()
    assert row.advice.endswith(".")
    assert "\n" not in row.meaning + row.advice


def test_a_retry_is_for_what_passes_by_itself() -> None:
    assert {code for code, row in TABLE.items() if row.transient} == TRANSIENT_CODES
    passing = {ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY, ErrorClass.OVERLOAD, ErrorClass.UNKNOWN}
    assert {code for code, row in TABLE.items() if row.error_class in passing} | {"1120"} == TRANSIENT_CODES


@pytest.mark.parametrize(
    "code", ["1308", "1310", "1316", "1317", "1304", "1113", "1309", "1311", "1313", "1301", "401"]
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
@pytest.mark.parametrize("code", [None, "", "9999", "0", "1302 ", "rate_limit"])
def test_an_unknown_code_has_the_class_of_its_status_where_that_is_certain(
    code: str | None, status: int, error_class: ErrorClass, transient: bool
) -> None:
    row = classify(code, status)
    assert (row.code, row.error_class, row.transient) == ("other", error_class, transient)


@given(st.none() | st.text(), st.integers())
def test_the_code_label_is_bounded_by_the_table(code: str | None, status: int) -> None:
    assert code_label(code) in {*TABLE, "other"}
    assert classify(code, status).code == code_label(code)
