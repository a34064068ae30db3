"""What a model's own code asked of its sizes while it was exported.

Export takes a size that is a symbol for 2 or more, so no guard says that code branched on a size of 1; and among the
guards nobody can tell a model's question from torch's own, which its operators ask again whenever they run. So the
questions are noted where Python asks them: in the truth value of a comparison of sizes.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from partwise.extras import require
from partwise.frontends.torch.symbols import SizeError, arithmetic
from partwise.ir.dims import holds, names_in, parse_condition

__all__ = ["Choice", "choices_noted", "chosen"]

_TRUTH = ("__init__.py", "fx/experimental/sym_node.py")
"""Files of torch that make a truth value of a comparison for whoever asks."""
_MODEL_CODE = "nn/"
"""Folder of torch whose code is as good as a model's own: it chooses, and is not asked again when a graph runs."""
_MADE_UP = "_dynamo/external_utils.py"
"""File of torch that calls code which torch wrote itself: its guards, asked again when they are asserted."""
_LIBRARY = "/transformers/"
_ALWAYS = "0 == 0"
_LEAST = 2
"""What export takes every size that is a symbol to be at least."""
_SMALL = range(1, 10)


@dataclass(frozen=True, slots=True)
class Choice:
    """One answer by which the traced code went on."""

    question: Any
    """A relation of torch's symbols (sympy)."""
    answer: bool
    library: bool
    """Asked by transformers, whose code takes shortcuts at a length of 1 (no mask for one query) that give the same
    (tests/e2e/test_torch_sizes.py)."""


@contextmanager
def choices_noted() -> Generator[dict[Choice, None]]:
    """While this lasts, the choices by sizes of code that is not torch's, each once, in order."""
    kind, found = require("torch.fx.experimental.sym_node").SymNode, dict[Choice, None]()
    before: Callable[[Any], bool] = kind.bool_
    torch = str(Path(str(require("torch").__file__)).parent) + "/"

    def noted(node: Any) -> bool:
        answer = before(node)
        file = _asker(inspect.currentframe(), torch)
        own = file.removeprefix(torch) if file.startswith(torch) else _MODEL_CODE
        if own.startswith(_MODEL_CODE) and node.expr.free_symbols:
            found[Choice(node.expr, bool(answer), _LIBRARY in file)] = None
        return answer

    frames = require("torch.fx.experimental.symbolic_shapes").uninteresting_files()
    kind.bool_ = noted
    frames.add(__file__)  # torch looks for an `assert`, and for the line it names, in the first frame beyond these
    try:
        yield found
    finally:
        kind.bool_ = before
        frames.discard(__file__)


def _asker(frame: FrameType | None, torch: str) -> str:
    """The file of the code that asked, seen from here; of code that torch made up, the one that called it."""
    while frame is not None and _file(frame, torch) in (__file__, *_TRUTH):
        frame = frame.f_back
    if frame is not None and frame.f_back is not None and _file(frame.f_back, torch) == _MADE_UP:
        frame = frame.f_back
    return "" if frame is None else frame.f_code.co_filename


def _file(frame: FrameType, torch: str) -> str:
    return frame.f_code.co_filename.removeprefix(torch)


def chosen(
    choices: Iterable[Choice], names: Mapping[str, str], kept: Sequence[str], hints: Mapping[str, int]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Conditions that the guards of an export lack: choices that go another way at sizes that keep the conditions.

    Args:
        choices: what code asked of the sizes.
        names: torch's symbol to ours.
        kept: conditions that guards gave.
        hints: of each of our symbols the size of the capture.

    Returns:
        Such conditions, and choices that are none of the arithmetic.
    """
    found, unclear = list[str](), list[str]()
    for choice in choices:
        try:
            text = _condition(choice, names)
        except SizeError:
            unclear.append(f"{choice.question} is {choice.answer}")
            continue
        others = (*kept, *found)
        if any(all(holds(o, sizes) for o in others) and not holds(text, sizes) for sizes in _around(text, hints)):
            found.append(text)
    return tuple(found), tuple(unclear)


def _condition(choice: Choice, names: Mapping[str, str]) -> str:
    question = choice.question
    if not question.is_Relational:
        raise SizeError(f"`{question}`", "is no comparison")
    left, right = question.args
    if choice.library and left.is_Symbol and right.is_Integer and int(right) <= _LEAST:
        return _ALWAYS
    told = question.rel_op if choice.answer else question.negated.rel_op
    return f"{arithmetic(left, names)} {told} {arithmetic(right, names)}"


def _around(condition: str, hints: Mapping[str, int]) -> Iterator[dict[str, int]]:
    """Sizes at which it may turn: small ones and those beside the capture's, one symbol at a time."""
    for name in sorted(names_in(parse_condition(condition))):
        for size in (*_SMALL, *range(max(1, hints[name] - 2), hints[name] + 3)):
            yield {**hints, name: size}
