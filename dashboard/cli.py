"""The `zai-proxy dashboard` command."""

import sys

import click

from common.settings import SettingsError
from dashboard.settings import load_settings


@click.command(name="dashboard")
def dashboard_command() -> None:
    """Run the dashboard: what the proxies do, what the plan has left, who used what.

    Asks the proxies in SCRAPE_TARGETS and serves a page on DASHBOARD_PORT.
    """
    # Imported here: a wrong setting need not wait for the rest.
    from common import logs
    from dashboard import service

    try:
        settings = load_settings()
        logs.configure(settings.log_format, settings.log_level)
        service.run(settings)
    except SettingsError as error:
        click.echo(str(error), err=True)
        sys.exit(error.exit_code)


def main() -> None:
    """Entry point of `python -m dashboard`."""
    dashboard_command(prog_name="zai-proxy dashboard")
