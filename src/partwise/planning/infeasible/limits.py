"""Why no plan keeps the limits: the smallest limit that works, and the node that forbids less."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from partwise.errors import InfeasibleError
from partwise.planning.records import Limits
from partwise.planning.slicing import Line, Need, Room
from partwise.units import format_bytes

__all__ = ["explain_limits"]


@dataclass(frozen=True, slots=True)
class _Field:
    """A limit on single stages: its name in `Limits` and in `Need`, and how people know it."""

    limit: str
    need: str
    title: str
    option: str

    def show(self, amount: int) -> str:
        return f"{format_bytes(amount)} ({amount} bytes)" if self.limit == "memory_bytes" else str(amount)


_FIELDS = (
    _Field("memory_bytes", "memory_bytes", "memory", "--memory"),
    _Field("max_parameters", "parameters", "parameters", "--max-parameters"),
    _Field("max_layers", "layers", "layers", "--max-layers"),
)


@dataclass(frozen=True, slots=True)
class _Smallest:
    """The smallest value of one limit that works on a line, and the slicing that shows it."""

    amount: int
    line: Line
    cuts: list[int]


def explain_limits(lines: Sequence[Line], limits: Limits) -> InfeasibleError:
    """The error for limits that no slicing of these lines keeps.

    Args:
        lines: the problem in the orders that were tried.
        limits: what was asked for.
    """
    units = lines[0].length
    if limits.stages is not None and limits.stages > units:
        return InfeasibleError(
            "stages",
            "more than there are parts that can stand alone",
            expected=f"at most {units}",
            got=limits.stages,
            hint=f"--stages {units} or fewer.",
        )
    for field, rest in _questions(limits):
        smallest = _smallest(lines, rest, field)
        given = getattr(limits, field.limit)
        if smallest is not None and smallest.amount > given:
            return _error(smallest, field, rest, given)
    return InfeasibleError("limits", f"no plan found that keeps all of them together: {limits}")


def _questions(limits: Limits) -> Iterator[tuple[_Field, Limits]]:
    """Each limit alone first, then each with all the others kept."""
    given = [field for field in _FIELDS if getattr(limits, field.limit) is not None]
    yield from ((field, Limits(stages=limits.stages)) for field in given)
    yield from ((field, replace(limits, **{field.limit: None})) for field in given if len(given) > 1)


def _smallest(lines: Sequence[Line], rest: Limits, field: _Field) -> _Smallest | None:
    """Smallest value of the limit over all lines; a further line is searched only where it improves."""
    best: _Smallest | None = None
    for line in lines:
        high = _attempt(line, rest, field, None if best is None else best.amount - 1)
        if high is None:
            continue
        low = 0
        while high.amount - low > 1:
            middle = (low + high.amount) // 2
            found = _attempt(line, rest, field, middle)
            low, high = (middle, high) if found is None else (low, found)
        best = high
    return best


def _attempt(line: Line, rest: Limits, field: _Field, amount: int | None) -> _Smallest | None:
    """Stages under a limit, so many as asked for, and the most that one of them needs; None where there are none."""
    room = Room(line, replace(rest, **{field.limit: amount}))
    cuts = room.greedy()
    if cuts is not None and rest.stages is not None:
        cuts = _split(room, cuts, rest.stages)
    if cuts is None:
        return None
    needs = [room.need(i, j) for i, j in itertools.pairwise(cuts)]
    return _Smallest(max(getattr(need, field.need) for need in needs), line, cuts)


def _split(room: Room, cuts: list[int], stages: int) -> list[int] | None:
    """Exactly so many stages: repeated nodes can make two halves need more than the whole, so each is asked."""
    while len(cuts) - 1 < stages:
        pairs = itertools.pairwise(cuts)
        inner = ((i, m, j) for i, j in pairs for m in range(i + 1, j))
        found = next((m for i, m, j in inner if room.fits(i, m) and room.fits(m, j)), None)
        if found is None:
            return None
        cuts = sorted([*cuts, found])
    return cuts if len(cuts) - 1 == stages else None


def _error(smallest: _Smallest, field: _Field, rest: Limits, given: int) -> InfeasibleError:
    room = Room(smallest.line, Limits())
    pairs = list(zip(smallest.cuts[:-1], smallest.cuts[1:], strict=True))
    i, j = max(pairs, key=lambda pair: getattr(room.need(*pair), field.need))
    position = max(range(i, j), key=lambda at: getattr(room.need(at, at + 1), field.need))
    alone = getattr(room.need(position, position + 1), field.need)
    count = "any number of" if rest.stages is None else str(rest.stages)
    where = "alone" if alone > given or j - i == 1 else f"with the {j - i - 1} others of its stage"
    return InfeasibleError(
        f"node {_name(smallest.line, position)}",
        f"{where} it needs {_amount(room.need(i, j), field)}, the least with {count} stages",
        expected=f"a limit of at least {field.show(smallest.amount)}",
        got=field.show(given),
        hint=_hint(smallest, field, rest, given),
    )


def _name(line: Line, position: int) -> str:
    graph = line.problem.contraction.graph
    node = graph.nodes[line.nodes(position, position + 1)[0]]
    return f"`{node.name}`" + (f" ({node.module})" if node.module else "")


def _amount(need: Need, field: _Field) -> str:
    if field.limit != "memory_bytes":
        return f"{getattr(need, field.need)} {field.title}"
    kept = f"K/V and the engine {format_bytes(need.kept_bytes)}, " if need.kept_bytes else ""
    split = f"weights {format_bytes(need.weight_bytes)}, {kept}activations {format_bytes(need.activation_bytes)}"
    return f"{format_bytes(need.memory_bytes)} ({split})"


def _hint(smallest: _Smallest, field: _Field, rest: Limits, given: int) -> str:
    fewest = Room(smallest.line, replace(rest, **{field.limit: given})).greedy()
    more = "" if fewest is None else f" or --stages {len(fewest) - 1}"
    return f"{field.option} {smallest.amount}{more}."
