"""Configuration of a run or a server: YAML in, a checked record out.

In: a file and a package. Out: a `Config` that can be obeyed. Never: a key that is ignored.
"""

from partwise.runtime.config.apply import (
    check_config,
    configured_engine,
    configured_workers,
    make_pace,
    stage_devices,
)
from partwise.runtime.config.read import parse_config, read_config
from partwise.runtime.config.schema import CONFIG_VERSION, Config

__all__ = [
    "CONFIG_VERSION", "Config", "check_config", "configured_engine", "configured_workers", "make_pace", "parse_config",
    "read_config", "stage_devices",
]  # fmt: skip
