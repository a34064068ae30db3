"""ResNet-18, MobileNetV2 and ViT-B/16 as their papers have them, with the operations that the source document counted.

Source: He et al., arXiv 1512.03385, table 1; Sandler et al., arXiv 1801.04381, table 2; Dosovitskiy et al., arXiv
2010.11929, table 1.
"""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

__all__ = ["mobilenet_v2", "resnet18", "vit_b16"]


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class _Basic(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(*_conv(inputs, outputs, 3, stride), nn.ReLU())
        self.second = nn.Sequential(*_conv(outputs, outputs, 3))
        self.skip = nn.Sequential(*(_conv(inputs, outputs, 1, stride) if inputs != outputs else []))
        self.last = nn.ReLU()

    def forward(self, x: Any) -> Any:
        return self.last(self.second(self.first(x)) + self.skip(x))


class _ResNet(nn.Module):
    def __init__(self, body: Any, head: Any) -> None:
        super().__init__()
        self.body, self.head = body, head

    def forward(self, x: Any) -> Any:
        return self.head(torch.flatten(self.body(x), 1))


class _Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        wide = [*_conv(inputs, width, 1), nn.ReLU6()] if expand > 1 else []
        self.body = nn.Sequential(*wide, *_conv(width, width, 3, stride, width), nn.ReLU6(), *_conv(width, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: Any) -> Any:
        return x + self.body(x) if self.adds else self.body(x)


class _KeptDropout(nn.Module):
    """Dropout at inference, which the source still counts as an operator: a copy, so that capture keeps it."""

    def forward(self, x: Any) -> Any:
        return x.clone()


class _MobileNetV2(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        blocks, width = [*_conv(3, 32, 3, 2), nn.ReLU6()], 32
        for expand, outputs, repeats, stride in (
            (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
        ):  # fmt: skip
            for number in range(repeats):
                blocks.append(_Inverted(width, outputs, stride if number == 0 else 1, expand))
                width = outputs
        self.body = nn.Sequential(*blocks, *_conv(width, 1280, 1), nn.ReLU6())
        self.head = nn.Sequential(_KeptDropout(), nn.Linear(1280, 1000))

    def forward(self, x: Any) -> Any:
        return self.head(torch.flatten(nn.functional.adaptive_avg_pool2d(self.body(x), 1), 1))


class _Block(nn.Module):
    """Attention as products, scale and softmax; no dropout, so nothing is counted that an inference does not do."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (width // heads) ** -0.5
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)

    def forward(self, x: Any) -> Any:
        x = x + self._attend(self.before(x))
        return x + self.down(self.act(self.up(self.between(x))))

    def _attend(self, x: Any) -> Any:
        batch, tokens, width = x.shape
        query, key, value = (
            part(x).view(batch, tokens, self.heads, -1).transpose(1, 2) for part in (self.query, self.key, self.value)
        )
        scores = torch.softmax(torch.matmul(query, key.transpose(2, 3)) * self.scale, -1)
        return self.out(torch.matmul(scores, value).transpose(1, 2).reshape(batch, tokens, width))


class _ViT(nn.Module):
    def __init__(self, width: int = 768, heads: int = 12, blocks: int = 12) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 16, 16)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.zeros(1, 197, width))
        self.blocks = nn.Sequential(*(_Block(width, heads) for _ in range(blocks)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 1000)

    def forward(self, x: Any) -> Any:
        patches = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), patches], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


def resnet18() -> Any:
    """69 calls, of which 60 are modules: all but the sums and the flattening."""
    blocks = [
        _Basic(inputs, outputs, stride)
        for inputs, outputs, stride in (
            (64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1),
            (128, 256, 2), (256, 256, 1), (256, 512, 2), (512, 512, 1),
        )
    ]  # fmt: skip
    stem = [*_conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return _ResNet(nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1)), nn.Linear(512, 1000)).eval()


def mobilenet_v2() -> Any:
    """153 calls and the dropout, of which 141 are modules: all but the sums, the pooling and the flattening."""
    return _MobileNetV2().eval()


def vit_b16() -> Any:
    """17 operations a block, views apart."""
    return _ViT().eval()
