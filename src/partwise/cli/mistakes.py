"""Errors as they are shown, and wrong usage as the record that every other error is under `--json`."""

from __future__ import annotations

import json

import click

from partwise.cli.streams import say
from partwise.errors import PartwiseError

__all__ = ["report", "usage_record"]


def report(error: PartwiseError, *, as_json: bool) -> int:
    """Show an error; its exit code."""
    if as_json:
        say(json.dumps(error.as_dict()))
    say(f"{type(error).__name__}: {error}", err=True)
    return error.exit_code


def usage_record(error: click.ClickException) -> dict[str, object]:
    """The fields of `PartwiseError.as_dict` for a mistake that click found."""
    subject, what = _subject(error), _what(error)
    record: dict[str, object] = {"error": "UsageError", "subject": subject, "what": what, "expected": _expected(error)}
    return record | {"got": _got(error), "hint": _hint(error), "message": f"{subject}: {error.format_message()}"}


def _subject(error: click.ClickException) -> str:
    """The option or argument; otherwise the command that was called."""
    match error:
        case click.NoSuchOption() | click.BadOptionUsage():
            return error.option_name
        case click.BadParameter() if error.param is not None:
            is_option = error.param.param_type_name == "option"
            return max(error.param.opts, key=len) if is_option else (error.param.name or "").upper()
        case click.UsageError() if error.ctx is not None:
            return error.ctx.command_path
        case _:
            return "partwise"


def _what(error: click.ClickException) -> str:
    """Without the name of the option, which is the subject."""
    is_bare = isinstance(error, click.BadParameter) and bool(error.message)
    return error.message if is_bare else error.format_message()


def _expected(error: click.ClickException) -> str | None:
    """The words of an option that takes one of a few; names near a misspelt one."""
    if isinstance(error, click.BadParameter) and error.param is not None and isinstance(error.param.type, click.Choice):
        return ", ".join(map(str, error.param.type.choices))
    if isinstance(error, click.NoSuchOption):
        return ", ".join(error.possibilities or ()) or None
    return None


def _got(error: click.ClickException) -> str | None:
    return error.option_name if isinstance(error, click.NoSuchOption) else None


def _hint(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    return f"{'partwise' if context is None else context.command_path} --help"
