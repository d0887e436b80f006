"""GET and PUT /api/names: what people call clients and sessions."""

from typing import Final

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from dashboard.api.answers import answer
from dashboard.api.body import read_body
from dashboard.domain.names import LONGEST_KEY, proper_name
from dashboard.event_hub import EventKind, message
from dashboard.parts import Parts
from dashboard.problems import ApiError
from dashboard.records.names import Name, NameKind
from dashboard.store import names as stored

_LARGEST: Final = 4096


async def names(parts: Parts, request: Request) -> Response:
    if request.method == "PUT":
        return await _save(parts, request)
    return answer(await parts.store.read(stored.all_names))


async def _save(parts: Parts, request: Request) -> Response:
    if not parts.guard.may_change:
        raise ApiError(403, "set DASHBOARD_TOKEN to give names from other machines")
    wish = _proper(await read_body(request, _LARGEST))
    if not await _is_known(parts, wish.kind, wish.key):
        raise ApiError(404, f"there is no such {wish.kind.value} (any more)")
    saved = await parts.store.save_name(wish)
    parts.hub.publish(message(EventKind.NAMES, saved))
    return answer(saved)


def _proper(body: bytes) -> Name:
    try:
        wish = Name.model_validate_json(body)
    except ValidationError:
        kinds = " or ".join(NameKind)
        raise ApiError(400, f'need JSON with the texts "kind" ({kinds}), "key" and "name"') from None
    if not 0 < len(wish.key) <= LONGEST_KEY or not wish.key.isprintable():
        raise ApiError(400, f"key: need the {wish.kind.value} as its requests have it")
    try:
        return Name(kind=wish.kind, key=wish.key, name=proper_name(wish.name))
    except ValueError as error:
        raise ApiError(400, str(error)) from None


async def _is_known(parts: Parts, kind: NameKind, key: str) -> bool:
    """Only what the page shows can be named: no text that somebody sends becomes one that is kept."""
    now = parts.now()
    if any(getattr(each, kind.value) == key for each in (*now.running, *now.waiting)):
        return True
    return await parts.store.read(lambda connection: stored.is_known(connection, kind, key))
