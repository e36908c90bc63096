"""StrokesNet: the small residual trunk that this project trains itself on procedurally generated images.

Five depth groups at widths 24-24-48-96-192; the pooled outputs of the last three are joined, because edges and
junctions (middle groups) help a few-shot head as much as whole parts (last group) do. About 0.7 M parameters and 11 M
multiply-adds at 32 px.

Source: basic blocks, He et al. 2016, Deep Residual Learning, arXiv:1512.03385, section 3.3; features pooled over
several depths, Hariharan et al. 2015, Hypercolumns, arXiv:1411.5752.
"""

import torch
from torch import Tensor, nn

from transfer.records import Preprocess

DEPTH_GROUPS: tuple[str, ...] = ("stem", "stage1", "stage2", "stage3", "stage4")
FEATURE_DIM = 48 + 96 + 192
MIN_SIDE_PX = 16
PREPROCESS = Preprocess(resize_px=32, crop_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to a shortcut.

    Args:
        in_channels: channels of the input (N, in_channels, H, W).
        out_channels: channels of the output (N, out_channels, ceil(H / stride), ceil(W / stride)).
        stride: 1 or 2, of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + residual(x))."""
        residual = torch.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        return torch.relu(self.shortcut(x) + residual)


class StrokesNet(nn.Module):
    """Trunk without a head: images in, pooled features out.

    Its direct children are `DEPTH_GROUPS`, in depth order; every parameter and buffer is in one of them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU())
        self.stage1 = BasicBlock(24, 24, 1)
        self.stage2 = BasicBlock(24, 48, 2)
        self.stage3 = BasicBlock(48, 96, 2)
        self.stage4 = BasicBlock(96, 192, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of a batch.

        Args:
            x: float (N, 3, H, W), normalised with `PREPROCESS`; H and W at least `MIN_SIDE_PX`.

        Returns:
            float (N, `FEATURE_DIM`).
        """
        stage2 = self.stage2(self.stage1(self.stem(x)))
        stage3 = self.stage3(stage2)
        stage4 = self.stage4(stage3)
        return torch.cat([stage.mean(dim=(2, 3)) for stage in (stage2, stage3, stage4)], dim=1)


def strokes() -> StrokesNet:
    """Build a StrokesNet with random weights (PyTorch's default initialisation, from the current random state)."""
    return StrokesNet()
