"""Packages: a folder with a manifest, one graph file a segment, and the weights as content-addressed blobs.

In: segments and weights. Out: a folder written as a whole or not at all; and back, every byte checked against
its digest, every graph screened. Never: a path, a pickle, a link or a size from the file itself is believed.
"""

from partwise.packaging.files import is_package
from partwise.packaging.manifest import MANIFEST_VERSION, Descriptor, Manifest, Port, SegmentEntry, WeightEntry
from partwise.packaging.package import Package, Segment, open_package
from partwise.packaging.write import SegmentFile, write_package

__all__ = [
    "MANIFEST_VERSION",
    "Descriptor",
    "Manifest",
    "Package",
    "Port",
    "Segment",
    "SegmentEntry",
    "SegmentFile",
    "WeightEntry",
    "is_package",
    "open_package",
    "write_package",
]
