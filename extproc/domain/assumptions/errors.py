"""How errors look on each API: those of a model, a parameter, a path and a key that are wrong."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from extproc.domain.assumptions import trials
from extproc.domain.assumptions.evidence import (
    NOT_TRIED,
    REFUSALS,
    UNKNOWN_MODEL,
    Assumption,
    Evidence,
    Judgement,
    is_over_a_limit,
    is_passing,
    outcome_of,
    told,
    untold,
    why,
)
from extproc.domain.assumptions.exchange import Exchange
from extproc.domain.assumptions.wording import GONE, field_name
from extproc.domain.request.error_bodies import extract_code

_MOST_NAMES: Final = 12
_ABOUT_SOMETHING_ELSE: Final = (401, 403, 429, 529)
KEY_CODES: Final = ("401", "1000", "1001", "1002", "1003", "1004", "1005")
ANTHROPIC_ERROR: Final = "{error{code, message, type}, request_id, type}"
PAAS_ERROR: Final = "{error{code, message}}"
_KEY_ERROR: Final = "{error{message, type}}"
_NO_BALANCE: Final = (429, ("1113",))
_KEY_REFUSED: Final = ((401, KEY_CODES),)
_OTHER_WRONG_PATH: Final = "A mistyped path may be tried again in vain, or a real failure of Z.AI's not be tried again."
OTHER_ENVELOPE: Final = (
    "Errors may be counted as of another kind, and tried again or given up wrongly. Send us what was seen (--record)."
)
# Each API, with the form of its errors; what a plan's key is told on the general one is that it has no balance.
_SURFACES: Final = {
    "Anthropic": ANTHROPIC_ERROR,
    "Chat": PAAS_ERROR,
    "Responses": PAAS_ERROR,
    "general API": PAAS_ERROR,
}


def _error(
    trial: str,
    expected: Sequence[tuple[int, Sequence[str]]],
    shape: str,
    elsewhere: Sequence[int] = _ABOUT_SOMETHING_ELSE,
) -> Callable[[Evidence], Judgement]:
    """An error of a known status with one of its codes (any, if there are none), in a known shape (any, if it is
    empty). One with a status of `elsewhere` may have another cause, and so has what a limit, a passing failure
    or an unknown model is told by."""

    def judge(evidence: Evidence) -> Judgement:
        exchange = evidence.exchanges.get(trial)
        if exchange is None:
            return untold(NOT_TRIED)
        if exchange.failure:
            return untold(why(exchange))
        found = shape_of(exchange)
        code = exchange.code or ""
        right = any(exchange.status == status and (not codes or code in codes) for status, codes in expected)
        has_cause = is_passing(exchange) or is_over_a_limit(exchange)
        # The model that all else is asked of is not the one that has to be unknown.
        has_cause |= code == UNKNOWN_MODEL and all(code not in codes for _, codes in expected)
        if not right and (has_cause or exchange.status in elsewhere):
            return untold(why(exchange))
        return told(right and shape in ("", found), f"{outcome_of(exchange)}, as {found}")

    return judge


def shape_of(exchange: Exchange) -> str:
    """The names of an error body's fields, as they are nested."""
    fields = _error_fields(exchange)
    if not fields:
        return "HTML" if exchange.body.lstrip().startswith(b"<") else "no JSON object"
    inner = fields.get("error")
    if not isinstance(inner, dict):
        return f"{{{_names(fields)}}}"
    rest = [name for name in fields if name != "error"]
    return f"{{error{{{_names(inner)}}}{', ' if rest else ''}{_names(rest)}}}"


def _error_fields(exchange: Exchange) -> Mapping[str, object]:
    """What a JSON body holds, or the first event of a stream that tells of an error."""
    if not exchange.is_stream:
        return exchange.fields
    errors = (event.fields for event in exchange.events() if extract_code(event.data.encode()).code is not None)
    return next(errors, {})


def _names(fields: Iterable[str]) -> str:
    """The names in their order, as many as a row has room for."""
    names = sorted({field_name(name) for name in fields})
    return ", ".join([*names[:_MOST_NAMES], *([GONE] if len(names) > _MOST_NAMES else [])])


def _of_surfaces(name: str, kind: str, *codes: str) -> Iterator[Assumption]:
    """What each surface refuses with one of these codes."""
    any_of = " or ".join(filter(None, (", ".join(codes[:-1]), codes[-1])))
    for surface, shape in _SURFACES.items():
        has_balance = surface != "general API"
        statuses = ((400, codes),) if has_balance else ((400, codes), _NO_BALANCE)
        or_else = "" if has_balance else ", or 429 with code 1113 for a plan's key"
        assumed = f"HTTP 400 with code {any_of}{or_else}, as {shape}"
        yield Assumption(
            f"{name}, {surface}", assumed, OTHER_ENVELOPE, _error(trials.name_of(kind, surface), statuses, shape)
        )


def _not_found(surface: str) -> Assumption:
    judge = _error(trials.name_of(trials.WRONG_PATH, surface), ((404, ()),), "")
    return Assumption(f"wrong path, {surface}", "HTTP 404, in whatever form", _OTHER_WRONG_PATH, judge)


def _wrong_key(surface: str, shape: str) -> Assumption:
    judge = _error(trials.name_of(trials.WRONG_KEY, surface), _KEY_REFUSED, shape, REFUSALS)
    return Assumption(
        f"wrong key, {surface}",
        f"HTTP 401 with code 401 or 1000 to 1005, as {shape}",
        "A key that is wrong may be told as another error, or tried again in vain. Send us what was seen (--record).",
        judge,
    )


ERRORS: Final = (
    *_of_surfaces("unknown model", "bad model", "1211"),
    *_of_surfaces("bad parameter", "bad parameter", "1210", "1213", "1214", "1215"),
    Assumption(
        "wrong path, coding API",
        f"below /api/coding HTTP 500 with code 500, as {PAAS_ERROR}",
        _OTHER_WRONG_PATH,
        _error("wrong path coding", ((500, ("500",)),), PAAS_ERROR),
    ),
    *(_not_found(surface) for surface in ("Anthropic", "Responses", "general API")),
    _wrong_key("Anthropic", _KEY_ERROR),
    _wrong_key("Chat", PAAS_ERROR),
    _wrong_key("Responses", PAAS_ERROR),
)
