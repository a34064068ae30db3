"""A language model of transformers with preallocated K/V: one graph that serves prefill and decode.

While a model is captured with a cache its forward takes, beside the new tokens, where they go and the buffers of every
layer, and gives the logits that are asked for and the buffers as written. A cache layer of our own writes; what a token
may see is worked out from the positions of its own sequence. Facts and limits: docs/capture.md, Language models.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import partwise.ir as ir
from partwise.errors import ModelError, PartwiseError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions, with_settings
from partwise.frontends.torch.capture import capture_module
from partwise.frontends.torch.surroundings import quiet
from partwise.frontends.torch.symbols import Roles

__all__ = ["KeyValues", "capture_cached", "key_values", "with_cache"]

_BATCH, _SEQUENCE = 2, 16
"""Sizes where the options say nothing; export needs at least 2."""
_TOKENS, _POSITION, _LOGITS_AT = "input_ids", "position", "logits_at"
_PROBED = 2
"""Tokens of the forward that finds out what every layer keeps."""
_MASKS = ("sdpa", "eager")
"""Implementations of attention whose masks are worked out here; their masks are values of the graph."""


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
        with quiet(), torch.no_grad():
            module(torch.zeros(1, _PROBED, dtype=torch.int64), past_key_values=kept, use_cache=True)
    except PartwiseError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ModelError(subject, f"keeps a state that is no keys and values: {text}",
                         hint="capture without --cache.") from error  # fmt: skip
    found = tuple(_kept(number, layer) for number, layer in enumerate(kept.layers) if layer.seen is not None)
    if not found:
        raise ModelError(subject, "keeps no keys and values", hint="capture without --cache.")
    return found


def _kept(number: int, layer: Any) -> KeyValues:
    keys, values = layer.seen
    return KeyValues(layer=number, heads=int(keys.shape[1]), key_width=int(keys.shape[3]),
                     value_width=int(values.shape[3]), dtype=keys.dtype)  # fmt: skip


def capture_cached(
    module: Any, options: CaptureOptions, within: AbstractContextManager[Any] | None = None
) -> ir.Graph:
    """The graph of a language model that takes and gives its K/V; the buffers are its state.

    Args:
        module: a causal language model of transformers.
        options: `cache` is the buffers' capacity in tokens.
        within: the mode of the module's tensors, if they are fake.

    Raises:
        ModelError: it keeps something else than keys and values, or cannot be exported.
        UnsupportedOpError: an operator without a row.
    """
    capacity, name = options.cache or 0, type(module).__name__
    sizes = {"batch": options.batch or _BATCH, "sequence": min(options.sequence or _SEQUENCE, capacity)}
    if options.sequence is not None and options.sequence > capacity:
        raise ModelError(name, "has more new tokens than its cache has room for", expected=f"--sequence ≤ {capacity}",
                         got=options.sequence)  # fmt: skip
    with within or nullcontext():
        layers = key_values(module, name)
        inputs = _inputs(layers, capacity=capacity, **sizes)
    with with_cache(module, layers):
        graph = capture_module(module, inputs, static=options.static, name=name, symbolic=_roles(layers))
    written = {output.name: output.tensor for output in graph.outputs if output.name in graph.inputs}
    mutations = tuple(ir.Mutation(target=name, tensor=tensor) for name, tensor in written.items())
    return with_settings(replace(graph, mutations=mutations), cache=capacity, image_size=None, **sizes)


def _inputs(layers: Sequence[KeyValues], *, batch: int, sequence: int, capacity: int) -> dict[str, Any]:
    """Example inputs: zeros, the logits of one token of each sequence asked for."""
    torch = require("torch")
    values = {
        _TOKENS: torch.zeros(batch, sequence, dtype=torch.int64),
        _POSITION: torch.zeros(batch, dtype=torch.int64),
        _LOGITS_AT: torch.zeros(batch, 1, dtype=torch.int64),
    }
    for layer in layers:
        for name, width in zip(layer.names, (layer.key_width, layer.value_width), strict=True):
            values[name] = torch.zeros(batch, layer.heads, capacity, width, dtype=layer.dtype)
    return values


def _roles(layers: Sequence[KeyValues]) -> Roles:
    """The sizes that stay symbols."""
    found: Roles = {_TOKENS: {0: "batch", 1: "sequence"}, _POSITION: {0: "batch"}, _LOGITS_AT: {0: "batch", 1: "logits"}}
    return found | {name: {0: "batch", 2: "capacity"} for layer in layers for name in layer.names}


@contextmanager
def with_cache(module: Any, layers: Sequence[KeyValues]) -> Generator[None]:
    """While this lasts, the module takes and gives buffers, and new tokens anywhere in them.

    Its forward takes `input_ids` [batch, sequence]; `position` [batch], how many tokens of each sequence the buffers
    hold; `logits_at` [batch, logits], which of the new tokens' logits are asked for; `key_N` and `value_N` [batch,
    heads, capacity, width]. It gives `logits` [batch, logits, vocabulary] and the buffers under their names. Sequences
    of unequal length are padded at their ends: what comes after the last token is overwritten before it is seen.
    """
    step, before = _Step(), module.forward
    with ExitStack() as stack:
        stack.enter_context(_own_masks(step))
        stack.enter_context(_heads_not_repeated())
        hook = module.get_output_embeddings().register_forward_pre_hook(step.only_asked)
        stack.callback(hook.remove)
        stack.callback(module.__dict__.pop, "forward", None)
        module.forward = _forward(before, layers, step)
        yield


class _Step:
    """One call of the forward: where its tokens go, and which logits are asked for."""

    def __init__(self) -> None:
        self.slots: Any = None
        """[batch, sequence] The place of each new token in the buffers, which is its position in its sequence."""
        self.logits_at: Any = None

    def begin(self, tokens: Any, position: Any, logits_at: Any) -> None:
        """Take a call's arguments."""
        steps = require("torch").arange(tokens.shape[1], device=tokens.device)
        self.slots, self.logits_at = position[:, None] + steps[None, :], logits_at

    def only_asked(self, head: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
        """Before the head over the vocabulary: the hidden states of the tokens that are asked for."""
        del head
        hidden, *rest = arguments
        rows = require("torch").arange(hidden.shape[0], device=hidden.device)[:, None]
        return (hidden[rows, self.logits_at], *rest)

    def mask(self, *, kv_length: Any, mask_function: Callable[..., Any], **_: Any) -> Any:
        """[batch, 1, sequence, capacity] Which slots a new token sees: by its own sequence's positions.

        Slots beyond a sequence's tokens lie after them, so a causal rule never shows one.
        """
        torch, slots = require("torch"), self.slots
        rows = torch.arange(slots.shape[0], device=slots.device)[:, None, None, None]
        heads = torch.zeros(1, 1, 1, 1, dtype=torch.int64, device=slots.device)
        seen = mask_function(rows, heads, slots[:, None, :, None], torch.arange(kv_length, device=slots.device))
        return seen.expand(slots.shape[0], 1, slots.shape[1], kv_length)

    def added_mask(self, *, dtype: Any, **given: Any) -> Any:
        """The same as an amount that is added to scores."""
        torch = require("torch")
        return torch.where(self.mask(**given), torch.zeros((), dtype=dtype), torch.finfo(dtype).min)


def _forward(before: Callable[..., Any], layers: Sequence[KeyValues], step: _Step) -> Callable[..., Any]:
    takes_positions = "position_ids" in inspect.signature(before).parameters

    def forward(**given: Any) -> dict[str, Any]:
        tokens = given[_TOKENS]
        step.begin(tokens, given[_POSITION], given[_LOGITS_AT])
        kept = _buffers(layers, given, step)
        positions = {"position_ids": step.slots} if takes_positions else {}
        made = before(input_ids=tokens, past_key_values=kept, use_cache=True, **positions)
        written = {
            name: buffer
            for layer in layers
            for name, buffer in zip(layer.names, (kept.layers[layer.layer].keys, kept.layers[layer.layer].values))
        }
        return {"logits": made.logits, **written}

    names = [_TOKENS, _POSITION, _LOGITS_AT, *(name for layer in layers for name in layer.names)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    forward.__signature__ = inspect.Signature([inspect.Parameter(name, keyword) for name in names])
    return forward


def _buffers(layers: Sequence[KeyValues], given: Mapping[str, Any], step: _Step) -> Any:
    kind, by_number = _layer_class(), {layer.layer: layer for layer in layers}
    made = [
        kind(step, *(given[name] for name in by_number[number].names)) if number in by_number else kind(step, None, None)
        for number in range(max(by_number) + 1)
    ]
    return require("transformers.cache_utils").Cache(layers=made)


@cache
def _recorder() -> type:
    """A cache layer that keeps the shapes that it is given and nothing else."""

    class Recorder(_base_class()):  # pyright: ignore[reportUntypedBaseClass]
        def __init__(self, **_: Any) -> None:
            super().__init__()
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
        def __init__(self, step: _Step, keys: Any, values: Any) -> None:
            super().__init__()
            self.step, self.keys, self.values, self.is_initialized = step, keys, values, True

        def update(self, key_states: Any, value_states: Any, *_: Any, **__: Any) -> tuple[Any, Any]:
            self.keys = _written(self.keys, key_states, self.step.slots)
            self.values = _written(self.values, value_states, self.step.slots)
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

    class Layer(mixin):  # pyright: ignore[reportUntypedBaseClass]
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


@contextmanager
def _own_masks(step: _Step) -> Generator[None]:
    """transformers asks `step` for the mask of every kind of layer."""
    table = require("transformers.masking_utils").ALL_MASK_ATTENTION_FUNCTIONS
    before = dict(table._local_mapping)
    try:
        for name, made in zip(_MASKS, (step.mask, step.added_mask), strict=True):
            table[name] = made
        yield
    finally:
        table._local_mapping.clear()
        table._local_mapping.update(before)


@contextmanager
def _heads_not_repeated() -> Generator[None]:
    """Attention by shared K/V heads reads them as they are: one that repeats them would move them several times."""
    module = require("transformers.integrations.sdpa_attention")
    before = module.use_gqa_in_sdpa
    try:
        module.use_gqa_in_sdpa = lambda *_: True
        yield
    finally:
        module.use_gqa_in_sdpa = before
