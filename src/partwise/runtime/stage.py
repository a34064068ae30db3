"""One stage at work: a loaded segment whose interface is checked before and after it runs."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

import msgspec
import numpy as np

from partwise.errors import InputError, InterfaceMismatchError
from partwise.freed_memory import leave_freed
from partwise.packaging import Package, Segment
from partwise.runtime.engines.engine import Engine, LoadedSegment, NodeObserver
from partwise.runtime.memory import give_back
from partwise.runtime.piece import PieceFile, piece_segment
from partwise.runtime.sizes import Interface
from partwise.runtime.telemetry.ranges import annotation
from partwise.runtime.trace import NodeSpan, Probe, SegmentSpan, measured

__all__ = ["Computed", "LyingOutputError", "Stage", "Weights"]


class Weights(StrEnum):
    """When a stage's weights are in memory."""

    RESIDENT = "resident"
    """From its loading on."""
    STREAMED = "streamed"
    """While it computes: read when a task comes, every byte checked again, and let go of after it."""

    def settle(self) -> None:
        """Have this process give back what it frees where that is weights; before an engine says how it computes."""
        if self is Weights.STREAMED:
            leave_freed()


class LyingOutputError(InterfaceMismatchError):
    """An engine gave values that its segment cannot have made."""


class Computed(msgspec.Struct, frozen=True):
    """What a task gave."""

    outputs: dict[str, np.ndarray]
    """By tensor name."""
    segment: SegmentSpan
    nodes: tuple[NodeSpan, ...]


class Stage:
    """A segment of a package, or a piece of one, ready for tasks."""

    def __init__(
        self,
        package: Package,
        number: int,
        engine: Engine,
        piece: PieceFile | None = None,
        weights: Weights = Weights.RESIDENT,
    ) -> None:
        """Read a segment, every byte checked, and load it; with streamed weights to see that it can be.

        Args:
            package: whose stage it is.
            number: the stage.
            engine: computes it.
            piece: what to load where the stage is a part of a segment.
            weights: when they are in memory.

        Raises:
            PackageError: its files are not what the manifest promises.
            EngineError: the engine refuses it.
            InputError: its weights cannot be streamed.
        """
        entry = package.manifest.segments[number] if piece is None else piece
        self.number = number
        self.settings = engine.settings
        self._takes = Interface(f"segment {number} input", entry.inputs)
        self._gives = Interface(f"segment {number} output", entry.outputs)
        self._hints = {symbol.name: symbol.hint for symbol in package.manifest.symbols}
        self._package, self._engine, self._piece = package, engine, piece
        self._annotate = annotation()
        self._loaded: LoadedSegment | None = self._load(weights)
        if weights is Weights.STREAMED:
            self._loaded = None

    def compute(
        self, request: int, values: Mapping[str, np.ndarray], sizes: Mapping[str, int], probe: Probe
    ) -> Computed:
        """One task, and its measures.

        Args:
            request: its number, for the measures.
            values: one for each of the segment's inputs, by tensor name.
            sizes: the values of the model's symbols that its inputs carry.
            probe: what to measure.

        Raises:
            InterfaceMismatchError: a value that does not fit the interface, coming in or going out.
            GraphError: at these sizes an operator would make an absurdly large value.
            EngineError: the engine failed.
        """
        nodes = list[NodeSpan]()
        observe = self._observer(request, nodes) if probe.nodes else None
        with self._annotate("stage", self.number, "request", request):
            outputs, took = measured(lambda: self._run(values, sizes, observe), memory=probe.memory)
        span = SegmentSpan(
            request=request,
            stage=self.number,
            start_s=took.start_s,
            end_s=took.end_s,
            input_bytes=sum(value.nbytes for value in values.values()),
            output_bytes=sum(value.nbytes for value in outputs.values()),
            resident_bytes=took.resident_bytes,
            peak_bytes=took.peak_bytes,
        )
        return Computed(outputs, span, tuple(nodes))

    def _load(self, weights: Weights = Weights.RESIDENT) -> LoadedSegment:
        segment: Segment = (
            self._package.segment(self.number) if self._piece is None else piece_segment(self._package, self._piece)
        )
        if weights is Weights.STREAMED:
            _refuse_state(segment)
        return self._engine.load(segment)

    def _observer(self, request: int, nodes: list[NodeSpan]) -> NodeObserver:
        def observe(node: str, start_s: float, end_s: float) -> None:
            nodes.append(NodeSpan(request=request, stage=self.number, node=node, start_s=start_s, end_s=end_s))

        return observe

    def _run(
        self, values: Mapping[str, np.ndarray], sizes: Mapping[str, int], observe: NodeObserver | None
    ) -> dict[str, np.ndarray]:
        self._takes.check(values, sizes)
        known = {**self._hints, **sizes}
        if self._loaded is not None:
            outputs = self._loaded.run(values, known, observe)
        else:
            outputs = self._load().run(values, known, observe)  # what was loaded dies with the call
            give_back()
        try:
            self._gives.check(outputs, sizes)
        except InterfaceMismatchError as error:
            parts = (error.subject, error.what)
            raise LyingOutputError(*parts, expected=error.expected, got=error.got, hint=error.hint) from None
        return outputs


def _refuse_state(segment: Segment) -> None:
    """Raise for a segment that keeps something from one task to the next: it would be let go with the weights.

    Raises:
        InputError: what it keeps.
    """
    kept = segment.ir.kept if segment.ir else ()
    if kept:
        raise InputError(segment.name, f"keeps `{kept[0].target}` between requests: its weights cannot be streamed",
                         hint="memory.weights: resident")  # fmt: skip
