"""Proofs of ezkl in our form: strict JSON of instances and proof bytes, and nothing that its verifier would ignore.

{"instances": ["<64 hex>", ...], "proof": "<hex>"}
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec

from partwise.digest import canonical_json
from partwise.errors import InputError
from partwise.strict_json import json_record
from partwise.verification.zk.field import is_element
from partwise.verification.zk.prover import Boundary, Mark, Sizes
from partwise.verification.zk.settings import Visibility

__all__ = ["proof_files", "read_proof", "write_proof"]

_POINT = 64
"""Bytes of an uncompressed curve point at the head of a proof."""
_MOST = 1 << 22
"""Bytes of a proof at most; the largest measured has 87 kB."""


class _Proof(msgspec.Struct, forbid_unknown_fields=True):
    instances: list[str]
    proof: str


def write_proof(raw: dict[str, Any]) -> bytes:
    """Our form of a proof file of ezkl's."""
    instances = [text for column in raw["instances"] for text in column]
    return canonical_json({"instances": instances, "proof": bytes(raw["proof"]).hex()})


def read_proof(data: bytes, sizes: Sizes, visibility: Visibility) -> tuple[list[str], bytes, Boundary] | str:
    """A proof from anywhere: (instances, proof, what it says), or what is wrong with its form."""
    try:
        found = json_record(data, _Proof, "proof", what="is none")
        proof = bytes.fromhex(found.proof)
    except InputError as error:
        return f"is no proof ({error.what[:200]})"
    except ValueError as error:
        return f"is no proof ({str(error)[:200]})"
    if found.proof != proof.hex() or not 0 < len(proof) <= _MOST:
        return "is no proof (its bytes are not plain hex of a proof's length)"
    wrong = next((text for text in found.instances if not is_element(text)), None)
    if wrong is not None:
        return f"holds a public value that is no field element ({wrong[:80]!r})"
    if data != canonical_json({"instances": found.instances, "proof": found.proof}):
        return "is no proof (it is written in another way than proofs are)"
    expected = _instance_count(sizes, visibility)
    if len(found.instances) != expected:
        return f"has {len(found.instances)} public values where its segment has {expected}"
    marks = _marks(found.instances, proof, sizes, visibility)
    if marks is None:
        return "is too short for its commitments"
    count = len(sizes.inputs)
    return found.instances, proof, Boundary(inputs=tuple(marks[:count]), outputs=tuple(marks[count:]))


def proof_files(folder: Path, instances: list[str], proof: bytes) -> tuple[Path, Path]:
    """The proof as ezkl reads it, and the same without its last byte."""
    paths = folder / "proof.json", folder / "shorter.json"
    for path, data in zip(paths, (proof, proof[:-1]), strict=True):
        path.write_text(json.dumps(_as_ezkl(instances, data)))
    return paths


def _as_ezkl(instances: list[str], proof: bytes) -> dict[str, object]:
    ignored = dict.fromkeys(("protocol", "hex_proof", "split", "pretty_public_inputs", "timestamp", "version"))
    return {**ignored, "instances": [instances], "proof": list(proof)}


def _instance_count(sizes: Sizes, visibility: Visibility) -> int:
    match visibility:
        case Visibility.PUBLIC:
            return sum(sizes.inputs) + sum(sizes.outputs)
        case Visibility.HASHED:
            return len(sizes.inputs) + len(sizes.outputs)
        case Visibility.POLYCOMMIT:
            return 0


def _marks(instances: list[str], proof: bytes, sizes: Sizes, visibility: Visibility) -> list[Mark] | None:
    """Of each tensor, inputs first."""
    tensors = (*sizes.inputs, *sizes.outputs)
    match visibility:
        case Visibility.PUBLIC:
            rest = iter(instances)
            return [tuple(next(rest) for _ in range(size)) for size in tensors]
        case Visibility.HASHED:
            return [(text,) for text in instances]
        case Visibility.POLYCOMMIT:
            if len(proof) < _POINT * len(tensors):
                return None
            return [(proof[at * _POINT : (at + 1) * _POINT].hex(),) for at in range(len(tensors))]
