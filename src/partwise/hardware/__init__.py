"""Devices and links: what the planner's times stand on.

In: a name, or the text of a user's file. Out: `Device` and `Link`, each figure with its source, and the reference
pair that a plan without hardware is timed on.
Never: a measurement, a file other than the packaged catalog, a framework.
"""

from partwise.hardware.assumed import assumed
from partwise.hardware.catalog import Catalog, catalog, find_device, find_link, parse_hardware
from partwise.hardware.cluster import REFERENCE_CLUSTER, Cluster, Member, Wire, equal_devices, parse_cluster
from partwise.hardware.device import Device, DeviceKind, Link, Peak, Source
from partwise.hardware.efficiency import arithmetic_share, memory_share
from partwise.hardware.mapping import map_product, resident_threads
from partwise.hardware.power import idle_watts, joules_per_byte, joules_per_flop, launch_seconds
from partwise.hardware.product import Mapping, Product
from partwise.hardware.reference import REFERENCE_DEVICE, REFERENCE_LINK

__all__ = [
    "REFERENCE_CLUSTER",
    "REFERENCE_DEVICE",
    "REFERENCE_LINK",
    "Catalog",
    "Cluster",
    "Device",
    "DeviceKind",
    "Link",
    "Mapping",
    "Member",
    "Peak",
    "Product",
    "Source",
    "Wire",
    "arithmetic_share",
    "assumed",
    "catalog",
    "equal_devices",
    "find_device",
    "find_link",
    "idle_watts",
    "joules_per_byte",
    "joules_per_flop",
    "launch_seconds",
    "map_product",
    "memory_share",
    "parse_cluster",
    "parse_hardware",
    "resident_threads",
]
