"""Frontends: a model of any kind in, a `Graph` out.

In: an `nn.Module`, an ONNX file, a Hugging Face folder or hub name, files of weights. Out: a `Source`, which
gives the graph, the weights by name, and the model's own answer. Never: code from a file is executed.
"""

from partwise.frontends.applicable import refuse_other_sizes
from partwise.frontends.open import open_model, takes
from partwise.frontends.source import CaptureOptions, Source, as_captured

__all__ = ["CaptureOptions", "Source", "as_captured", "open_model", "refuse_other_sizes", "takes"]
