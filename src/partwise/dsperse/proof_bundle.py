"""`proofs.zip` of a run: all proofs that there are, and the keys that they are checked with."""

from __future__ import annotations

from pathlib import Path

from partwise.digest import sha256_digest
from partwise.dsperse.kept import Kept
from partwise.errors import PackageError
from partwise.verification.zk.bundle import Bundle, write_bundle
from partwise.verification.zk.manifest import proof_manifest_to_bytes
from partwise.verification.zk.pieces import expand
from partwise.verification.zk.prover import KeyFile

__all__ = ["write_proofs"]


def write_proofs(kept: Kept, path: Path) -> None:
    """Write the proofs of a run.

    Args:
        kept: of the run.
        path: of the file.

    Raises:
        PackageError: a key is not what the manifest pins.
        InputError: the disk refuses.
    """
    divided = frozenset(kept.divided())
    flat, places = expand(kept.manifest, divided)
    proved = {number: place for number, place in enumerate(places) if kept.node(place).proved == "proved"}
    keys = dict[str, bytes]()
    for place, entry in zip(places, flat.segments, strict=True):
        for key in () if entry.circuit is None else entry.circuit.keys:
            keys[key.digest] = _read_key(kept.folder(place), key)
    bundle = Bundle(
        manifest=proof_manifest_to_bytes(kept.manifest),
        not_proved=frozenset(range(len(places))) - frozenset(proved),
        divided=divided,
        proofs={number: kept.proof(place).read_bytes() for number, place in proved.items()},
        keys=keys,
    )
    write_bundle(path, bundle)


def _read_key(folder: Path, key: KeyFile) -> bytes:
    data = (folder / key.name).read_bytes()
    if sha256_digest(data) != key.digest:
        raise PackageError(str(folder / key.name), "is not what the manifest pins", expected=key.digest,
                           got=sha256_digest(data), hint="partwise compile")  # fmt: skip
    return data
