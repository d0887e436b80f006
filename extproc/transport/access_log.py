"""Envoy's access-log service: takes the entries in and hands them on as plain values."""

import asyncio
import itertools
from collections.abc import Callable, Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import structlog
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.protobuf.struct_pb2 import Struct, Value

from extproc.domain.request.business_codes import classify
from extproc.domain.request.refusals import RefusalReason
from extproc.domain.request.trace_context import noted as noted_trace
from extproc.domain.usage.log_entry import NOTHING_READ, Ending, EntryKind, LogEntry, ReadAnswer
from extproc.domain.usage.outcome import ENDED_ERROR
from extproc.domain.usage.streamed_tokens import NO_EVENTS, Events
from extproc.domain.usage.tokens import NO_TOKENS, TOKEN_FIELDS, disjoint
from extproc.transport import wire
from extproc.transport.grpc_call import Call, Method
from extproc.transport.pb import access_log_pb2 as pb

log = structlog.get_logger("extproc.access_log")

ANSWER_NAMESPACE: Final = "zai.answer"
"""Where the reader in Envoy writes what the latest attempt's answer said, under the key `read`."""

_PROMPT_NAMESPACE: Final = "zai.prompt"
_READ: Final = "read"
_NO_FIELDS: Final[Mapping[str, Value]] = {}
_LONGEST_NUMBER: Final = 10  # digits: enough for Unix time

_LOG_PATH: Final = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs"
_CHECK_PATH: Final = "/envoy.service.auth.v3.Authorization/Check"

_KINDS: Final = {
    pb.DOWNSTREAM_END: EntryKind.REQUEST,
    pb.DOWNSTREAM_PERIODIC: EntryKind.PROGRESS,
    pb.UPSTREAM_END: EntryKind.FAILED_ATTEMPT,
}
# envoy.config.core.v3.RequestMethod; 0 is every method that Envoy has no number for.
_METHODS: Final = ("", "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
# Response code details that say more than the flags: at the end of max_stream_duration no flag is set, and for a
# refused upgrade the one for "no route".
_TOO_LONG: Final = "max_duration_timeout"
_UPGRADE_REFUSED: Final = "upgrade_failed"
_VIA_UPSTREAM: Final = "via_upstream"
# What envoy/upstream.lua, or the processor, answers in place of a further attempt where no connection to Z.AI comes
# about, and what Envoy calls that when it gives up itself, if nothing else is noted.
_LUA: Final = "lua_response"
_GAVE_UP: Final = frozenset({_LUA, f"{wire.REFUSED}{RefusalReason.UNAVAILABLE.value}"})
_NOTHING_ANSWERED: Final = "connection_timeout"
# Envoy counts the attempt for which no place came: the processor answered before it was made.
_WAITED_TOO_LONG: Final = f"{wire.REFUSED}{RefusalReason.RATE.value}"
# Several flags can be set at once; the first that is set here says why the exchange ended.
_ENDINGS: Final = (
    ("downstream_connection_termination", Ending.CLIENT_LEFT),
    ("downstream_remote_reset", Ending.CLIENT_LEFT),
    ("stream_idle_timeout", Ending.TIMEOUT),
    ("upstream_max_stream_duration_reached", Ending.TIMEOUT),
    ("upstream_request_timeout", Ending.TIMEOUT),
    ("duration_timeout", Ending.TIMEOUT),
    ("no_route_found", Ending.NO_UPSTREAM_REQUEST),
    ("no_cluster_found", Ending.NO_UPSTREAM_REQUEST),
    ("dns_resolution_failure", Ending.CONNECT_FAILED),
    ("upstream_overflow", Ending.NO_UPSTREAM_REQUEST),
    ("no_healthy_upstream", Ending.NO_UPSTREAM_REQUEST),
    ("upstream_connection_failure", Ending.CONNECT_FAILED),
    ("upstream_connection_termination", Ending.BROKEN_RESPONSE),
    ("upstream_remote_reset", Ending.BROKEN_RESPONSE),
    ("upstream_protocol_error", Ending.BROKEN_RESPONSE),
    ("local_reset", Ending.BROKEN_RESPONSE),
)


class AccessLog:
    """Receives Envoy's access log; `record` gets every entry, in Envoy's order for each of its threads.

    Afterwards `count_entry` hears of it, and first `count_failure` if it could not be read or recorded. Once all that
    came together are recorded `end_batch` is called.
    """

    def __init__(
        self,
        record: Callable[[LogEntry], None],
        count_entry: Callable[[], None],
        count_failure: Callable[[], None],
        end_batch: Callable[[], None],
    ) -> None:
        self._record = record
        self._count_entry = count_entry
        self._count_failure = count_failure
        self._end_batch = end_batch
        self.entries = 0  # that have arrived
        self.streams = 0  # open ones: each thread of a running Envoy that has logged something holds one

    def methods(self) -> Mapping[str, Method]:
        """What to serve, by path: the log itself, and the check before each of its streams.

        An empty CheckResponse means "let it pass"; Envoy keeps a stream back until it gets one.
        """
        return {_LOG_PATH: self._take_log, _CHECK_PATH: self._let_pass}

    async def _let_pass(self, call: Call) -> None:
        call.write(b"")

    async def _take_log(self, call: Call) -> None:
        # Tells Envoy that the stream is accepted: until it knows, it keeps every message to be able to send it again.
        call.begin()
        self.streams += 1
        taking: Iterator[None] = iter(())
        try:
            while (message := await call.read()) is not None:
                taking = self._take_in(message)
                for _ in taking:
                    await asyncio.sleep(0)  # a batch must not hold up admissions
        except asyncio.CancelledError:
            # Envoy has sent its last entries and is gone. All that has come is counted now, without pauses.
            for _ in itertools.chain(taking, *map(self._take_in, call.rest())):
                pass
            raise
        finally:
            self.streams -= 1
        call.write(b"")

    def _take_in(self, message: bytes) -> Iterator[None]:
        """Takes a batch in, entry by entry."""
        try:
            entries = pb.StreamAccessLogsMessage.FromString(message).http_logs.log_entry
        except DecodeError:  # a batch that we cannot read must not cost the rest of the stream
            self._count_failure()
            log.exception("log entries could not be read", bytes=len(message))
            return
        try:
            for entry in entries:
                try:
                    self._record(read_entry(entry))
                except Exception:  # nor must a single entry
                    self._count_failure()
                    log.exception("a log entry could not be recorded", request_id=entry.request.request_id[:128])
                self._count_entry()
                self.entries += 1
                yield
        finally:
            self._end_batch()


def read_entry(entry: pb.HTTPAccessLogEntry) -> LogEntry:
    """Takes from an entry what accounting needs."""
    common, request, response = entry.common_properties, entry.request, entry.response
    untyped, headers = common.metadata.filter_metadata, response.response_headers
    noted = untyped[wire.METADATA_NAMESPACE].fields if wire.METADATA_NAMESPACE in untyped else _NO_FIELDS
    answer = _answer(untyped)
    details, method = response.response_code_details or _no_connection(common), request.request_method
    code = headers.get("x-zai-code") or answer.code
    has_given_up = details in _GAVE_UP
    was_unsent = details == _LUA or (details == _WAITED_TOO_LONG and common.upstream_request_attempt_count > 0)
    started, duration = common.start_time.seconds + common.start_time.nanos / 1e9, _seconds(common.duration)
    return LogEntry(
        kind=_KINDS.get(common.access_log_type, EntryKind.REQUEST),
        method=_METHODS[method] if method < len(_METHODS) else "",
        path=request.path,
        request_id=request.request_id or headers.get("x-request-id", ""),
        started=started,
        status=response.response_code.value,
        ending=Ending.CONNECT_FAILED if has_given_up else _ending(common, details),
        details=(_text(noted, "why") or _why_it_gave_up(untyped) or _NOTHING_ANSWERED) if has_given_up else details,
        exchange_id=headers.get("x-zai-exchange") or _text(noted, "id"),
        path_label=_text(noted, "path"),
        source=_text(noted, "source"),
        client=_text(noted, "client"),
        session=_text(noted, "session"),
        agent=_text(noted, "agent"),
        thread=_text(noted, "thread"),
        lane=_text(noted, "lane"),
        refused=_text(noted, "refused"),
        model_asked=_text(noted, "asked"),
        trace=noted_trace(_text(noted, "trace")) if "trace" in noted else None,
        traceparent=request.request_headers.get("traceparent", ""),
        tracestate=request.request_headers.get("tracestate", ""),
        waited=_number(_text(noted, "waited")),
        route_name=common.route_name,
        request_bytes=request.request_body_bytes,
        response_bytes=response.response_body_bytes,
        duration=duration,
        sent_first=_optional_seconds(common, "time_to_first_upstream_tx_byte"),
        sent_upstream=_optional_seconds(common, "time_to_last_upstream_tx_byte"),
        first_token=_first_token(untyped, started),
        first_byte=_optional_seconds(common, "time_to_first_upstream_rx_byte"),
        last_byte=_optional_seconds(common, "time_to_last_upstream_rx_byte"),
        attempts=common.upstream_request_attempt_count - was_unsent,
        business_code=code,
        retry_after=_retry_after(headers, code, started + duration),
        streamed=_is_stream(answer, headers),
        user_agent=request.user_agent,
        prompt=_prompt(untyped),
        answer=answer,
    )


def _ending(common: pb.AccessLogCommon, details: str) -> Ending:
    if details == _TOO_LONG:
        return Ending.TIMEOUT
    # Most requests have no flag at all, and one look finds that out.
    flags = {field.name for field, _ in common.response_flags.ListFields()}
    if not flags or details == _UPGRADE_REFUSED:
        return Ending.COMPLETE
    if details in (_VIA_UPSTREAM, ENDED_ERROR):
        flags.discard("upstream_overflow")  # only the retry found no place: the answer is Z.AI's
    return next((ending for name, ending in _ENDINGS if name in flags), Ending.COMPLETE)


def _answer(untyped: Mapping[str, Struct]) -> ReadAnswer:
    if ANSWER_NAMESPACE not in untyped or _READ not in untyped[ANSWER_NAMESPACE].fields:
        return NOTHING_READ
    fields = untyped[ANSWER_NAMESPACE].fields[_READ].struct_value.fields
    counts = {name: fields[name].number_value for name in TOKEN_FIELDS if name in fields}
    return ReadAnswer(
        kind=_text(fields, "kind"),
        model=_text(fields, "model"),
        tokens=disjoint(counts) if counts else NO_TOKENS,
        tells_cache="tells_cache" in fields and fields["tells_cache"].bool_value,
        begun="begun" in fields and fields["begun"].bool_value,
        final="final" in fields and fields["final"].bool_value,
        stop=_text(fields, "stop"),
        code=_text(fields, "code"),
        late="late" in fields and fields["late"].bool_value,
        unread=_text(fields, "unread"),
        events=Events(fields["events"].number_value, fields["bytes"].number_value) if "events" in fields else NO_EVENTS,
        bytes_apart=int(fields["apart"].number_value) if "apart" in fields else 0,
    )


def _no_connection(common: pb.AccessLogCommon) -> str:
    """Envoy's details of a connection that did not come about, of an attempt: a request's entry has them itself."""
    if not common.response_flags.upstream_connection_failure:
        return ""
    reason = common.upstream_transport_failure_reason
    return f"upstream_reset_before_response_started{{connection_failure|{reason}}}".replace(" ", "_")


def _why_it_gave_up(untyped: Mapping[str, Struct]) -> str:
    """What envoy/upstream.lua knows of the last attempt, in Envoy's words; empty if nothing answered it."""
    return _text(untyped[ANSWER_NAMESPACE].fields, "why") if ANSWER_NAMESPACE in untyped else ""


def _prompt(untyped: Mapping[str, Struct]) -> str:
    """What Envoy's reader of prompts (`envoy/prompt.lua`) has written for the log."""
    return _text(untyped[_PROMPT_NAMESPACE].fields, "parts") if _PROMPT_NAMESPACE in untyped else ""


def _text(fields: Mapping[str, Value], name: str) -> str:
    # Indexing a protobuf map creates what is missing, so look first.
    return fields[name].string_value if name in fields else ""


def _number(noted: str) -> float | None:
    return float(noted) if noted else None


def _first_token(untyped: Mapping[str, Struct], started: float) -> float | None:
    """When the latest attempt's answer began, by the reader's clock, which counts milliseconds."""
    read = untyped[ANSWER_NAMESPACE].fields.get(_READ) if ANSWER_NAMESPACE in untyped else None
    at = read.struct_value.fields["begun_at"].number_value if read and "begun_at" in read.struct_value.fields else 0.0
    return max(0.0, at / 1000 - started) if at else None


def _retry_after(headers: Mapping[str, str], code: str, ended: float) -> float | None:
    """The seconds for which an answer asks to be left alone. Of an error that lasts until a window resets, the seconds
    until then."""
    told = headers.get("x-zai-retry-after") or headers.get("retry-after")
    if told is not None:
        return _whole(told) if told.isdecimal() else _seconds_until(told, ended)
    reset = headers.get("anthropic-ratelimit-unified-reset")
    at = None if reset is None or classify(code, 0).transient else _whole(reset)
    return at - ended if at is not None and at > ended else None


def _whole(told: str) -> float | None:
    return float(told) if told.isascii() and told.isdecimal() and len(told) <= _LONGEST_NUMBER else None


def _seconds_until(date: str, ended: float) -> float | None:
    try:
        return max(0.0, parsedate_to_datetime(date).timestamp() - ended)
    except (ValueError, OverflowError):
        return None


def _is_stream(answer: ReadAnswer, headers: Mapping[str, str]) -> bool:
    if answer.kind in ("events", "json"):
        return answer.kind == "events"
    return headers.get("content-type", "").startswith("text/event-stream")


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


def _optional_seconds(common: pb.AccessLogCommon, name: str) -> float | None:
    return _seconds(getattr(common, name)) if common.HasField(name) else None
