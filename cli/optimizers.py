"""torch's optimizers without the import of torch's compiler.

The first use of a torch optimizer imports torch._dynamo, only to exclude the optimizer from
compilation. Nothing is compiled here, and the import takes 2 s, a fifth of the time of training an
SRN. torch has no option to disable it.
"""

from __future__ import annotations

import inspect

import torch
from torch import optim


def _without_compiler(optimizer: type[optim.Optimizer]) -> type[optim.Optimizer]:
    """Return a subclass of an optimizer class without the decorators of its methods."""
    names = ("add_param_group", "load_state_dict", "state_dict", "zero_grad")
    methods = {name: inspect.unwrap(getattr(optimizer, name)) for name in names}
    # step's decorator also disables gradients.
    methods["step"] = torch.no_grad()(inspect.unwrap(optimizer.step))
    return type(optimizer.__name__, (optimizer,), methods)


SGD, Adam, AdamW = map(_without_compiler, (optim.SGD, optim.Adam, optim.AdamW))
