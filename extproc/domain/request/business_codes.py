"""The codes in which Z.AI says why it refused, what class of trouble each is, and what a person can do.

The HTTP status does not tell: 429 is "too many at once" (1302, over in seconds) as well as "the week's quota is used
up" (1310, over in days). Source: Z.AI's list of business error codes, and answers seen from every endpoint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from extproc.domain.request.labels import OTHER


class ErrorClass(StrEnum):
    """What kind of trouble a refusal is, so what can be done about it."""

    CONCURRENCY = "concurrency"  # too many requests at the same time: fewer in flight
    FREQUENCY = "frequency"  # too many requests a second: slower
    OVERLOAD = "overload"  # Z.AI says that it is short of capacity: slower, and again
    QUOTA = "quota"  # an allowance is used up: nothing until it resets
    AUTH = "auth"  # the key is not accepted: nothing until somebody changes it
    ACCOUNT = "account"  # the account or its plan stands in the way: its owner has to act
    CLIENT = "client"  # the request itself is wrong: its sender has to change it
    INTERNAL = "internal"  # something failed inside Z.AI: again
    IDENTITY = "identity"  # this client is refused, whatever the load: it has to look different
    UNKNOWN = "unknown"  # the cause was not told, so slowing down is not known to help


@dataclass(frozen=True, slots=True)
class BusinessCode:
    """One row of the table: all that is known of a code.

    `transient`: the same request, sent again within seconds, can succeed. That is so for what passes as other requests
    end (concurrency, frequency, overload), for failures inside Z.AI, and for 1120, which says "temporarily"; all the
    rest answers the same until a person or a reset changes something. `may_be_identity`: Z.AI refuses a client whose
    looks it does not like in the same words. `status` is what the error has outside of a stream, None where that is its
    class's.
    """

    code: str
    error_class: ErrorClass
    meaning: str
    advice: str
    transient: bool = False
    may_be_identity: bool = False
    status: int | None = None


_NEW_KEY: Final = "Check that the proxy has a current Z.AI key, made on the host that it calls."
_ASK_ZAI: Final = "Sign in at Z.AI to see what is wrong with the account, or ask its support."
_RENEW: Final = "Renew or upgrade the plan."
_ADMIN: Final = "Ask whoever administers the organisation's plan to raise the cap."
_WAIT_FOR_RESET: Final = "Wait for the reset that the message names, or buy a larger plan."
_FEWER: Final = "The proxy holds back by itself. If it goes on, set CONCURRENCY_LIMIT_MAX to what the plan allows."
_FIX_REQUEST: Final = "Correct the request: the message names the parameter."
_OTHER_MODEL: Final = "Ask for a model that the plan and the endpoint offer."
_OTHER_PATH: Final = "Correct the path: Z.AI has no such one below the base path that was asked for."
_TRY_AGAIN: Final = "Try again; if it goes on, look at Z.AI's status page."

_KNOWN: Final = (
    BusinessCode("401", ErrorClass.AUTH, "key missing, wrong or expired", _NEW_KEY),
    BusinessCode("1000", ErrorClass.AUTH, "authentication failed", _NEW_KEY),
    BusinessCode("1001", ErrorClass.AUTH, "no key in the request", _NEW_KEY),
    BusinessCode("1002", ErrorClass.AUTH, "key malformed", _NEW_KEY),
    BusinessCode("1003", ErrorClass.AUTH, "key expired", _NEW_KEY),
    BusinessCode("1004", ErrorClass.AUTH, "key not accepted", _NEW_KEY),
    BusinessCode("1005", ErrorClass.AUTH, "key not accepted", _NEW_KEY),
    BusinessCode("1110", ErrorClass.ACCOUNT, "account inactive", _ASK_ZAI, status=403),
    BusinessCode("1111", ErrorClass.ACCOUNT, "account does not exist", _ASK_ZAI, status=403),
    BusinessCode("1112", ErrorClass.ACCOUNT, "account locked", _ASK_ZAI, status=403),
    BusinessCode(
        "1113",
        ErrorClass.ACCOUNT,
        "no balance and no resource package, or a Coding Plan key on a pay-as-you-go endpoint",
        "Use the Coding Plan endpoints with a Coding Plan key, or top up the account.",
    ),
    BusinessCode("1120", ErrorClass.ACCOUNT, "account temporarily unreachable", _TRY_AGAIN, transient=True, status=500),
    BusinessCode("1121", ErrorClass.ACCOUNT, "account locked for irregular activity", _ASK_ZAI, status=403),
    BusinessCode(
        "404",
        ErrorClass.CLIENT,
        'a path that Z.AI does not have (its 500 with "404 NOT_FOUND")',
        _OTHER_PATH,
        status=404,
    ),
    BusinessCode("500", ErrorClass.INTERNAL, "internal error", _TRY_AGAIN, transient=True),
    BusinessCode("1200", ErrorClass.INTERNAL, "internal error", _TRY_AGAIN, transient=True),
    BusinessCode("1230", ErrorClass.INTERNAL, "internal error while processing the call", _TRY_AGAIN, transient=True),
    BusinessCode("1234", ErrorClass.INTERNAL, "network failure inside Z.AI", _TRY_AGAIN, transient=True),
    BusinessCode(
        "2007", ErrorClass.OVERLOAD, "service temporarily unavailable", _TRY_AGAIN, transient=True, status=500
    ),
    BusinessCode("1210", ErrorClass.CLIENT, "wrong parameter", _FIX_REQUEST),
    BusinessCode("1211", ErrorClass.CLIENT, "unknown model", _OTHER_MODEL),
    BusinessCode("1212", ErrorClass.CLIENT, "the model does not support this method", _OTHER_MODEL),
    BusinessCode("1213", ErrorClass.CLIENT, "missing parameter", _FIX_REQUEST),
    BusinessCode("1214", ErrorClass.CLIENT, "invalid parameter or unknown model", _FIX_REQUEST),
    BusinessCode("1215", ErrorClass.CLIENT, "parameters that exclude each other", _FIX_REQUEST),
    BusinessCode("1220", ErrorClass.CLIENT, "no permission for this model or API", _OTHER_MODEL, status=403),
    BusinessCode("1221", ErrorClass.CLIENT, "model or API taken offline", _OTHER_MODEL),
    BusinessCode("1222", ErrorClass.CLIENT, "model or API does not exist", _OTHER_MODEL),
    BusinessCode(
        "1261",
        ErrorClass.CLIENT,
        "prompt too long",
        "Shorten the conversation, or ask for a model with a longer context.",
    ),
    BusinessCode("1301", ErrorClass.CLIENT, "content filter", "Change the content: Z.AI's filter refuses it."),
    BusinessCode("1302", ErrorClass.CONCURRENCY, "too many requests at the same time", _FEWER, transient=True),
    BusinessCode(
        "1303",
        ErrorClass.FREQUENCY,
        "too many requests a second",
        "Send fewer requests a second if it goes on.",
        transient=True,
    ),
    BusinessCode("1304", ErrorClass.QUOTA, "daily call limit reached", "Wait for the next day, or buy a larger plan."),
    # A content filter's, which no retry cures, is seldom: the attempts are bounded.
    BusinessCode(
        "1305",
        ErrorClass.OVERLOAD,
        "service overloaded (or, seldom, a content filter)",
        _TRY_AGAIN,
        transient=True,
        may_be_identity=True,
    ),
    BusinessCode("1308", ErrorClass.QUOTA, "5-hour limit reached", _WAIT_FOR_RESET),
    BusinessCode("1309", ErrorClass.ACCOUNT, "plan expired", _RENEW),
    BusinessCode("1310", ErrorClass.QUOTA, "weekly or monthly limit reached", _WAIT_FOR_RESET),
    BusinessCode("1311", ErrorClass.ACCOUNT, "the plan does not include this model", _OTHER_MODEL),
    BusinessCode(
        "1312",
        ErrorClass.OVERLOAD,
        "this model is under heavy load",
        "Try again, or use another model for a while.",
        transient=True,
        may_be_identity=True,
    ),
    BusinessCode(
        "1313",
        ErrorClass.ACCOUNT,
        "restricted under the fair use policy",
        "Stop, and read Z.AI's usage policy: going on can cost the account.",
    ),
    BusinessCode("1314", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode("1315", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode("1316", ErrorClass.QUOTA, "5-hour limit reached and no balance for more", _WAIT_FOR_RESET),
    BusinessCode("1317", ErrorClass.QUOTA, "7-day limit reached and no balance for more", _WAIT_FOR_RESET),
    BusinessCode("1318", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode("1319", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode("1320", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode("1321", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    BusinessCode(
        "3008", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER, transient=True
    ),
    BusinessCode(
        "3009", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER, transient=True
    ),
    BusinessCode(
        "3010", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER, transient=True
    ),
)

TABLE: Final[Mapping[str, BusinessCode]] = MappingProxyType({row.code: row for row in _KNOWN})
TRANSIENT_CODES: Final = frozenset(code for code, row in TABLE.items() if row.transient)
LIMITS_CODES: Final = frozenset(
    code for code, row in TABLE.items() if row.error_class in (ErrorClass.CONCURRENCY, ErrorClass.FREQUENCY)
)
"""Those of Z.AI's own codes that speak of the plan's limits: waiting for one's turn cures them for sure."""

_TOO_MANY: Final = BusinessCode(
    OTHER, ErrorClass.FREQUENCY, "too many requests", "Send fewer requests a second if it goes on.", transient=True
)
_KEY_NOT_ACCEPTED: Final = BusinessCode(OTHER, ErrorClass.AUTH, "key not accepted", _NEW_KEY)
_OVERLOADED: Final = BusinessCode(
    OTHER, ErrorClass.OVERLOAD, "service overloaded", _TRY_AGAIN, transient=True, may_be_identity=True
)
_FAILED_INSIDE: Final = BusinessCode(OTHER, ErrorClass.INTERNAL, "failure inside Z.AI", _TRY_AGAIN)
_BROKEN_INSIDE: Final = BusinessCode(
    OTHER, ErrorClass.INTERNAL, "network failure inside Z.AI", _TRY_AGAIN, transient=True
)
_NOT_PAID: Final = BusinessCode(OTHER, ErrorClass.ACCOUNT, "no balance", _ASK_ZAI)
_NOT_ALLOWED: Final = BusinessCode(OTHER, ErrorClass.ACCOUNT, "not allowed", _ASK_ZAI)
_WRONG_REQUEST: Final = BusinessCode(OTHER, ErrorClass.CLIENT, "wrong request", _FIX_REQUEST)
_OTHER: Final = BusinessCode(
    OTHER, ErrorClass.UNKNOWN, "no code that this version knows", "Read the upstream's message."
)
# The form of OpenAI has codes in words, beside a type that says less ("requests", "invalid_request_error").
_WORDS_AS_CODES: Final[Mapping[str, BusinessCode]] = {
    "rate_limit_exceeded": _TOO_MANY,
    "too_many_requests": _TOO_MANY,
    "server_is_overloaded": _OVERLOADED,
    "slow_down": _OVERLOADED,
    "insufficient_quota": _NOT_PAID,
    "invalid_api_key": _KEY_NOT_ACCEPTED,
    "context_length_exceeded": _WRONG_REQUEST,
    "model_not_found": _WRONG_REQUEST,
}
# An error may have nothing but a sentence, in which words like these stand.
_WORDS_IN_SENTENCES: Final[Mapping[str, BusinessCode]] = {
    "rate_limit": _TOO_MANY,
    "too_many_requests": _TOO_MANY,
    "overloaded": _OVERLOADED,
    "internal_server_error": _FAILED_INSIDE,
}
# An error that names no code has a type, in Anthropic's or OpenAI's words; `network_error` is Z.AI's reason for a stop.
_WORDS: Final[Mapping[str, BusinessCode]] = {
    **_WORDS_AS_CODES,
    **_WORDS_IN_SENTENCES,
    "overloaded_error": _OVERLOADED,
    "api_error": _FAILED_INSIDE,
    "server_error": _FAILED_INSIDE,
    "timeout_error": _FAILED_INSIDE,
    "network_error": _BROKEN_INSIDE,
    "rate_limit_error": _TOO_MANY,
    "authentication_error": _KEY_NOT_ACCEPTED,
    "permission_error": _NOT_ALLOWED,
    "invalid_request_error": _WRONG_REQUEST,
    "not_found_error": _WRONG_REQUEST,
    "request_too_large": _WRONG_REQUEST,
}
# An HTTP status in place of a code.
_STATUSES_AS_CODES: Final[Mapping[str, BusinessCode]] = {"429": _TOO_MANY, "529": _OVERLOADED}
_STATUSES: Final = frozenset(["400", "403", "405", "408", "409", "413", "422", "429", "502", "503", "504", "529"])

TELLING_CODES: Final = frozenset(_WORDS_AS_CODES)
"""Codes in words that say more than the type beside them."""

KNOWN_NAMES: Final = frozenset(_WORDS) | frozenset(TABLE)
"""What names an error better than an HTTP status in place of its code: words, and Z.AI's own codes."""

SPOKEN_NAMES: Final = frozenset(_WORDS_IN_SENTENCES)
"""Words that name an error where they stand in its sentence (`Rate limit reached`), if nothing else does."""

TRANSIENT_WORDS: Final = frozenset(name for name, row in {**_WORDS, **_STATUSES_AS_CODES}.items() if row.transient)
"""What else than a code says that the same request can succeed within seconds."""

_OTHER_BY_STATUS: Final = {401: _KEY_NOT_ACCEPTED, 529: _OVERLOADED}


def classify(code: str | None, status: int) -> BusinessCode:
    """The row for a code or, where there was none, for the error's type or the HTTP status in its place; for an unknown
    or missing one a row `other`, classed by the answer's HTTP status where that is certain (401 and 529)."""
    if not code:
        return _OTHER_BY_STATUS.get(status, _OTHER)
    known = TABLE.get(code) or _WORDS.get(code) or _STATUSES_AS_CODES.get(code)
    return known or _OTHER_BY_STATUS.get(status, _OTHER)


_STATUS_OF_CLASS: Final[Mapping[ErrorClass, int]] = {
    ErrorClass.CONCURRENCY: 429,
    ErrorClass.FREQUENCY: 429,
    ErrorClass.OVERLOAD: 529,
    ErrorClass.QUOTA: 429,
    ErrorClass.AUTH: 401,
    ErrorClass.ACCOUNT: 429,
    ErrorClass.CLIENT: 400,
    ErrorClass.INTERNAL: 500,
}
_STATUS_OF_WORD: Final[Mapping[str, int]] = {
    "not_found_error": 404, "permission_error": 403, "request_too_large": 413, "timeout_error": 504,
    "model_not_found": 404,
}  # fmt: skip


def known_status(code: str) -> int | None:
    """The HTTP status that Z.AI gives an error outside of a stream; None for a code that says nothing."""
    if code in _STATUSES:
        return int(code)
    row = classify(code, 0)
    return _STATUS_OF_WORD.get(code) or row.status or _STATUS_OF_CLASS.get(row.error_class)


def http_status(code: str) -> int:
    """The same for whoever has to say a status: 500 for a code that says nothing."""
    return known_status(code) or 500
