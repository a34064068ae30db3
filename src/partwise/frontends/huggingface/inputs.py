"""Example inputs for a model of transformers, from its forward signature, `main_input_name` and config.

No table of model names: a rule for each kind of input, which reads the sizes off the config. Values do not
matter, since capture looks at shapes alone.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from partwise.errors import ModelError
from partwise.extras import require
from partwise.frontends.source import CaptureOptions
from partwise.frontends.untrusted import as_dict, as_list

__all__ = ["ExampleInputs", "candidates", "example_inputs"]

_BATCH, _SEQUENCE, _IMAGE = 2, 16, 224
"""Sizes where neither the options nor the config say: what export needs at least, and ImageNet's 224."""
_GIVEN = re.compile(r"(\w+)=((?:u?int|float|bfloat|bool|complex)\d*)\[([\d,]*)\]")
_SAMPLES = 16_000
"""One second of speech at 16 kHz, the rate of every raw-audio model of transformers."""
_FRAMES = 64
"""Speech frames (10 ms each) where the config fixes no length."""
_CHANNELS, _MEL_BINS, _CHOICES = 3, 80, 2


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleInputs:
    """Tensors by parameter name, and the sizes they were made with."""

    values: Any
    """By parameter name; or a tuple, where the caller gave one."""
    batch: int | None = None
    sequence: int | None = None
    """Tokens; None for a model without text."""
    image_size: int | None = None
    """Pixels of a side; None for a model without images."""
    notes: tuple[str, ...] = ()
    given: str | None = None
    """What `CaptureOptions.inputs` holds, where the caller chose the inputs."""

    @property
    def sizes(self) -> dict[str, int | None]:
        """The sizes as settings of a capture."""
        return {"batch": self.batch, "sequence": self.sequence, "image_size": self.image_size}


def example_inputs(kind: Any, config: Any, options: CaptureOptions) -> ExampleInputs:
    """Example inputs for a class and its config: the first of `candidates`."""
    return next(candidates(kind, config, options))


def candidates(kind: Any, config: Any, options: CaptureOptions) -> Iterator[ExampleInputs]:
    """Sets of example inputs that a class may want, the likeliest first; one for all but multi-input models.

    Args:
        kind: a class of transformers.
        config: its config.
        options: batch, sequence and image size, where the user states them.

    Raises:
        ModelError: a kind of input without a rule.
    """
    if options.example_inputs is not None or options.inputs:
        yield _given(options)
        return
    maker = _Maker(kind, config, options)
    sets = [names for names in maker.choices() if names]
    if not sets:
        main = ", ".join(maker.main)
        hint = "build it in a function that returns (module, example inputs) and pass package.module:function."
        raise ModelError(kind.__name__, "no rule makes example inputs for it", got=f"main input `{main}`", hint=hint)
    for names in dict.fromkeys(sets):
        values = {name: _RULES[name](maker) for name in names}
        text, images = any(n.endswith("input_ids") for n in names), any(n.startswith("pixel_values") for n in names)
        yield ExampleInputs(
            values=values,
            batch=maker.batch,
            sequence=maker.sequence if text else None,
            image_size=maker.sides()[0] if images else None,
            notes=maker.left_out(names),
        )


def _given(options: CaptureOptions) -> ExampleInputs:
    """The caller's inputs; or zeros of the same names, types and shapes, where a graph's settings tell of them."""
    torch, values = require("torch"), options.example_inputs
    if values is None:
        values = {}
        for name, dtype, shape in _GIVEN.findall(options.inputs or ""):
            sizes = [int(size) for size in shape.split(",") if size]
            values[name] = torch.zeros(sizes, dtype=getattr(torch, dtype))
    if not isinstance(values, Mapping):
        return ExampleInputs(values=values)
    named = cast(Mapping[str, Any], values)
    tensors = {name: value for name, value in named.items() if isinstance(value, torch.Tensor)}
    texts = (f"{n}={str(v.dtype)[6:]}[{','.join(map(str, v.shape))}]" for n, v in tensors.items())
    return ExampleInputs(values=named, given=" ".join(texts))


class _Maker:
    """The rules, for one class and config."""

    def __init__(self, kind: Any, config: Any, options: CaptureOptions) -> None:
        self._torch, self._config, self._options, self._kind = require("torch"), config, options, kind.__name__
        self._takes = inspect.signature(kind.forward).parameters
        main = getattr(kind, "main_input_name", "input_ids")
        self.main: tuple[str, ...] = tuple(as_list(main)) or (main,)
        self.batch = options.batch or self._default_batch()
        self.sequence = options.sequence or min(_SEQUENCE, int(self.attribute("max_position_embeddings") or _SEQUENCE))

    def choices(self) -> Iterator[tuple[str, ...]]:
        """Names of inputs: with every tower first where both are always called, else the main input first."""
        least = self._known(*self.main, *self._required(), *self._decoder())
        most = self._known(*self.main, *_TOWERS, *self._decoder())
        yield from (most, least) if self._towers() > 1 else (least, most)

    def left_out(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """A note where the model takes pictures or sound that these inputs leave out."""
        absent = [name for name in _TOWERS[1:4] if name in self._takes and name not in names]
        if not absent or "input_ids" not in names:
            return ()
        listed = ", ".join(f"`{name}`" for name in absent)
        return (f"captured without {listed}: give example inputs to include what the model makes of them",)

    def _known(self, *names: str) -> tuple[str, ...]:
        """Those that the forward takes and a rule makes, text with its mask."""
        known = [name for name in dict.fromkeys(names) if name in self._takes and name in _RULES]
        masked = "input_ids" in known and "attention_mask" in self._takes and "attention_mask" not in known
        if masked:
            known.insert(known.index("input_ids") + 1, "attention_mask")
        return tuple(known)

    def _required(self) -> list[str]:
        return [name for name, p in self._takes.items() if p.default is inspect.Parameter.empty]

    def _decoder(self) -> tuple[str, ...]:
        return ("decoder_input_ids",) if getattr(self._config, "is_encoder_decoder", False) else ()

    def _towers(self) -> int:
        """Text, vision and audio models side by side; 0 where one feeds another by placeholder tokens."""
        if any(self.attribute(name) is not None for name in _PLACEHOLDERS):
            return 0
        return len(_PARTS & set(getattr(self._config, "sub_configs", {})))

    def _default_batch(self) -> int:
        """2; but 1 where the head looks for the last token before the padding and no padding is known."""
        unpadded = getattr(self._config, "pad_token_id", None) is None and "ForSequenceClassification" in self._kind
        return 1 if unpadded else _BATCH

    def attribute(self, *names: str) -> Any:
        """The first of these that the config, or the config of a part, has a value for."""
        levels = [self._config]
        for level in levels:
            levels += [p for key in getattr(level, "sub_configs", {}) if (p := getattr(level, key, None)) is not None]
        found = (getattr(level, name, None) for name in names for level in levels)
        return next((value for value in found if value is not None and value != -1), None)

    def sides(self) -> tuple[int, int]:
        """Height and width of an image, pixels."""
        stated = self._options.image_size or self.attribute("image_size", "input_size", "img_size") or _IMAGE
        sides = as_list(stated) or list(as_dict(stated).values()) or [stated, stated]
        return int(sides[-2]), int(sides[-1])

    def tokens(self, *more: int) -> Any:
        """[batch, sequence, …] of zeros; [batch, 2, sequence] for a head that chooses between texts."""
        choices = [_CHOICES] if "ForMultipleChoice" in self._kind else []
        return self._torch.zeros(self.batch, *choices, self.sequence, *more, dtype=self._torch.int64)

    def floats(self, *shape: int) -> Any:
        """Zeros in the type that a caller has."""
        return self._torch.zeros(self.batch, *shape)

    def pixels(self) -> Any:
        """[batch, channels, height, width], with frames before the channels for video."""
        channels = self.attribute("num_channels", "in_channels", "num_input_channels") or _CHANNELS
        frames = self.attribute("num_frames")
        return self.floats(*([int(frames)] if frames else []), int(channels), *self.sides())

    def patches(self) -> Any:
        """[batch, patches, row, column and pixels of a patch] (Pix2Struct)."""
        return self.floats(self._options.sequence or _FRAMES, 2 + int(self.attribute("patch_embed_hidden_size")))

    def spectrogram(self) -> Any:
        """Speech as frames of a mel spectrogram: bins first where the encoder's length is fixed (Whisper)."""
        length, bins = self.attribute("max_source_positions"), self.attribute("num_mel_bins")
        width = self.attribute("input_feat_per_channel", "feature_projection_input_dim", "input_dim")
        if width is None and length and bins:
            return self.floats(int(bins), 2 * int(length))
        return self.floats(self._length() or _FRAMES, int(width or bins or _MEL_BINS))

    def samples(self) -> Any:
        """Raw speech, or a spectrogram of fixed length (AST)."""
        length, bins = self.attribute("max_length"), self.attribute("num_mel_bins")
        if length and bins:
            return self.floats(int(length), int(bins))
        return self.floats(self._length() or _SAMPLES)

    def _length(self) -> int | None:
        """`sequence`, where the model has no text that it would be the length of."""
        text = {"input_ids", "decoder_input_ids"} & set(self._takes)
        return None if text else self._options.sequence

    def series(self) -> Any:
        """[batch, time, channels] of a time series."""
        channels = int(self.attribute("num_input_channels") or 1)
        return self.floats(int(self.attribute("context_length")), channels)


_RULES: dict[str, Callable[[_Maker], Any]] = {
    "input_ids": _Maker.tokens,
    "attention_mask": lambda maker: maker.tokens() + 1,
    "decoder_input_ids": _Maker.tokens,
    "bbox": lambda maker: maker.tokens(4),
    "pixel_values": _Maker.pixels,
    "pixel_values_videos": _Maker.pixels,
    "flattened_patches": _Maker.patches,
    "input_features": _Maker.spectrogram,
    "input_values": _Maker.samples,
    "past_values": _Maker.series,
}
_TOWERS = ("input_ids", "pixel_values", "input_features", "input_values", "bbox")
_PARTS = {"text_config", "vision_config", "audio_config"}
_PLACEHOLDERS = ("image_token_id", "image_token_index", "audio_token_id", "audio_token_index")
