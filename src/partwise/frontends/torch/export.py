"""Export an `nn.Module` and make it functional, with batch and sequence as symbols where export allows.

Fake CPU tensors, `strict=False`, then `run_decompositions({})`: docs/capture.md has the reasons.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from partwise.errors import ModelError, PartwiseError
from partwise.extras import require
from partwise.frontends.torch.symbols import roles

__all__ = ["arrange", "export_functional", "output_names"]


def arrange(module: Any, example_inputs: Any) -> dict[str, Any]:
    """Example inputs by the names of `forward`'s parameters.

    Args:
        module: an `nn.Module`.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.

    Raises:
        ModelError: more positional arguments than `forward` takes, or none at all.
    """
    if isinstance(example_inputs, Mapping):
        named = {str(k): v for k, v in cast(Mapping[str, Any], example_inputs).items() if v is not None}
    else:
        values = list(cast(Any, example_inputs)) if isinstance(example_inputs, tuple | list) else [example_inputs]
        try:
            named = dict(inspect.signature(module.forward).bind(*values).arguments)
        except TypeError as error:
            raise ModelError("example inputs", f"do not fit `forward`: {error}") from None
    if not named:
        raise ModelError(
            "example inputs", "none given", hint="pass a tuple of positional or a dict of keyword arguments."
        )
    return named


def export_functional(module: Any, inputs: dict[str, Any], static: bool) -> tuple[Any, list[str]]:
    """A functional `ExportedProgram`, and what export fixed though it was asked not to.

    Args:
        module: an `nn.Module` in eval mode, real or on fake tensors.
        inputs: example tensors by name.
        static: fix every size.

    Raises:
        ModelError: torch.export failed; the message is its own.
    """
    if module.training:
        raise ModelError(type(module).__name__, "is in training mode", hint="call model.eval() first.")
    wanted = {} if static else roles(inputs)
    if not wanted:
        return _export(module, inputs, {}), []
    try:
        return _export(module, _at_least_two(inputs, wanted), wanted), []
    except PartwiseError as error:
        program = _export(module, inputs, {})
        return program, [f"all sizes are fixed: export with symbolic ones failed ({_first_line(error)})"]


def output_names(program: Any) -> list[str]:
    """The model's names for its results, in order: keys of the structure it returns."""
    pytree = require("torch.utils._pytree")

    spec = program.call_spec.out_spec
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    names = ["_".join(_key(step) for step in path) for path in paths]
    return [f"output_{name}" if name.isdigit() else name or "output" for name in names]


def _key(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "idx", getattr(step, "name", step))))


def _export(module: Any, inputs: dict[str, Any], wanted: dict[str, dict[int, str]]) -> Any:
    torch = require("torch")

    auto = torch.export.Dim.AUTO
    shapes = {name: dict.fromkeys(wanted.get(name, {}), auto) or None for name in inputs}
    with warnings.catch_warnings(), torch.no_grad(), _without_cache(module):
        warnings.simplefilter("ignore")
        try:
            program = torch.export.export(module, (), inputs, strict=False, dynamic_shapes=shapes if wanted else None)
            return program.run_decompositions({})
        except Exception as error:
            raise ModelError(type(module).__name__, f"torch.export failed: {_first_line(error)}") from error


@contextmanager
def _without_cache(module: Any) -> Iterator[None]:
    """A Hugging Face model without its growing K/V cache, whose objects cannot cross an export."""
    config = getattr(module, "config", None)
    before = getattr(config, "use_cache", None)
    if before:
        config.use_cache = False  # pyright: ignore[reportOptionalMemberAccess]
    try:
        yield
    finally:
        if before:
            config.use_cache = before  # pyright: ignore[reportOptionalMemberAccess]


def _at_least_two(inputs: dict[str, Any], wanted: dict[str, dict[int, str]]) -> dict[str, Any]:
    """The inputs with every symbolic size 1 doubled: export takes a 1 for a constant."""
    torch = require("torch")

    return {
        name: torch.cat([value] * 2, dim=dim)
        if (dim := next((d for d in wanted.get(name, {}) if value.shape[d] == 1), None)) is not None
        else value
        for name, value in inputs.items()
    }


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
