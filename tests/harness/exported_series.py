"""Every series that a proxy can export, read from what declares them."""

import itertools

from prometheus_client import Counter, Histogram

from extproc.domain.pacing.config import PacingConfig
from extproc.domain.pacing.scheduler import Pacing
from extproc.domain.quota.quota import Quota, QuotaRules
from extproc.domain.replicas.messages import SharedStatus
from extproc.domain.request.admission import Admission
from extproc.lasting_counts import LastingCounts
from extproc.metrics.cache import CacheCollector
from extproc.metrics.pacing import PacingCollector, SharedLimitsCollector
from extproc.metrics.quota import QuotaCollector
from extproc.metrics.requests import AdmissionCollector, Metrics, VariantRegistry
from extproc.metrics.supervision import SupervisionCollector
from extproc.metrics.tracing import TracingCollector
from extproc.transport.envoy_stats import EnvoyReading, EnvoyStats
from tests.harness.doc_tables import Series


def exported() -> set[Series]:
    """Everything on /metrics once each series has a sample."""
    metrics = Metrics()
    metrics.build_info("version", "commit", "time")
    metrics.registry.register(AdmissionCollector(Admission(1).snapshot))
    for instrument in vars(metrics).values():
        if isinstance(instrument, Counter | Histogram) and instrument._labelnames:
            instrument.labels(*instrument._labelnames)
    found = set()
    for family in VariantRegistry(metrics.registry, "test").collect():
        labels = {label for sample in family.samples for label in sample.labels} - {"variant", "le"}
        bounds = tuple(float(sample.labels["le"]) for sample in family.samples if "le" in sample.labels)
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.add(Series(name, family.type, frozenset(labels), bounds[:-1]))  # the last bound is +Inf
    quota = Quota(QuotaRules())
    pacing = Pacing(PacingConfig())
    envoy = EnvoyStats(1)
    envoy.latest = EnvoyReading(0, 0, 0)
    gauges = (
        QuotaCollector(lambda: quota.snapshot(0), dict, dict),
        PacingCollector(lambda: pacing.status(0)),
        SharedLimitsCollector(lambda: SharedStatus(up=True, leads=True, replicas=1, losses=0, round_trip=0.001)),
        CacheCollector(list, dict),
        envoy,
        SupervisionCollector(LastingCounts.new()),
        TracingCollector(lambda: {"sent": 0}, lambda: 0),
    )
    for family in itertools.chain.from_iterable(collector.collect() for collector in gauges):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        found.add(Series(name, family.type, frozenset(family._labelnames), ()))  # type: ignore[attr-defined]
    return found
