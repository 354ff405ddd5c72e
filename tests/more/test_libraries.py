"""Against torch and torchvision: optimizers, KMNIST's files, reading.

Not in the two-minute suite, because torch's optimizers and torchvision take 2 s each to import.
"""

from cli import training

import gzip
import hashlib
import sys

import pytest
import torch
from torchvision.datasets import KMNIST

from kuzushiji import dataset
from kuzushiji.dataset import FILES


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("SGD", dict(momentum=0.5, weight_decay=0.1)),
        ("Adam", dict(weight_decay=0.1, fused=True)),
        ("AdamW", dict(weight_decay=0.1, fused=True)),
    ],
)
def test_optimizers_match_torch_without_importing_its_compiler(name, flags, monkeypatch):
    start = torch.randn(5)
    weights = [start.clone().requires_grad_() for _ in range(3)]
    theirs = getattr(torch.optim, name)([weights[0]], 0.1, **flags)
    for _ in range(6):
        theirs.zero_grad()
        weights[0].pow(2).sum().backward()
        theirs.step()

    # Makes an import of it fail.
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    ours = getattr(training, name)([weights[1]], 0.1, **flags)
    for step in range(6):
        if step == 3:
            state = ours.state_dict()
            weights[2].data.copy_(weights[1].data)
            ours = getattr(training, name)([weights[2]], 0.1, **flags)
            ours.load_state_dict(state)
        current = weights[2 if step >= 3 else 1]
        ours.zero_grad()
        current.pow(2).sum().backward()
        ours.step()
    assert torch.equal(weights[0], weights[2])


def test_the_bundled_files_are_the_published_ones():
    resources = dict(KMNIST.resources)
    assert list(resources) == [f"{name}.gz" for name in FILES]
    assert tuple(KMNIST.classes) == dataset.CLASSES
    for name in FILES[2:]:
        packed = (dataset.BUNDLED / f"{name}.gz").read_bytes()
        assert hashlib.md5(packed).hexdigest() == resources[f"{name}.gz"]


def test_images_are_read_as_torchvision_reads_them_gzipped_or_not(small):
    images = dataset.load_kmnist(small)
    for train, data, target in (
        (True, images.train, images.train_target),
        (False, images.test, images.test_target),
    ):
        theirs = KMNIST(small, train=train)
        assert torch.equal(data, theirs.data)
        assert torch.equal(target, theirs.targets)
    for path in list((small / "KMNIST" / "raw").iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert torch.equal(dataset.load_kmnist(small).train, images.train)
