"""Records as answers."""

from starlette.responses import Response

from dashboard.records.base import Record


def answer(record: Record, status: int = 200) -> Response:
    """The record as JSON."""
    return Response(record.model_dump_json(), status, media_type="application/json")
