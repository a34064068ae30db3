"""The few points of an SRS that a verifier needs, as an SRS file of its own with k = 1: 516 bytes.

A file `kzg<k>.srs` is k as 4 bytes, 2^k points [s^i]G, 2^k Lagrange points, and [1]G2, [s]G2. Two proofs' pairing
check needs the first point and the last two; the rest is there because the reader wants it, and is computed, so
that the same ceremony gives the same bytes: those of its own `kzg1.srs`, whose digest is public.

Source: halo2_proofs `ParamsKZG::write_custom` (raw Montgomery limbs, little-endian); Lagrange points over {1, -1}:
L0 = (G + [s]G) / 2, L1 = (G - [s]G) / 2.
"""

from __future__ import annotations

__all__ = ["HEAD_BYTES", "srs_bytes", "verifier_srs"]

_Q = 21888242871839275222246405745257275088696311157297823662689037894645226208583
"""Of BN254's base field. Source: EIP-196."""
_ORDER = 21888242871839275222246405745257275088548364400416034343698204186575808495617
_R = 1 << 256
_POINT, _TAIL = 64, 256
HEAD_BYTES = 4 + 2 * _POINT
"""Of an SRS file: k and its first two points."""
Point = tuple[int, int] | None


def srs_bytes(logrows: int) -> int:
    """Size of a file with 2^logrows points."""
    return 4 + 2 * _POINT * 2**logrows + _TAIL


def verifier_srs(head: bytes, tail: bytes) -> bytes:
    """An SRS with k = 1 of the same secret.

    Args:
        head: the first `HEAD_BYTES` of the file.
        tail: its last 256 bytes.
    """
    first, second = _read(head[4:68]), _read(head[68:132])
    half = pow(2, -1, _ORDER)
    lagrange = [_times(_add(first, point), half) for point in (second, _minus(second))]
    return (1).to_bytes(4, "little") + head[4:132] + b"".join(map(_write, lagrange)) + tail


def _read(raw: bytes) -> Point:
    x, y = (int.from_bytes(raw[at : at + 32], "little") * pow(_R, -1, _Q) % _Q for at in (0, 32))
    return x, y


def _write(point: Point) -> bytes:
    x, y = point or (0, 0)
    return b"".join((value * _R % _Q).to_bytes(32, "little") for value in (x, y))


def _minus(point: Point) -> Point:
    return None if point is None else (point[0], -point[1] % _Q)


def _add(a: Point, b: Point) -> Point:
    if a is None or b is None:
        return b if a is None else a
    if a[0] == b[0]:
        if (a[1] + b[1]) % _Q == 0:
            return None
        slope = 3 * a[0] * a[0] * pow(2 * a[1], -1, _Q)
    else:
        slope = (b[1] - a[1]) * pow(b[0] - a[0], -1, _Q)
    x = (slope * slope - a[0] - b[0]) % _Q
    return x, (slope * (a[0] - x) - a[1]) % _Q


def _times(point: Point, factor: int) -> Point:
    total: Point = None
    for bit in bin(factor)[2:]:
        total = _add(total, total)
        if bit == "1":
            total = _add(total, point)
    return total
