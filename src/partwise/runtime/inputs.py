"""Inputs, one thing everywhere: a file, a folder of files, values in memory, or nothing at all.

    `.npz`      arrays by the model's input names, of exactly the model's types
    `.json`     {"name": nested lists}, or {"input_data": [...]} in the model's order; numbers take the model's types
    a folder    a stream of requests: its `.npz` and `.json` files in the order of their names
    a mapping   values by name; a sequence of mappings is a stream
    None        seeded random values, and the record says so

Nothing is ever unpickled. A stream's files are read one by one, as there is room for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from partwise.errors import InputError, InterfaceMismatchError
from partwise.packaging import Manifest, Package, Port
from partwise.packaging.arrays import numpy_dtype
from partwise.runtime.archive import read_members, stored_names
from partwise.runtime.nested import array_of, read_json
from partwise.runtime.random_inputs import random_inputs

__all__ = ["Inputs", "Origin", "open_inputs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where inputs came from."""

    kind: str
    """`file`, `folder`, `values` or `random`."""
    path: str | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Inputs:
    """A stream of requests; a single request is a stream of one."""

    origin: Origin
    names: tuple[str, ...]
    """A name for each request: its file's, or its number."""
    _sources: tuple[Path | Mapping[str, np.ndarray], ...]
    _manifest: Manifest

    @property
    def is_stream(self) -> bool:
        """Whether it was given as a stream, be it of one request."""
        return self.origin.kind == "folder" or len(self._sources) != 1

    def __len__(self) -> int:
        return len(self._sources)

    def __iter__(self) -> Iterator[Mapping[str, np.ndarray]]:
        for source in self._sources:
            yield _read(source, self._manifest) if isinstance(source, Path) else source


def open_inputs(given: object, package: Package, *, sizes: Mapping[str, int] | None = None, seed: int = 0) -> Inputs:
    """The requests in whatever a user gives.

    Args:
        given: see the module.
        package: whose inputs they are.
        sizes: values of the model's symbols, for random inputs.
        seed: of random inputs.

    Raises:
        InputError: nothing usable.
        InterfaceMismatchError: a JSON number that the model's type cannot hold.
    """
    manifest = package.manifest
    if given is not None and sizes:
        raise InputError("sizes", "are for random inputs; given inputs have their own", got=", ".join(sizes))
    match given:
        case None:
            made = random_inputs(manifest, package.graph(), sizes or {}, seed)
            return Inputs(Origin(kind="random", seed=seed), ("0",), (made,), manifest)
        case str() | Path():
            return _open_path(Path(given), manifest)
        case Mapping():
            values = _arrays(cast(Mapping[str, Any], given), manifest)
            return Inputs(Origin(kind="values"), ("0",), (values,), manifest)
        case Sequence():
            stream = tuple(_arrays(item, manifest) for item in cast(Sequence[Mapping[str, Any]], given))
            return Inputs(Origin(kind="values"), tuple(map(str, range(len(stream)))), stream, manifest)
        case _:
            raise InputError("inputs", "not a path, a mapping or a sequence of mappings", got=type(given).__name__)


def _open_path(path: Path, manifest: Manifest) -> Inputs:
    if not path.is_dir():
        return Inputs(Origin(kind="file", path=str(path)), (path.name,), (_read(path, manifest),), manifest)
    files = tuple(sorted(p for p in path.iterdir() if p.suffix in (".npz", ".json") and not p.name.startswith(".")))
    if not files:
        raise InputError(str(path), "holds no inputs", expected=".npz or .json files")
    return Inputs(Origin(kind="folder", path=str(path)), tuple(file.name for file in files), files, manifest)


def _read(path: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    match path.suffix:
        case ".npz":
            found = _read_known(path, manifest)
        case ".json":
            found = read_json(path, manifest)
        case suffix:
            raise InputError(str(path), "is no inputs", expected=".npz, .json or a folder of them", got=suffix)
    return _arrays(found, manifest)


def _read_known(path: Path, manifest: Manifest) -> dict[str, np.ndarray]:
    """The arrays of a file; one that no input is called like is an error before any is unpacked."""
    stored, known = stored_names(path), [port.tensor for port in manifest.inputs]
    if unknown := next((name for name in stored if name not in known), None):
        raise InterfaceMismatchError(str(path), f"`{unknown[:80]}` is unknown", expected=", ".join(known) or "none",
                                     got=", ".join(stored)[:300])  # fmt: skip
    return dict(read_members(path, stored))


def _arrays(values: Mapping[str, Any], manifest: Manifest) -> dict[str, np.ndarray]:
    if not isinstance(values, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InputError("inputs", "a request is a mapping from names to values", got=type(values).__name__)
    ports = {port.tensor: port for port in manifest.inputs}
    return {name: _array(value, ports.get(name), name) for name, value in values.items()}


def _array(value: Any, port: Port | None, name: str) -> np.ndarray:
    if hasattr(value, "detach"):
        from partwise.torch_arrays import to_numpy

        return to_numpy(value.detach().cpu())
    if not isinstance(value, np.ndarray | np.generic):
        return array_of(value, port, f"input `{name}`")
    array: np.ndarray = np.asarray(cast(Any, value))
    if array.dtype.kind == "V" and port is not None and numpy_dtype(port.dtype).itemsize == array.dtype.itemsize:
        return array.view(numpy_dtype(port.dtype))  # numpy's own way to store bfloat16
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
