"""A language model of transformers with preallocated K/V: one graph that serves prefill and decode.

While a model is captured with a cache its forward takes, beside the new tokens, where they go and the buffers of every
layer, and gives the logits that are asked for and the buffers as written. A cache layer of our own writes; what a token
may see is worked out from the positions of its own sequence. Facts and limits: docs/capture.md, Language models.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import Any

import partwise.ir as ir
from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions, with_settings
from partwise.frontends.torch.cache_layers import KeyValues, buffers, key_values
from partwise.frontends.torch.capture import capture_module
from partwise.frontends.torch.symbols import Roles
from partwise.ir.dims import names_in, parse

__all__ = ["capture_cached", "with_cache"]

_BATCH, _SEQUENCE = 2, 16
"""Sizes where the options say nothing; export needs at least 2."""
_BY_DISTANCE = frozenset({"BloomForCausalLM"})
"""Models that know of positions only how far apart two tokens are, which slots show as well."""
_TOKENS, _POSITION, _LOGITS_AT = "input_ids", "position", "logits_at"
_MASKS = ("sdpa", "eager")
"""Implementations of attention whose masks are worked out here; their masks are values of the graph."""


def capture_cached(module: Any, options: CaptureOptions, within: AbstractContextManager[Any] | None = None) -> ir.Graph:
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
    _check_options(options, capacity, name)
    with within or nullcontext():
        layers = key_values(module, name)
        inputs = _inputs(layers, capacity=capacity, **sizes)
    if not _takes_positions(module.forward) and name not in _BY_DISTANCE:
        raise _unfit(name, "takes no `position_ids`, so its tokens cannot be put anywhere in a cache")
    graph = _captured(module, layers, inputs)
    if graph.mutations:
        raise _unfit(name, f"keeps another state beside its K/V: `{graph.mutations[0].target}`")
    _refuse_fixed(graph)
    _refuse_growing(graph)
    written = {output.name: output.tensor for output in graph.outputs if output.name in graph.inputs}
    mutations = tuple(ir.Mutation(target=name, tensor=tensor) for name, tensor in written.items())
    made = replace(graph, mutations=mutations, notes=(*graph.notes, *_beyond(module.config, capacity)))
    return with_settings(made, cache=capacity, image_size=None, **sizes)


def _captured(module: Any, layers: Sequence[KeyValues], inputs: dict[str, Any]) -> ir.Graph:
    with with_cache(module, layers):
        try:
            return capture_module(module, inputs, name=type(module).__name__, symbolic=_roles(layers))
        except ModelError as error:
            raise _unfit(error.subject, error.what) from error


def _check_options(options: CaptureOptions, capacity: int, name: str) -> None:
    if options.sequence is not None and options.sequence > capacity:
        raise ModelError(name, "has more new tokens than its cache has room for", expected=f"--sequence ≤ {capacity}",
                         got=options.sequence)  # fmt: skip
    if options.static:
        raise ModelError(name, "cannot have a cache and fixed sizes: prefill and decode are one graph at other sizes",
                         hint="leave --static out.")  # fmt: skip


def _unfit(name: str, what: str) -> ModelError:
    return ModelError(name, what, hint="capture without --cache.")


def _refuse_fixed(graph: ir.Graph) -> None:
    """One graph serves prefill and decode only where the sequence and the capacity are free."""
    if fixed := [name for name in ("sequence", "capacity") if name not in graph.hints]:
        why = f": {graph.notes[0]}" if graph.notes else ""
        raise ModelError(graph.name, f"export fixed {' and '.join(fixed)}, so one graph cannot serve prefill and decode"
                         f"{why[:300]}")  # fmt: skip


def _refuse_growing(graph: ir.Graph) -> None:
    """Raise where the code tells how many tokens are there by the length of the keys: it expects a cache that grows."""
    arguments = (each for node in graph.nodes for each in (*node.args, *dict(node.kwargs).values()))
    texts = [text for argument in arguments for text in _texts(argument)]
    texts += [dim for spec in graph.tensors for dim in spec.shape or () if isinstance(dim, str)]
    if wrong := next(filter(_counts_tokens, dict.fromkeys(texts)), None):
        raise _unfit(graph.name, f"takes the length of its K/V for the number of tokens there (`{wrong}`)")


def _counts_tokens(text: str) -> bool:
    """Whether a size adds or subtracts the capacity and new tokens."""
    sums = (step for step in ast.walk(parse(text)) if isinstance(step, ast.BinOp))
    sides = [(names_in(s.left), names_in(s.right)) for s in sums if isinstance(s.op, ast.Add | ast.Sub)]
    return any("capacity" in one and "sequence" in other for pair in sides for one, other in (pair, pair[::-1]))


def _texts(argument: ir.Argument) -> Iterator[str]:
    match argument:
        case ir.Sym(expression):
            yield expression
        case tuple():
            for item in argument:
                yield from _texts(item)
        case _:
            pass


def _beyond(config: Any, capacity: int) -> Iterator[str]:
    """A note where the buffers hold more tokens than the model was made for."""
    most = getattr(config, "max_position_embeddings", None)
    if isinstance(most, int) and 0 < most < capacity:
        yield f"the buffers hold {capacity} tokens; the model's config states {most} positions"


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
    found: Roles = {_TOKENS: {0: "batch", 1: "sequence"}, _POSITION: {0: "batch"}}
    found[_LOGITS_AT] = {0: "batch", 1: "logits"}
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


def _takes_positions(forward: Callable[..., Any]) -> bool:
    return "position_ids" in inspect.signature(forward).parameters


def _forward(before: Callable[..., Any], layers: Sequence[KeyValues], step: _Step) -> Callable[..., Any]:
    takes_positions = _takes_positions(before)

    def forward(**given: Any) -> dict[str, Any]:
        tokens = given[_TOKENS]
        step.begin(tokens, given[_POSITION], given[_LOGITS_AT])
        kept = buffers(layers, given, step)
        positions = {"position_ids": step.slots} if takes_positions else {}
        made = before(input_ids=tokens, past_key_values=kept, use_cache=True, **positions)
        written = [(layer.names, kept.layers[layer.layer]) for layer in layers]
        pairs = [((key, held.keys), (value, held.values)) for (key, value), held in written]
        return {"logits": made.logits, **dict(pair for both in pairs for pair in both)}

    names = [_TOKENS, _POSITION, _LOGITS_AT, *(name for layer in layers for name in layer.names)]
    keyword = inspect.Parameter.KEYWORD_ONLY
    forward.__signature__ = inspect.Signature([inspect.Parameter(name, keyword) for name in names])
    return forward


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

    def always(*_: object) -> bool:
        return True

    try:
        module.use_gqa_in_sdpa = always
        yield
    finally:
        module.use_gqa_in_sdpa = before
