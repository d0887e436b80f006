"""`zai-proxy token`: who may use the proxy. A token is shown once, when it is made; the file keeps only its SHA-256."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Table

from extproc.domain.clients.clients import Client, ClientRegistry, digest_of, is_name, new_token, read_clients
from extproc.runtime.state_file import StateError, StateFile


@click.group()
def token() -> None:
    """Make, list and remove the tokens of clients, in the file that CLIENT_TOKENS_FILE names."""


@token.command()
@click.argument("name")
@click.option("--max-in-flight", type=click.IntRange(min=1), help="Requests at once; without it as many as there are.")
@click.option("--daily-tokens", type=click.IntRange(min=1), help="Input and output tokens a day (UTC).")
def add(name: str, max_in_flight: int | None, daily_tokens: int | None) -> None:
    """Make a token for the client NAME and print it. A running proxy knows it within a second."""
    file = _file()
    registry = _read(file)
    if not is_name(name):
        _fail(f"{name!r} is no name for a client: need letters, digits, '.', '-' and '_', at most 48")
    if registry.named(name) is not None:
        _fail(f"{name} has a token already: remove it first with `zai-proxy token remove {name}`")
    secret = new_token()
    _write(file, [*registry.clients, Client(name, digest_of(secret), max_in_flight, daily_tokens)])
    click.echo(f"The token of {name}; it is not shown again:", err=True)
    click.echo(secret)


@token.command(name="list")
def list_tokens() -> None:
    """List the clients and their limits."""
    table = Table("client", "at once", "tokens a day", "token (SHA-256)")
    for client in _read(_file()).clients:
        table.add_row(client.name, _limit(client.max_in_flight), _limit(client.daily_tokens), f"{client.sha256[:12]}…")
    Console().print(table)


@token.command()
@click.argument("name")
def remove(name: str) -> None:
    """Make the token of the client NAME worthless."""
    file = _file()
    registry = _read(file)
    if registry.named(name) is None:
        _fail(f"there is no client {name}: `zai-proxy token list` shows those that there are")
    _write(file, [client for client in registry.clients if client.name != name])
    click.echo(f"{name} has no token any more.", err=True)


def _file() -> StateFile:
    path = os.environ.get("CLIENT_TOKENS_FILE", "")
    if not path:
        _fail("CLIENT_TOKENS_FILE is not set: need the path of the file of tokens")
    return StateFile(Path(path))


def _read(file: StateFile) -> ClientRegistry:
    try:
        data = file.read()
        return ClientRegistry() if data is None else read_clients(data)
    except (StateError, ValueError) as error:
        _fail(f"CLIENT_TOKENS_FILE={file.path}: need a file that `zai-proxy token add NAME` has made ({error})")


def _write(file: StateFile, clients: list[Client]) -> None:
    try:
        file.write(ClientRegistry(clients).as_dict())
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        _fail(f"CLIENT_TOKENS_FILE={file.path}: need a file in a writable directory ({why})")


def _limit(limit: int | None) -> str:
    return "–" if limit is None else f"{limit:,}"


def _fail(problem: str) -> NoReturn:
    click.echo(problem, err=True)
    sys.exit(2)
