"""The one configuration object, read once: `clickpipe.toml`, then the environment, then flags."""

from clickpipe.config.settings import Settings, load_settings

__all__ = ["Settings", "load_settings"]
