"""Kinds of modules that have no graph of torch.export: refused by the part's name, before anything is tried."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from partwise.errors import ModelError  # noqa: E402
from partwise.frontends.torch.capture import capture_module  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")


def _inside(part: Any) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(4, 4), part).eval()


_KINDS: dict[str, tuple[Callable[[], Any], str]] = {
    "scripted": (lambda: _inside(torch.jit.script(torch.nn.Linear(4, 4))), r"Sequential, `1`: is TorchScript"),
    "traced": (lambda: torch.jit.trace(torch.nn.Linear(4, 4).eval(), torch.zeros(2, 4)), r"Traced\w+: is TorchScript"),
    "quantized": (
        lambda: torch.ao.quantization.quantize_dynamic(_inside(torch.nn.ReLU()), {torch.nn.Linear}),
        r"Sequential, `0`: holds packed quantized weights.*ONNX",
    ),
    "lazy": (lambda: _inside(torch.nn.LazyLinear(3)), r"Sequential, `1`: is lazy.*call the module once"),
}


@pytest.mark.parametrize("kind", _KINDS)
def test_refused_by_name(kind: str) -> None:
    make, message = _KINDS[kind]
    with pytest.raises(ModelError, match=message):
        capture_module(make(), (torch.zeros(2, 4),))


def test_a_lazy_module_that_was_called_is_captured() -> None:
    module = _inside(torch.nn.LazyLinear(3))
    module(torch.zeros(2, 4))
    assert capture_module(module, (torch.zeros(2, 4),)).nodes
