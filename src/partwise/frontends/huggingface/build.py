"""Build a model of transformers on fake CPU tensors: every shape and type as if loaded, and no weight in memory.

The module is laid out on `meta` in the very context in which transformers loads checkpoints, so that types
and the parts kept in float32 are the same; then every parameter and buffer becomes a fake CPU tensor, because
`meta` loses the values of constants that the forward makes (docs/capture.md).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

from partwise.errors import ModelError
from partwise.extras import require

__all__ = ["fake_module"]


def fake_module(kind: Any, config: Any, dtype: str) -> tuple[Any, Any]:
    """A module of this class without weights, for shapes, never for values; and the mode that its tensors are of.

    Inputs must be made within the mode. Exporting need not run in it: constants that the forward makes would
    lose their values.

    Args:
        kind: a class of transformers.
        config: its config; its dtype becomes `dtype`.
        dtype: type of the weights.

    Raises:
        ModelError: the config does not make a model.
    """
    fake = require("torch._subclasses")
    shapes = require("torch.fx.experimental.symbolic_shapes")
    wanted = getattr(require("torch"), dtype)
    module = _lay_out(kind, config, wanted)
    mode = fake.FakeTensorMode(shape_env=shapes.ShapeEnv(), allow_non_fake_inputs=True)
    with mode:
        _off_meta(module, _types(module, wanted))
    return module.eval(), mode


def _lay_out(kind: Any, config: Any, dtype: Any) -> Any:
    """The module on `meta`."""
    _set_dtype(config, dtype)
    try:
        with ExitStack() as stack:
            for context in kind.get_init_context(dtype, False, False, False):
                stack.enter_context(context)
            module = kind(config)
    except ImportError as error:
        hint = " ".join(str(error).split())[:200]
        raise ModelError(kind.__name__, "needs a package that is not installed", hint=hint) from None
    except Exception as error:
        text = " ".join(str(error).split())[:300]
        raise ModelError(kind.__name__, f"cannot be built from its config: {text}") from error
    module.tie_weights()
    return module


def _set_dtype(config: Any, dtype: Any) -> None:
    """As `from_pretrained` does: some forwards cast to the type that their config states."""
    config.dtype = dtype
    for key in getattr(config, "sub_configs", {}):
        if (part := getattr(config, key, None)) is not None:
            part.dtype = dtype


def _types(module: Any, dtype: Any) -> dict[str, Any]:
    """The parts that transformers keeps in another type when it loads, by name."""
    plan = module._get_dtype_plan(dtype)
    if not plan:
        return {}
    alternation, groups, _ = require("transformers.core_model_loading").build_glob_alternation(list(plan))
    found = ((name, alternation.search(name)) for name in module.state_dict())
    return {name: plan[groups[match.lastgroup]] for name, match in found if match}


def _off_meta(module: Any, types: dict[str, Any]) -> None:
    """Every parameter and buffer on the CPU, tied ones still tied."""
    torch = require("torch")
    seen: dict[int, Any] = {}
    for prefix, part in module.named_modules():
        for table in (part._parameters, part._buffers):
            for name, value in table.items():
                if value is None or value.device.type != "meta":
                    continue
                if id(value) not in seen:
                    dtype = types.get(f"{prefix}.{name}".lstrip("."), value.dtype)
                    fresh = torch.empty_like(value, device="cpu", dtype=dtype)
                    is_parameter = table is part._parameters
                    seen[id(value)] = torch.nn.Parameter(fresh, requires_grad=False) if is_parameter else fresh
                table[name] = seen[id(value)]
