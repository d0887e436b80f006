"""The price table in force: the one that the setting names, or the packaged one."""

from common.settings import SettingsError
from extproc.domain.usage.price_file import PriceTableError, packaged_prices, parse_price_table
from extproc.domain.usage.prices import PriceTable
from extproc.settings import Settings


def load_prices(settings: Settings) -> PriceTable:
    """The price table of the setting, or the packaged one. Raises SettingsError."""
    if settings.prices_file is None:
        return parse_price_table(packaged_prices())
    try:
        return parse_price_table(settings.prices_file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, PriceTableError) as error:
        raise SettingsError([f"PRICES_FILE={settings.prices_file}: need a valid price table ({error})"]) from None
