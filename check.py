"""Part 2: the two-layer perceptron, and weights designed by hand.

check_main.py needs nothing else from this file, so that the course's own check.py can replace it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class MLP(nn.Module):
    """Two layers: output = g(V g(W x + b) + c), with W of shape (hid, 2) and V of shape (1, hid).

    act: g is the sigmoid for "sig", the Heaviside function for "step": 1 from net input 0 on.

    `forward` stores the hidden activations in `self.hid`: (N, hid).
    """

    def __init__(self, hid: int = 4, act: str = "sig"):
        super().__init__()
        self.act = act
        self.in_hid = nn.Linear(2, hid)
        self.hid_out = nn.Linear(hid, 1)
        self.hid = None

    def forward(self, input: Tensor) -> Tensor:
        """Return the outputs (N, 1) for points (N, 2)."""
        activation = torch.sigmoid if self.act == "sig" else heaviside
        self.hid = activation(self.in_hid(input))
        return activation(self.hid_out(self.hid))

    def set_weights(self) -> None:
        """Set the weights designed by hand. Raises ValueError if they are not tables of numbers."""
        # ---------------- Enter Weights Here ----------------
        # One row per hidden unit: the weights from x1 and x2.
        in_hid_weight = [[1, -1], [-1, 1], [1, -1], [-1, 1]]
        hid_bias = [-0.5, -0.5, -1.5, -1.5]
        # A single row: the weights from the hidden units to the output.
        hid_out_weight = [[1, 1, -1, -1]]
        out_bias = [-0.5]
        # -----------------------------------------------------
        entered = (in_hid_weight, hid_bias, hid_out_weight, out_bias)
        for parameter, values in zip(self.parameters(), entered, strict=True):
            parameter.data = torch.tensor(values, dtype=torch.float32)


def heaviside(net_input: Tensor) -> Tensor:
    """Return the course's step function: 1 where the net input is at least 0, else 0."""
    return torch.heaviside(net_input, torch.ones_like(net_input))
