"""torch models cut at every single place: the chain is the whole, bit for bit, and the whole is the eager module."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from e2e.torch_chain import Chain, chain_of, example, over_the_wire  # noqa: E402
from e2e.torch_families import CORE, FAMILIES, QUICK, REFUSED, build  # noqa: E402
from partwise.errors import UnsupportedOpError  # noqa: E402
from partwise.frontends.source import CaptureOptions  # noqa: E402
from partwise.frontends.torch.model import TorchModel  # noqa: E402

RELATIVE = 1e-5
"""Where eager takes another kernel than the functional graph (a fused encoder layer, `nn.MultiheadAttention`)."""
QUICK_REFUSED = ("dbrx", "deepseek_v4")
LONG = ("t5", "mobilenet_v2")
ALL_CUTS, SOME_CUTS = 120, 8
"""Positions at which a graph is cut in two: where it has more, a seeded sample of them."""


@pytest.mark.parametrize(
    "family", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in QUICK]
)
def test_a_chain_is_the_whole_at_every_cut(family: str) -> None:
    check_family(family, ALL_CUTS)


@pytest.mark.slow
@pytest.mark.parametrize("family", CORE)
def test_a_chain_is_the_whole_for_the_core_families(family: str) -> None:
    check_family(family, SOME_CUTS)


@pytest.mark.slow
@pytest.mark.sweep
@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in (*QUICK, *CORE)])
def test_a_chain_is_the_whole_for_every_other_family(family: str) -> None:
    check_family(family, SOME_CUTS)


@pytest.mark.parametrize(
    "family", [name if name in QUICK_REFUSED else pytest.param(name, marks=pytest.mark.slow) for name in REFUSED]
)
def test_what_cannot_be_captured_says_where_and_what_to_do(family: str) -> None:
    module, inputs = build(family)
    with pytest.raises(UnsupportedOpError) as caught:
        TorchModel(module, CaptureOptions(example_inputs=inputs)).capture()
    assert caught.value.hint
    assert REFUSED[family] in str(caught.value)


def check_family(family: str, most_cuts: int) -> None:
    """Capture, compare with eager, then with every chain of `cuts`."""
    module, inputs = build(family)
    source = TorchModel(module, CaptureOptions(example_inputs=inputs))
    chain = chain_of(source)
    given, sizes = example(chain.graph, inputs)
    whole = chain.whole(given, sizes)
    _close(whole, source.answers(chain.graph, [given])[0])
    for assignment in cuts(chain, most_cuts):
        chained = chain.chained(assignment, given, sizes)
        wrong = [name for name in whole if chained[name].tobytes() != whole[name].tobytes()]
        assert not wrong, f"{family}: {wrong} differ when cut in {[len(nodes) for nodes in assignment]}"


def cuts(chain: Chain, most: int) -> Iterator[Sequence[Sequence[int]]]:
    """Every node alone, three random cuts in five, and cuts in two: all of them, or a sample of `most`."""
    placed, chance = chain.contraction.placed, random.Random(0)
    yield [[index] for index in placed]
    positions = range(1, len(placed))
    for _ in range(3):
        ends = sorted(chance.sample(positions, min(4, len(positions))))
        yield [placed[start:end] for start, end in zip([0, *ends], [*ends, len(placed)], strict=True)]
    tried = positions if len(positions) <= most else sorted(chance.sample(positions, most))
    yield from ([placed[:end], placed[end:]] for end in tried)


def _close(whole: dict[str, np.ndarray], eager: dict[str, np.ndarray]) -> None:
    assert list(whole) == list(eager)
    for name, expected in eager.items():
        got, wanted = (value.astype(np.float64) for value in (whole[name], expected))
        assert got.shape == wanted.shape
        scale = np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0)
        np.testing.assert_allclose(got, wanted, rtol=RELATIVE, atol=RELATIVE * scale, err_msg=name)


def test_node_times_are_seen_and_change_nothing() -> None:
    module, inputs = build("gpt2")
    chain = chain_of(TorchModel(module, CaptureOptions(example_inputs=inputs)))
    given, sizes = example(chain.graph, inputs)
    seen: list[tuple[str, float]] = []
    observed = chain.uncut.run(given, sizes, lambda name, start, end: seen.append((name, end - start)))
    assert [name for name, _ in seen] == [node.name for node in chain.graph.nodes]
    assert all(duration >= 0 for _, duration in seen)
    plain = chain.uncut.run(given, sizes)
    assert all(observed[name].tobytes() == plain[name].tobytes() for name in plain)


class Counting(torch.nn.Module):
    """Adds up what it has seen: a buffer that outlives a run, read before and after it is written."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
        self.register_buffer("total", torch.zeros(8))

    def forward(self, x: Any) -> Any:
        seen = self.before(x)
        self.total.add_(seen.sum(0))
        return self.after(torch.relu(seen + self.total))


def test_state_is_kept_between_runs_and_never_cut_from_its_readers() -> None:
    from partwise.planning import Limits, Objective, plan
    from partwise.profiling import profile

    torch.manual_seed(0)
    module = Counting().eval()
    x = torch.randn(3, 8)
    source = TorchModel(module, CaptureOptions(example_inputs=(x,)))
    chain = chain_of(source)
    assert [mutation.target for mutation in chain.graph.mutations] == ["total"]
    given, sizes = example(chain.graph, {"x": x})
    stages = plan(chain.graph, profile(chain.graph), Limits(stages=2), [Objective.BALANCE]).stages
    parts = chain.loaded([stage.nodes for stage in stages])
    for _ in range(3):
        with torch.no_grad():
            eager = module(x).numpy()
        (whole,) = chain.whole(given, sizes).values()
        (chained,) = chain.through(parts, given, sizes).values()
        assert whole.tobytes() == chained.tobytes() == eager.tobytes()


def test_bytes_arrive_with_their_layout() -> None:
    value = np.arange(24, dtype=np.float32).reshape(2, 3, 4).transpose(2, 0, 1)
    received = over_the_wire(value)
    assert received.strides == value.strides
    assert received.tobytes() == value.tobytes()
    assert received.ctypes.data % 64 == 0
