"""Saved runs: the package that one is of."""

from __future__ import annotations

from pathlib import Path

from partwise.digest import sha256_digest
from partwise.errors import PartwiseError
from partwise.packaging import Package, open_package
from partwise.packaging.files import read_manifest
from partwise.runtime import Run

__all__ = ["package_beside"]


def package_beside(run: Run) -> Package | None:
    """The package that a saved run names, if it lies beside the folder of runs; others there may be broken."""
    folders = sorted(run.path.resolve().parent.parent.iterdir()) if run.path is not None else []
    return next((open_package(folder) for folder in folders if _name(folder) == run.record.package), None)


def _name(folder: Path) -> str | None:
    """The digest of the package in a folder; None where there is no manifest to be read."""
    try:
        return sha256_digest(read_manifest(folder))
    except PartwiseError:
        return None
