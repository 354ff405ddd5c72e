"""Files of trained weights: written whole or not at all, read without running code in them."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch

import script
from script import Fault


def write(path: Path, content: dict) -> None:
    """Write a dict of tensors, numbers, strings and containers of them, atomically; or Fault."""
    # In memory first: a full disk is then an OSError like any other, not one of torch's own.
    buffer = io.BytesIO()
    torch.save(content, buffer)
    script.write(path, buffer.getvalue())


def read(path: Path, flag: str) -> dict:
    """What `write` wrote, on the CPU. Fault, naming `flag`, if the file is none of that kind."""
    script.require_file(path, flag)
    try:
        # Read first: torch.load raises an OSError of its own on a file that is cut off.
        content = io.BytesIO(path.read_bytes())
    except OSError as error:
        raise Fault(f"{flag} {path}: {error.strerror or error}") from error
    try:
        with warnings.catch_warnings():
            # Of unusual pickles torch warns before it refuses them.
            warnings.simplefilter("ignore")
            content = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # nearly anything may be raised by a damaged or foreign file
        content = None
    if not isinstance(content, dict):
        raise Fault(f"{flag} {path}: not a whole file of weights")
    return content


def check_weights(net: torch.nn.Module, state: dict) -> None:
    """ValueError unless `state`, which was read, is a whole set of weights for `net`."""
    shapes = {name: value.shape for name, value in net.state_dict().items()}
    if not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise ValueError("not all weights are tensors")
    if shapes != {name: value.shape for name, value in state.items()}:
        raise ValueError("the weights have other sizes")
    if not all(value.isfinite().all() for value in state.values()):
        raise ValueError("not all weights are finite numbers")


# What the optimisers keep of each parameter.
_MOMENTS = {"SGD": {"momentum_buffer"}}
_ADAM = {"step", "exp_avg", "exp_avg_sq"}


def load_moments(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Give an optimiser the moments in a state_dict that was read; its rates stay its own.

    KeyError, TypeError, RuntimeError or ValueError if they are not such moments.
    """
    own = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state["state"], "param_groups": own})
    names = _MOMENTS.get(type(optimizer).__name__, _ADAM)
    for parameter in (each for group in optimizer.param_groups for each in group["params"]):
        kept = optimizer.state.get(parameter, {})
        if kept and set(kept) != names:
            raise ValueError(f"moments {sorted(kept)}, not {sorted(names)}")
        for name, value in kept.items():
            # Plain SGD keeps an empty place.
            if value is None and name == "momentum_buffer":
                continue
            shape = torch.Size() if name == "step" else parameter.shape
            if value.shape != shape or value.dtype != torch.float32 or not value.isfinite().all():
                raise ValueError(f"{name} is none of its parameter")
