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
    """One row of the table. `transient`: the same request, sent again within seconds, can succeed."""

    code: str
    error_class: ErrorClass
    transient: bool
    meaning: str
    advice: str


_NEW_KEY: Final = "Check that the proxy has a current Z.AI key, made on the host that it calls."
_ASK_ZAI: Final = "Sign in at Z.AI to see what is wrong with the account, or ask its support."
_RENEW: Final = "Renew or upgrade the plan."
_ADMIN: Final = "Ask whoever administers the organisation's plan to raise the cap."
_WAIT_FOR_RESET: Final = "Wait for the reset that the message names, or buy a larger plan."
_FEWER: Final = "Lower MAX_WORKERS if it goes on: the plan allows fewer requests at the same time."
_FIX_REQUEST: Final = "Correct the request: the message names the parameter."
_OTHER_MODEL: Final = "Ask for a model that the plan and the endpoint offer."
_OTHER_PATH: Final = "Correct the path: Z.AI has no such one below the base path that was asked for."
_TRY_AGAIN: Final = "Try again; if it goes on, look at Z.AI's status page."

_KNOWN: Final = (
    ("401", ErrorClass.AUTH, "key missing, wrong or expired", _NEW_KEY),
    ("1000", ErrorClass.AUTH, "authentication failed", _NEW_KEY),
    ("1001", ErrorClass.AUTH, "no key in the request", _NEW_KEY),
    ("1002", ErrorClass.AUTH, "key malformed", _NEW_KEY),
    ("1003", ErrorClass.AUTH, "key expired", _NEW_KEY),
    ("1004", ErrorClass.AUTH, "key not accepted", _NEW_KEY),
    ("1005", ErrorClass.AUTH, "key not accepted", _NEW_KEY),
    ("1110", ErrorClass.ACCOUNT, "account inactive", _ASK_ZAI),
    ("1111", ErrorClass.ACCOUNT, "account does not exist", _ASK_ZAI),
    ("1112", ErrorClass.ACCOUNT, "account locked", _ASK_ZAI),
    (
        "1113",
        ErrorClass.ACCOUNT,
        "no balance and no resource package, or a Coding Plan key on a pay-as-you-go endpoint",
        "Use the Coding Plan endpoints with a Coding Plan key, or top up the account.",
    ),
    ("1120", ErrorClass.ACCOUNT, "account temporarily unreachable", _TRY_AGAIN),
    ("1121", ErrorClass.ACCOUNT, "account locked for irregular activity", _ASK_ZAI),
    ("404", ErrorClass.CLIENT, 'a path that Z.AI does not have (its 500 with "404 NOT_FOUND")', _OTHER_PATH),
    ("500", ErrorClass.INTERNAL, "internal error", _TRY_AGAIN),
    ("1200", ErrorClass.INTERNAL, "internal error", _TRY_AGAIN),
    ("1230", ErrorClass.INTERNAL, "internal error while processing the call", _TRY_AGAIN),
    ("1234", ErrorClass.INTERNAL, "network failure inside Z.AI", _TRY_AGAIN),
    ("2007", ErrorClass.OVERLOAD, "service temporarily unavailable", _TRY_AGAIN),
    ("1210", ErrorClass.CLIENT, "wrong parameter", _FIX_REQUEST),
    ("1211", ErrorClass.CLIENT, "unknown model", _OTHER_MODEL),
    ("1212", ErrorClass.CLIENT, "the model does not support this method", _OTHER_MODEL),
    ("1213", ErrorClass.CLIENT, "missing parameter", _FIX_REQUEST),
    ("1214", ErrorClass.CLIENT, "invalid parameter or unknown model", _FIX_REQUEST),
    ("1215", ErrorClass.CLIENT, "parameters that exclude each other", _FIX_REQUEST),
    ("1220", ErrorClass.CLIENT, "no permission for this model or API", _OTHER_MODEL),
    ("1221", ErrorClass.CLIENT, "model or API taken offline", _OTHER_MODEL),
    ("1222", ErrorClass.CLIENT, "model or API does not exist", _OTHER_MODEL),
    (
        "1261",
        ErrorClass.CLIENT,
        "prompt too long",
        "Shorten the conversation, or ask for a model with a longer context.",
    ),
    ("1301", ErrorClass.CLIENT, "content filter", "Change the content: Z.AI's filter refuses it."),
    ("1302", ErrorClass.CONCURRENCY, "too many requests at the same time", _FEWER),
    ("1303", ErrorClass.FREQUENCY, "too many requests a second", "Send fewer requests a second if it goes on."),
    ("1304", ErrorClass.QUOTA, "daily call limit reached", "Wait for the next day, or buy a larger plan."),
    ("1305", ErrorClass.OVERLOAD, "service overloaded (or, seldom, a content filter)", _TRY_AGAIN),
    ("1308", ErrorClass.QUOTA, "5-hour limit reached", _WAIT_FOR_RESET),
    ("1309", ErrorClass.ACCOUNT, "plan expired", _RENEW),
    ("1310", ErrorClass.QUOTA, "weekly or monthly limit reached", _WAIT_FOR_RESET),
    ("1311", ErrorClass.ACCOUNT, "the plan does not include this model", _OTHER_MODEL),
    ("1312", ErrorClass.OVERLOAD, "this model is under heavy load", "Try again, or use another model for a while."),
    (
        "1313",
        ErrorClass.ACCOUNT,
        "restricted under the fair use policy",
        "Stop, and read Z.AI's usage policy: going on can cost the account.",
    ),
    ("1314", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("1315", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("1316", ErrorClass.QUOTA, "5-hour limit reached and no balance for more", _WAIT_FOR_RESET),
    ("1317", ErrorClass.QUOTA, "7-day limit reached and no balance for more", _WAIT_FOR_RESET),
    ("1318", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("1319", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("1320", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("1321", ErrorClass.ACCOUNT, "cap of the organisation or sub-account", _ADMIN),
    ("3008", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER),
    ("3009", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER),
    ("3010", ErrorClass.CONCURRENCY, "too many requests at the same time (Start Plan)", _FEWER),
)

# Curable by a retry: what passes as other requests end (concurrency, frequency, overload), failures inside Z.AI, and
# 1120, which says "temporarily". All the rest answers the same until a person or a reset changes something. 1305 can
# also be a content filter, which no retry cures: whoever retries caps the attempts.
TRANSIENT_CODES: Final = frozenset(
    {"1302", "1303", "1305", "1312", "2007", "3008", "3009", "3010", "500", "1200", "1230", "1234", "1120"}
)

TABLE: Final[Mapping[str, BusinessCode]] = MappingProxyType(
    {
        code: BusinessCode(code, error_class, code in TRANSIENT_CODES, meaning, advice)
        for code, error_class, meaning, advice in _KNOWN
    }
)

_KEY_NOT_ACCEPTED: Final = BusinessCode(OTHER, ErrorClass.AUTH, False, "key not accepted", _NEW_KEY)
_OVERLOADED: Final = BusinessCode(OTHER, ErrorClass.OVERLOAD, True, "service overloaded", _TRY_AGAIN)
_FAILED_INSIDE: Final = BusinessCode(OTHER, ErrorClass.INTERNAL, False, "failure inside Z.AI", _TRY_AGAIN)
_NOT_ALLOWED: Final = BusinessCode(OTHER, ErrorClass.ACCOUNT, False, "not allowed", _ASK_ZAI)
_WRONG_REQUEST: Final = BusinessCode(OTHER, ErrorClass.CLIENT, False, "wrong request", _FIX_REQUEST)
_OTHER: Final = BusinessCode(
    OTHER, ErrorClass.UNKNOWN, False, "no code that this version knows", "Read the upstream's message."
)
# An error that names no code has a type, in Anthropic's or OpenAI's words; the last is Z.AI's reason for a stop.
_WORDS: Final[Mapping[str, BusinessCode]] = {
    "overloaded_error": _OVERLOADED,
    "api_error": _FAILED_INSIDE,
    "server_error": _FAILED_INSIDE,
    "timeout_error": _FAILED_INSIDE,
    "network_error": _FAILED_INSIDE,
    "authentication_error": _KEY_NOT_ACCEPTED,
    "permission_error": _NOT_ALLOWED,
    "invalid_request_error": _WRONG_REQUEST,
    "not_found_error": _WRONG_REQUEST,
    "request_too_large": _WRONG_REQUEST,
}
TRANSIENT_WORDS: Final = frozenset(word for word, row in _WORDS.items() if row.transient)
_OTHER_BY_STATUS: Final = {401: _KEY_NOT_ACCEPTED, 529: _OVERLOADED}


def classify(code: str | None, status: int) -> BusinessCode:
    """The row for a code or, where there was none, for the error's type; for an unknown or missing one a row `other`,
    classed by the HTTP status where that is certain (401 and 529)."""
    if not code:
        return _OTHER_BY_STATUS.get(status, _OTHER)
    return TABLE.get(code) or _WORDS.get(code) or _OTHER_BY_STATUS.get(status, _OTHER)


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
_STATUS_OF_CODE: Final[Mapping[str, int]] = {
    "404": 404, "1110": 403, "1111": 403, "1112": 403, "1120": 500, "1121": 403, "1220": 403, "2007": 500,
    "not_found_error": 404, "permission_error": 403, "request_too_large": 413, "timeout_error": 504,
    "rate_limit_error": 429, "rate_limit_exceeded": 429,
}  # fmt: skip


def known_status(code: str) -> int | None:
    """The HTTP status that Z.AI gives an error outside of a stream; None for a code that says nothing."""
    return _STATUS_OF_CODE.get(code) or _STATUS_OF_CLASS.get(classify(code, 0).error_class)


def http_status(code: str) -> int:
    """The same for whoever has to say a status: 500 for a code that says nothing."""
    return known_status(code) or 500
