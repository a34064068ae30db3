"""Plain modules with an oddity each, all the way: captured, cut, run in process, exactly their own answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import partwise  # noqa: E402
from e2e.asserting import Asserted  # noqa: E402
from partwise.errors import EngineError, ModelError  # noqa: E402
from partwise.packaging.arrays import own  # noqa: E402


class Odd(torch.nn.Module):
    """A linear layer, two buffers and a cell of a recurrence; `forward` is the function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.linear, self.cell = torch.nn.Linear(4, 4), torch.nn.LSTMCell(4, 4)
        self.register_buffer("kept", torch.zeros(4))
        self.register_buffer("window", torch.hann_window(8))
        self.function = function

    def forward(self, x: Any) -> Any:
        return self.function(self, x)


def _written(module: Odd, x: Any) -> Any:
    module.kept.copy_(x.mean(0))
    return module.linear(x)


def _bound_anew(module: Odd, x: Any) -> Any:
    module.kept = module.kept + x.mean(0)
    return module.linear(x) + module.kept


def _rewritten(module: Odd, x: Any) -> Any:
    module.linear.weight.mul_(2)
    return module.linear(x)


def _filled(module: Odd, x: Any) -> Any:
    return module.linear(x) + torch.empty(8, 4).zero_()


def _rarer(module: Odd, x: Any) -> Any:
    y, places = module.linear(x), torch.tensor([0, 2])
    ordered = torch.quantile(y, 0.3, dim=0), torch.nanquantile(y, 0.5), y.mode(0)[0], torch.nanmedian(y, 1)[0]
    spread = *torch.std_mean(y), *torch.var_mean(y)
    chosen = torch.isin(y.round(), x.round()), y.index_fill(1, places, y.sum()), torch.diagonal_copy(y)
    reduced = (
        y.scatter(0, places[:, None].expand(2, 4), 2.0, reduce="multiply"),
        y.index_reduce(0, places, y[:2], "amax"),
    )
    return *ordered, *spread, *chosen, *reduced, torch.addr(y, y[:, 0], y[0]), torch.cross(y[:, :3], x[:, :3])


def _algebra(module: Odd, x: Any) -> Any:
    y = module.linear(x)
    square = y.T @ y + torch.eye(4)
    solved = torch.linalg.inv(square), torch.linalg.solve(square, y.T), *torch.linalg.slogdet(square)
    decomposed = torch.linalg.cholesky(square), torch.linalg.svdvals(y), torch.linalg.eigvalsh(square)
    products = (
        torch.tensordot(y, x, ([0], [0])),
        torch.kron(y, square),
        torch.linalg.multi_dot([y, square, y.T]),
        torch.linalg.vecdot(y, x),
        torch.cdist(y, x),
    )
    return *solved, *decomposed, *products, torch.special.i0(y), torch.msort(y), torch.histc(y, 4)


def _spectrum(module: Odd, x: Any) -> Any:
    wave = module.linear(x).reshape(-1, 32)
    spectrum = torch.stft(wave, 8, 4, window=module.window, return_complex=True)
    return torch.istft(spectrum, 8, 4, window=module.window), spectrum.conj(), spectrum.conj().imag


def _checked(module: Odd, x: Any) -> Any:
    torch._check_tensor_all(x == x)
    return torch.relu(module.linear(x))


def _factorized(module: Odd, x: Any) -> Any:
    square, linalg = x.t() @ x + torch.eye(4), torch.linalg
    solved = linalg.solve(square, x.t()), linalg.inv(square), linalg.pinv(x), linalg.matrix_exp(module.linear.weight)
    sizes = linalg.det(square), *linalg.slogdet(square), linalg.svdvals(x), linalg.matrix_norm(x, "nuc")
    return *linalg.eigh(square), *linalg.qr(x), linalg.cholesky(square), *solved, *sizes, linalg.svd(x)[1]


def _special(module: Odd, x: Any) -> Any:
    y, special = module.linear(x).abs() + 1, torch.special
    gamma = (
        torch.digamma(y),
        torch.polygamma(1, y),
        torch.igamma(y, y),
        special.zeta(y + 1, y),
    )
    bell = special.i0(x), special.i1e(x), special.bessel_j0(x), special.erfcx(x), special.ndtr(x), special.log_ndtr(x)
    steps = torch.nextafter(x, y), torch.frexp(y)[0]
    return *gamma, *bell, *steps, torch.hamming_window(8)[:4] * y, torch.kaiser_window(8)[:4] * y


def _whole_products(module: Odd, x: Any) -> Any:
    rows = (module.linear(x) * 10).to(torch.int8).repeat(3, 4)
    return torch._int_mm(rows, torch.ones(16, 8, dtype=torch.int8))


_CASES: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "one name twice": (
        lambda m, x: {1: m.linear(x), "1": x + 1, "a": [x * 2], "a_0": x * 3},
        ("output_1", "output_1_2", "a_0", "a_0_2"),
    ),
    "a weight returned": (lambda m, x: (m.linear.weight, torch.relu(m.linear(x))), ("output_0", "output_1")),
    "an assertion about data": (_checked, ("output",)),
    "a buffer that nothing reads": (_written, ("output",)),
    "a buffer bound anew": (_bound_anew, ("output",)),
    "a parameter that is written": (_rewritten, ("output",)),
    "zeros in place": (_filled, ("output",)),
    "complex numbers in the code": (
        lambda m, x: torch.view_as_real(torch.complex(m.linear(x), x) * (2 - 0.5j)),
        ("output",),
    ),
    "rarer operators": (_rarer, tuple(f"output_{place}" for place in range(15))),
    "linear algebra": (_algebra, tuple(f"output_{place}" for place in range(15))),
    "products of no dims": (
        lambda m, x: m.linear(x) * torch.dot(x[0], x[1]) + torch.einsum("ij,ij->", x, x),
        ("output",),
    ),
    "spectral norm": (
        lambda m, x: torch.nn.functional.linear(x, m.linear.weight / torch.vdot(m.cell.bias_ih[:4], x[0])),
        ("output",),
    ),
    "conjugates, spectra": (_spectrum, ("output_0", "output_1", "output_2")),
    "factorizations": (_factorized, tuple(f"output_{place}" for place in range(15))),
    "special functions": (_special, tuple(f"output_{place}" for place in range(14))),
    "products of integers": (_whole_products, ("output",)),
    "a cell": (lambda m, x: m.cell(m.linear(x), (x, x)), ("output_0", "output_1")),
}


def _state(module: Odd) -> list[tuple[str, Any]]:
    return [*module.named_buffers(), *module.named_parameters()]


@pytest.mark.parametrize("name", _CASES)
def test_exact(name: str, tmp_path: Path) -> None:
    function, names = _CASES[name]
    torch.manual_seed(0)
    module, x = Odd(function).eval(), torch.randn(8, 4)
    buffers = {key: (id(value), value.clone()) for key, value in _state(module)}
    graph = partwise.capture(module, (x,))
    package = partwise.cut(module, partwise.plan(graph, stages=2), tmp_path / "package")
    run = partwise.run(package, {"x": x.numpy()})
    assert partwise.verify(run, against=module).outcome == "accepted"
    for key, value in _state(module):
        assert (id(value), value.tolist()) == (buffers[key][0], buffers[key][1].tolist())
    with torch.no_grad():
        expected = torch.utils._pytree.tree_leaves(module(x))
    assert tuple(run.outputs) == names
    for output, leaf in zip(run.outputs.values(), expected, strict=True):
        assert np.array_equal(output, leaf.detach().resolve_conj().resolve_neg().numpy())


def test_multiply_accumulates_of_a_cell() -> None:
    module = Odd(lambda m, x: m.cell(x, (x, x))[0]).eval()
    graph = partwise.capture(module, (torch.randn(3, 4),))
    assert partwise.profile(graph).macs == 3 * (16 * 4 + 16 * 4)


def test_a_result_that_is_an_input_is_a_copy(tmp_path: Path) -> None:
    module, x = Odd(lambda m, x: (x.t(), m.linear.weight, torch.relu(m.linear(x)))).eval(), torch.randn(2, 4).numpy()
    package = partwise.cut(
        module, partwise.plan(partwise.capture(module, (torch.zeros(2, 4),)), stages=2), tmp_path / "package"
    )
    given = own(x)
    first = partwise.run(package, {"x": given}, executor="in-process").outputs
    for value in first.values():
        assert not np.shares_memory(value, given)
        value[...] = 7
    assert np.array_equal(given, x)


def test_another_default_type_is_refused(tmp_path: Path) -> None:
    module, x = Odd(lambda m, x: m.linear(x) + torch.ones(4) / 3).eval(), torch.randn(2, 4)
    package = partwise.cut(module, partwise.plan(partwise.capture(module, (x,)), stages=2), tmp_path / "package")
    torch.set_default_dtype(torch.float64)
    try:
        with pytest.raises(EngineError, match=r"torch's default dtype: was changed; expected torch.float32"):
            partwise.capture(module, (x,))
        with pytest.raises(EngineError, match="default dtype"):
            partwise.run(package, {"x": x.numpy()}, executor="in-process")
    finally:
        torch.set_default_dtype(torch.float32)


class Scaled(torch.nn.Module):
    """Numbers and text among its keywords."""

    def forward(self, x: Any, *, scale: float, times: int, mode: str) -> Any:
        return torch.relu(x) * scale + times if mode == "fast" else x


def test_numbers_among_the_inputs_are_settings(tmp_path: Path) -> None:
    module, x = Scaled().eval(), torch.randn(3, 4)
    graph = partwise.capture(module, {"x": x, "scale": 0.1, "times": 3, "mode": "fast"})
    package = partwise.cut(module, partwise.plan(graph, stages=2), tmp_path / "package")
    run = partwise.run(package, {"x": x.numpy()})
    assert np.array_equal(run.outputs["output"], module(x, scale=0.1, times=3, mode="fast").numpy())
    assert partwise.verify(run, against=module).outcome == "accepted"
    with pytest.raises(ModelError, match="`scale`: cannot be recorded; expected a tensor, string or finite number"):
        partwise.capture(module, {"x": x, "scale": float("nan"), "times": 3, "mode": "fast"})


class Namesakes(torch.nn.Module):
    """Weights called like an input, like a node, and like one value of a node with several."""

    def __init__(self) -> None:
        super().__init__()
        self.x, self.relu = torch.nn.Parameter(torch.randn(4)), torch.nn.Parameter(torch.randn(4))
        self.split_with_sizes = torch.nn.ParameterList([torch.randn(2), torch.randn(2)])

    def forward(self, x: Any) -> Any:
        one, other = torch.split(torch.relu(x) * self.relu + self.x, [2, 2], dim=1)
        return one * self.split_with_sizes[0] + other * self.split_with_sizes[1]


def test_namesakes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, x = Namesakes().eval(), torch.randn(3, 4)
    graph = partwise.capture(module, (x,))
    package = partwise.cut(module, partwise.plan(graph, stages=2), tmp_path / "package")
    output = partwise.run(package, {"x": x.numpy()}).outputs["output"]
    assert np.array_equal(output, module(x).detach().numpy())
    assert {weight.key for weight in graph.weights} == set(module.state_dict())


def _particular(module: Odd, x: Any) -> Any:
    torch._check_tensor_all(x > 50, lambda: "too small\nfor this model")
    return torch.relu(module.linear(x))


def test_a_model_that_refuses_made_up_inputs_says_what_to_do(tmp_path: Path) -> None:
    module, x = Odd(_particular).eval(), torch.full((2, 4), 99.0)
    plan = partwise.plan(partwise.capture(module, (x,)), stages=2)
    with pytest.raises(ModelError, match=r"Odd: refuses these inputs: RuntimeError: too small\. Hint: .*--no-check"):
        partwise.cut(module, plan, tmp_path / "package")
    assert not (tmp_path / "package").exists()
    run = partwise.run(partwise.cut(module, plan, tmp_path / "package", check=False), {"x": x.numpy()})
    assert partwise.verify(run, against=module).outcome == "accepted"


class Sum(torch.nn.Module):
    """Two inputs that are not alike."""

    def forward(self, x: Any, y: Any) -> Any:
        return torch.relu(x) + y


def test_one_example_for_two_inputs(tmp_path: Path) -> None:
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    graph = partwise.capture(Sum().eval(), (x, x))
    package = partwise.cut(Sum().eval(), partwise.plan(graph, stages=2), tmp_path / "package")
    output = partwise.run(package, {"x": x.numpy(), "y": y.numpy()}).outputs["output"]
    assert np.array_equal(output, Sum()(x, y).numpy())


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_compiled_module_is_the_one_that_it_wraps() -> None:
    module, x = Sum().eval(), torch.randn(3, 4)
    assert partwise.capture(torch.compile(module), (x, x)) == partwise.capture(module, (x, x))


@pytest.mark.parametrize("model", [len, 3, None, torch.zeros(2)])
def test_what_is_no_model_is_named_by_its_type(model: Any) -> None:
    with pytest.raises(ModelError, match=r"is no model; expected an nn\.Module, or a path or name"):
        partwise.capture(model, (torch.zeros(2, 4),))


def test_an_exported_program_says_how_it_is_captured() -> None:
    exported = torch.export.export(torch.nn.Linear(4, 4).eval(), (torch.zeros(2, 4),), strict=False)
    with pytest.raises(ModelError, match=r"ExportedProgram: is no model.*Hint: torch\.export\.save"):
        partwise.capture(exported, (torch.zeros(2, 4),))


class ByPlace(torch.nn.Module):
    """An input that has no keyword."""

    def forward(self, x: Any, /, y: Any) -> Any:
        return torch.relu(x) * y


def _hooked() -> Any:
    module = Sum().eval()
    module.register_forward_pre_hook(lambda _, given: (given[0] + 1, *given[1:]))
    module.register_forward_hook(lambda _, given, result: result + given[0])
    return module


@pytest.mark.parametrize("make", [lambda: ByPlace().eval(), _hooked])
def test_inputs_by_place(make: Callable[[], Any], tmp_path: Path) -> None:
    module, x, y = make(), torch.randn(3, 4), torch.randn(3, 4)
    package = partwise.cut(module, partwise.plan(partwise.capture(module, (x, y)), stages=2), tmp_path / "package")
    output = partwise.run(package, {"x": x.numpy(), "y": y.numpy()}).outputs["output"]
    assert np.array_equal(output, module(x, y).numpy())


def test_a_model_may_assert_something_of_its_data(tmp_path: Path) -> None:
    module, inputs = Asserted().eval(), (torch.ones(2, 4), torch.tensor([1, 3]))
    package = partwise.cut(module, partwise.plan(partwise.capture(module, inputs)), tmp_path / "package")
    held = {"x": np.ones((2, 4), np.float32), "lengths": np.array([1, 3])}
    (made,) = partwise.run(package, held, executor="in-process").outputs.values()
    assert (made == module(*inputs).numpy()).all()
