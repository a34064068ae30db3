"""YAML from a user, read strictly: a key that stands twice is refused, by its name and line; nothing is executed, and
nothing is nested deeper than a person would write.

**Source**: YAML 1.2.2, section 3.2.1.1 (the keys of a mapping are unique), which PyYAML does not check.
"""

from __future__ import annotations

from typing import Any, cast

import yaml

from partwise.errors import InputError

__all__ = ["yaml_value"]

_SHOWN = 200  # characters of a reason; a parser quotes what it read
_DEEPEST = 100  # lists and mappings in each other; the parser's time grows with the square, and Python's stack ends
_MERGE = "tag:yaml.org,2002:merge"


class _Strict(yaml.SafeLoader):
    """PyYAML's safe loader, with the checks that it lacks."""

    def fetch_more_tokens(self) -> None:
        if self.flow_level + len(self.indents) > _DEEPEST:
            raise RecursionError
        super().fetch_more_tokens()  # pyright: ignore[reportUnknownMemberType]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines = dict[Any, int]()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                line = key.start_mark.line + 1
                name = cast(Any, self.construct_object(key))  # pyright: ignore[reportUnknownMemberType]
                if name in lines:
                    raise _TwiceError(str(key.value), lines[name], line)
                lines[name] = line
        return cast(dict[Any, Any], super().construct_mapping(node, deep))


class _TwiceError(Exception):
    def __init__(self, key: str, first: int, second: int) -> None:
        super().__init__(key, first, second)
        self.key, self.first, self.second = key, first, second


def yaml_value(data: bytes | str, subject: str) -> Any:
    """The value of a YAML text.

    Raises:
        InputError: no YAML, a tag that names code, or a key that stands twice in one mapping.
    """
    try:
        return yaml.load(data, _Strict)
    except _TwiceError as twice:
        raise InputError(f"{subject}, line {twice.second}", f"the key `{twice.key[:60]}` stands twice",
                         hint=f"it stands in line {twice.first} already.") from None  # fmt: skip
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())[:_SHOWN]
        raise InputError(subject, f"is no YAML ({reason})") from None
