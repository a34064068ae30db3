"""Scratch memory of a bfloat16 product: what torch's oneDNN takes on an x86 CPU with AVX-512, without AMX.

Each thread packs a block of the second operand, adds a block of the result up in float32 and, where the first operand's
rows lie a large power of two apart, copies a block of them too.
Source: oneDNN 3.12 (of torch 2.13), `src/cpu/x64/matmul/brgemm_matmul_utils.cpp`: the blocks are those of
`compute_blocking_heuristic_avx512`, the bytes those of `init_aux_values` and `init_scratchpad`. Equal to the byte with
what torch's allocator gave out (`tests/e2e/test_memory.py`); with AMX, or a first operand that lies transposed, others.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product as pairs
from math import ceil

from partwise.hardware import Product

__all__ = ["product_scratch_bytes"]

_SMALL_MACS = 16**3
"""Up to so many torch computes without oneDNN. Source: ATen/native/mkldnn/Matmul.cpp, `mkldnn_gemm_min_size`."""
_COLUMNS, _MOST_ROWS = 64, 256
_LEAST_ROWS, _LEAST_ROWS_OF_FEW = 32, 16
"""Of a block; fewer rows where there are more threads than blocks of columns."""
_DEPTH, _LONG_DEPTH = 512, 1024
"""Of a packed block: the second where the product is deeper than it."""
_DEPTH_STEP = 32  # elements: two that one instruction adds, 16 times
_COPIED_DEPTH, _COPIED_ROWS, _MOST_BLOCKS = 4096, 1024, 16
"""From so deep (a power of two) and so many rows on the first operand is copied, once for so many column blocks."""
_ALIGNED = 128
"""Bytes: what a buffer may begin later than the one before it ends."""
_TABLE_BYTES = 640
"""Pointers to blocks, a thread: 16 of 40 bytes."""
_BYTES, _SUM_BYTES = 2, 4  # of a bfloat16, and of the float32 that it is added up in


@lru_cache(maxsize=4096)
def product_scratch_bytes(product: Product, threads: int) -> int:
    """Bytes that a product takes beside its result.

    Args:
        product: in bfloat16.
        threads: that compute it.
    """
    if product.macs <= _SMALL_MACS:
        return 0
    if product.columns == 1 and product.batch == 1:
        product = Product(1, 1, product.rows, product.depth)  # computed the other way round
    copies = _is_copied(product)
    rows, blocks = _block(product, threads, _MOST_BLOCKS if copies else 1)
    width, depth = min(_COLUMNS, product.columns), _packed_depth(product)
    packed = _COLUMNS * _round(depth) * _BYTES
    added = rows * width * (blocks if product.depth > depth else 1) * _SUM_BYTES
    copied = rows * _padded(_round(depth)) * _BYTES if copies else 0
    return threads * (_TABLE_BYTES + packed + added + copied) + _ALIGNED * (4 if copies else 3)


def _is_copied(product: Product) -> bool:
    power_of_two = product.depth & (product.depth - 1) == 0
    return power_of_two and product.depth >= _COPIED_DEPTH and product.rows >= _COPIED_ROWS


def _packed_depth(product: Product) -> int:
    return min(product.depth, _LONG_DEPTH if product.depth > _LONG_DEPTH and product.rows > 1 else _DEPTH)


def _block(product: Product, threads: int, most_blocks: int) -> tuple[int, int]:
    """Rows of a block, and blocks of columns that a thread takes at a time: what divides best, the largest first."""
    columns = ceil(product.columns / min(_COLUMNS, product.columns))
    least = min(product.rows, _LEAST_ROWS_OF_FEW if threads > product.batch * columns else _LEAST_ROWS)
    best, least_off = (least, 1), 1.0
    sizes = range(min(_MOST_ROWS, product.rows), least - 1, -1)
    for blocks, rows in pairs(range(min(most_blocks, columns), 0, -1), sizes):
        work = product.batch * ceil(product.rows / rows) * ceil(columns / blocks)
        if work < 3 * threads and work % threads:
            continue
        surplus = rows * ceil(product.rows / rows) % product.rows / product.rows
        surplus += (ceil(columns / blocks) * blocks - columns) / columns
        off = surplus + _uneven(work, threads) + _uneven(product.depth, _packed_depth(product))
        if off / 5 < least_off:
            best, least_off = (rows, blocks), off / 5
    return best


def _uneven(work: int, parts: int) -> float:
    """How far work is from a whole number of parts, as a share of one."""
    left = work % parts
    return (parts - left if work < parts else min(parts - left, left)) / parts


def _round(depth: int) -> int:
    return ceil(depth / _DEPTH_STEP) * _DEPTH_STEP


def _padded(depth: int) -> int:
    """No row a large power of two from the next: they would meet in the same lines of the cache."""
    return depth + _DEPTH_STEP if depth >= _DEPTH and depth & (depth - 1) == 0 else depth
