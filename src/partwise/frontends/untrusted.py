"""Data from a stranger's file as plain containers: what is no dict or list is an empty one."""

from __future__ import annotations

from typing import Any, cast

__all__ = ["as_dict", "as_list"]


def as_dict(value: Any) -> dict[str, Any]:
    """The dict that a value is; an empty one in place of anything else."""
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}


def as_list(value: Any) -> list[Any]:
    """The items of a list or tuple; none in place of anything else."""
    return list(cast(list[Any], value)) if isinstance(value, list | tuple) else []
