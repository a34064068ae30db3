"""Options that a verb has for other paths or with other options: where they do not apply they are refused by name."""

from __future__ import annotations

from collections.abc import Collection

import click
from click.core import ParameterSource

__all__ = ["refuse", "refuse_all_but"]


def refuse(names: Collection[str], why: str) -> None:
    """Raise where one of these arguments of the verb at work was typed.

    Args:
        names: as the verb's function has them.
        why: what they are for, after the option's name.

    Raises:
        click.UsageError: the first of them.
    """
    context = click.get_current_context()
    for parameter in context.command.params:
        typed = context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE
        if parameter.name in names and typed:
            raise click.UsageError(f"{_name(parameter)} {why}", context)


def refuse_all_but(names: Collection[str], why: str) -> None:
    """The same for all but these."""
    context = click.get_current_context()
    refuse({parameter.name or "" for parameter in context.command.params}.difference(names), why)


def _name(parameter: click.Parameter) -> str:
    is_option = parameter.param_type_name == "option"
    return max(parameter.opts, key=len) if is_option else (parameter.metavar or parameter.name or "").strip("[].")
