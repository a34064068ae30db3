"""Which share of its peak a device can give to a product: tiles, waves, padding.

A GPU computes tiles of the result on its multiprocessors, a CPU on its cores, a systolic array (TPU, NPU) streams the
rows through tiles of the weight, a KPU keeps a tile's operands in its scratchpad. No rule knows a model.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from math import ceil

from partwise.hardware.device import Device, DeviceKind
from partwise.hardware.product import Mapping, Product

__all__ = ["assumed_mapping", "map_product", "resident_threads"]

GPU_TILES = {
    (128, 256): 1.0,
    (256, 128): 1.0,
    (128, 128): 1.0,
    (64, 128): 1.0,
    (128, 64): 1.0,
    (64, 64): 1.0,
    (32, 64): 0.8,
    (64, 32): 0.8,
    (32, 32): 0.7,
    (16, 64): 0.6,
    (16, 32): 0.5,
}
"""Result tiles that libraries have, and the rate that a multiprocessor reaches with them against the largest. The
list is that of NVIDIA's Matrix Multiplication Background User's Guide (2023-02), table 1, and smaller ones; the rates
of the smaller ones are assumed: they read more operands for a multiply-accumulate."""
GPU_BLOCK = 256
"""Threads of a tile, and of a block of the vector units; the usual size of both in CUTLASS (8 warps of 32)."""
GPU_STAGE_DEPTH, GPU_STAGES = 32, 3
"""Depth of the operands that a tile keeps in shared memory, and how many of them. Source: CUTLASS 3.x,
`default_gemm_configuration.h`, half precision on compute capability 8.0. The first must be there before any product:
a tile spends one of them on filling its pipeline."""
THIN = 8
"""With fewer rows or columns a product runs on the vector units: matrix hardware takes at least 8
(`mma.m16n8k16`, PTX ISA 7.0)."""
SPLIT_DEPTH = 512
"""Depth that a slice keeps at least where a product too small for all units is cut along it (split-K); assumed."""
CPU_TILE_ROWS, CPU_TILE_REGISTERS = 6, 2
"""Rows and vectors of a microkernel: 6 × 16 float32 with AVX2. Source: BLIS's Haswell kernel, Van Zee and van de Geijn,
"BLIS", ACM TOMS 41(3), 2015, and Low et al., "Analytical Modeling Is Enough", TOMS 43(2), 2016."""
CPU_TILES_A_CORE = 8
"""Microkernels that a core takes at a time, so that its packed operands are used again; assumed."""


@lru_cache(maxsize=65536)
def map_product(device: Device, product: Product, element_bytes: float = 4.0) -> Mapping:
    """How a product fills a device.

    Args:
        device: with its units, and for some kinds lanes, array or scratchpad.
        product: what is computed.
        element_bytes: of an operand's element.

    Raises:
        DeviceError: a figure that the rule of its kind needs is not stated.
    """
    match device.kind:
        case DeviceKind.GPU:
            return _gpu(device, product, element_bytes)
        case DeviceKind.CPU:
            return _cpu(device, product)
        case DeviceKind.KPU:
            return _scratchpad(device, product, element_bytes)
        case DeviceKind.TPU | DeviceKind.NPU:
            return _systolic(device, product)


def resident_threads(device: Device) -> int:
    """Results that a device computes at once: threads a GPU's units hold, lanes of cores, cells of arrays.

    0 where the device does not state enough.
    """
    cells = device.array[0] * device.array[1] if device.array else 0
    return (device.units or 0) * (device.threads or device.lanes or cells)


def assumed_mapping(device: Device) -> Iterator[str]:
    """Which constants of a device's mapping nobody measured or published, a line each."""
    if device.kind is DeviceKind.GPU:
        small = [rate for rate in GPU_TILES.values() if rate < 1]
        yield f"tiles below 64 × 64 compute at {min(small):.0%} to {max(small):.0%} of the rate of large ones"
        yield f"a product is cut along its depth into slices of {SPLIT_DEPTH} or more"
    elif device.kind is DeviceKind.CPU:
        yield f"a core takes {CPU_TILES_A_CORE} microkernels at a time"


def _gpu(device: Device, product: Product, element_bytes: float) -> Mapping:
    """Tiles of the result on multiprocessors; of all tile shapes, and cuts along the depth, the fastest."""
    units = int(device.need("units", "mapping to multiprocessors"))
    if min(product.rows, product.columns) < THIN:
        return _gpu_vector(product, units)
    tiled = (_gpu_tile(product, tile, rate, units) for tile, rate in GPU_TILES.items())
    best = max(tiled, key=lambda mapping: mapping.utilization)
    return replace(best, occupancy=_occupancy(device, best, element_bytes))


def _gpu_tile(product: Product, tile: tuple[int, int], rate: float, units: int) -> Mapping:
    area = ceil(product.rows / tile[0]) * ceil(product.columns / tile[1])
    whole = product.batch * area
    slices = max(1, min(units // whole, product.depth // SPLIT_DEPTH)) if whole < units else 1
    tiles, depth = whole * slices, product.depth / slices
    return Mapping(
        tile=tile,
        tiles=tiles,
        waves=ceil(tiles / units),
        units=units,
        padding=product.rows * product.columns / (area * tile[0] * tile[1]),
        pipeline=rate * depth / (depth + GPU_STAGE_DEPTH),
    )


def _gpu_vector(product: Product, units: int) -> Mapping:
    """A block a tile of results, or of partial sums where there are fewer results than threads."""
    results = product.batch * product.rows * product.columns
    threads = results * max(1, min(product.depth // 32, units * GPU_BLOCK // max(1, results)))
    blocks = ceil(threads / GPU_BLOCK)
    return Mapping(
        tile=(1, GPU_BLOCK),
        tiles=blocks,
        waves=ceil(blocks / units),
        units=units,
        padding=threads / (blocks * GPU_BLOCK),
        pipeline=1.0,
        vector=True,
    )


def _occupancy(device: Device, mapping: Mapping, element_bytes: float) -> float | None:
    """Share of the threads that a multiprocessor holds, as many tiles as its shared memory has room for."""
    if device.scratchpad_bytes is None or device.threads is None:
        return None
    staged = GPU_STAGES * GPU_STAGE_DEPTH * sum(mapping.tile) * element_bytes
    room = min(device.scratchpad_bytes // staged, device.threads // GPU_BLOCK)
    resident = max(1, min(room, ceil(mapping.tiles / mapping.units)))
    return resident * GPU_BLOCK / device.threads


def _cpu(device: Device, product: Product) -> Mapping:
    """Microkernels on cores; a product of one column a group (depthwise) fills its vectors along the groups."""
    units = int(device.need("units", "mapping to cores"))
    width = int(device.need("lanes", "mapping to vector units")) // 2
    if product.columns == 1 and product.batch > 1:
        product = Product(1, product.rows, product.batch, product.depth)
    tile = (CPU_TILE_ROWS, CPU_TILE_REGISTERS * width)
    if product.rows == 1:
        tile = (1, tile[1])
    rows, columns = ceil(product.rows / tile[0]), ceil(product.columns / tile[1])
    tiles = product.batch * rows * columns
    tasks = max(1, min(tiles, ceil(tiles / CPU_TILES_A_CORE)))
    return Mapping(
        tile=tile,
        tiles=tasks,
        waves=ceil(tasks / units),
        units=units,
        padding=product.rows * product.columns / (rows * tile[0] * columns * tile[1]),
        pipeline=product.depth / (product.depth + tile[0]),
    )


def _systolic(device: Device, product: Product) -> Mapping:
    """Tiles of the weight stay in an array while the rows stream through it and the next tile loads, row by row.

    The array fills and drains once.

    Source: Jouppi et al., "In-Datacenter Performance Analysis of a Tensor Processing Unit", ISCA 2017, section 2.
    """
    units = int(device.need("units", "mapping to systolic arrays"))
    high, wide = device.array or (128, 128)
    down, across = ceil(product.depth / high), ceil(product.columns / wide)
    tiles = product.batch * down * across
    return Mapping(
        tile=(high, wide),
        tiles=tiles,
        waves=ceil(tiles / units),
        units=units,
        padding=product.depth * product.columns / (down * high * across * wide),
        pipeline=product.rows / (max(product.rows, high) + (high + wide) / ceil(tiles / units)),
    )


def _scratchpad(device: Device, product: Product, element_bytes: float) -> Mapping:
    """Tiles of the result whose operands, a slice of the depth at a time and twice (one computes, one loads), fit.

    Of the multiples of the array that fit, the fastest; the larger of two as fast.
    """
    units = int(device.need("units", "mapping to tiles"))
    room = device.need("scratchpad_bytes", "mapping to tiles") / element_bytes
    high, wide = device.array or (16, 16)
    found = [_scratchpad_tile(product, (high, wide), 1, units)]
    times = 2
    while _held(times * high, times * wide, high) <= room:
        found.append(_scratchpad_tile(product, (high, wide), times, units))
        times += 1
    return max(found, key=lambda mapping: (mapping.utilization, mapping.tile))


def _scratchpad_tile(product: Product, array: tuple[int, int], times: int, units: int) -> Mapping:
    (high, wide), (rows, columns) = array, (product.rows, product.columns)
    tile = (min(times * high, ceil(rows / high) * high), min(times * wide, ceil(columns / wide) * wide))
    down, across = ceil(rows / tile[0]), ceil(columns / tile[1])
    tiles = product.batch * down * across
    return Mapping(
        tile=tile,
        tiles=tiles,
        waves=ceil(tiles / units),
        units=units,
        padding=rows * columns / (down * tile[0] * across * tile[1]),
        pipeline=product.depth / (product.depth + high + wide),
    )


def _held(rows: int, columns: int, depth: int) -> int:
    """Elements that a tile keeps: its result, and two slices of each operand."""
    return rows * columns + 2 * depth * (rows + columns)
