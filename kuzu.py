"""The three networks of Part 1: NetLin, NetFull and NetConv, for 28 x 28 images in 10 classes.

Each takes images as floats of shape (batch, 1, 28, 28) and returns the log probabilities of the
10 classes, shape (batch, 10). `parameter_sum` writes the number of independent parameters as a sum
over the layers, as one would by hand. A shared weight counts once: a filter's weight is one
parameter, wherever in the image it is applied.

Left out: deeper and residual networks, because the assignment asks for two convolutional layers.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIDE = 28
CLASSES = 10


class NetLin(nn.Module):
    """A linear function of the pixels, then log softmax: log softmax(W x + b)."""

    def __init__(self):
        super().__init__()
        self.output = nn.Linear(SIDE * SIDE, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        return F.log_softmax(self.output(images.flatten(1)), dim=1)

    def parameter_sum(self) -> str:
        return f"({SIDE}*{SIDE}*{CLASSES}+{CLASSES})"


class NetFull(nn.Module):
    """One hidden layer of `hid` tanh units, then log softmax: log softmax(V tanh(W x + b) + c).

    dropout: probability of dropping a hidden unit in training (Srivastava et al., 2014).
    """

    def __init__(self, hid: int = 300, dropout: float = 0.0):
        super().__init__()
        self.hidden = nn.Linear(SIDE * SIDE, hid)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(hid, CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        hidden = torch.tanh(self.hidden(images.flatten(1)))
        return F.log_softmax(self.output(self.dropout(hidden)), dim=1)

    def parameter_sum(self) -> str:
        hid = self.hidden.out_features
        return f"({SIDE}*{SIDE}*{hid}+{hid})+({hid}*{CLASSES}+{CLASSES})"


class NetConv(nn.Module):
    """Two convolutional layers and a fully connected layer, each with relu, then a linear output
    layer with log softmax.

    The first convolution preserves the image size (zero padding) and is followed by 2 x 2 max
    pooling: 28 -> 14. The second one is not padded, because its filters then have half as many
    places to process: 14 -> 10; 4 x 4 max pooling with stride 3 leaves 3 x 3. Pooling precedes
    batch normalisation and relu because they then have fewer values to process. Without batch
    normalisation the order makes no difference (relu is monotonic); with it, the pooled maxima are
    normalised.

    filters: number of filters of each convolution.
    kernels: their side lengths, odd, at most 11.
    fc: units of the fully connected layer. 0 omits it, pads the second convolution as well and
        pools 2 x 2, 14 -> 7, as in the assignment's network: `NetConv((64, 128), (5, 3), fc=0,
        batch_norm=False)` has 138,250 parameters.
    batch_norm: normalise before each relu (Ioffe and Szegedy, 2015). The layer before it then has
        no bias, because the normalisation would subtract it.
    dropout: probability of dropping an input of the fully connected or output layer in training.
    """

    def __init__(
        self,
        filters: tuple[int, int] = (24, 64),
        kernels: tuple[int, int] = (5, 5),
        fc: int = 160,
        batch_norm: bool = True,
        dropout: float = 0.0,
    ):
        super().__init__()
        (first, second), bias = filters, not batch_norm
        self.conv1 = nn.Conv2d(1, first, kernels[0], padding="same", bias=bias)
        padding = 0 if fc else "same"
        self.conv2 = nn.Conv2d(first, second, kernels[1], padding=padding, bias=bias)
        self.norm1 = nn.BatchNorm2d(first) if batch_norm else nn.Identity()
        self.norm2 = nn.BatchNorm2d(second) if batch_norm else nn.Identity()
        # The second pooling's side and stride, and the side length of the feature maps after it.
        self.pool = (4, 3) if fc else (2, 2)
        self.side = (14 - kernels[1]) // 3 if fc else 7
        features = second * self.side**2
        self.fc = nn.Linear(features, fc, bias=bias) if fc else None
        self.norm3 = nn.BatchNorm1d(fc) if fc and batch_norm else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(fc or features, CLASSES)
        # Channels last in memory, because convolutions are then 1.5 times as fast on a CPU.
        self.to(memory_format=torch.channels_last)

    def forward(self, images: Tensor) -> Tensor:
        images = images.contiguous(memory_format=torch.channels_last)
        maps = F.relu(self.norm1(F.max_pool2d(self.conv1(images), 2)))
        maps = F.relu(self.norm2(F.max_pool2d(self.conv2(maps), *self.pool)))
        hidden = self.dropout(maps.flatten(1))
        if self.fc is not None:
            hidden = self.dropout(F.relu(self.norm3(self.fc(hidden))))
        return F.log_softmax(self.output(hidden), dim=1)

    def parameter_sum(self) -> str:
        first, second = self.conv1.out_channels, self.conv2.out_channels
        (one, _), (two, _) = self.conv1.kernel_size, self.conv2.kernel_size
        features = f"{second}*{self.side}*{self.side}"
        # One bias per node, or with batch normalisation a scale and a shift.
        extra = "2*" if self.conv1.bias is None else ""
        terms = [f"(1*{first}*{one}*{one}+{extra}{first})"]
        terms += [f"({first}*{second}*{two}*{two}+{extra}{second})"]
        if self.fc is not None:
            fc = self.fc.out_features
            terms += [f"({features}*{fc}+{extra}{fc})"]
            features = f"{fc}"
        terms += [f"({features}*{CLASSES}+{CLASSES})"]
        return "+".join(terms)
