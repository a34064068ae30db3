"""Layers of transformers' caches: one that finds out what a model keeps of each token, and one that keeps it in
buffers that are there before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from partwise.errors import ModelError, PartwiseError
from partwise.extras import require
from partwise.frontends.torch.experts import experts_as_one_op
from partwise.frontends.torch.surroundings import quiet

__all__ = ["KeyValues", "Places", "buffers", "key_values"]

_PROBED = 2
"""Tokens of the forward that finds out what every layer keeps."""
_ATTENTIONS = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
"""Kinds of layers, as configs of transformers name them, whose whole state is keys and values."""


class Places(Protocol):
    """Where new tokens go."""

    slots: Any
    """[batch, sequence] The place of each new token in the buffers, which is its position in its sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyValues:
    """What a layer keeps of each token."""

    layer: int
    heads: int
    """K/V heads."""
    key_width: int
    value_width: int
    """Elements of a head; DeepSeek's keys are wider than its values."""
    dtype: Any
    """Of torch."""

    @property
    def names(self) -> tuple[str, str]:
        """Of its buffers."""
        return f"key_{self.layer}", f"value_{self.layer}"


def key_values(module: Any, subject: str) -> tuple[KeyValues, ...]:
    """What each layer of a language model keeps, found by a forward over a few tokens.

    Args:
        module: a causal language model of transformers; with fake tensors within their mode.
        subject: what errors are about.

    Raises:
        ModelError: no such model, or a layer keeps something else than keys and values.
    """
    head = module.get_output_embeddings() if hasattr(module, "get_output_embeddings") else None
    if head is None or getattr(module.config, "is_encoder_decoder", False):
        raise ModelError(subject, "is no decoder with a head over its vocabulary, which --cache needs",
                         expected="a class such as LlamaForCausalLM", got=type(module).__name__)  # fmt: skip
    torch, kept = require("torch"), require("transformers.cache_utils").Cache(layer_class_to_replicate=_recorder())
    try:
        with quiet(), torch.no_grad(), experts_as_one_op(module):
            module(torch.zeros(1, _PROBED, dtype=torch.int64), past_key_values=kept, use_cache=True)
    except PartwiseError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ModelError(subject, f"keeps a state that is no keys and values: {text}",
                         hint="capture without --cache.") from error  # fmt: skip
    found = tuple(_kept(number, layer) for number, layer in enumerate(kept.layers) if layer.seen is not None)
    others = sorted(set(getattr(module.config, "layer_types", None) or ()) - _ATTENTIONS)
    if others or not found:
        text = f"has layers of another kind than attention: {', '.join(others)}" if others else "keeps no K/V"
        raise ModelError(subject, text, hint="capture without --cache.")
    return found


def _kept(number: int, layer: Any) -> KeyValues:
    keys, values = layer.seen
    return KeyValues(layer=number, heads=int(keys.shape[1]), key_width=int(keys.shape[3]),
                     value_width=int(values.shape[3]), dtype=keys.dtype)  # fmt: skip


def buffers(layers: Sequence[KeyValues], given: Mapping[str, Any], places: Places) -> Any:
    """A cache of transformers over the buffers of a call.

    Args:
        layers: of the model.
        given: the buffers by name.
        places: where the call's tokens go, by the time that the layers write.
    """
    by_number = {layer.layer: layer.names for layer in layers}
    pairs = [[given[name] for name in by_number.get(number, ())] for number in range(max(by_number) + 1)]
    made = [_layer_class()(places, *(pair or (None, None))) for pair in pairs]
    return require("transformers.cache_utils").Cache(layers=made)


@cache
def _recorder() -> type:
    """A cache layer that keeps the shapes that it is given and nothing else."""

    class Recorder(_base_class()):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self, **_: Any) -> None:
            self.seen: Any = None

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            self.seen = (key_states, value_states)
            return key_states, value_states

        def get_mask_sizes(self, query_length: Any) -> tuple[Any, int]:
            return query_length, 0

        def get_seq_length(self) -> int:
            return 0

    return Recorder


@cache
def _layer_class() -> type:
    """A layer's buffers: new tokens go to their slots, attention sees all slots under its mask."""

    class Buffers(_base_class()):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self, places: Places, keys: Any, values: Any) -> None:
            self.places, self.keys, self.values, self.is_initialized = places, keys, values, True

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            self.keys = _written(self.keys, key_states, self.places.slots)
            self.values = _written(self.values, value_states, self.places.slots)
            return self.keys, self.values

        def get_mask_sizes(self, query_length: Any) -> tuple[Any, int]:
            del query_length
            return self.keys.shape[2], 0

        def get_seq_length(self) -> int:
            return 0  # positions and masks are given for each sequence, never worked out from here

    return Buffers


@cache
def _base_class() -> type:
    mixin = require("transformers.cache_utils").CacheLayerMixin

    class Layer(mixin):
        is_sliding = False

        def lazy_initialization(self, key_states: Any, value_states: Any) -> None:
            pass

        def get_max_length(self) -> int:
            return -1

    return Layer


def _written(buffer: Any, new: Any, slots: Any) -> Any:
    """buffer [batch, heads, capacity, width] with new [batch, heads, sequence, width] at slots [batch, sequence]."""
    torch = require("torch")
    rows = torch.arange(slots.shape[0], device=slots.device)[:, None]
    return torch.ops.aten.index_put(buffer, [rows, None, slots], new.transpose(1, 2).to(buffer.dtype))
