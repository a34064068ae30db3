"""Where an exported node was written: the module it belongs to and the line of its source."""

from __future__ import annotations

from types import FrameType, TracebackType
from typing import Any

from partwise.extras import require

__all__ = ["failing_module", "module_path", "origin"]


def module_path(node: Any) -> str:
    """Dotted path of the module whose `forward` the node stands in; empty at the top."""
    stack: dict[str, tuple[str, Any]] = node.meta.get("nn_module_stack") or {}
    paths = [path for path, kind in stack.values() if "metadata_hook" not in str(kind)]
    return paths[-1] if paths else ""


def origin(node: Any) -> str:
    """Module path and `file:line` of a node, for messages; torch knows only lines of methods named `forward`."""
    return ", ".join(part for part in (module_path(node), _source_line(node)) if part) or "the model itself"


def failing_module(error: BaseException, module: Any) -> str:
    """The innermost submodule at work when export failed, with the line: path (Class), file:line; empty if none."""
    torch = require("torch")
    paths = {id(part): path for path, part in module.named_modules()}
    found, traceback = "", error.__traceback__
    while traceback is not None:
        owner = _first_argument(traceback.tb_frame)
        if isinstance(owner, torch.nn.Module) and id(owner) in paths and "/torch/nn/" not in _file(traceback):
            kind = type(owner).__name__
            path = paths[id(owner)] or "the model itself"
            found = f"{path} ({kind}), {_file(traceback)}:{traceback.tb_lineno}"
        traceback = traceback.tb_next
    return found


def _first_argument(frame: FrameType) -> Any:
    """What a method calls `self`, whatever it calls it."""
    return frame.f_locals.get(frame.f_code.co_varnames[0]) if frame.f_code.co_argcount else None


def _file(traceback: TracebackType) -> str:
    return traceback.tb_frame.f_code.co_filename


def _source_line(node: Any) -> str:
    lines = [line.strip() for line in (node.meta.get("stack_trace") or "").splitlines()]
    files = [line.removeprefix("File ").split(", in ")[0].replace('"', "") for line in lines if line.startswith("File")]
    written = [file for file in files if not file.startswith("<")]  # code that torch made up has no line of anybody's
    return written[-1].replace(", line ", ":") if written else ""
