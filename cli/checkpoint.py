"""Files of trained weights: written whole or not at all, read without running code in them."""

from __future__ import annotations

import io
import warnings
import zipfile
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
            _check_sums(content)
            content = torch.load(content, map_location="cpu", weights_only=True)
    except Exception:  # nearly anything may be raised by a damaged or foreign file
        content = None
    if not isinstance(content, dict):
        raise Fault(f"{flag} {path}: not a whole file of weights")
    return content


def _check_sums(content: io.BytesIO) -> None:
    """ValueError if a bit of an archive, which torch.save writes, has changed; torch.load itself
    reads on. Files of before 2020 are none, and have no sums."""
    if zipfile.is_zipfile(content):
        with zipfile.ZipFile(content) as archive:
            # What is compressed, which nothing is here, may grow to any size.
            stored = all(part.compress_type == zipfile.ZIP_STORED for part in archive.infolist())
            if not stored or archive.testzip():
                raise ValueError("damaged")
    content.seek(0)


# What the content of a foreign or hostile file makes those raise that use it.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, Fault)


def is_like(value, like: torch.Tensor) -> bool:
    """Whether a value that was read is a tensor of the shape and type of `like`.

    Asked before anything is computed with it: a small file can hold a tensor of any size.
    """
    return (
        isinstance(value, torch.Tensor)
        and value.device.type == "cpu"
        and (value.shape, value.dtype, value.layout) == (like.shape, like.dtype, like.layout)
    )


def check_weights(net: torch.nn.Module, state: dict) -> None:
    """One of UNFIT unless `state`, which was read, is a whole set of weights for `net`."""
    own = net.state_dict()
    if set(state) != set(own):
        raise ValueError(f"weights {sorted(state)}, not {sorted(own)}")
    for name, like in own.items():
        if not is_like(state[name], like):
            raise ValueError(f"{name} has another size or type")
        if not state[name].isfinite().all():
            raise ValueError(f"not all of {name} are finite numbers")


def load_weights(net: torch.nn.Module, state: dict) -> None:
    """Give a network the weights in a state_dict that was read; one of UNFIT if they do not fit."""
    net.load_state_dict(state)
    for name, value in net.state_dict().items():
        if not value.isfinite().all():
            raise ValueError(f"not all of {name} are finite numbers")


# What the optimisers keep of each parameter.
_MOMENTS = {"SGD": {"momentum_buffer"}}
_ADAM = {"step", "exp_avg", "exp_avg_sq"}


def load_moments(optimizer: torch.optim.Optimizer, state: dict) -> None:
    """Give an optimiser the moments in a state_dict that was read; its rates stay its own.

    One of UNFIT if they are not such moments.
    """
    own, kept = optimizer.state_dict()["param_groups"], dict(state)["state"]
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    names = _MOMENTS.get(type(optimizer).__name__, _ADAM)
    # None before the first update, else those of every parameter.
    if set(kept) not in (set(), set(range(len(parameters)))):
        raise ValueError(f"moments of parameters {sorted(kept)}")
    for number, moments in kept.items():
        if set(moments) != names:
            raise ValueError(f"moments {sorted(moments)}, not {sorted(names)}")
        for name, value in moments.items():
            # Plain SGD keeps an empty place.
            if value is None and name == "momentum_buffer":
                continue
            like = torch.zeros(()) if name == "step" else parameters[number]
            if not is_like(value, like) or not value.isfinite().all():
                raise ValueError(f"{name} is none of its parameter")
            if name in ("step", "exp_avg_sq") and (value < 0).any():
                raise ValueError(f"{name} is below 0")
    optimizer.load_state_dict({"state": kept, "param_groups": own})
