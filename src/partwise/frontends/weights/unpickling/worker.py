"""The process in which a stranger's pickle is read: `python -I -c "...main()" FILE OUT`.

It limits itself before it opens the file, forbids itself to import, start or connect to anything, and answers
with one line of JSON: {"notes": [...]}, {"refused": [...]}, {"broken": "..."} or {"limit": "..."}.
"""

from __future__ import annotations

import codecs
import json
import os
import pickle
import resource
import sys
from typing import Any

from partwise.frontends.weights.stored_zip import Broken
from partwise.frontends.weights.unpickling.unpickler import Reader
from partwise.frontends.weights.unpickling.write import named_tensors, write_safetensors

__all__ = ["convert_file", "main"]

_MEMORY_BYTES, _CPU_S, _BYTES_PER_S = 1 << 30, 60, 20_000_000
"""Room beside twice the file, and time beside reading it slowly: assumed, well above what honest files need."""
_CODECS = ("ascii", "latin1", "utf-8", "cp437")
"""What names in pickles and zip archives are encoded in; Python imports them when first used."""
_FORBIDDEN = ("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "ctypes.", "shutil.", "urllib.")


def main() -> None:
    """Read argv: the file, and where its safetensors go."""
    path, out = sys.argv[1:]
    size = os.path.getsize(path)
    with open(path, "rb") as file, open(out, "wb") as target:
        _limit(size)
        for codec in _CODECS:
            codecs.lookup(codec)
        sys.addaudithook(_forbid)
        print(json.dumps(convert_file(file, size, target)))


def convert_file(file: Any, size: int, out: Any) -> dict[str, Any]:
    """Read a pickle and write its tensors; the answer, as it is printed."""
    reader = Reader(file, size)
    try:
        root = reader.read()
        if reader.refused:
            return {"refused": list(reader.refused)}
        tensors, notes = named_tensors(root)
        write_safetensors(tensors, file, size, out)
    except Broken as error:
        return {"refused": list(reader.refused)} if reader.refused else {"broken": str(error)}
    except MemoryError:
        return {"limit": "memory"}
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, KeyError, IndexError, AttributeError,
            OverflowError, RecursionError, OSError) as error:  # fmt: skip
        if reader.refused:
            return {"refused": list(reader.refused)}
        return {"broken": f"is no pickle of a state dict ({type(error).__name__}: {str(error)[:200]})"}
    return {"notes": notes}


def _limit(size: int) -> None:
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    _at_most(resource.RLIMIT_AS, used + _MEMORY_BYTES + 2 * size)
    _at_most(resource.RLIMIT_CPU, _CPU_S + size // _BYTES_PER_S)
    _at_most(resource.RLIMIT_FSIZE, 4 * size + (16 << 20))
    _at_most(resource.RLIMIT_CORE, 0)
    _at_most(resource.RLIMIT_NOFILE, 32)


def _at_most(kind: int, value: int) -> None:
    _, hard = resource.getrlimit(kind)
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _forbid(event: str, _: tuple[Any, ...]) -> None:
    if event.startswith(_FORBIDDEN):
        raise Broken(f"made the reader attempt `{event}`")
