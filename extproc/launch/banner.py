"""What a person is told once the proxy is ready: where it is, and how to point Claude Code at it."""

from collections.abc import Iterator

from extproc.launch.addresses import client_url, metrics_url
from extproc.settings import Settings, split_origins


def ready_text(settings: Settings, dashboard: str | None, upstream: str | None = None) -> str:
    """The block for the terminal. `dashboard` is its URL, if it runs; `upstream` says in words what ZAI_TARGET_URL
    is."""
    page = f"  dashboard  {dashboard}\n" if dashboard else ""
    return f"""\
zai-proxy is ready.

  clients    {client_url(settings)}  ->  {upstream or settings.zai_target_url}
{page}  metrics    {metrics_url(settings)}/metrics and /status

Point Claude Code at it:

  export ANTHROPIC_BASE_URL={client_url(settings)}
  export ANTHROPIC_AUTH_TOKEN=anything
  export CLAUDE_CODE_ATTRIBUTION_HEADER=0
"""


def exposures(settings: Settings) -> Iterator[str]:
    """Warnings of who can spend the key without a token: other machines, and web pages of any origin."""
    if settings.client_tokens_file is not None:
        return
    if "*" in split_origins(settings.cors_origins or ""):
        yield (
            "CORS_ORIGINS=* lets every web page that a browser on this machine shows spend the key: "
            "ask for tokens (CLIENT_TOKENS_FILE), or name the origins"
        )
    if settings.is_reachable_from_elsewhere:
        yield _open_port(settings)


def _open_port(settings: Settings) -> str:
    return (
        f"BIND_ADDRESS={settings.bind_address} is open to other machines: whoever reaches port {settings.proxy_port} "
        "spends the key; ask for tokens (CLIENT_TOKENS_FILE), keep it behind a firewall, or set BIND_ADDRESS=127.0.0.1"
    )
