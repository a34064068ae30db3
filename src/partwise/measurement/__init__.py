"""Measure packages and machines: throughput and latency beside the uncut model's and beside what was predicted.

In: a package, or nothing but this machine. Out: a `Bench`, a `Suite`, an `Inventory`. Never: a figure that was not
measured here, or that does not say what it was measured on.
"""

from partwise.measurement.bench import bench_package
from partwise.measurement.case import LOCAL_EXECUTORS, Settings
from partwise.measurement.inventory import Inventory, take_inventory
from partwise.measurement.record import Arrangement, Bench, StageTime, Uncut
from partwise.measurement.suite import Result, Status, Suite

__all__ = [
    "LOCAL_EXECUTORS",
    "Arrangement",
    "Bench",
    "Inventory",
    "Result",
    "Settings",
    "StageTime",
    "Status",
    "Suite",
    "Uncut",
    "bench_package",
    "take_inventory",
]
