"""From an `nn.Module` to its graph: as many sizes as symbols as export allows, and a note on each that it fixed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import partwise.ir as ir
from partwise.errors import ModelError, UnsupportedOpError
from partwise.extras import require
from partwise.frontends.torch.choices import Choice, choices_noted, chosen
from partwise.frontends.torch.convert import Naming, convert
from partwise.frontends.torch.export import arrange, export_functional, output_names
from partwise.frontends.torch.literals import is_tensor
from partwise.frontends.torch.plain import other_kernels
from partwise.frontends.torch.symbols import Roles, SizeError, conditions, expression, roles
from partwise.ir.dims import Dim, holds

__all__ = ["ARGUMENT", "capture_module"]

ARGUMENT = "argument "
"""Before the name of an argument that is no tensor, among the settings of a graph."""

_UNROLLED = 5000
"""Nodes above which a fixed size is taken for a loop that export unrolled: twice the size, twice the nodes."""


def capture_module(
    module: Any, example_inputs: Any, *, static: bool = False, name: str = "", symbolic: Roles | None = None
) -> ir.Graph:
    """The graph of an `nn.Module`.

    Args:
        module: in eval mode.
        example_inputs: a tuple of positional or a dict of keyword arguments (torch tensors, strings, numbers).
        static: fix every size to the example's.
        name: the graph's name; the class's by default.
        symbolic: the sizes that should stay symbols; by default what `roles` says.

    Raises:
        ModelError: it cannot be exported.
        UnsupportedOpError: an operator without a row, or what `convert` and `export_functional` refuse.
    """
    inputs = arrange(module, example_inputs)
    wanted = {} if static else roles(inputs) if symbolic is None else symbolic
    capture = _Capture(module, inputs, name or type(module).__name__, static, wanted)
    try:
        return _with_most_symbols(capture)
    except UnsupportedOpError as error:
        if ".py:" in error.subject:
            raise
    return _with_most_symbols(replace(capture, lines=True))  # refuses again, and now says where


def _with_most_symbols(capture: _Capture) -> ir.Graph:
    notes = list[str]()
    for wanted in _fewer_and_fewer(capture.symbolic):
        try:
            graph = capture.with_symbols(wanted)
            return replace(graph, notes=(*notes, *graph.notes))
        except (ModelError, SizeError) as error:
            if not wanted:
                raise _plain(error) from error
            asked = ", ".join(sorted({role for dims in wanted.values() for role in dims.values()}))
            notes.append(f"export with {asked} as symbols failed: {error.subject}: {error.what}")
    raise AssertionError("the last attempt returns or raises")


def _fewer_and_fewer(wanted: Roles) -> Iterator[Roles]:
    """All symbols; where that fails the batch alone; where that fails none."""
    if wanted:
        yield wanted
    batch = {name: {dim: role for dim, role in dims.items() if role == "batch"} for name, dims in wanted.items()}
    if batch != wanted:
        yield batch
    yield {}


def _plain(error: ModelError | SizeError) -> ModelError | UnsupportedOpError:
    if isinstance(error, ModelError):
        return error
    return UnsupportedOpError(error.subject, error.what, hint=error.hint)


@dataclass(frozen=True, slots=True)
class _Capture:
    """One module at one set of example inputs."""

    module: Any
    inputs: dict[str, Any]
    name: str
    static: bool
    symbolic: Roles
    lines: bool = False
    """Whether nodes know their line of source."""

    def with_symbols(self, wanted: Roles) -> ir.Graph:
        """The graph with these symbols, less those that export fixes.

        Export takes a size of 1 for a constant, and may fix a size that equals a constant of the model: such
        symbols are traced at twice the example's size, and kept if what was traced also holds at the example's.
        """
        ones = {role for role, size in _sizes(self.inputs, wanted).items() if size == 1}
        first = self._traced(wanted, ones)
        fixed = first.fixed()
        if not fixed and not first.holds():  # at twice the example's size its code runs otherwise
            return self._traced(_without(wanted, ones), set()).graph(ones)
        if not fixed:
            return first.graph()
        if len(first.program.graph_module.graph.nodes) > _UNROLLED and not fixed & ones:
            return first.graph(fixed)
        second = self._traced(wanted, ones | fixed)
        if second.fixed() < fixed and second.holds():
            return second.graph()
        # A symbol that stays fixed must be fixed at the example's own size, not at the doubled one.
        return self._traced(_without(wanted, fixed), ones - fixed).graph(fixed) if fixed & ones else first.graph(fixed)

    def _traced(self, wanted: Roles, doubled: set[str]) -> _Traced:
        examples = {name: _doubled(value, wanted.get(name, {}), doubled) for name, value in self.inputs.items()}
        with choices_noted() as choices:
            program = export_functional(self.module, examples, wanted, lines=self.lines)
        return _Traced(self, wanted, program, tuple(choices))


@dataclass(frozen=True, slots=True)
class _Traced:
    """An exported program, the symbols that were asked of it, and the choices by sizes on its way."""

    capture: _Capture
    wanted: Roles
    program: Any
    choices: tuple[Choice, ...]

    def fixed(self) -> set[str]:
        """Symbols that export replaced by a number, wherever they occur."""
        found = {role: [self._size(name, dim) for name, dim in places] for role, places in self._places().items()}
        return {role for role, sizes in found.items() if any(isinstance(size, int) for size in sizes)}

    def holds(self) -> bool:
        """Whether what was traced is what runs at the example's own sizes."""
        sizes = _sizes(self.capture.inputs, self.wanted)
        return all(holds(condition, sizes) for condition in self._conditions()[0])

    def graph(self, fixed: set[str] | None = None) -> ir.Graph:
        """The graph; its notes name what is fixed."""
        capture, names = self.capture, self._names()
        kept, unclear = self._conditions()
        sizes = _sizes(capture.inputs, self._all_wanted(fixed))
        notes = [f"`{role}` was asked to be symbolic; export fixed it at {sizes[role]}" for role in sorted(fixed or ())]
        notes += [f"export asked of the sizes what no condition here can say: {guard}" for guard in unclear]
        notes += other_kernels(capture.module)
        settings = {"source": "torch", "static": capture.static} | _literal_arguments(capture.inputs)
        naming = Naming(symbols=names, ties=_ties(capture.module), outputs=output_names(self.program))
        return convert(self.program, naming, self._symbols(), capture.name, settings, kept, tuple(notes))

    def _conditions(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        kept, unclear = conditions(self.program, self._size)
        hints = _sizes(self.capture.inputs, self.wanted)
        more, vague = chosen(self._still_open(), self._names(), kept, hints)
        return (*kept, *more), (*unclear, *vague)

    def _still_open(self) -> Iterator[Choice]:
        """The choices in the symbols that export was left with."""
        sizes = (size for value in self._placeholders().values() for size in getattr(value, "shape", ()))
        known = [size.node.shape_env for size in sizes if not isinstance(size, int)]
        for choice in self.choices if known else ():
            question = known[0].replace(choice.question)
            if question.free_symbols:
                yield replace(choice, question=question)

    def _all_wanted(self, fixed: set[str] | None) -> Roles:
        return self.capture.symbolic if fixed else self.wanted

    def _places(self) -> dict[str, list[tuple[str, int]]]:
        """Where each symbol was asked for: {symbol: [(input, dim)]}."""
        places: dict[str, list[tuple[str, int]]] = {}
        for name, dims in self.wanted.items():
            for dim, role in dims.items():
                places.setdefault(role, []).append((name, dim))
        return places

    def _placeholders(self) -> dict[str, Any]:
        return {n.name: n.meta["val"] for n in self.program.graph_module.graph.nodes if n.op == "placeholder"}

    def _names(self) -> dict[str, str]:
        """torch's symbol -> ours. Two of torch's with one role are one symbol of ours: a run checks that they agree."""
        held, names = self._placeholders(), dict[str, str]()
        for role, places in self._places().items():
            for name, dim in places:
                size = held[name].shape[dim]
                if not isinstance(size, int) and size.node.expr.is_Symbol:
                    names.setdefault(size.node.expr.name, role)
        return names

    def _size(self, name: str, dim: int) -> Dim:
        return expression(self._placeholders()[name].shape[dim], self._names())

    def _symbols(self) -> tuple[ir.Symbol, ...]:
        used, sizes = set(self._names().values()), _sizes(self.capture.inputs, self.wanted)
        places = {role: places[0] for role, places in self._places().items() if role in used}
        return tuple(ir.Symbol(name=r, hint=sizes[r], input=name, dim=dim) for r, (name, dim) in places.items())


def _sizes(inputs: Mapping[str, Any], wanted: Roles) -> dict[str, int]:
    """The example's size of each symbol."""
    return {role: int(inputs[name].shape[dim]) for name, dims in wanted.items() for dim, role in dims.items()}


def _without(wanted: Roles, fixed: set[str]) -> Roles:
    return {name: {dim: role for dim, role in dims.items() if role not in fixed} for name, dims in wanted.items()}


def _doubled(value: Any, dims: Mapping[int, str], doubled: set[str]) -> Any:
    for dim, role in dims.items():
        if role in doubled:
            value = require("torch").cat([value] * 2, dim=dim)
    return value


def _literal_arguments(inputs: Mapping[str, Any]) -> dict[str, str | int | float | bool]:
    return {f"{ARGUMENT}{name}": value for name, value in inputs.items() if not is_tensor(value)}


def _ties(module: Any) -> dict[str, str]:
    first: dict[int, str] = {}
    both = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    return {name: first.setdefault(id(value), name) for name, value in both}
