"""Export an `nn.Module` and make it functional.

Fake CPU tensors, `strict=False`, then `run_decompositions({})`: docs/capture.md has the reasons.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from contextlib import nullcontext
from math import isfinite
from typing import Any, cast

from partwise.errors import ModelError, PartwiseError
from partwise.extras import require
from partwise.frontends.results import result_names
from partwise.frontends.torch.dropouts import without_dropouts
from partwise.frontends.torch.experts import experts_as_one_op
from partwise.frontends.torch.literals import is_tensor
from partwise.frontends.torch.origin import failing_module
from partwise.frontends.torch.stack import with_room
from partwise.frontends.torch.surroundings import quiet, without_cache, without_lines
from partwise.frontends.torch.symbols import SizeError
from partwise.frontends.torch.unexportable import refuse_unexportable
from partwise.torch_arrays import refuse_default_type

__all__ = ["arrange", "as_called", "export_functional", "output_names"]

_ROUTING = ("expert", "moe", "router")
_ROUTING_HINT = (
    "a mixture of experts is captured through transformers' `use_experts_implementation`: decorate the layer."
)
_DATA_DEPENDENT = ("data-dependent", "GuardOnDataDependentSymNode", "Unbacked", "unbacked")


def arrange(module: Any, example_inputs: Any) -> dict[str, Any]:
    """Example inputs by the names of `forward`'s parameters.

    Args:
        module: an `nn.Module`.
        example_inputs: a tensor, a tuple of positional or a dict of keyword arguments.

    Raises:
        ModelError: more positional arguments than `forward` takes, or none at all; a module that cannot be exported.
    """
    refuse_unexportable(module)
    if isinstance(example_inputs, Mapping):
        named = {str(k): v for k, v in cast(Mapping[str, Any], example_inputs).items() if v is not None}
    else:
        values = list(cast(Any, example_inputs)) if isinstance(example_inputs, tuple | list) else [example_inputs]
        try:
            named = dict(inspect.signature(module.forward).bind(*values).arguments)
        except TypeError as error:
            raise ModelError("example inputs", f"do not fit `forward`: {error}") from None
    if not named:
        hint = "pass a tuple of positional or a dict of keyword arguments."
        raise ModelError("example inputs", "none given", hint=hint)
    for name, value in named.items():
        if not is_tensor(value) and not _is_recordable(value):
            expected, got = "a tensor, string or finite number", type(value).__name__
            hint = "wrap the module in one that takes tensors."
            raise ModelError(f"example input `{name}`", "cannot be recorded", expected=expected, got=got, hint=hint)
    return _apart(named)


def _is_recordable(value: Any) -> bool:
    return isfinite(value) if isinstance(value, float) else isinstance(value, str | int | bool)


def _apart(named: Mapping[str, Any]) -> dict[str, Any]:
    """The same values, no tensor under two names: export would take the two inputs for one."""
    seen, found = set[int](), dict[str, Any]()
    for name, value in named.items():
        found[name] = value.clone() if is_tensor(value) and id(value) in seen else value
        seen.add(id(value))
    return found


def as_called(module: Any, inputs: Mapping[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Positional and keyword arguments that give a module these inputs: keywords, but by position what `forward` takes
    in no other way, and what hooks of the module would look for there.

    Args:
        module: an `nn.Module`.
        inputs: values by the names of `forward`'s parameters.
    """
    hooked, first = bool(module._forward_pre_hooks or module._forward_hooks), dict[str, Any]()
    for name, parameter in inspect.signature(module.forward).parameters.items():
        either = hooked and parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
        if name not in inputs or not (either or parameter.kind is inspect.Parameter.POSITIONAL_ONLY):
            break
        first[name] = inputs[name]
    return tuple(first.values()), {name: value for name, value in inputs.items() if name not in first}


def export_functional(
    module: Any, inputs: dict[str, Any], symbolic: Mapping[str, Mapping[int, str]], *, lines: bool = True
) -> Any:
    """A functional `ExportedProgram`.

    Args:
        module: an `nn.Module` in eval mode, real or on fake tensors.
        inputs: example values by name.
        symbolic: dims that should stay symbols: {input: {dim: role}}; export may fix one all the same.
        lines: whether its nodes know their line of source, which takes a tenth longer.

    Raises:
        ModelError: torch.export failed; the message is its own.
        UnsupportedOpError: which code runs, or a size, depends on data; experts that are unknown.
    """
    if module.training:
        raise ModelError(type(module).__name__, "is in training mode", hint="call model.eval() first.")
    torch = require("torch")
    refuse_default_type(torch.get_default_dtype())
    auto, (first, others) = torch.export.Dim.AUTO, as_called(module, inputs)
    shapes = {name: dict.fromkeys(symbolic.get(name, {}), auto) or None for name in inputs} if symbolic else None

    def functional() -> Any:
        program = torch.export.export(module, first, others, strict=False, dynamic_shapes=shapes)
        return without_dropouts(program).run_decompositions({})

    unlined = nullcontext() if lines else without_lines()
    with quiet(), torch.no_grad(), without_cache(module), experts_as_one_op(module), unlined:
        try:
            return with_room(functional)
        except PartwiseError:
            raise
        except Exception as error:
            raise _explain(error, module) from error


def output_names(program: Any) -> list[str]:
    """The model's names for its results, in order: keys of the structure it returns, each name once."""
    pytree = require("torch.utils._pytree")
    spec = program.call_spec.out_spec
    tree = pytree.tree_unflatten(list(range(spec.num_leaves)), spec)
    paths = [path for path, _ in pytree.tree_flatten_with_path(tree)[0]]
    return result_names([_key(step) for step in path] for path in paths)


def _key(step: Any) -> str:
    return str(getattr(step, "key", getattr(step, "idx", getattr(step, "name", step))))


def _explain(error: BaseException, module: Any) -> PartwiseError:
    where, text = failing_module(error, module), _first_line(error)
    subject, routed = where or type(module).__name__, any(word in where.lower() for word in _ROUTING)
    if any(mark in f"{type(error).__name__} {error}" for mark in _DATA_DEPENDENT):
        what = f"what runs here, or how large a value is, depends on data: {text}"
        return SizeError(
            subject, what, hint=_ROUTING_HINT if routed else "compute it from sizes, or outside the model."
        )
    if routed:
        return SizeError(subject, f"torch.export failed: {text}", hint=_ROUTING_HINT)
    return ModelError(type(module).__name__, f"torch.export failed{' in ' + where if where else ''}: {text}")


def _first_line(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
