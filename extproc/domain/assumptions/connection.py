"""What holds of connections and of times, whatever is asked."""

from typing import Final

from extproc.domain.assumptions.evidence import NOT_TRIED, NOTHING, Assumption, Evidence, Judgement, told, untold
from extproc.domain.assumptions.wording import are_header_words

_CLOCK_TOLERANCE: Final = 60.0
_LOG_ID_TOLERANCE: Final = 600.0
_KEPT_OPEN: Final = 40.0


def _identity(evidence: Evidence) -> Judgement:
    answers = [each for each in evidence.all if each.status]
    if not answers:
        return untold(NOTHING)
    packed = [each for each in answers if each.is_compressed]
    if not packed:
        return told(True, f"none of {len(answers)} answers was compressed")
    encoding = packed[0].headers["content-encoding"]
    known = encoding if are_header_words(encoding) else "another encoding"
    return told(False, f"{known} in {len(packed)} of {len(answers)} answers")


def _http2(evidence: Evidence) -> Judgement:
    if evidence.protocol is None:
        return untold("no TLS of our own on this connection (plain HTTP, or a proxy in between)")
    return told(evidence.protocol == "h2", f"TLS agreed on {evidence.protocol or 'no protocol'}")


def _idle(evidence: Evidence) -> Judgement:
    if evidence.idle is None:
        return untold(NOT_TRIED)
    seconds, held = evidence.idle
    seen = f"{'open' if held else 'closed'} after {seconds:.0f} s without a request"
    return untold(seen) if held and seconds < _KEPT_OPEN else told(held, seen)


def _clock(evidence: Evidence) -> Judgement:
    ahead = next((each.date_ahead for each in evidence.all if each.date_ahead is not None), None)
    if ahead is None:
        return untold("no answer has a date")
    return told(abs(ahead) <= _CLOCK_TOLERANCE, f"{abs(ahead):.0f} s apart")


def _zone(evidence: Evidence) -> Judgement:
    ahead = next((each.log_id_ahead for each in evidence.all if each.log_id_ahead is not None), None)
    if ahead is None:
        return untold("no answer has an x-log-id with a time")
    return told(abs(ahead) <= _LOG_ID_TOLERANCE, f"read as UTC+8, x-log-id is {abs(ahead):.0f} s from our time")


CONNECTIONS: Final = (
    Assumption(
        "identity encoding",
        "answers are not compressed unless that is asked for",
        "Compressed answers pass unread: their tokens are estimated, and errors in them are not seen.",
        _identity,
    ),
    Assumption(
        "HTTP/2",
        "is spoken",
        "Nothing breaks: the proxy uses HTTP/1.1, with a connection for each request in flight.",
        _http2,
    ),
    Assumption(
        "idle connection",
        "stays open for 40 s at least, after which the proxy closes it",
        "A request after a pause may meet a closed connection: it is tried again, and is slower.",
        _idle,
    ),
)


TIMES: Final = (
    Assumption(
        "clock",
        "this machine's and Z.AI's agree within 60 s",
        "Resets and peak hours are taken from this machine's clock: let it keep its time (NTP).",
        _clock,
    ),
    Assumption(
        "time zone",
        "times without a zone are UTC+8",
        "Resets that a refusal names are read hours wrong; those of the monitor API are right.",
        _zone,
    ),
)
