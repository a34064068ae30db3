"""The proof of the recomputing prover: a root, the boundary's values, and openings that the root itself chooses.

    {"format": "partwise.recompute/1", "root": hex,
     "leaves": {"<place>": [element, ..]}, "paths": {"<place>": [hex, ..]}}

A leaf is `CHUNK` consecutive elements of one tensor, 32 bytes each. Opened are all leaves of the inputs and outputs,
the challenged ones, and those that a challenged one is computed from. Challenges are drawn from the hash of model,
settings and root, so that nobody can choose them after seeing them (Fiat and Shamir, 1986).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import accumulate
from math import prod

import msgspec
import numpy as np

from partwise.errors import InputError
from partwise.strict_json import json_record
from partwise.verification.zk.circuits.exact import Big
from partwise.verification.zk.field import element, is_element, number
from partwise.verification.zk.recompute.program import Indices, Operation, Program, reads

__all__ = ["CHUNK", "FORMAT", "Leaves", "Opening", "challenged", "leaf_bytes", "parse_opening"]

FORMAT = "partwise.recompute/1"
CHUNK = 64
"""Elements of a leaf. Assumed: a path of 10 to 20 hashes weighs less than what a leaf holds."""
_HASH, _PLACE = re.compile(r"[0-9a-f]{64}\Z"), re.compile(r"(0|[1-9][0-9]{0,18})\Z")
"""One spelling of each: `fromhex` takes capitals and spaces, `int` signs, underscores and the digits of any script."""
_MOST_BYTES = 1 << 28
"""Of a proof. Assumed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """A proof, parsed; nothing in it is believed yet."""

    root: bytes
    leaves: Mapping[int, tuple[int, ...]]
    paths: Mapping[int, tuple[bytes, ...]]


class _Wire(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    format: str
    root: str
    leaves: dict[str, list[str]]
    paths: dict[str, list[str]]


class Leaves:
    """Which leaf holds which elements of a program's tensors."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._sizes = {name: prod(program.shapes[name]) for name in program.tensors}
        counts = [-(-size // CHUNK) for size in self._sizes.values()]
        self._starts = dict(zip(self._sizes, [0, *accumulate(counts)], strict=False))
        self.count = sum(counts)

    def all_of(self, names: Iterable[str]) -> set[int]:
        """The leaves of whole tensors."""
        return {place for name in names for place in range(self._starts[name], self._starts[name] + self._number(name))}

    def holding(self, name: str, indices: Indices) -> set[int]:
        """The leaves that hold these elements."""
        return {self._starts[name] + int(part) for part in np.unique(indices // CHUNK)}

    def at(self, place: int) -> tuple[str, Indices]:
        """The tensor of a leaf and its elements there."""
        name = next(n for n in reversed(self._starts) if self._starts[n] <= place)
        first = (place - self._starts[name]) * CHUNK
        return name, np.arange(first, min(first + CHUNK, self._sizes[name]), dtype=np.int64)

    def place(self, name: str, index: int) -> tuple[int, int]:
        """The leaf of an element, and where in it."""
        return self._starts[name] + index // CHUNK, index % CHUNK

    def computed(self) -> range:
        """The leaves of tensors that operations make."""
        return range(sum(self._number(name) for name in self._program.inputs), self.count)

    def needed(self, operations: Mapping[str, Operation], places: Iterable[int]) -> set[int]:
        """The leaves that these are computed from."""
        found = set[int]()
        for place in places:
            name, indices = self.at(place)
            for source, wanted in reads(self._program, operations[name], indices).items():
                found |= self.holding(source, wanted)
        return found

    def _number(self, name: str) -> int:
        return -(-self._sizes[name] // CHUNK)


def challenged(leaves: Leaves, model: str, root: bytes, queries: int | None) -> tuple[int, ...]:
    """Leaves to recompute: so many different ones, or all there are, as the hash says.

    Args:
        leaves: of the program.
        model: digest of what the verifier believes.
        root: of the commitment.
        queries: how many; None for all.
    """
    left = list(leaves.computed())
    if queries is None or queries >= len(left):
        return tuple(left)
    found = list[int]()
    seed = sha256(f"{FORMAT}\n{model}\n{queries}\n".encode() + root).digest()
    while left and len(found) < queries:
        seed = sha256(seed).digest()
        found.append(left.pop(int.from_bytes(seed, "big") % len(left)))
    return tuple(found)


def leaf_bytes(values: Sequence[int] | Big) -> bytes:
    """32 bytes an element."""
    return b"".join(bytes.fromhex(element(int(value))) for value in values)


def parse_opening(data: bytes, leaves: Leaves) -> Opening | str:
    """A proof from anywhere, or why it is none."""
    if len(data) > _MOST_BYTES:
        return "is absurdly long"
    try:
        wire = json_record(data, _Wire, "proof", what="is none")
    except InputError:
        return "is no proof of this prover"
    if wire.format != FORMAT or set(wire.leaves) != set(wire.paths):
        return "is no proof of this prover"
    hashes = (wire.root, *(step for path in wire.paths.values() for step in path))
    spelled = all(map(_HASH.match, hashes)) and all(map(_PLACE.match, wire.leaves))
    if not spelled or data != msgspec.json.encode(wire):
        return "is written in another way than proofs are"
    root = bytes.fromhex(wire.root)
    paths = {int(place): tuple(map(bytes.fromhex, path)) for place, path in wire.paths.items()}
    places = set(paths)
    if any(place >= leaves.count for place in places):
        return "opens a leaf that there is not"
    found = dict[int, tuple[int, ...]]()
    for place, texts in ((int(place), texts) for place, texts in wire.leaves.items()):
        if len(texts) != len(leaves.at(place)[1]) or not all(is_element(text) for text in texts):
            return f"opens leaf {place} with something that is no value"
        found[place] = tuple(number(text) for text in texts)
    return Opening(root=root, leaves=found, paths=paths)
