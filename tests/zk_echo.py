"""A prover for tests of linking alone: its proof is the values themselves, unproved. Never a key of the table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from partwise.digest import canonical_json
from partwise.verification.zk.field import Values, element
from partwise.verification.zk.prover import Boundary, Finding, Mark, Sizes

__all__ = ["EchoProver", "echo_proof"]


def echo_proof(inputs: list[Values], outputs: list[Values]) -> bytes:
    """A proof that says these values crossed."""
    return canonical_json({"inputs": inputs, "outputs": outputs})


class EchoProver:
    """Believes every proof, so that only links can be wrong."""

    name, version = "echo", "1"

    def check(self, keys: Mapping[str, Path], sizes: Sizes, proof: bytes, subject: str) -> Finding:
        del keys, subject
        found = json.loads(proof)
        inputs, outputs = ([tuple(map(element, values)) for values in found[side]] for side in ("inputs", "outputs"))
        assert tuple(map(len, inputs)) == sizes.inputs
        return Finding(boundary=Boundary(inputs=tuple(inputs), outputs=tuple(outputs)))

    def mark(self, keys: Mapping[str, Path], values: Values, subject: str) -> Mark | None:
        del keys, subject
        return tuple(map(element, values))
