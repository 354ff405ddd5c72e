"""torch's optimizers as they are, without their ties to torch's compiler.

The first use of an optimizer imports torch._dynamo, to tell the compiler to stay out of it. Nothing
here is compiled, and the import takes 2 s, a fifth of training an SRN; torch has no option for it.
"""

from __future__ import annotations

import inspect

import torch
from torch import optim


def _without_compiler(kind: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return the optimizer with the methods that torch's decorators wrap, the same otherwise."""
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    plain = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    # The decorator of this one also turns gradients off.
    plain["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), plain)


SGD, Adam, AdamW = map(_without_compiler, (optim.SGD, optim.Adam, optim.AdamW))
