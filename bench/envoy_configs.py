"""Our Envoy configuration with parts taken out: the same listener, routes and clusters, fewer filters between."""

from typing import Any, Final

import yaml

_EXT_PROC: Final = "envoy.filters.http.ext_proc"
_ROUTER: Final = "envoy.filters.http.router"
_ADMITTED: Final = "x-zai-admitted"


def bare(rendered: str) -> str:
    """Without ext_proc, access log, usage extraction and error classification: a plain reverse proxy."""
    bootstrap = yaml.safe_load(rendered)
    _keep_filters(bootstrap, {_ROUTER})
    for route in _upstream_routes(bootstrap):
        route["match"]["headers"] = [each for each in route["match"].get("headers", []) if each["name"] != _ADMITTED]
    return str(yaml.safe_dump(bootstrap))


def with_ext_proc_alone(rendered: str) -> str:
    """Without access log, usage extraction and error classification: requests ask the processor, no more."""
    bootstrap = yaml.safe_load(rendered)
    _keep_filters(bootstrap, {_EXT_PROC, _ROUTER})
    return str(yaml.safe_dump(bootstrap))


def _keep_filters(bootstrap: dict[str, Any], kept: set[str]) -> None:
    manager = _manager(bootstrap)
    manager.pop("access_log")
    manager.pop("access_log_options")
    manager["http_filters"] = [each for each in manager["http_filters"] if each["name"] in kept]
    manager["http_filters"][-1]["typed_config"].pop("upstream_log")
    for route in manager["route_config"]["virtual_hosts"][0]["routes"]:
        own = route.pop("typed_per_filter_config", {})
        if own.keys() & kept:
            route["typed_per_filter_config"] = {name: value for name, value in own.items() if name in kept}
    for cluster in bootstrap["static_resources"]["clusters"]:
        for options in cluster.get("typed_extension_protocol_options", {}).values():
            options.pop("http_filters", None)


def _upstream_routes(bootstrap: dict[str, Any]) -> list[dict[str, Any]]:
    routes = _manager(bootstrap)["route_config"]["virtual_hosts"][0]["routes"]
    return [each for each in routes if each.get("route", {}).get("cluster") == "zai"]


def _manager(bootstrap: dict[str, Any]) -> dict[str, Any]:
    chain = bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]
    manager: dict[str, Any] = chain["filters"][0]["typed_config"]
    return manager
