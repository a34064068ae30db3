"""Saved runs: the package that one is of."""

from __future__ import annotations

from partwise.packaging import Package, is_package, open_package
from partwise.runtime import Run

__all__ = ["package_beside"]


def package_beside(run: Run) -> Package | None:
    """The package that a saved run names, if it lies beside the folder of runs."""
    folders = sorted(run.path.resolve().parents[1].iterdir()) if run.path is not None else []
    found = (open_package(folder) for folder in folders if is_package(folder))
    return next((package for package in found if package.digest == run.record.package), None)
