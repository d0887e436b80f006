"""What OpenTelemetry's variables ask for and this proxy does not do, in words.

They are often set for a whole machine, for programs that can do more. As the standard has it, a value out of a set that
is not known here is told and passed over.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from extproc.domain.tracing.sampling import is_known

PROTOCOL: Final = "http/protobuf"
"""How collectors are spoken to; there is no other way."""
GZIP: Final = "gzip"
LONGEST_TIMEOUT: Final = 60.0
"""Seconds that a collector gets at most, whatever is set."""

_OTLP: Final = "OTEL_EXPORTER_OTLP_"
_TIMEOUT: Final = 10.0
_COMPRESSIONS: Final = (GZIP, "none")
_PROPAGATOR: Final = "tracecontext"
_LONGEST_SHOWN: Final = 40
_TARGET: Final = re.compile(r"([A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}")
# Those that concern traces. The last pair of brackets leaves out the same variables for metrics, logs and profiles.
_OF_TRACES: Final = re.compile(
    r"OTEL_(EXPORTER_OTLP_|TRACES_|BSP_|SPAN_|ATTRIBUTE_|PROPAGATORS)(?!METRICS_|LOGS_|PROFILES_).*"
)


def is_exported(exporters: str) -> bool:
    """Whether OTEL_TRACES_EXPORTER, one name or several, has traces sent by OTLP."""
    return "otlp" in _names(exporters)


def is_target(endpoint: str) -> bool:
    """Whether an endpoint is what gRPC takes in place of a URL: a host and a port."""
    return _TARGET.fullmatch(endpoint) is not None


def seconds(timeout: str | None) -> float:
    """What a collector gets for one message. `timeout` is in milliseconds, where 0 is as long as may be."""
    if not _is_number(timeout):
        return _TIMEOUT
    return min(LONGEST_TIMEOUT, int(timeout or "") / 1000) or LONGEST_TIMEOUT


def of_traces(environ: Mapping[str, str], what: str) -> tuple[str, str]:
    """The variable that says this of traces, `PROTOCOL` for example, and its value: the one for traces alone goes
    before the one for all signals. The value is empty where neither is set."""
    own, general = f"{_OTLP}TRACES_{what}", f"{_OTLP}{what}"
    return (own, environ[own]) if environ.get(own) else (general, environ.get(general, ""))


def why_nothing_is_sent(environ: Mapping[str, str]) -> Iterator[str]:
    """A line for what keeps traces from being sent though a collector is named."""
    exporters = environ.get("OTEL_TRACES_EXPORTER") or "otlp"
    if not is_exported(exporters):
        if _names(exporters) != {"none"}:
            yield f"{_shown('OTEL_TRACES_EXPORTER', exporters)}: zai-proxy sends traces by otlp alone, and so none"
        return
    name, _ = of_traces(environ, "ENDPOINT")
    yield f"{name} is no http or https URL, but one for gRPC, which zai-proxy does not speak: nothing is traced"


def what_is_done_otherwise(environ: Mapping[str, str], read: Iterable[str]) -> Iterator[str]:
    """A line for each variable that is not followed while traces are sent. `read` are the names of those that are read
    at all."""
    name, value = of_traces(environ, "PROTOCOL")
    if value and value.lower() != PROTOCOL:
        yield f"{_shown(name, value)}: zai-proxy sends {PROTOCOL}, which most collectors take at port 4318"
    name, value = of_traces(environ, "COMPRESSION")
    if value and value.lower() not in _COMPRESSIONS:
        yield f"{_shown(name, value)}: zai-proxy knows gzip and none, and compresses nothing"
    name, value = of_traces(environ, "TIMEOUT")
    if value and not _is_number(value):
        yield f"{_shown(name, value)} is no whole number of milliseconds: it is {_TIMEOUT * 1000:.0f}"
    sampler = environ.get("OTEL_TRACES_SAMPLER", "")
    if sampler and not is_known(sampler):
        yield f"{_shown('OTEL_TRACES_SAMPLER', sampler)}: zai-proxy does not know it, and goes by parentbased_always_on"
    others = _names(environ.get("OTEL_TRACES_EXPORTER", "")) - {"otlp"}
    if others:
        yield f"{_shown('OTEL_TRACES_EXPORTER', ','.join(sorted(others)))}: zai-proxy sends traces by otlp alone"
    known = frozenset(read)
    for name in sorted(environ):
        if _OF_TRACES.fullmatch(name) and environ[name] and name not in known and not _is_done(name, environ[name]):
            yield f"{name} is set, and zai-proxy does not use it: docs/settings.md has what it reads of OpenTelemetry's"


def _is_done(name: str, value: str) -> bool:
    """Whether it asks for what is done anyway."""
    return name == "OTEL_PROPAGATORS" and _PROPAGATOR in _names(value)


def _is_number(value: str | None) -> bool:
    return value is not None and value.isascii() and value.isdecimal() and len(value) <= len(str(2**31))


def _names(value: str) -> set[str]:
    return {each.strip().lower() for each in value.split(",") if each.strip()}


def _shown(name: str, value: str) -> str:
    return f"{name}={value}" if value.isprintable() and len(value) <= _LONGEST_SHOWN else name
