"""A matrix product as hardware sees it, and how it fills a device."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mapping", "Product"]


@dataclass(frozen=True, slots=True)
class Product:
    """`batch` products of a [rows, depth] with a [depth, columns] matrix."""

    batch: int
    rows: int
    columns: int
    depth: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates of all of them."""
        return self.batch * self.rows * self.columns * self.depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """A product on a device's units."""

    tile: tuple[int, int]
    """Rows and columns of the result (for a systolic array: of the weight) that one unit works on at a time."""
    tiles: int
    waves: int
    """Rounds in which the units work through the tiles."""
    units: int
    """That the device has."""
    padding: float
    """Share of the tiles' arithmetic that belongs to the product: the rest lies beyond its edges."""
    pipeline: float
    """Share of a tile's time in which it computes at the peak: the rest fills, drains, or waits for operands."""
    vector: bool = False
    """On the vector units, whose peak may be another one."""
    occupancy: float | None = None
    """Share of the threads that a GPU's unit can hold; None where it is no GPU or does not say."""

    @property
    def busy(self) -> float:
        """Share of the units that work, over the time of the product."""
        return self.tiles / (self.waves * self.units)

    @property
    def utilization(self) -> float:
        """Share of the device's peak that the product can reach."""
        return self.busy * self.padding * self.pipeline
