"""Dsperse's folders: where everything of one model lies.

<model folder>/slices/metadata.json                 what was sliced, for people and other tools
               slices/package/                      our package: the only part that is believed
               slices/segment_<n>/segment_<n>.onnx  a segment with its weights
               slices/segment_<n>/<prover>/         its circuit and keys
               slices/segment_<n>/piece_<m>/        the same of a piece of it, made when it could not be proved whole
               slices/proof_manifest.json           the manifest of proofs
               analysis/model_metadata.json         for people
               run/run_<n>/                         input, output, tensors, witnesses, proofs, run_result.json
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from partwise.errors import InputError
from partwise.packaging import open_package
from partwise.strict_json import json_object
from partwise.verification.zk.pieces import Place

__all__ = [
    "Layout",
    "find_layout",
    "find_run",
    "place_folder",
    "run_number",
    "runs_of",
    "segment_count",
    "slice_metadata",
]

_FOLDERS = ("slices", "run", "analysis")
_RUN = re.compile(r"run_([0-9]+)\Z")


@dataclass(frozen=True, slots=True)
class Layout:
    """One model's folders; which of them exist is another matter."""

    folder: Path

    @property
    def slices(self) -> Path:
        return self.folder / "slices"

    @property
    def metadata(self) -> Path:
        return self.slices / "metadata.json"

    @property
    def package(self) -> Path:
        return self.slices / "package"

    @property
    def manifest(self) -> Path:
        return self.slices / "proof_manifest.json"

    @property
    def analysis(self) -> Path:
        return self.folder / "analysis" / "model_metadata.json"

    @property
    def runs(self) -> Path:
        return self.folder / "run"

    def onnx(self, number: int) -> Path:
        """A segment's ONNX file."""
        return self.slices / f"segment_{number}" / f"segment_{number}.onnx"

    def circuit(self, number: int, prover: str, *pieces: int) -> Path:
        """A segment's circuit and keys, or those of a piece of it."""
        return place_folder(self.slices, (number, *pieces)) / prover


def place_folder(root: Path, place: Place) -> Path:
    """The folder of a segment below `slices/` or a run, or of a piece of it: `segment_2/piece_0`."""
    return root.joinpath(f"segment_{place[0]}", *(f"piece_{piece}" for piece in place[1:]))


def find_layout(start: Path) -> Layout | None:
    """The sliced model that a path belongs to: a model folder, `slices/`, `run/`, or anything below them."""
    here = start.resolve()
    for folder in (here, *here.parents[:4]):
        inside = here.relative_to(folder).parts[:1]
        if (not inside or inside[0] in _FOLDERS) and (folder / "slices" / "metadata.json").is_file():
            return Layout(folder)
    return None


def slice_metadata(layout: Layout) -> dict[str, Any]:
    """What `slice` wrote for people; nothing in it is believed.

    Raises:
        InputError: it cannot be read.
    """
    return json_object(layout.metadata, expected="what `partwise slice` wrote", hint="partwise slice model.onnx")


def segment_count(layout: Layout) -> int:
    """How many segments the package of a sliced model has.

    Raises:
        ManifestError: there is none, or it breaks its format.
    """
    return len(open_package(layout.package).manifest.segments)


def run_number(path: Path) -> int | None:
    """Of a folder `run_<n>`."""
    match = _RUN.match(path.name)
    return None if match is None else int(match[1])


def runs_of(layout: Layout) -> list[Path]:
    """Finished runs, oldest first."""
    found = layout.runs.iterdir() if layout.runs.is_dir() else ()
    kept = [path for path in found if run_number(path) is not None and (path / "run_result.json").is_file()]
    return sorted(kept, key=lambda path: run_number(path) or 0)


def find_run(layout: Layout, start: Path) -> Path:
    """The run that a path names or lies in; otherwise the newest.

    Raises:
        InputError: there is none.
    """
    here = start.resolve()
    for folder in (here, *here.parents):
        if folder.parent == layout.runs.resolve() and (folder / "run_result.json").is_file():
            return folder
    runs = runs_of(layout)
    if not runs:
        raise InputError(str(layout.runs), "holds no run", hint="partwise run slices/ --input input.json")
    return runs[-1]
