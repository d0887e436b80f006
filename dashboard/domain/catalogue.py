"""Which series of a proxy are kept, and with which of their labels.

The labels left out are summed away, so that a request adds to a few dozen numbers and not to hundreds. What is not
named here and begins with `zai_proxy_` is kept too, with labels that say what happened and not to whom.
"""

from collections.abc import Mapping
from typing import Final

from dashboard.domain.samples import OTHER, Kind, Labels, SeriesKey

_PREFIX: Final = "zai_proxy_"

SHARING: Final = SeriesKey(Kind.GAUGE, "zai_proxy_shared_limits_up")
"""1 while a proxy shares its limits with others."""

_IGNORED: Final = (
    "zai_proxy_request_size_bytes",
    "zai_proxy_response_size_bytes",
    "zai_proxy_token_count_duration_seconds",
    "zai_proxy_worker_utilization_ratio",
)
_FACTS: Final[Mapping[str, tuple[str, ...]]] = {
    "process_start_time_seconds": (),
    "zai_proxy_build_info": ("version", "commit"),
    "zai_proxy_quota_reset_time_seconds": ("limit_type", "window"),
    "zai_proxy_quota_remaining_ratio": ("limit_type", "window"),
}
_KEPT: Final[Mapping[str, tuple[str, ...]]] = {
    "zai_proxy_requests_total": ("path", "status_code"),
    "zai_proxy_request_duration_seconds": ("class", "path"),
    "zai_proxy_time_to_first_byte_seconds": ("path",),
    "zai_proxy_rate_limit_wait_seconds": (),
    "zai_proxy_tokens_total": ("direction", "model"),
    "zai_proxy_estimated_tokens_total": ("direction",),
    "zai_proxy_estimated_cost_usd_total": ("direction", "model"),
    "zai_proxy_rate_limit_rejections_total": ("reason",),
    "process_resident_memory_bytes": (),
    "process_cpu_seconds_total": (),
}
_DROPPED: Final = frozenset({"variant", "client", "method", "pricing_tier", "instance", "job", "pod"})
_OF_THE_PLAN: Final = frozenset(
    {
        "zai_proxy_concurrency_limit_requests",
        "zai_proxy_concurrency_limit_ceiling_requests",
        "zai_proxy_model_concurrency_limit_requests",
        "zai_proxy_model_concurrency_limit_ceiling_requests",
        "zai_proxy_rate_limit_requests_per_second",
        "zai_proxy_rate_limit_ceiling_requests_per_second",
    }
)
_SAME_FOR_ALL: Final = frozenset({"zai_proxy_shared_limits_replicas", "zai_proxy_shared_limits_round_trip_seconds"})
_PARTS: Final = ("_bucket", "_sum", "_count")
_LONGEST_VALUE: Final = 100
_MOST_LABELS: Final = 5
_KINDS: Final = {"counter": Kind.COUNTER, "histogram": Kind.COUNTER, "gauge": Kind.GAUGE}


def is_of_interest(name: str) -> bool:
    """Whether a sample of this name is kept at all: cheap, for the many that are not."""
    if name.endswith("_created"):
        return False
    known = name in _KEPT or name in _FACTS
    return known or (name.startswith(_PREFIX) and not name.startswith(_IGNORED))


def choose(name: str, family_type: str, labels: Mapping[str, str]) -> SeriesKey | None:
    """The series that this sample adds to; None if it is not kept. A histogram's buckets are still cumulative here."""
    if not is_of_interest(name):
        return None
    if name in _FACTS:
        return SeriesKey(Kind.FACT, name, _only(labels, _FACTS[name]))
    kind = _KINDS.get(family_type)
    if kind is None or (family_type == "histogram" and name.endswith("_count")):
        return None
    family = _family(name) if family_type == "histogram" else name
    kept = _KEPT.get(family)
    if kept is None:
        kept = tuple(sorted(label for label in labels if label not in _DROPPED and label != "le"))[:_MOST_LABELS]
    chosen = dict(_only(_with_class(labels), kept))
    if name.endswith("_bucket") and "le" in labels:
        chosen["le"] = labels["le"]
    return SeriesKey(kind, name, tuple(sorted(chosen.items())))


def merged_with_others(key: SeriesKey) -> SeriesKey:
    """The series that takes in what is beyond the bound on a family's series."""
    return SeriesKey(key.kind, key.name, tuple((name, value if name == "le" else OTHER) for name, value in key.labels))


def adds_up(key: SeriesKey, *, is_sharing: bool) -> bool:
    """Whether a gauge of several proxies is their sum; else it is the largest, since they tell of the same thing.

    `is_sharing` says whether this proxy shares its limits with others: they are the whole plan's then.
    """
    if key.name in _OF_THE_PLAN:
        return not is_sharing
    return "quota" not in key.name and not key.name.endswith("_ratio") and key.name not in _SAME_FOR_ALL


def _family(name: str) -> str:
    for part in _PARTS:
        if name.endswith(part):
            return name.removesuffix(part)
    return name


def _only(labels: Mapping[str, str], wanted: tuple[str, ...]) -> Labels:
    return tuple((name, labels.get(name, "")[:_LONGEST_VALUE]) for name in wanted)


def _with_class(labels: Mapping[str, str]) -> Mapping[str, str]:
    status = labels.get("status_code", "")
    return {**labels, "class": f"{status[:1]}xx"} if status else labels
