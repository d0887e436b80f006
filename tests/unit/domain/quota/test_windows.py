"""What holds for every window that has a name: one that is added to the table is read, closed, said and shown."""

import json

import pytest

from extproc.domain.quota.gate import QuotaGate
from extproc.domain.quota.report import read_report
from extproc.domain.quota.windows import TOKENS_LIMIT, WINDOWS, QuotaReport, Window, label_of, spoken
from extproc.domain.request.business_codes import TABLE, ErrorClass
from tests.unit.domain.quota.windows import NOON

EACH = pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS.keys())


@EACH
def test_a_report_is_read_in_each_form_that_names_it(window: Window) -> None:
    limits = [
        {"type": limit_type or TOKENS_LIMIT, "unit": unit, "number": number, "percentage": 40}
        for limit_type, unit, number in window.reported_as
    ]

    report = read_report(200, json.dumps({"code": 200, "success": True, "data": limits}).encode())

    assert isinstance(report, QuotaReport)
    assert {(each.name, each.seconds) for each in report.windows} == {(window.name, window.seconds)}


@EACH
def test_a_refusal_with_one_of_its_codes_closes_it_or_another_that_shares_the_code(window: Window) -> None:
    for code in window.codes:
        gate = QuotaGate()
        gate.take_refusal(code, "x-1", NOON, NOON)

        (closure,) = gate.closures(NOON)
        assert code in WINDOWS[closure.window].codes
        assert closure.latest_end == NOON + WINDOWS[closure.window].seconds


def test_every_code_of_a_used_up_quota_speaks_of_a_window_and_no_other_code_does() -> None:
    of_windows = {code for window in WINDOWS.values() for code in window.codes}

    assert of_windows == {code for code, row in TABLE.items() if row.error_class is ErrorClass.QUOTA}


@EACH
def test_it_has_a_label_and_a_name_for_sentences(window: Window) -> None:
    assert label_of(window.name) == window.name
    assert spoken(window.name) == window.spoken


def test_a_window_without_a_name_of_its_own_shares_one_label() -> None:
    assert (label_of("minute-5"), spoken("minute-5")) == ("other", "minute-5")
