"""All that traces need, built where they are wanted: no other module of the processor loads any of it."""

import uuid
from dataclasses import dataclass
from urllib.parse import urlsplit

from extproc import version
from extproc.domain.tracing.request_spans import Server
from extproc.domain.tracing.span import Value
from extproc.metrics.tracing import TracingCollector
from extproc.runtime.collector_headers import CollectorHeaders
from extproc.runtime.span_exporter import Collector, SpanExporter
from extproc.runtime.tracer import Tracer
from extproc.settings import (
    Settings,
    proxy_url,
    service_attributes,
    traces_are_compressed,
    traces_ca_file,
    traces_sampler,
    traces_timeout,
)
from extproc.transport import otlp


@dataclass(frozen=True, slots=True)
class Tracing:
    """Who makes spans, and who sends them."""

    tracer: Tracer
    exporter: SpanExporter

    def collector(self) -> TracingCollector:
        """What became of the spans, as series."""
        return TracingCollector(lambda: self.exporter.counts, lambda: self.exporter.waiting)


def collector_of(settings: Settings, url: str) -> Collector:
    """The collector at this URL. Raises SettingsError for a file of headers that can't be used."""
    return Collector(
        url,
        CollectorHeaders.from_settings(settings),
        traces_ca_file(settings),
        proxy_url(settings, url),
        traces_timeout(settings),
        traces_are_compressed(settings),
    )


def build(settings: Settings, url: str) -> Tracing:
    """Traces that go to this URL. Raises SettingsError for a file of headers that can't be used."""
    attributes: dict[str, Value] = {
        "service.version": version.VERSION,
        "service.instance.id": str(uuid.uuid4()),
        "telemetry.sdk.name": otlp.SCOPE,
        "telemetry.sdk.language": "python",
        "telemetry.sdk.version": version.VERSION,
        "zai_proxy.variant": settings.deployment_variant,
        **service_attributes(settings),
    }
    resource = otlp.Resource(attributes, version.VERSION)
    exporter = SpanExporter(collector_of(settings, url), resource.batch, otlp.rejected_spans)
    upstream = urlsplit(settings.zai_target_url)
    port = upstream.port or (443 if upstream.scheme == "https" else 80)
    server = Server(upstream.hostname or "", port)
    return Tracing(Tracer(traces_sampler(settings), server, otlp.encode_span, exporter.put), exporter)
