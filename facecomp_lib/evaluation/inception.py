"""The Inception-v3 network of the Fréchet inception distance, up to its 2048 averaged features.

Szegedy et al., Rethinking the Inception Architecture for Computer Vision, CVPR 2016, figures 5-7 and table 1.
FID is defined by one set of weights, trained in TensorFlow in 2015, and two details of that graph differ from
other ports: average pooling counts only pixels inside the map, and the last block pools by maximum. Parameter
names are torchvision's, under which these weights are passed on.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SIDE", "Inception"]

SIDE = 299

Step = tuple[str, int, int | tuple[int, int], int]  # name, channels, kernel, stride


class Conv(nn.Module):
    """Convolution, batch norm, ReLU; the map keeps its size unless ``valid`` or strided."""

    def __init__(self, entering: int, channels: int, kernel: int | tuple[int, int], stride: int, valid: bool):
        super().__init__()
        height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (0, 0) if valid else (height // 2, width // 2)
        self.conv = nn.Conv2d(entering, channels, (height, width), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class Mixed(nn.Module):
    """Branches side by side, concatenated in the order given, the pooled one last.

    Args:
        branches: each a chain of steps; a step of several parts is a fork, whose results are concatenated.
        pool: "average" or "max" of 3 x 3 pixels; a 1 x 1 convolution to ``project`` channels follows. If that
            is 0, the pool halves the map instead, as steps of stride 2 (without padding) do.
    """

    def __init__(self, entering: int, branches: list[list[tuple[Step, ...]]], pool: str, project: int):
        super().__init__()
        self.pool, self.project = pool, project
        self.chains = [[[name for name, *_ in fork] for fork in branch] for branch in branches]
        self.channels = project or entering
        for branch in branches:
            width = entering
            for fork in branch:
                for name, channels, kernel, stride in fork:
                    setattr(self, f"branch{name}", Conv(width, channels, kernel, stride, valid=stride == 2))
                width = sum(channels for _, channels, *_ in fork)
            self.channels += width
        if project:
            self.branch_pool = Conv(entering, project, 1, 1, valid=False)

    def forward(self, x: Tensor) -> Tensor:
        results = []
        for chain in self.chains:
            y = x
            for fork in chain:
                y = torch.cat([getattr(self, f"branch{name}")(y) for name in fork], 1)
            results.append(y)
        return torch.cat([*results, self._pooled(x)], 1)

    def _pooled(self, x: Tensor) -> Tensor:
        if not self.project:
            return F.max_pool2d(x, 3, 2)
        if self.pool == "max":
            return self.branch_pool(F.max_pool2d(x, 3, 1, 1))
        return self.branch_pool(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))


def _chain(*steps: Step) -> list[tuple[Step, ...]]:
    return [(step,) for step in steps]


def _at_35(entering: int, project: int) -> Mixed:
    """Figure 5, on maps of 35 x 35."""
    five = _chain(("5x5_1", 48, 1, 1), ("5x5_2", 64, 5, 1))
    three = _chain(("3x3dbl_1", 64, 1, 1), ("3x3dbl_2", 96, 3, 1), ("3x3dbl_3", 96, 3, 1))
    return Mixed(entering, [_chain(("1x1", 64, 1, 1)), five, three], "average", project)


def _to_17() -> Mixed:
    three = _chain(("3x3dbl_1", 64, 1, 1), ("3x3dbl_2", 96, 3, 1), ("3x3dbl_3", 96, 3, 2))
    return Mixed(288, [_chain(("3x3", 384, 3, 2)), three], "max", 0)


def _at_17(width: int) -> Mixed:
    """Figure 6, n = 7, on maps of 17 x 17."""
    row, column = (1, 7), (7, 1)
    seven = _chain(("7x7_1", width, 1, 1), ("7x7_2", width, row, 1), ("7x7_3", 192, column, 1))
    start = _chain(("7x7dbl_1", width, 1, 1), ("7x7dbl_2", width, column, 1), ("7x7dbl_3", width, row, 1))
    double = start + _chain(("7x7dbl_4", width, column, 1), ("7x7dbl_5", 192, row, 1))
    return Mixed(768, [_chain(("1x1", 192, 1, 1)), seven, double], "average", 192)


def _to_8() -> Mixed:
    three = _chain(("3x3_1", 192, 1, 1), ("3x3_2", 320, 3, 2))
    seven = _chain(("7x7x3_1", 192, 1, 1), ("7x7x3_2", 192, (1, 7), 1), ("7x7x3_3", 192, (7, 1), 1))
    return Mixed(768, [three, seven + _chain(("7x7x3_4", 192, 3, 2))], "max", 0)


def _at_8(entering: int, pool: str) -> Mixed:
    """Figure 7, on maps of 8 x 8."""

    def fork(name: str) -> tuple[Step, ...]:
        return (f"{name}a", 384, (1, 3), 1), (f"{name}b", 384, (3, 1), 1)

    three = [*_chain(("3x3_1", 384, 1, 1)), fork("3x3_2")]
    double = [*_chain(("3x3dbl_1", 448, 1, 1), ("3x3dbl_2", 384, 3, 1)), fork("3x3dbl_3")]
    return Mixed(entering, [_chain(("1x1", 320, 1, 1)), three, double], pool, 192)


class Inception(nn.Module):
    """Images float ``[B, 3, H, W]`` in [0, 1] -> features ``[B, 2048]``. Use it in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = Conv(3, 32, 3, 2, valid=True)
        self.Conv2d_2a_3x3 = Conv(32, 32, 3, 1, valid=True)
        self.Conv2d_2b_3x3 = Conv(32, 64, 3, 1, valid=False)
        self.Conv2d_3b_1x1 = Conv(64, 80, 1, 1, valid=True)
        self.Conv2d_4a_3x3 = Conv(80, 192, 3, 1, valid=True)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = _at_35(192, 32), _at_35(256, 64), _at_35(288, 64)
        self.Mixed_6a = _to_17()
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_at_17, (128, 160, 160, 192))
        self.Mixed_7a = _to_8()
        self.Mixed_7b, self.Mixed_7c = _at_8(1280, "average"), _at_8(2048, "max")

    def forward(self, image: Tensor) -> Tensor:
        x = F.interpolate(image, (SIDE, SIDE), mode="bilinear", align_corners=False)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(2 * x - 1)))  # [B, 64, 147, 147]
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))  # [B, 192, 71, 71]
        x = F.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        return x.mean((2, 3))  # [B, 2048, 8, 8] -> [B, 2048]
