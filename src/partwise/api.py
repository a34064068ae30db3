"""The six functions, each one arrow of model → graph → profile → plan → package → run → verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from partwise import planning, profiling
from partwise.cutting import cut_plan, encode_whole
from partwise.digest import canonical_json
from partwise.frontends.open import open_model
from partwise.frontends.source import CaptureOptions
from partwise.ir import Graph
from partwise.packaging import Package, open_package, write_package
from partwise.planning import Limits, Plan
from partwise.profiling import Profile
from partwise.units import parse_bytes

__all__ = ["capture", "cut", "plan", "profile", "run"]


def capture(model: Any, example_inputs: Any = None, **options: Any) -> Graph:
    """The graph of a model."""
    return open_model(model, CaptureOptions(example_inputs=example_inputs, **options)).capture()


def profile(graph: Graph, sizes: Mapping[str, int] | None = None) -> Profile:
    """What a graph costs."""
    return profiling.profile(graph, sizes)


def plan(
    graph: Graph, *, memory: str | int | None = None, stages: int | None = None, sizes: Mapping[str, int] | None = None
) -> Plan:
    """Where to divide a graph."""
    limits = Limits(memory_bytes=None if memory is None else parse_bytes(memory), stages=stages)
    return planning.plan(graph, profiling.profile(graph, sizes), limits)


def cut(model: Any, plan: Plan, out: str | Path) -> Package:
    """Write the segments of a plan as a package."""
    source = open_model(model)
    manifest, segments = cut_plan(plan)
    plan_bytes = canonical_json({"stages": [msgspec.to_builtins(stage) for stage in plan.stages]})
    whole = encode_whole(plan.graph)
    return write_package(Path(out), manifest, plan_bytes, whole, segments, source.weights(plan.graph))


def run(package: Package | str | Path, inputs: Mapping[str, np.ndarray], *, threads: int = 2) -> Any:
    """Run a package."""
    from partwise.runtime.engines import make_engine
    from partwise.runtime.executors.in_process import InProcess

    opened = package if isinstance(package, Package) else open_package(package)
    return InProcess.start(opened, make_engine(opened.manifest.engine, threads)).run(inputs)
