"""Options that capture again what a graph was captured from."""

from __future__ import annotations

from dataclasses import replace

import graphs
from partwise.frontends.source import CaptureOptions, as_captured


def test_settings_overrule_and_the_rest_stays() -> None:
    settings = (("batch", 3), ("dtype", "bfloat16"), ("source", "huggingface"), ("static", True), ("task", "BertModel"))
    graph = replace(graphs.chain([4, 3]), settings=settings)
    options = as_captured(graph, CaptureOptions(config="folder", batch=1, sequence=7))
    assert options == CaptureOptions(
        config="folder", batch=3, sequence=7, dtype="bfloat16", static=True, task="BertModel"
    )
