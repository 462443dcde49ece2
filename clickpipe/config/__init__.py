"""Configuration, read once (`clickpipe.toml`, environment, flags); secrets; the address of a running server."""

from clickpipe.config.address import ServerAddress, find_address, publish_address, withdraw_address
from clickpipe.config.key import Cipher, is_encrypted, load_cipher
from clickpipe.config.links import require_inside
from clickpipe.config.memory import available_memory
from clickpipe.config.rules import COPY_SOURCES, DEFAULT_RULES, SETTINGS_FILE, STRICT_RULES, ProjectRules, with_project
from clickpipe.config.secrets import ENV_FILES, environment_secret, folder_secrets
from clickpipe.config.settings import DEFAULT_PORT, KeyOfProject, Settings, load_settings

__all__ = [
    "COPY_SOURCES",
    "DEFAULT_PORT",
    "DEFAULT_RULES",
    "ENV_FILES",
    "SETTINGS_FILE",
    "STRICT_RULES",
    "Cipher",
    "KeyOfProject",
    "ProjectRules",
    "ServerAddress",
    "Settings",
    "available_memory",
    "environment_secret",
    "find_address",
    "folder_secrets",
    "is_encrypted",
    "load_cipher",
    "load_settings",
    "publish_address",
    "require_inside",
    "with_project",
    "withdraw_address",
]
