"""`partwise`: the verbs in the order of the pipeline, errors as one line, exit codes as documented.

Exit codes: 0 done or accepted, 1 rejected or inconclusive, 2 usage, and one for each branch of `partwise.errors`.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import json
import os
import signal
import sys
import traceback
from difflib import get_close_matches
from typing import Any

import click
from click.shell_completion import CompletionItem

from partwise.cli.mistakes import report, usage_record
from partwise.cli.streams import leave_streams, open_streams, say
from partwise.errors import InputError, PartwiseError
from partwise.freed_memory import keep_freed
from partwise.machine import allow_open_files

__all__ = ["VERBS", "main"]

VERBS = {
    "capture": "Read a model as a graph.",
    "profile": "Count what a graph costs.",
    "plan": "Find where to divide it.",
    "cut": "Write the parts as a package.",
    "run": "Run a package.",
    "verify": "Judge a package or a run.",
    "bench": "Measure a package, or this machine.",
    "serve": "Answer requests over HTTP.",
    "full-run": "All of it in one go.",
    "slice": "Cut an ONNX model into segments to prove.",
    "compile": "Make their circuits and keys.",
    "prove": "Prove what a run computed.",
    "devices": "List the hardware that times are predicted on.",
    "worker": "Let this machine compute parts for others.",
    "calibrate": "Measure this machine as one of them.",
}
"""Verb and one line about it, in the order of the pipeline; each lives in the module of its name."""

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNUSABLE = (errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP)
_INTERNAL = 70  # EX_SOFTWARE of sysexits.h
_INTERRUPTED, _GONE, _TERMINATED = 130, 141, 143  # 128 + SIGINT, SIGPIPE, SIGTERM


class _UnreadError(Exception):
    """Whoever read what is printed has gone."""


class Verbs(click.Group):
    """A group whose verbs are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in VERBS:
            return None
        name = cmd_name.replace("-", "_")
        return getattr(importlib.import_module(f"partwise.cli.{name}"), name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in VERBS and not name.startswith("-") and not ctx.resilient_parsing:
            near = get_close_matches(name, VERBS, n=1)
            ctx.fail(f"No such command {name!r}." + (f" Did you mean {near[0]!r}?" if near else ""))
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Verbs by the table above: importing all of them would take the second in which somebody waits."""
        verbs = [CompletionItem(name, help=line) for name, line in VERBS.items() if name.startswith(incomplete)]
        return [*verbs, *click.Command.shell_complete(self, ctx, incomplete)]

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # click would end with 1, which says that something was rejected
            raise _UnreadError from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Verbs, in the order of the pipeline"):
            formatter.write_dl(list(VERBS.items()))


@click.command(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="partwise", prog_name="partwise")
def partwise() -> None:
    """Splits a neural network into parts, runs the parts anywhere, and proves what ran.

    \b
    model -> graph -> profile -> plan -> package -> run -> verdict

    \b
    Example:  partwise full-run resnet50.onnx --stages 3
    """


def main() -> None:
    """The command's entry point."""
    as_json = "--json" in sys.argv
    open_streams()
    allow_open_files()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait must not take a stage's processor
    keep_freed()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        code = partwise.main(prog_name="partwise", standalone_mode=False) or 0
        sys.stdout.flush()
    except click.ClickException as error:
        if as_json:
            say(json.dumps(usage_record(error)))
        with contextlib.suppress(OSError):
            error.show()
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted", err=True)
        code = _INTERRUPTED
    except (BrokenPipeError, _UnreadError):
        code = _GONE
    except PartwiseError as error:
        code = report(error, as_json=as_json)
    except Exception as error:  # noqa: BLE001 - the one place where the unforeseen ends
        found = _of_the_system(error)
        code = _defect() if found is None else report(found, as_json=as_json)
    leave_streams()
    sys.exit(code)


def _defect() -> int:
    say(traceback.format_exc(), err=True)
    say("This is a defect of Partwise, not of what you gave it; please report the lines above.", err=True)
    return _INTERNAL


def _of_the_system(error: Exception) -> PartwiseError | None:
    """A path that the system refuses (too long, not ours), or a disk that ran full under a file of passage.

    What is read and written as asked says so where that is done; this is for paths that are only looked at.
    """
    if not isinstance(error, OSError):
        return None
    if error.errno in _FULL:
        subject = str(error.filename or os.environ.get("TMPDIR") or "disk")
        return InputError(subject, f"cannot be written ({error.strerror})", hint="make room, and call it again.")
    if error.errno in _UNUSABLE and error.filename is not None:
        return InputError(str(error.filename), f"cannot be used ({error.strerror})")
    return None


def _terminate(number: int, frame: object) -> None:
    """Leave by the way of all `with` blocks, which end what they started."""
    del number, frame
    sys.exit(_TERMINATED)
