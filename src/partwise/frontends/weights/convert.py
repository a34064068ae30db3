"""A pickled checkpoint as safetensors: one guarded process a file, and errors that name what was refused."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from partwise.errors import ModelError, UnsafeFileError
from partwise.frontends.weights.checkpoint import Checkpoint, FileKind

__all__ = ["converted", "to_safetensors"]

_LOG = logging.getLogger(__name__)
_TIMEOUT_S = 3600
"""Wall time of the last resort; the process limits its own CPU time."""
_START = "import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; main()"
_MODULES = ("torch.nn.", "torch.jit.", "torchvision.", "transformers.", "timm.", "__main__.")
_SAVE = "save its state dict instead: torch.save(model.state_dict(), path), then --module package.module:function."
_NEVER = "nothing of it was executed; take safetensors, or a state dict of tensors alone."


@contextmanager
def converted(checkpoint: Checkpoint) -> Generator[Checkpoint]:
    """The same checkpoint as safetensors files, which live as long as the context.

    Raises:
        UnsafeFileError: a file names a global outside the table.
        ModelError: a file is no state dict.
    """
    if checkpoint.kind is not FileKind.PICKLE:
        yield checkpoint
        return
    with tempfile.TemporaryDirectory(prefix="partwise-") as folder:
        files = {path.name: Path(folder) / f"{path.stem}.safetensors" for path in checkpoint.files}
        for path in checkpoint.files:
            to_safetensors(path, files[path.name])
        index = checkpoint.index
        renamed = None if index is None else {tensor: files[name].name for tensor, name in index.items()}
        yield replace(checkpoint, files=tuple(files.values()), index=renamed, kind=FileKind.SAFETENSORS)


def to_safetensors(path: Path, out: Path) -> None:
    """Read a pickle in a process of its own and write its tensors.

    Raises:
        UnsafeFileError: it names a global outside the table, or asks for absurd memory or time.
        ModelError: it is no state dict.
    """
    answer = _ask(path, out)
    for note in answer.get("notes", ()):
        _LOG.warning("%s: %s", path, note)
    if "refused" in answer:
        names = answer["refused"]
        whole = any(name.startswith(_MODULES) for name in names)
        what = "is a whole pickled module, which is code" if whole else "would run code if it were loaded"
        raise UnsafeFileError(str(path), f"{what}; refused: {', '.join(names)}", hint=_SAVE if whole else _NEVER)
    if "limit" in answer:
        what = f"asks for more {answer['limit']} than a state dict of its size can"
        raise UnsafeFileError(str(path), what, hint=_NEVER)
    if "broken" in answer:
        raise ModelError(str(path), answer["broken"], expected="a state dict that torch.save or pickle wrote")


def _ask(path: Path, out: Path) -> dict[str, Any]:
    home = str(Path(__file__).resolve().parents[3])
    start = _START.format(module=f"{__package__}.unpickling.worker")
    command = [sys.executable, "-I", "-c", start, home, str(path.resolve()), str(out)]
    quiet = {"PATH": os.environ.get("PATH", ""), "OPENBLAS_NUM_THREADS": "1"}
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, env=quiet, check=False)
    except subprocess.TimeoutExpired:
        return {"limit": "time"}
    lines = done.stdout.decode(errors="replace").splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    if done.returncode < 0:
        return {"limit": "time or memory"}
    last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no answer"]
    return {"limit": "memory"} if "MemoryError" in last[0] else {"broken": f"cannot be read ({last[0][:200]})"}
