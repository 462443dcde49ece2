"""The one configuration object, read once (`clickpipe.toml`, environment, flags), and where a server listens."""

from clickpipe.config.address import ServerAddress, find_address, publish_address, withdraw_address
from clickpipe.config.settings import DEFAULT_PORT, Settings, load_settings

__all__ = [
    "DEFAULT_PORT",
    "ServerAddress",
    "Settings",
    "find_address",
    "load_settings",
    "publish_address",
    "withdraw_address",
]
