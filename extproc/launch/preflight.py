"""What has to be right before anything starts, beyond the settings' own form: ports, key, prices, certificates."""

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from common import ports
from common.settings import SettingsError
from extproc.runtime.api_key import ApiKey
from extproc.runtime.collector_headers import CollectorHeaders
from extproc.runtime.price_table import load_prices
from extproc.settings import Settings, ca_file, make_state_directory, traces_ca_file, traces_url

_LOOPBACK: Final = "127.0.0.1"


def check(settings: Settings, *further: Callable[[Settings], object]) -> None:
    """Raises SettingsError with a line for everything that would keep the proxy, or what `further` checks, from
    starting."""
    wrong = _errors(settings, (*PORTS, ApiKey.from_settings, *FILES, make_state_directory, *further))
    if wrong:
        raise SettingsError(_lines(wrong), may_pass=all(error.may_pass for error in wrong))


def lines(settings: Settings, checks: Iterable[Callable[[Settings], object]]) -> list[str]:
    """A line for everything that these checks find wrong."""
    return _lines(_errors(settings, checks))


def _errors(settings: Settings, checks: Iterable[Callable[[Settings], object]]) -> list[SettingsError]:
    wrong: list[SettingsError] = []
    for each in checks:
        try:
            each(settings)
        except SettingsError as error:
            wrong.append(error)
    return wrong


def _lines(wrong: Iterable[SettingsError]) -> list[str]:
    return list(dict.fromkeys(line for error in wrong for line in error.problems))


def _client_port(settings: Settings) -> None:
    ports.bind(settings.bind_address, settings.proxy_port, "PROXY_PORT").close()


def _metrics_port(settings: Settings) -> None:
    ports.bind(settings.bind_address, settings.metrics_port, "METRICS_PORT").close()


def _admin_port(settings: Settings) -> None:
    ports.bind(_LOOPBACK, settings.envoy_admin_port, "ENVOY_ADMIN_PORT").close()


def _certificate(settings: Settings) -> None:
    if settings.tls_cert_file is None or settings.tls_key_file is None:
        return
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(settings.tls_cert_file, settings.tls_key_file, password=_no_password)
    except (OSError, ValueError) as error:
        raise SettingsError(
            [
                f"TLS_CERT_FILE={settings.tls_cert_file}: need a certificate chain (PEM) and, in "
                f"TLS_KEY_FILE={settings.tls_key_file}, its unencrypted private key ({_reason(error)})"
            ]
        ) from None


def _no_password() -> str:
    raise ValueError("the private key is encrypted")


def _upstream_certificates(settings: Settings) -> None:
    if settings.zai_ca_file is not None:
        _check_certificates("ZAI_CA_FILE", settings.zai_ca_file)


def _collectors_certificates(settings: Settings) -> None:
    url, file = traces_url(settings), traces_ca_file(settings)
    if url is None or not url.startswith("https:") or file == ca_file(settings):
        return
    is_for_traces = settings.otel_exporter_otlp_traces_certificate is not None
    _check_certificates(f"OTEL_EXPORTER_OTLP_{'TRACES_' if is_for_traces else ''}CERTIFICATE", file)


def _check_certificates(name: str, file: Path) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
    except (OSError, ValueError) as error:
        raise SettingsError([f"{name}={file}: need certificates in PEM ({_reason(error)})"]) from None


def _reason(error: OSError | ValueError) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "unreadable"
    return (error.strerror if isinstance(error, OSError) else str(error)) or type(error).__name__


PORTS: Final = (_client_port, _metrics_port, _admin_port)
"""That its ports can be had."""
FILES: Final = (
    load_prices,
    _certificate,
    _upstream_certificates,
    _collectors_certificates,
    CollectorHeaders.from_settings,
)
"""That what its files hold can be used."""
