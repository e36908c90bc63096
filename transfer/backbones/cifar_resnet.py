"""The residual networks for images of 32 pixels: of 20 to 110 layers, small enough to run anywhere.

Three stages of basic blocks at widths 16, 32 and 64; where the width doubles, the shortcut takes every second pixel and
pads the new channels with zeros, so that it has no parameters ("option A").

Source: He, Zhang, Ren and Sun 2016, Deep Residual Learning for Image Recognition, arXiv:1512.03385, section 4.2.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from transfer.records import Preprocess

DEPTHS = (20, 32, 44, 56, 110)  # layers with weights, the classifier among them: 6n + 2
DEPTH_GROUPS = (("stem", ("conv1", "bn1")), ("layer1", ("layer1",)), ("layer2", ("layer2",)), ("layer3", ("layer3",)))
FEATURE_DIM = 64
MIN_SIDE_PX = 8
HEADS = ("linear", "fc")  # what published files call the classifier
PREPROCESS = Preprocess(resize_px=32, crop_px=32, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, added to a shortcut without parameters.

    Args:
        in_channels: channels of the input (N, in_channels, H, W).
        out_channels: channels of the output (N, out_channels, ceil(H / stride), ceil(W / stride)); `in_channels` plus
            an even number.
        stride: 1 or 2, of the first convolution and of the shortcut.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.stride = stride
        self.n_padded = (out_channels - in_channels) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Return relu(shortcut(x) + residual(x))."""
        residual = torch.relu(self.bn1(self.conv1(x)))
        residual = self.bn2(self.conv2(residual))
        if self.n_padded:
            x = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.n_padded, self.n_padded))
        return torch.relu(x + residual)


class CifarResNet(nn.Module):
    """Trunk without a classifier: images in, pooled features out.

    Args:
        depth: one of `DEPTHS`.
    """

    def __init__(self, depth: int) -> None:
        super().__init__()
        n_blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, 1, n_blocks)
        self.layer2 = _stage(16, 32, 2, n_blocks)
        self.layer3 = _stage(32, FEATURE_DIM, 2, n_blocks)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return the features of a batch.

        Args:
            x: float (N, 3, H, W), normalised with `PREPROCESS`; H and W at least `MIN_SIDE_PX`.

        Returns:
            float (N, `FEATURE_DIM`).
        """
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return x.mean(dim=(2, 3))


def _stage(in_channels: int, out_channels: int, stride: int, n_blocks: int) -> nn.Sequential:
    first = BasicBlock(in_channels, out_channels, stride)
    return nn.Sequential(first, *(BasicBlock(out_channels, out_channels, 1) for _ in range(n_blocks - 1)))
