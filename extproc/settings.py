"""The settings: environment variables, their defaults, and what is right for each."""

import difflib
import ipaddress
import os
import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit, urlunsplit

import certifi
from pydantic import AfterValidator, SecretStr

from common.ports import is_local
from common.settings import Address, EnvironmentSettings, LogFormat, LogLevel, SettingsError, port, setting
from dashboard.settings import Settings as DashboardSettings
from extproc.domain.pacing.config import PacingMode
from extproc.domain.request.key_form import what_is_needed
from extproc.domain.request.way_up import ForwardProxy, way_to, what_is_not_used
from extproc.domain.tracing import variables
from extproc.domain.tracing.attributes import read_attributes, read_headers
from extproc.domain.tracing.sampling import Sampler, SamplerName, is_known, read_sampler

KEY: Final = "ZAI_API_KEY"
"""How the names of the settings begin that give the key, and so the lines about them."""
NO_KEY: Final = f"{KEY} is not set: need the Z.AI key (or set {KEY}_FILE)"
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_BASE_PATH: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_OF_OTHERS: Final = ("HTTP_PROXY", "XAI_API_KEY", "TLS_CERT", "TLS_KEY")
"""Variables of other programs whose names resemble that of a setting: they are no misspelt ones."""
# From this similarity on (difflib's ratio) a name counts as a misspelt setting: MAX_WORKER and PROXI_PORT do, PATH and
# SSL_CERT_FILE do not.
_NEAR_MISS: Final = 0.87
# A word of a setting's name may be shortened to so many letters: ADDR, CONN.
_SHORT_WORD: Final = 4
# OpenTelemetry has many variables of nearly the same name: here only a slip of a letter or two is a near miss.
_NEAR_MISS_OF_OTEL: Final = 0.96
_ORIGIN: Final = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[A-Za-z0-9*.\[\]:_-]+")
_VARIANT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError
    if parts.username is not None or not parts.hostname or not _is_host(parts.hostname):
        raise ValueError
    if parts.port == 0:
        raise ValueError
    return value.rstrip("/")


def is_origin(value: str) -> bool:
    """Whether ZAI_TARGET_URL may be this: a scheme, a host and perhaps a port, without credentials or a path."""
    try:
        return _origin(value) == value
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _HOST.fullmatch(host) is not None
    return True


def _origins(value: str) -> str:
    origins = split_origins(value)
    if not origins or not all(_ORIGIN.fullmatch(each) for each in origins):
        raise ValueError
    return ",".join(origins)


def split_origins(value: str) -> list[str]:
    """The origins of CORS_ORIGINS. A slash at the end, which no origin has, is dropped."""
    return [each.strip().rstrip("/") for each in value.split(",") if each.strip()]


def _matching(pattern: re.Pattern[str]) -> AfterValidator:
    def check(value: str) -> str:
        if pattern.fullmatch(value) is None:
            raise ValueError
        return value

    return AfterValidator(check)


def _readable(path: Path) -> Path:
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        raise ValueError
    return path


def _writable(directory: Path) -> Path:
    place = directory if os.path.lexists(directory) else directory.parent
    # In a directory that we may not look into, os.path answers that there is nothing, where Path would raise.
    if not os.path.isdir(place) or not os.access(place, os.W_OK | os.X_OK):
        raise ValueError
    return directory


def _pause_or_none(seconds: float) -> float:
    if 0 < seconds < 1:
        raise ValueError
    return seconds


def _secret(is_right: Callable[[str], bool]) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        if not is_right(value.get_secret_value()):
            raise ValueError
        return value

    return AfterValidator(check)


def _is_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and text.isprintable() and " " not in text
    except ValueError:
        return False


def _is_proxy(text: str) -> bool:
    try:
        ForwardProxy.parse(text)
    except ValueError:
        return False
    return True


def _is_store_url(text: str) -> bool:
    try:
        parts = urlsplit(text)
        has_place = bool(parts.path) if parts.scheme == "unix" else bool(parts.hostname) and parts.port != 0
        return parts.scheme in ("redis", "rediss", "unix") and has_place and text.isprintable() and " " not in text
    except ValueError:
        return False


ReadableFile = Annotated[Path, AfterValidator(_readable)]
WritableDirectory = Annotated[Path, AfterValidator(_writable)]
"""A directory in which files can be written, once it is made if it is missing."""


class Settings(EnvironmentSettings):
    """Everything that can be set, read from the environment once."""

    zai_api_key: SecretStr | None = setting(None, "The Z.AI key.", "the Z.AI key (or set ZAI_API_KEY_FILE)")
    zai_api_key_file: ReadableFile | None = setting(
        None, "A file that holds the Z.AI key; read again when it changes.", "a readable file that holds the Z.AI key"
    )
    zai_target_url: Annotated[str, AfterValidator(_origin)] = setting(
        "https://api.z.ai", "The upstream's origin.", "an http or https origin like https://api.z.ai, without a path"
    )
    zai_ca_file: ReadableFile | None = setting(
        None, "Certificates that the upstream's has to chain to; the system's if unset.", "a readable PEM file"
    )
    https_proxy: Annotated[SecretStr, _secret(_is_proxy)] | None = setting(
        None,
        "A company's proxy on the way to the upstream (CONNECT), with a name and a password if it wants them.",
        "a URL like http://proxy.example.com:3128, or with name:password@ before the host",
    )
    no_proxy: str | None = setting(
        None,
        "Hosts, domains and address ranges that are reached without HTTPS_PROXY, separated by commas.",
        "names and addresses, separated by commas",
    )
    zai_openai_base_path: Annotated[str, _matching(_BASE_PATH)] = setting(
        "/api/coding/paas/v4",
        "Where the /v1/chat/completions, /v1/embeddings and /v1/models of OpenAI clients go; "
        "/api/paas/v4 for a pay-as-you-go key.",
        "a path like /api/coding/paas/v4, without a slash at the end",
    )
    max_workers: int = setting(
        20,
        "Requests that may run or wait at the same time; the next one gets 503.",
        "a whole number from 1 to 10000",
        ge=1,
        le=10000,
    )
    pacing: PacingMode = setting(
        PacingMode.ADAPTIVE,
        "Whether the plan's limits are found out and held (`on`), are the initial values for good (`fixed`), "
        "or nothing but MAX_WORKERS holds requests back (`off`).",
        "on, fixed or off",
    )
    concurrency_limit_initial: int = setting(
        3,
        "Requests that may run at once before the plan's limit is known; the next ones wait.",
        "a whole number from 1 to 10000",
        ge=1,
        le=10000,
    )
    concurrency_limit_max: int | None = setting(
        None,
        "Requests at once that are never exceeded, whatever the plan would allow; MAX_WORKERS if unset.",
        "a whole number from 1 to 10000",
        ge=1,
        le=10000,
    )
    rate_limit_initial: float = setting(
        5, "Requests a second before the plan's limit is known.", "a number from 0.01 to 10000", ge=0.01, le=10000
    )
    rate_limit_min: float = setting(
        0.1, "Requests a second that are always tried.", "a number from 0.01 to 10000", ge=0.01, le=10000
    )
    rate_limit_max: float = setting(
        100, "Requests a second that are never exceeded.", "a number from 0.01 to 10000", ge=0.01, le=10000
    )
    rate_limit_burst: float = setting(
        5, "Requests that may start at once after a pause.", "a number from 1 to 10000", ge=1, le=10000
    )
    queue_timeout: float = setting(
        60,
        "Seconds that a request may wait for its turn; then 429.",
        "a number of seconds from 0 to 240",
        ge=0,
        le=240,
    )
    limits_url: Annotated[SecretStr, _secret(_is_store_url)] | None = setting(
        None,
        "Redis or Valkey through which several replicas share one plan's limits; unset, each keeps to its share.",
        "a URL like redis://:password@host:6379/0, rediss://… or unix:///path",
    )
    limits_plan: Annotated[str, _matching(_VARIANT)] | None = setting(
        None,
        "Name under which replicas share; made from the key if unset. For several keys of one plan.",
        "a name like our-plan, at most 63 characters",
    )
    replicas: int = setting(
        1,
        "Replicas that use the plan: each keeps to its share of the limits while it can't share them.",
        "a whole number from 1 to 1000",
        ge=1,
        le=1000,
    )
    state_dir: WritableDirectory | None = setting(
        None,
        "A directory where the learned limits are kept over a restart; made if only it is missing.",
        "a writable directory, or one to make in a writable directory that is there",
    )
    max_retries: int = setting(
        3,
        "Times that Envoy sends a request again after a transient error; with `PACING` twelve times as often where the "
        "plan's limits refused it.",
        "a whole number from 0 to 10",
        ge=0,
        le=10,
    )
    retry_buffer_bytes: int = setting(
        8 * 1024 * 1024,
        "Largest body that can always be sent again; beyond twice as much none is.",
        "a whole number of bytes from 0 to 104857600",
        ge=0,
        le=100 * 1024 * 1024,
    )
    stream_guard: bool = setting(
        True,
        "Hold a stream's head until its first event, so that an error there is tried again instead of shown.",
        "true or false (on, off)",
    )
    token_counting_enabled: bool = setting(True, "Count tokens, cost and credits.", "true or false")
    cache_doctor: bool = setting(
        False,
        "Find out which part of a client's prompts changes and keeps them out of the cache, by salted hashes of the "
        "parts.",
        "true or false (on, off)",
    )
    prices_file: ReadableFile | None = setting(
        None, "A price table that replaces the packaged one.", "a readable JSON file in the form of the packaged table"
    )
    quota_poll_interval: Annotated[float, AfterValidator(_pause_or_none)] = setting(
        60,
        "Seconds between two polls of the plan's quota; 0 does not poll.",
        "a number of seconds, 0 or from 1 to 3600",
        ge=0,
        le=3600,
    )
    quota_gate: bool = setting(
        True,
        "Refuse new work at once while a window of the plan is used up, until its reset.",
        "true or false (on, off)",
    )
    quota_reserve: float = setting(
        0, "Percent of each window that only main conversations may use.", "a percentage from 0 to 99", ge=0, le=99
    )
    quota_pilot: bool = setting(
        False,
        "Slow background work and sub-agents down while a window would run out before its reset.",
        "true or false (on, off)",
    )
    quota_webhook_url: Annotated[SecretStr, _secret(_is_url)] | None = setting(
        None,
        "URL that is told, by POST, when a used-up window stops work and when work goes on.",
        "an http or https URL",
    )
    deployment_variant: Annotated[str, _matching(_VARIANT)] = setting(
        "production", "The `variant` label of every series.", "a name like production or canary, at most 63 characters"
    )

    bind_address: Address = setting(
        "127.0.0.1", "Where the client port and the metrics port listen.", "an IP address like 127.0.0.1 or 0.0.0.0"
    )
    proxy_port: int = port(8080, "The client port.")
    metrics_port: int = port(9090, "/metrics, /healthz, /readyz and /status.")
    envoy_admin_port: int = port(9901, "Envoy's admin interface, on loopback only.")
    tls_cert_file: ReadableFile | None = setting(
        None, "Certificate chain of the client port (PEM); with TLS_KEY_FILE it speaks TLS.", "a readable PEM file"
    )
    tls_key_file: ReadableFile | None = setting(None, "Private key of the client port (PEM).", "a readable PEM file")
    max_connections: int = setting(
        1000, "Client connections at the same time.", "a whole number from 1 to 100000", ge=1, le=100000
    )
    stream_idle_timeout: float = setting(
        900,
        "Seconds that a request may be silent in both directions.",
        "a number of seconds from 1 to 86400",
        ge=1,
        le=86400,
    )
    max_stream_duration: float = setting(
        3600, "Seconds that a request may take in all.", "a number of seconds from 1 to 86400", ge=1, le=86400
    )
    drain_timeout: float = setting(
        300,
        "Seconds that running requests get to finish on shutdown.",
        "a number of seconds from 0 to 86400",
        ge=0,
        le=86400,
    )

    cors_origins: Annotated[str, AfterValidator(_origins)] | None = setting(
        None,
        "Origins of web pages and webviews that may use the client port, separated by commas; `*` for all, or for a "
        "part of one (`vscode-webview://*`).",
        "origins like https://chat.example.com or http://localhost:*, separated by commas, or *",
    )
    client_tokens_file: ReadableFile | None = setting(
        None,
        "Tokens that clients must send, made by `zai-proxy token add NAME`; read again when it changes. "
        "Unset, nobody has to.",
        "a readable file that `zai-proxy token add NAME` has made",
    )
    client_labels: bool = setting(
        False, "Name clients in metrics, instead of one of 64 buckets.", "true or false (on, off)"
    )
    admin_token: SecretStr | None = setting(
        None,
        "Bearer token that lets its holder read /requests and end requests on the metrics port; "
        "unset, only this machine may.",
        "a token of at least 16 characters",
        min_length=16,
    )
    otel_exporter_otlp_endpoint: SecretStr | None = setting(
        None,
        "Base URL of an OpenTelemetry collector, which gets the traces of requests at /v1/traces below it; "
        "unset, nothing is traced.",
        "an http or https URL like http://127.0.0.1:4318",
    )
    otel_exporter_otlp_traces_endpoint: SecretStr | None = setting(
        None,
        "The whole URL for traces, in place of the one above.",
        "an http or https URL like http://127.0.0.1:4318/v1/traces",
    )
    otel_exporter_otlp_headers: SecretStr | None = setting(
        None,
        "Headers that the collector wants, `name=value` separated by commas, values percent-encoded.",
        "headers like authorization=Bearer%20…, separated by commas",
    )
    otel_exporter_otlp_traces_headers: SecretStr | None = setting(
        None, "The same for traces, in place of the ones above.", "headers like authorization=Bearer%20…, with commas"
    )
    otel_exporter_otlp_headers_file: ReadableFile | None = setting(
        None, "A file that holds them; read again when it changes.", "a readable file with headers like name=value"
    )
    otel_exporter_otlp_protocol: str = setting(
        variables.PROTOCOL, "How the collector is spoken to; there is no other way.", variables.PROTOCOL
    )
    otel_exporter_otlp_traces_protocol: str | None = setting(
        None, "The same for traces, in place of the one above.", variables.PROTOCOL
    )
    otel_exporter_otlp_timeout: str | None = setting(
        None,
        "Milliseconds that the collector gets for one message, 10000 if unset; 60000 at most, and for 0.",
        "a whole number of milliseconds",
    )
    otel_exporter_otlp_traces_timeout: str | None = setting(
        None, "The same for traces, in place of the one above.", "a whole number of milliseconds"
    )
    otel_exporter_otlp_compression: str = setting("none", "`gzip` compresses what is sent.", "gzip or none")
    otel_exporter_otlp_traces_compression: str | None = setting(
        None, "The same for traces, in place of the one above.", "gzip or none"
    )
    otel_exporter_otlp_certificate: Path | None = setting(
        None,
        "Certificates that the collector's has to chain to; those of ZAI_CA_FILE, or the system's, if unset.",
        "certificates in PEM",
    )
    otel_exporter_otlp_traces_certificate: Path | None = setting(
        None, "The same for traces, in place of the one above.", "certificates in PEM"
    )
    otel_service_name: str = setting("zai-proxy", "The traces' `service.name`.", "a name")
    otel_resource_attributes: str | None = setting(
        None, "Further attributes of the service, `name=value` separated by commas.", "name=value, separated by commas"
    )
    otel_traces_sampler: str = setting(
        SamplerName.PARENT_ALWAYS_ON.value,
        "Which traces are recorded: `always_on`, `always_off`, `traceidratio`, or with `parentbased_` before it, which "
        "follows the caller's decision where there is one.",
        "always_on, always_off, traceidratio, or one of these with parentbased_ before it",
    )
    otel_traces_sampler_arg: str | None = setting(
        None, "The share of the traces that `traceidratio` records, from 0 to 1.", "a number from 0 to 1"
    )
    otel_traces_exporter: str = setting(
        "otlp", "`none`, or any list without `otlp`, traces nothing, whatever else is set.", "otlp or none"
    )
    otel_sdk_disabled: bool = setting(False, "`true` traces nothing either.", "true or false")

    extproc_socket: Path | None = setting(
        None,
        "Unix socket between Envoy and extproc; `zai-proxy run` picks one itself.",
        "a path in a writable directory, at most 100 bytes long",
    )
    log_format: LogFormat = setting(LogFormat.CONSOLE, "How log lines look.", "console or json")
    log_level: LogLevel = setting(
        LogLevel.INFO, "The least severe level that is logged.", "debug, info, warning or error"
    )

    def shown(self) -> dict[str, str]:
        """Every setting by its variable name, as text, secrets hidden; what is not set is left out."""
        values = {name.upper(): getattr(self, name) for name in type(self).model_fields}
        return {
            name: "***" if isinstance(value, SecretStr) else str(value)
            for name, value in values.items()
            if value is not None
        }

    @property
    def is_reachable_from_elsewhere(self) -> bool:
        """Whether other machines can reach the client port."""
        return not is_local(self.bind_address)


def load_settings(needs_key: bool = True) -> Settings:
    """Reads the environment. Raises SettingsError with a line for each wrong setting."""
    settings, problems = load_what_is_right(needs_key)
    if problems:
        raise SettingsError(problems)
    return settings


def load_what_is_right(needs_key: bool = True) -> tuple[Settings, list[str]]:
    """The settings as far as each alone is right, and a line for everything that is wrong, a missing key included."""
    settings, problems = Settings.as_far_as_right()
    if problems:  # whether the others fit together can't be told
        of_the_key = () if any(line.startswith(KEY) for line in problems) else _key_problems(settings, needs_key)
        return settings, [*problems, *of_the_key]
    return settings, [*_key_problems(settings, needs_key), *_conflicts(settings)]


def misspelt_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that nothing here reads, each with the setting that was most likely meant: those that begin with ZAI_,
    and near misses of the name of a setting, the dashboard's included."""
    known = [name.upper() for fields in (Settings.model_fields, DashboardSettings.model_fields) for name in fields]
    meant: dict[str, str] = {}
    for name in sorted(each for each in environ if each.upper() not in (*known, *_OF_OTHERS)):
        cutoff = 0.0 if name.startswith("ZAI_") else _NEAR_MISS
        cutoff = _NEAR_MISS_OF_OTEL if name.upper().startswith("OTEL_") else cutoff
        nearest = difflib.get_close_matches(name.upper(), known, 1, cutoff) or _in_other_words(name.upper(), known)
        meant.update((name, each) for each in nearest[:1])
    return meant


def _in_other_words(name: str, known: Sequence[str]) -> list[str]:
    """The names that this one is in singular or plural, shortened, with an ALLOWED between or without the FILE at the
    end: MAX_RETRY, BIND_ADDR, CLIENT_TOKENS."""
    given = _words(name)
    if len(given) < 2:
        return []
    return [each for each in known if _shortens(given, _words(each)) or _shortens([*given, "FILE"], _words(each))]


def _words(name: str) -> list[str]:
    words = (word for word in name.split("_") if word not in ("ALLOW", "ALLOWED"))
    return [f"{word[:-3]}Y" if word.endswith("IES") else word.removesuffix("S") for word in words]


def _shortens(given: list[str], words: list[str]) -> bool:
    return len(given) == len(words) and all(
        word == short or (len(short) >= _SHORT_WORD and word.startswith(short))
        for short, word in zip(given, words, strict=True)
    )


def unknown_settings(environ: Mapping[str, str]) -> Iterator[str]:
    """Warnings for what `misspelt_settings` finds, and for settings that are there in two spellings with two values."""
    for field in dict.fromkeys((*Settings.model_fields, *DashboardSettings.model_fields)):
        spellings = sorted(name for name in environ if name.lower() == field)
        if len({environ[name] for name in spellings}) > 1:
            yield f"{' and '.join(spellings)} are one setting with two values, of which one holds: leave one of them"
    for name, meant in misspelt_settings(environ).items():
        yield f"{name} is not a setting of zai-proxy and does nothing: did you mean {meant}?"


def read_key(text: str) -> str:
    """The key in a file or variable. Raises ValueError, that says what would be right, if it can't be one."""
    need = what_is_needed(text)
    if need is not None:
        raise ValueError(need)
    return text.strip()


def way_up(settings: Settings, url: str | None = None) -> ForwardProxy | None:
    """The proxy on the way to a URL, by default the upstream's; None where there is none."""
    proxy = None if settings.https_proxy is None else settings.https_proxy.get_secret_value()
    return way_to(url or settings.zai_target_url, proxy, settings.no_proxy)


def proxy_url(settings: Settings, url: str) -> str | None:
    """The same for an HTTP client: the proxy's URL, credentials in it."""
    proxy = way_up(settings, url)
    return None if proxy is None else proxy.url


def unused_for_the_way(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """What is set about the way to the upstream, and not used."""
    proxy = None if settings.https_proxy is None else settings.https_proxy.get_secret_value()
    certificates = str(ca_file(settings))
    return what_is_not_used(environ, settings.zai_target_url, proxy, settings.no_proxy, certificates)


def make_state_directory(settings: Settings) -> None:
    """Makes STATE_DIR, for us alone, if it is missing. Raises SettingsError."""
    if settings.state_dir is None:
        return
    try:
        settings.state_dir.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise SettingsError([f"{Settings.problem('state_dir')} ({error.strerror})"]) from None


def ca_file(settings: Settings) -> Path:
    """The certificates that the upstream's has to chain to: the setting, else the system's, else certifi's."""
    system = ssl.get_default_verify_paths().cafile
    return settings.zai_ca_file or Path(system or certifi.where())


def traces_url(settings: Settings) -> str | None:
    """Where traces go; None where nothing is traced."""
    url = _collector(settings) if variables.is_exported(settings.otel_traces_exporter) else None
    if url is None or not _is_url(url):  # a target of gRPC's need not be one
        return None
    if settings.otel_exporter_otlp_traces_endpoint is not None:
        return url
    base = urlsplit(url)
    return urlunsplit(base._replace(path=f"{base.path.rstrip('/')}/v1/traces"))


def _collector(settings: Settings) -> str | None:
    """What is said of where traces go."""
    told = settings.otel_exporter_otlp_traces_endpoint or settings.otel_exporter_otlp_endpoint
    return None if told is None or settings.otel_sdk_disabled else told.get_secret_value()


def traces_headers(settings: Settings) -> str:
    """The headers that the collector wants, as the environment has them; they may be secret."""
    told = settings.otel_exporter_otlp_traces_headers or settings.otel_exporter_otlp_headers
    return "" if told is None else told.get_secret_value()


def traces_timeout(settings: Settings) -> float:
    """Seconds that the collector gets for one message."""
    return variables.seconds(settings.otel_exporter_otlp_traces_timeout or settings.otel_exporter_otlp_timeout)


def traces_are_compressed(settings: Settings) -> bool:
    """Whether messages to the collector are compressed."""
    told = settings.otel_exporter_otlp_traces_compression or settings.otel_exporter_otlp_compression
    return told.lower() == variables.GZIP


def traces_ca_file(settings: Settings) -> Path:
    """The certificates that the collector's has to chain to."""
    own = settings.otel_exporter_otlp_traces_certificate or settings.otel_exporter_otlp_certificate
    return own or ca_file(settings)


def traces_sampler(settings: Settings) -> Sampler:
    """Which traces are recorded. Raises ValueError, but not for settings that `load_settings` has returned."""
    if not is_known(settings.otel_traces_sampler):
        return Sampler()
    return read_sampler(settings.otel_traces_sampler, settings.otel_traces_sampler_arg)


def service_attributes(settings: Settings) -> dict[str, str]:
    """What the operator says of this service: OTEL_SERVICE_NAME before OTEL_RESOURCE_ATTRIBUTES."""
    attributes = read_attributes(settings.otel_resource_attributes or "")
    if "otel_service_name" in settings.model_fields_set or "service.name" not in attributes:
        attributes["service.name"] = settings.otel_service_name
    return attributes


def unused_for_traces(settings: Settings, environ: Mapping[str, str]) -> Iterator[str]:
    """What OpenTelemetry's variables ask for where a collector is named, and is not done."""
    if _collector(settings) is None:
        return
    given = {name.upper(): value for name, value in environ.items() if name.upper().startswith("OTEL_")}
    if traces_url(settings) is None:
        yield from variables.why_nothing_is_sent(given)
    else:
        yield from variables.what_is_done_otherwise(given, (name.upper() for name in Settings.model_fields))


def _key_problems(settings: Settings, needs_key: bool) -> Iterator[str]:
    if needs_key and settings.zai_api_key is None and settings.zai_api_key_file is None:
        yield NO_KEY
    if settings.zai_api_key is not None and settings.zai_api_key_file is not None:
        yield "ZAI_API_KEY and ZAI_API_KEY_FILE are both set: need only one of them"
    if settings.zai_api_key is not None:
        need = what_is_needed(settings.zai_api_key.get_secret_value())
        if need is not None:
            yield f"ZAI_API_KEY=***: {need}"


def _conflicts(settings: Settings) -> Iterator[str]:
    if (settings.tls_cert_file is None) != (settings.tls_key_file is None):
        missing = "TLS_CERT_FILE" if settings.tls_cert_file is None else "TLS_KEY_FILE"
        yield f"{missing} is not set: need both TLS_CERT_FILE and TLS_KEY_FILE, or neither"
    yield from _rate_conflicts(settings)
    yield from _port_conflicts(settings)
    yield from _trace_problems(settings)


def _port_conflicts(settings: Settings) -> Iterator[str]:
    taken: dict[int, str] = {}
    for name, number in settings.ports.items():
        if number in taken:
            yield f"{name}={number}: need another port than {taken[number]}"
        taken.setdefault(number, name)


def _trace_problems(settings: Settings) -> Iterator[str]:
    """What stands in OpenTelemetry's variables for other programs is their business while nothing is traced here."""
    collector = _collector(settings)
    if collector is None or not variables.is_exported(settings.otel_traces_exporter):
        return
    if traces_url(settings) is None:
        is_for_traces = settings.otel_exporter_otlp_traces_endpoint is not None
        protocol = settings.otel_exporter_otlp_traces_protocol or settings.otel_exporter_otlp_protocol
        if protocol.lower() != "grpc" and not variables.is_target(collector):
            yield Settings.problem(f"otel_exporter_otlp_{'traces_' if is_for_traces else ''}endpoint")
        return
    of_headers = "otel_exporter_otlp_headers"
    if settings.otel_exporter_otlp_traces_headers is not None:
        of_headers = "otel_exporter_otlp_traces_headers"
    if traces_headers(settings) and settings.otel_exporter_otlp_headers_file is not None:
        yield f"{of_headers.upper()} and OTEL_EXPORTER_OTLP_HEADERS_FILE are both set: need only one of them"
    checks: tuple[tuple[str, Callable[[], object]], ...] = (
        (of_headers, lambda: read_headers(traces_headers(settings))),
        ("otel_resource_attributes", lambda: read_attributes(settings.otel_resource_attributes or "")),
        ("otel_traces_sampler_arg", lambda: traces_sampler(settings)),
    )
    yield from (Settings.problem(field) for field, check in checks if not _is_right(check))


def _is_right(check: Callable[[], object]) -> bool:
    try:
        check()
    except ValueError:
        return False
    return True


def _rate_conflicts(settings: Settings) -> Iterator[str]:
    least, most = settings.rate_limit_min, settings.rate_limit_max
    if least > most:
        yield f"RATE_LIMIT_MIN={least:g}: need at most RATE_LIMIT_MAX, which is {most:g}"
    elif not least <= settings.rate_limit_initial <= most:
        need = f"need a number from RATE_LIMIT_MIN to RATE_LIMIT_MAX, {least:g} to {most:g}"
        yield f"RATE_LIMIT_INITIAL={settings.rate_limit_initial:g}: {need}"
