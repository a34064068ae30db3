"""The structured reference string (SRS): where it lies, which one it is, and whether its maker could forge.

    $XDG_CACHE_HOME/partwise/srs/kzg<k>.srs                        the public ceremony's, checked by digest
    $XDG_CACHE_HOME/partwise/srs/self-made/kzg<k>-<sha256>.srs     made here: whoever made it can forge proofs

One file serves all smaller circuits. Nothing is downloaded: docs/prove.md says where the public files are.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from partwise.digest import file_digest
from partwise.errors import InputError
from partwise.files import user_folder
from partwise.verification.zk.ezkl_call import call_ezkl
from partwise.verification.zk.limits import CallLimits
from partwise.verification.zk.srs_points import HEAD_BYTES, srs_bytes, verifier_srs
from partwise.verification.zk.srs_public import PUBLIC_SRS

__all__ = ["MOST_LOGROWS", "Srs", "find_srs", "matching_srs", "open_srs", "srs_folder"]

MOST_LOGROWS = 26
_SELF_MADE_AT_MOST = 20
"""2^20 points take about 12 minutes on one thread; measured: facts of issue "Prove"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Srs:
    """An SRS file whose bytes were looked at."""

    path: Path
    digest: str
    logrows: int
    self_made: bool
    """Not the public ceremony's: its maker can forge proofs."""

    def verifier_bytes(self) -> bytes:
        """The part that a verifier needs."""
        with self.path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(-256, os.SEEK_END)
            return verifier_srs(head, file.read())


def srs_folder() -> Path:
    """Where SRS files are kept."""
    return user_folder("XDG_CACHE_HOME", ".cache") / "partwise" / "srs"


def open_srs(path: Path) -> Srs:
    """An SRS file, its size and digest checked.

    Raises:
        InputError: it cannot be read, or is no SRS.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            logrows = int.from_bytes(file.read(4), "little")
    except OSError as error:
        raise InputError(str(path), f"cannot be read ({error.strerror})") from None
    if not 1 <= logrows <= MOST_LOGROWS or size != srs_bytes(logrows):
        raise InputError(str(path), "is no SRS", expected="128 · 2^k + 260 bytes that begin with k", got=f"{size} B")
    digest = file_digest(path)
    return Srs(path=path, digest=digest, logrows=logrows, self_made=digest != PUBLIC_SRS[logrows])


def find_srs(logrows: int, given: Path | None, *, insecure: bool, exact: bool = False) -> Srs:
    """An SRS for circuits of up to 2^logrows rows.

    Args:
        logrows: k.
        given: a file, or a folder of files `kzg<k>.srs`; the cache if None.
        exact: whether it must have 2^logrows points: ezkl 23.0.5's `kzg_commit` uses all that there are.
        insecure: whether one that is not the public ceremony's may be used, and made where there is none.

    Raises:
        InputError: none there, too small, or self-made and not asked for.
    """
    folder = srs_folder() if given is None else given
    if folder.is_file():
        return _allowed(open_srs(folder), logrows, insecure, exact)
    for k in _sizes(logrows, exact):
        if (path := folder / f"kzg{k}.srs").is_file():
            return _allowed(open_srs(path), logrows, insecure, exact)
    if not insecure:
        raise InputError("SRS", f"there is none for k = {logrows} in {folder}", expected=f"kzg{logrows}.srs",
                         hint="see docs/prove.md for the public one, or --insecure-srs for tests.")  # fmt: skip
    return _self_made(logrows, exact)


def matching_srs(verifier: Path | None, logrows: int, digest: str | None = None, *, exact: bool = False) -> Srs | None:
    """An SRS of the cache that was made with the same secret, or that has a digest; None if there is none.

    Args:
        verifier: the 516 bytes that a verifier has of it.
        logrows: k at least.
        digest: of the file itself.
        exact: see `find_srs`.
    """
    folder = srs_folder()
    wanted = None if verifier is None else verifier.read_bytes()
    for path in sorted((*folder.glob("kzg*.srs"), *folder.glob("self-made/kzg*.srs"))):
        found = open_srs(path)
        if (
            found.logrows < logrows
            or (exact and found.logrows != logrows)
            or (digest is not None and found.digest != digest)
        ):
            continue
        if wanted is None or found.verifier_bytes() == wanted:
            return found
    return None


def _sizes(logrows: int, exact: bool) -> range:
    return range(logrows, logrows + 1 if exact else MOST_LOGROWS + 1)


def _allowed(srs: Srs, logrows: int, insecure: bool, exact: bool) -> Srs:
    if exact and srs.logrows != logrows:
        raise InputError(str(srs.path), "has another size than the circuits, which commitments need",
                         expected=f"k = {logrows}", got=srs.logrows)  # fmt: skip
    if srs.logrows < logrows:
        raise InputError(str(srs.path), "is too small for these circuits", expected=f"k ≥ {logrows}", got=srs.logrows)
    if srs.self_made and not insecure:
        raise InputError(str(srs.path), "is not the public ceremony's: whoever made it can forge proofs",
                         expected=PUBLIC_SRS[srs.logrows], got=srs.digest, hint="--insecure-srs.")  # fmt: skip
    return srs


def _self_made(logrows: int, exact: bool) -> Srs:
    """The smallest that was made here before and is large enough, or a new one."""
    folder = srs_folder() / "self-made"
    for k in _sizes(logrows, exact):
        for path in sorted(folder.glob(f"kzg{k}-*.srs")):
            if path.stem.endswith(file_digest(path).removeprefix("sha256:")):
                return open_srs(path)
    if logrows > _SELF_MADE_AT_MOST:
        raise InputError("SRS", "is too large to be made here", expected=f"k ≤ {_SELF_MADE_AT_MOST}", got=logrows)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            made = Path(scratch) / "made.srs"
            call_ezkl("gen_srs", "SRS", CallLimits(), srs_path=made, logrows=logrows)
            digest = file_digest(made)
            kept = folder / f"kzg{logrows}-{digest.removeprefix('sha256:')}.srs"
            made.rename(kept)
    except OSError as error:
        raise InputError(str(folder), f"cannot be written ({error.strerror})") from None
    return open_srs(kept)
