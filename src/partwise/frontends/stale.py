"""A plan and a model that no longer belong together."""

from __future__ import annotations

from partwise.errors import ModelError, StalePlanError, UnsupportedOpError
from partwise.frontends.source import Source
from partwise.ir import Graph, graph_digest

__all__ = ["capture_again", "refuse_other_graph"]


def capture_again(source: Source, planned: Graph, model: str) -> Graph:
    """The graph of a model that was opened with the settings of another capture.

    Args:
        source: the model.
        planned: the graph whose settings it was opened with.
        model: its name or path.

    Raises:
        StalePlanError: with those settings it cannot be captured, so it is not what they were made for.
    """
    try:
        return source.capture()
    except (ModelError, UnsupportedOpError) as error:
        what = f"was captured from another model than {model}, which cannot be captured in the same way: {error}"
        raise StalePlanError(f"the graph of `{planned.name}`", what) from error


def refuse_other_graph(planned: Graph, found: Graph, model: str) -> None:
    """Raise unless a model, captured again, gives the graph that was planned.

    Args:
        planned: the plan's graph.
        found: what the model gives now, captured in the same way.
        model: its name or path.

    Raises:
        StalePlanError: another graph, and what of the circumstances differs.
    """
    if graph_digest(found) == graph_digest(planned):
        return
    was, now = dict(planned.settings), dict(found.settings)
    changed = sorted(name for name in was.keys() | now.keys() if was.get(name) != now.get(name))
    portable = " with --optimize extended, which is portable" if "machine" in changed else ""
    expected, got = ({name: side.get(name) for name in changed} or graph_digest(g)
                     for side, g in ((was, planned), (now, found)))  # fmt: skip
    raise StalePlanError(f"plan for `{planned.name}`", f"is for another graph than {model}",
                         expected=expected, got=got, hint=f"plan again{portable}.")  # fmt: skip
