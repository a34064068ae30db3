"""Dropouts that drop nothing leave no node; what is written into their argument reaches their readers, as in eager."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.nn import functional  # noqa: E402

from partwise.frontends.torch.capture import capture_module  # noqa: E402
from partwise.ir import check_graph  # noqa: E402
from partwise.runtime.engines.torch_program import TorchProgram  # noqa: E402


class Written(torch.nn.Module):
    """A module whose `forward` is a function of its input and its buffer."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("held", torch.ones(2, 3))

    def forward(self, x: Any) -> Any:
        return self.function(x, self.held)


def read_after_a_write(x: Any, _held: Any) -> Any:
    before = x * 2
    kept = functional.dropout(before, 0.5, False)
    before += 1
    return kept.exp()


def buffer_after_a_write(x: Any, held: Any) -> Any:
    kept = functional.dropout(held, 0.5, False)
    held += x
    return kept.exp()


FUNCTIONS: dict[str, Callable[[Any, Any], Any]] = {
    "in-the-middle": lambda x, _: functional.dropout(x.exp(), 0.5, False).sin(),
    "the-input": lambda x, _: functional.dropout(x, 0.5, False).exp(),
    "a-share-of-0": lambda x, _: functional.dropout(x.exp(), 0.0, True).sin(),
    "in-place": lambda x, _: functional.dropout(x.exp(), 0.5, False, inplace=True).sin(),
    "two": lambda x, _: functional.dropout(functional.dropout(x.exp(), 0.5, False), 0.5, False).sin(),
    "of-channels": lambda x, _: functional.dropout1d(x.exp(), 0.5, False).sin(),
    "alpha": lambda x, _: functional.alpha_dropout(x.exp(), 0.5, False).sin(),
    "transposed": lambda x, _: functional.dropout(x.exp().t(), 0.5, False).sin(),
    "expanded": lambda x, _: functional.dropout(x.exp()[:1].expand(4, 3), 0.5, False).sin(),
    "the-result": lambda x, _: functional.dropout(x.exp(), 0.5, False),
    "the-input-as-result": lambda x, _: (functional.dropout(x, 0.5, False), x.exp()),
    "a-result-twice": lambda x, _: (functional.dropout(made := x.exp(), 0.5, False), made),
    "read-after-a-write": read_after_a_write,
    "buffer-after-a-write": buffer_after_a_write,
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_graph_gives_what_eager_gives_and_copies_nothing(name: str) -> None:
    module, x = Written(FUNCTIONS[name]).eval(), torch.arange(6.0).reshape(2, 3) / 7
    graph = capture_module(module, (x.clone(),), static=True)
    check_graph(graph)
    assert not [node.op for node in graph.nodes if "clone" in node.op or "dropout" in node.op]
    with torch.no_grad():
        program = TorchProgram(graph, {weight.tensor: module.held.clone() for weight in graph.weights})
        got, wanted = program.run([x.clone()], graph.hints), module(x.clone())
    expected: list[Any] = list(wanted) if isinstance(wanted, tuple) else [wanted]
    for ours, theirs in zip(got, expected, strict=True):
        assert torch.equal(ours, theirs)
        assert ours.stride() == theirs.stride()
