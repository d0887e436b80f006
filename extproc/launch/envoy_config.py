"""Renders envoy/envoy.yaml, and the Lua beside it, from the settings. The result never holds the key."""

import ipaddress
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from secrets import randbits
from typing import Final
from urllib.parse import urlsplit

from common.ports import reachable
from extproc.domain.pacing.config import TRIES_FOR_A_PLACE, PacingMode
from extproc.domain.request import near_paths, web_origins
from extproc.domain.request.business_codes import (
    KNOWN_NAMES,
    LIMITS_CODES,
    SPOKEN_NAMES,
    TELLING_CODES,
    TRANSIENT_CODES,
    TRANSIENT_WORDS,
)
from extproc.domain.request.refusals import SHORTEST_WAIT
from extproc.domain.request.unreachable import CONNECT_SECONDS, broken_ways, no_connection, nothing_answers
from extproc.domain.request.way_up import ForwardProxy
from extproc.settings import Settings, ca_file, split_origins, traces_url, way_up

# The Lua filters of envoy/, and the modules that each needs, in order.
_LUA_MODULES: Final = {
    "downstream": ("json_scan", "request"),
    "doctor": ("prompt",),
    "upstream": ("json_scan", "answer"),
}
_PLACEHOLDER: Final = re.compile(r"\$\{([A-Z_]+)\}")
_SOCKETS: Final = "type.googleapis.com/envoy.extensions.transport_sockets"
_PLAINTEXT: Final[dict[str, object]] = {
    "name": "envoy.transport_sockets.raw_buffer",
    "typed_config": {"@type": f"{_SOCKETS}.raw_buffer.v3.RawBuffer"},
}
# Time that the processor gets for a decision beyond the longest time that a request may wait in it.
_DECISION_SECONDS: Final = 30
_PROGRESS_SECONDS: Final = 2
# An attempt is not repeated if the next one would begin so long after it: only one that waited for a connection until
# the end does. One that is refused at once is followed after a back-off, and that is 8 s at most.
_LONG_SILENCE_SECONDS: Final = 9
# So many retries may be on their way at the same time where nothing paces them, or a fifth of what runs.
_RETRIES_AT_ONCE: Final = 10
_PROXY: Final = "upstream_proxy"
PROXY_AUTHORIZATION: Final = "ZAI_PROXY_AUTHORIZATION"
"""The variable of Envoy's environment that holds what it says to HTTPS_PROXY about who it is."""
# What Envoy says of a connection to Z.AI that did not come about, and what that means.
_NO_CONNECTION: Final = (
    "xds.cluster_name == 'zai' && response.code_details.matches('^upstream_reset_before_response_started.*(%s)')"
)
# How a request names this proxy, in a base URL for people. One in HTTP/1.0 need not name it, and is told the address at
# which it came.
_NO_HOST: Final = "zai-proxy.invalid"
_HERE: Final = (
    f"%REQ(:SCHEME)%://%CEL(request.host == '' || request.host == '{_NO_HOST}' ? destination.address : request.host)%"
)
_DISCOVERY: Final[dict[str, object]] = {
    "name": "envoy.cluster.dns",
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.clusters.dns.v3.DnsCluster",
        "all_addresses_in_single_endpoint": True,
        "dns_lookup_family": "ALL",
        "respect_dns_ttl": True,
        "dns_failure_refresh_rate": {"base_interval": "1s", "max_interval": "10s"},
    },
}
# The caller's origin if it is one of those that may come, else nothing; with the asterisk alone it fits any.
_ALLOWED_ORIGIN: Final = (
    "%%CEL('origin' in request.headers && request.headers['origin'].matches('^(%s)$')"
    " ? request.headers['origin'] : '')%%"
)
# What the processor has to see of a request's trace: before it is admitted, and of what it never saw in the log.
_TRACE_HEADERS_TO_READ: Final = "- { exact: traceparent }\n" + 28 * " " + "- { exact: tracestate }"
_TRACE_HEADERS_TO_LOG: Final = "additional_request_headers_to_log: [traceparent, tracestate]"
# What Envoy needs beside prompts: itself, connections, answers on their way.
_IDLE_HEAP: Final = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the upstream is. `authority` is what goes into the Host header."""

    scheme: str
    host: str
    port: int
    authority: str

    @classmethod
    def parse(cls, url: str) -> "Origin":
        """Takes an http or https origin apart; the settings have checked it."""
        parts = urlsplit(url)
        return cls(
            scheme=parts.scheme,
            host=parts.hostname or "",
            port=parts.port or (443 if parts.scheme == "https" else 80),
            authority=parts.netloc,
        )


def source(name: str) -> str:
    """The text of a file of `envoy/`: from the installed package, or from the checkout beside it."""
    packaged = resources.files("extproc").joinpath("envoy", name)
    if packaged.is_file():
        return packaged.read_text("utf-8")
    return (Path(__file__).parent.parent.parent / "envoy" / name).read_text("utf-8")


def lua_source(filter_name: str) -> str:
    """A Lua filter with the modules that it uses as locals before it, its placeholders not yet filled."""
    modules = (f"local {name} = (function()\n{source(f'{name}.lua')}end)()\n" for name in _LUA_MODULES[filter_name])
    return "".join(modules) + source(f"{filter_name}.lua")


def render(settings: Settings, extproc_socket: Path) -> str:
    """The bootstrap for Envoy, in YAML. Raises KeyError for a placeholder that nothing fills."""
    values = _values(settings, extproc_socket)
    filters = {f"{name.upper()}_LUA": json.dumps(_filled(lua_source(name), values)) for name in _LUA_MODULES}
    return _filled(source("envoy.yaml"), values | filters)


def secrets(settings: Settings) -> dict[str, str]:
    """What Envoy's environment has to hold beside: the credentials for HTTPS_PROXY, if there are some."""
    proxy = way_up(settings)
    return {} if proxy is None or not proxy.authorization else {PROXY_AUTHORIZATION: proxy.authorization}


def _filled(text: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)


def _values(settings: Settings, extproc_socket: Path) -> dict[str, str]:
    origin = Origin.parse(settings.zai_target_url)
    return {
        "ADMIN_PORT": str(settings.envoy_admin_port),
        "ALLOWED_ORIGIN": "" if settings.cors_origins is None else _ALLOWED_ORIGIN % _origins(settings.cors_origins),
        "BASES": near_paths.BASES,
        "BASE_PARTS": near_paths.BASE_PARTS,
        "BEYOND_RETRY_BUFFER": str(settings.retry_buffer_bytes + 1),
        "BIND_ADDRESS": settings.bind_address,
        "CLIENT_TRANSPORT_SOCKET": json.dumps(_client_transport(settings)),
        "CONNECT_TIMEOUT": _duration(CONNECT_SECONDS),
        "ENDPOINTS": near_paths.ENDPOINTS,
        "EXPOSED_HEADERS": "" if settings.cors_origins is None else "*",
        "EXTPROC_SOCKET": _quoted(str(extproc_socket)),
        "HEADERS_TO_WITHHOLD": json.dumps(_headers_to_withhold(settings)),
        "HERE": _HERE,
        "KNOWN_NAMES": lua_set(KNOWN_NAMES),
        # For each of Envoy's threads: the prompts of half of the workers at the same moment, and of one at least.
        "LARGEST_HELD": str(settings.retry_buffer_bytes * max(1, settings.max_workers // 2)),
        "LARGEST_HEAP": str(_IDLE_HEAP + 2 * settings.retry_buffer_bytes * settings.max_workers),
        "LONG_SILENCE_MS": str(int(1000 * _LONG_SILENCE_SECONDS)),
        "MAX_CONNECTIONS": str(settings.max_connections),
        "LIMITS_CODES": lua_set(LIMITS_CODES),
        "MAX_RETRIES": str(settings.max_retries),
        "MAX_STREAM_DURATION": _duration(settings.max_stream_duration),
        "MAX_WORKERS": str(settings.max_workers),
        "MESSAGE_TIMEOUT_MS": str(int(1000 * (_DECISION_SECONDS + settings.queue_timeout))),
        "METRICS_HOST": reachable(settings.bind_address),
        "METRICS_PORT": str(settings.metrics_port),
        "MOST_TRIES_AGAIN": str(_most_tries_again(settings)),
        # Paced retries wait in the processor for their turns: what bounds those that go at once would refuse the rest.
        "MOST_RETRIES": str(_RETRIES_AT_ONCE if settings.pacing is PacingMode.OFF else settings.max_workers),
        "NEAR_CHAT": near_paths.NEAR_CHAT,
        "NEAR_COMPLETIONS": near_paths.NEAR_COMPLETIONS,
        "NEAR_EMBEDDINGS": near_paths.NEAR_EMBEDDINGS,
        "NEAR_MESSAGES": near_paths.NEAR_MESSAGES,
        "NEAR_MODELS": near_paths.NEAR_MODELS,
        "NEAR_RESPONSES": near_paths.NEAR_RESPONSES,
        "NO_HOST": _NO_HOST,
        "NO_DOCTOR": json.dumps(not settings.cache_doctor),
        "ONLY_IN_PAAS": near_paths.ONLY_IN_PAAS,
        "NO_CONNECTION": json.dumps(no_connection("", way_up(settings))),
        "NOTHING_ANSWERS": _nothing_answers(way_up(settings)),
        "OPENAI_BASE_PATH": settings.zai_openai_base_path,
        "ORIGINS": "none" if settings.cors_origins is None else _origins(settings.cors_origins),
        "PROGRESS_INTERVAL": _duration(_PROGRESS_SECONDS),
        # A new one at each start: without it nobody can guess a text and compare its hash with one that was seen.
        "PROMPT_SALT": str(randbits(31)) if settings.cache_doctor else "nil",
        "PROXY_PORT": str(settings.proxy_port),
        # A body that waited for admission counts twice (envoy#30613); 1 byte is the least that Envoy takes.
        "RETRY_BODY_LIMIT": str(max(1, 2 * settings.retry_buffer_bytes)),
        "RIGHT_MESSAGES": near_paths.RIGHT_MESSAGES,
        "RIGHT_OF_OPENAI": near_paths.RIGHT_OF_OPENAI,
        "SHORTEST_WAIT": str(SHORTEST_WAIT),
        "SPOKEN_NAMES": lua_set(SPOKEN_NAMES),
        "STREAM_IDLE_TIMEOUT": _duration(settings.stream_idle_timeout),
        "TARGET_AUTHORITY": origin.authority,
        "TELLING_CODES": lua_set(TELLING_CODES),
        "TRACE_HEADERS_TO_LOG": "" if traces_url(settings) is None else _TRACE_HEADERS_TO_LOG,
        "TRACE_HEADERS_TO_READ": "" if traces_url(settings) is None else _TRACE_HEADERS_TO_READ,
        "TRANSIENT_CODES": lua_set(TRANSIENT_CODES | TRANSIENT_WORDS),
        "UPSTREAM_HTTP_PROTOCOL": _upstream_protocol(origin),
        "UPSTREAM_TRANSPORT_SOCKET": json.dumps(_upstream_transport(origin, ca_file(settings))),
        **_way_up(origin, way_up(settings), ca_file(settings)),
    }


def _most_tries_again(settings: Settings) -> int:
    """How often Envoy may send a request again, whatever for."""
    return settings.max_retries * (1 if settings.pacing is PacingMode.OFF else TRIES_FOR_A_PLACE)


def lua_set(members: Iterable[str]) -> str:
    """A set as a Lua table, the same each time."""
    return "{ " + ", ".join(f'["{member}"] = true' for member in sorted(members)) + " }"


def _headers_to_withhold(settings: Settings) -> list[dict[str, str]]:
    """What the processor does not get to see: cookies, and where it asks for no tokens also what could be one."""
    could_be_tokens = () if settings.client_tokens_file is not None else ("authorization", "x-api-key", "api-key")
    return [{"exact": name} for name in ("cookie", *could_be_tokens)]


def _origins(setting: str) -> str:
    """A regular expression for CORS_ORIGINS: it stands in YAML, in CEL and in RE2."""
    return web_origins.pattern(split_origins(setting))


def _client_transport(settings: Settings) -> dict[str, object]:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return _PLAINTEXT
    certificate = {
        "certificate_chain": {"filename": str(settings.tls_cert_file.resolve())},
        "private_key": {"filename": str(settings.tls_key_file.resolve())},
    }
    tls = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [certificate],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {"@type": f"{_SOCKETS}.tls.v3.DownstreamTlsContext", "common_tls_context": tls},
    }


def _upstream_transport(origin: Origin, certificates: Path) -> dict[str, object]:
    if origin.scheme == "http":
        return _PLAINTEXT
    tls = {
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "validation_context": {
            "trusted_ca": {"filename": str(certificates.resolve())},
            "match_typed_subject_alt_names": [
                {"san_type": "IP_ADDRESS" if _is_ip(origin.host) else "DNS", "matcher": {"exact": origin.host}}
            ],
        },
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": f"{_SOCKETS}.tls.v3.UpstreamTlsContext",
            "common_tls_context": tls,
            "sni": "" if _is_ip(origin.host) else origin.host,
        },
    }


def _way_up(origin: Origin, proxy: ForwardProxy | None, certificates: Path) -> dict[str, str]:
    """Where the upstream's connections begin: at its own name, or at a listener that opens tunnels through a proxy."""
    if proxy is None:
        return {
            "UPSTREAM_DISCOVERY": f"cluster_type: {json.dumps(_DISCOVERY)}",
            "UPSTREAM_ADDRESS": json.dumps(_address(origin.host, origin.port)),
            "UPSTREAM_ERRORS": _connection_errors(broken_ways(None)),
            "UPSTREAM_PROXY_LISTENER": "",
            "UPSTREAM_PROXY_CLUSTER": "",
        }
    return {
        "UPSTREAM_DISCOVERY": "type: STATIC",
        "UPSTREAM_ADDRESS": json.dumps({"envoy_internal_address": {"server_listener_name": _PROXY}}),
        "UPSTREAM_ERRORS": _connection_errors(broken_ways(proxy)),
        "UPSTREAM_PROXY_LISTENER": f"- {json.dumps(_proxy_listener(origin, proxy))}",
        "UPSTREAM_PROXY_CLUSTER": f"- {json.dumps(_proxy_cluster(proxy, certificates))}",
    }


def _connection_errors(ways: Iterable[tuple[str, str]]) -> str:
    """The mappers, for both dialects, that say why no connection came about, each of a pattern of Envoy's details and
    words. The names with an asterisk are anchors in envoy.yaml."""
    mappers = []
    for details, words in ways:
        expression = {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter",
            "expression": _NO_CONNECTION % details,
        }
        name = "envoy.access_loggers.extension_filters.cel"
        broken = json.dumps({"extension_filter": {"name": name, "typed_config": expression}})
        body = json.dumps({"inline_string": words})
        for condition, dialect in (
            (f"{{ and_filter: {{ filters: [{broken}, *speaks_anthropic] }} }}", "*anthropic_dialect"),
            (broken, "*openai_dialect"),
        ):
            mappers.append(
                f"- {{ filter: {condition}, body: {body}, headers_to_add: *local_reply_headers, "
                f"body_format_override: {dialect} }}"
            )
    return ("\n" + 20 * " ").join(mappers)


def _nothing_answers(proxy: ForwardProxy | None) -> str:
    """The same words as a Lua string, with `%d` in the place of the seconds."""
    seconds = "{seconds}"
    return json.dumps(nothing_answers(proxy, seconds).replace("%", "%%").replace(seconds, "%d"))


def _proxy_listener(origin: Origin, proxy: ForwardProxy) -> dict[str, object]:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    tunnel: dict[str, object] = {"hostname": f"{host}:{origin.port}"}
    if proxy.authorization:
        value = f"%ENVIRONMENT({PROXY_AUTHORIZATION})%"
        tunnel["headers_to_add"] = [{"header": {"key": "proxy-authorization", "value": value}}]
    tcp_proxy = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": _PROXY,
        "cluster": _PROXY,
        "idle_timeout": "0s",  # the upstream's own cluster ends what is idle
        "tunneling_config": tunnel,
    }
    return {
        "name": _PROXY,
        "internal_listener": {},
        "per_connection_buffer_limit_bytes": 1048576,
        "ignore_global_conn_limit": True,
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typed_config": tcp_proxy}]}],
    }


def _proxy_cluster(proxy: ForwardProxy, certificates: Path) -> dict[str, object]:
    endpoint = {"endpoint": {"address": _address(proxy.host, proxy.port)}}
    options = {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http_protocol_options": {}},
    }
    unbounded = {"max_requests": 100000, "max_pending_requests": 100000, "max_connections": 100000}
    spoken_to = Origin(proxy.scheme, proxy.host, proxy.port, proxy.address)
    return {
        "name": _PROXY,
        "connect_timeout": _duration(CONNECT_SECONDS),
        "cluster_type": _DISCOVERY,
        "per_connection_buffer_limit_bytes": 1048576,
        "load_assignment": {"cluster_name": _PROXY, "endpoints": [{"lb_endpoints": [endpoint]}]},
        "transport_socket": _upstream_transport(spoken_to, certificates),
        "circuit_breakers": {"thresholds": [unbounded]},
        "upstream_connection_options": {
            "tcp_keepalive": {"keepalive_time": 30, "keepalive_interval": 10, "keepalive_probes": 3}
        },
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }


def _address(host: str, port: int) -> dict[str, object]:
    return {"socket_address": {"address": host, "port_value": port}}


def _upstream_protocol(origin: Origin) -> str:
    # Only TLS can agree on HTTP/2 (ALPN); an http:// upstream gets HTTP/1.1.
    if origin.scheme == "http":
        return "explicit_http_config: { http_protocol_options: {} }"
    http2 = {"initial_stream_window_size": 1048576, "initial_connection_window_size": 16777216}
    return f"auto_config: {{ http_protocol_options: {{}}, http2_protocol_options: {json.dumps(http2)} }}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _quoted(text: str) -> str:
    """What stands between the double quotes of a YAML string."""
    return json.dumps(text)[1:-1]


def _duration(seconds: float) -> str:
    return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
