"""Plans as JSON, and back with every field checked and every figure priced anew.

Format `partwise.plan/1`. `graph` is the whole graph, or its digest where the reader has the graph already;
`gap` is null where the bound is 0 and the value is not. There is no time and no date in it.
"""

from __future__ import annotations

from dataclasses import fields, make_dataclass
from typing import Any, Literal, get_type_hints

import msgspec

from partwise.digest import canonical_json, sha256_digest
from partwise.errors import InputError, PlanError, StalePlanError
from partwise.ir import Graph, graph_digest, graph_from_data, graph_to_data
from partwise.planning.check import check_plan
from partwise.planning.records import Plan
from partwise.planning.reserve import NOTHING, Reserve
from partwise.profiling import Rules

__all__ = ["PLAN_VERSION", "plan_digest", "plan_from_data", "plan_to_data"]

PLAN_VERSION = "partwise.plan/1"


_SHARED_FIELDS = tuple(field.name for field in fields(Plan) if field.name != "graph")
_HINTS = get_type_hints(Plan)
_PlanRow: type[Any] = make_dataclass(
    "_PlanRow",
    [
        ("version", Literal["partwise.plan/1"]),
        ("graph", str | dict[str, Any]),
        *((name, _HINTS[name]) for name in _SHARED_FIELDS if name not in ("reserve", "fusion")),
        ("reserve", Reserve, NOTHING),  # plans of before it was there keep nothing
        ("fusion", Rules, Rules.NONE),  # and fuse nothing
    ],
    frozen=True,
    slots=True,
    kw_only=True,
)
"""A plan's fields, with the graph as data."""


def plan_to_data(plan: Plan, *, with_graph: bool) -> dict[str, Any]:
    """A plan as plain JSON data.

    Args:
        plan: what is written.
        with_graph: the whole graph, so that the plan can be read alone; else its digest.
    """
    row = _PlanRow(
        version=PLAN_VERSION,
        graph=graph_to_data(plan.graph) if with_graph else graph_digest(plan.graph),
        **{name: getattr(plan, name) for name in _SHARED_FIELDS},
    )
    return msgspec.to_builtins(row)


def plan_from_data(
    data: object,
    graph: Graph | None = None,
    *,
    subject: str = "plan",
) -> Plan:
    """The plan in plain JSON data from anywhere.

    Args:
        data: what `plan_to_data` writes.
        graph: what it must be a plan of; needed where the data hold a digest only.
        subject: what errors call it.

    Raises:
        StalePlanError: a plan of another graph.
        PlanError: another format, a field of the wrong type, or figures that are not those of its stages.
        GraphError: the graph inside is none.
    """
    try:
        row: Any = msgspec.convert(data, _PlanRow)
    except msgspec.ValidationError as error:
        raise PlanError(subject, f"not a plan file ({error})", expected=PLAN_VERSION) from None
    known = _graph(row.graph, graph, subject)
    if row.sizes.keys() != known.hints.keys():
        raise PlanError(
            subject, "sizes are not those of the graph", expected=sorted(known.hints), got=sorted(row.sizes)
        )
    plan = Plan(graph=known, **{name: getattr(row, name) for name in _SHARED_FIELDS})
    try:
        check_plan(plan, subject)
    except (InputError, OverflowError, ZeroDivisionError) as error:  # a size or a rate that nothing has
        raise PlanError(subject, f"cannot be priced: {error}") from None
    return plan


def plan_digest(plan: Plan) -> str:
    """`sha256:…` of the plan's canonical JSON, the graph by its digest."""
    return sha256_digest(canonical_json(plan_to_data(plan, with_graph=False)))


def _graph(stated: str | dict[str, Any], given: Graph | None, subject: str) -> Graph:
    """The plan's graph: the given one if it is the one stated."""
    if isinstance(stated, str):
        if given is None:
            hint = "give the graph, or save the plan together with it."
            raise PlanError(subject, "names its graph by digest only", got=stated, hint=hint)
        found, digest = given, stated
    else:
        found = graph_from_data(stated, f"{subject}: graph")
        digest = graph_digest(found)
    if given is not None and graph_digest(given) != digest:
        hint = "plan this graph again."
        raise StalePlanError(subject, "belongs to another graph", expected=graph_digest(given), got=digest, hint=hint)
    return found
