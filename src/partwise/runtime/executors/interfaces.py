"""What each stage receives and sends, segments and pieces of them alike, and who computes it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from partwise.errors import PartwiseError, RunError
from partwise.packaging import Package, Port
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.cutter import Cutter
from partwise.runtime.engines import on_cpu as cpu_engine
from partwise.runtime.executors.executor import Options
from partwise.runtime.executors.keeping import Keeping
from partwise.runtime.executors.messages import Packed, Parcel
from partwise.runtime.piece import PieceFile
from partwise.runtime.schedule import Divided, Indivisible
from partwise.runtime.sizes import Interface
from partwise.runtime.stage import Weights

__all__ = ["Interfaces"]


class Interfaces:
    """The stages of a package as it runs."""

    def __init__(self, package: Package, weights: Weights = Weights.RESIDENT) -> None:
        self._manifest, self._cutter = package.manifest, Cutter(package, weights)
        self.keeping = Keeping(package, self._cutter.origin)
        """Sees to what stages keep between requests."""
        self._gives: dict[int, Interface] = {}
        given = {port.tensor for port in package.manifest.inputs}
        segments = package.manifest.segments
        self.read = tuple({port.tensor: None for s in segments for port in s.inputs if port.tensor in given})
        """The model's inputs that some stage reads."""
        self.returned = frozenset(output.tensor for output in package.manifest.outputs)
        """The tensors that the model returns."""

    def piece(self, stage: int) -> PieceFile | None:
        """What a worker loads for a stage that is no segment."""
        return self._cutter.files.get(stage)

    def inputs(self, stage: int) -> tuple[str, ...]:
        """The tensors that a stage receives."""
        return tuple(port.tensor for port in self._ports(stage)[0])

    def engine(self, options: Options, stage: int, *, on_cpu: bool) -> str:
        """Who computes a stage; a piece of a segment has the segment's engine."""
        name = options.engine_of(self._cutter.origin.get(stage, stage))
        return cpu_engine(name) if on_cpu else name

    def divide(self, stage: int) -> Divided | Indivisible:
        """Cut a stage in two."""
        try:
            return Divided(stage, *self._cutter.cut(stage))
        except PartwiseError as error:
            return Indivisible(stage, str(error))

    def check(self, stage: int, parcel: Parcel, sizes: Mapping[str, int]) -> None:
        """See that a parcel holds what its stage sends: a worker's word alone is not believed.

        Raises:
            InterfaceMismatchError: other tensors, types or shapes.
            RunError: a length that does not fit them.
        """
        found = {item.tensor: _shaped(item) for item in parcel.tensors}
        if stage not in self._gives:
            self._gives[stage] = Interface(f"segment {stage} output", self._ports(stage)[1])
        self._gives[stage].check(found, sizes)
        for item in parcel.tensors:
            if item.size != found[item.tensor].nbytes or sorted(item.order) != list(range(len(item.shape))):
                raise RunError(f"`{item.tensor}` of segment {stage}", "has a length or a layout that is not its own")

    def _ports(self, stage: int) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        entry = self.piece(stage) or self._manifest.segments[stage]
        return entry.inputs, entry.outputs


def _shaped(item: Packed) -> np.ndarray:
    """An array of a tensor's type and shape that takes no memory."""
    try:
        return np.broadcast_to(np.empty((), numpy_dtype(item.dtype)), item.shape)
    except ValueError as error:
        raise RunError(f"`{item.tensor}`", f"has no possible shape ({error})", got=item.shape) from None
