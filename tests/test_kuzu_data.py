"""The images of Part 1: what is read is what was written, and nothing damaged is trained on."""

import gzip
import hashlib
import http.server
import os
import re
import socket
import threading

import numpy as np
import pytest
import torch
from conftest import write_digits, write_idx
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import KMNIST

import kuzu_data
from script import Fault

NAMES = [name.removesuffix(".gz") for name, _ in KMNIST.resources]
MD5 = {name.removesuffix(".gz"): md5 for name, md5 in KMNIST.resources}


def test_kmnist_is_read_as_torchvision_reads_it(small):
    images = kuzu_data.load_kmnist(small)
    for train, data, target in (
        (True, images.train, images.train_target),
        (False, images.test, images.test_target),
    ):
        theirs = KMNIST(small, train=train)
        assert torch.equal(data, theirs.data)
        assert torch.equal(target, theirs.targets)
        assert data.dtype == torch.uint8
    assert images.classes == ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")


@pytest.mark.parametrize(
    ("train", "test", "name"),
    [
        (60_000, 10_000, "KMNIST"),
        (8_000, 2_000, "Kuzushiji-10k"),
        (7, 5, "data (not KMNIST: 7 + 5"),
    ],
)
def test_only_the_whole_set_is_called_kmnist(tmp_path, train, test, name):
    raw = tmp_path / "data" / "KMNIST" / "raw"
    for split, count in (("train", train), ("t10k", test)):
        write_idx(raw / f"{split}-images-idx3-ubyte", np.zeros((count, 28, 28)))
        write_idx(raw / f"{split}-labels-idx1-ubyte", np.zeros(count))
    assert kuzu_data.load_kmnist(tmp_path / "data").name.startswith(name)


def test_gzipped_files_are_read_if_their_md5_is_right(small, monkeypatch):
    expected = kuzu_data.load_kmnist(small)
    raw, resources = small / "KMNIST" / "raw", []
    for name in NAMES:
        packed = gzip.compress((raw / name).read_bytes())
        (raw / f"{name}.gz").write_bytes(packed)
        (raw / name).unlink()
        resources.append((f"{name}.gz", hashlib.md5(packed).hexdigest()))
    with pytest.raises(Fault, match=rf"{NAMES[0]}\.gz is damaged.*expected {MD5[NAMES[0]]}"):
        kuzu_data.load_kmnist(small)
    monkeypatch.setattr(KMNIST, "resources", resources)
    assert torch.equal(kuzu_data.load_kmnist(small).train, expected.train)


def header(*values):
    return np.array(values, ">i4").tobytes()


DAMAGE = {
    "empty": lambda old: b"",
    "no whole header": lambda old: old[:7],
    "half": lambda old: old[: len(old) // 2],
    "one byte short": lambda old: old[:-1],
    "one byte too many": lambda old: old + b"\0",
    "magic": lambda old: b"\0\0\x08\x02" + old[4:],
    "count": lambda old: old[:4] + header(10**9) + old[8:],
    "no images": lambda old: old[:4] + header(0) + old[8:],
    "a web page": lambda old: b"<html><body>404 not found</body></html>",
}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_with_its_md5(small, name, damage):
    path = small / "KMNIST" / "raw" / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(Fault) as told:
        kuzu_data.load_kmnist(small)
    assert f"{path} is damaged" in str(told.value)
    assert MD5[name] in str(told.value)


def test_wrong_sizes_and_labels_are_named(small):
    raw = small / "KMNIST" / "raw"
    images = raw / "t10k-images-idx3-ubyte"
    old = images.read_bytes()
    images.write_bytes(header(0x803, 120, 14, 56) + old[16:])
    with pytest.raises(Fault, match=r"sizes \[14, 56\], expected magic 2051, sizes \[28, 28\]"):
        kuzu_data.load_kmnist(small)
    images.write_bytes(old)
    write_idx(raw / "t10k-labels-idx1-ubyte", np.arange(120) % 11)
    with pytest.raises(Fault, match="the label 10, above 9"):
        kuzu_data.load_kmnist(small)
    write_idx(raw / "t10k-labels-idx1-ubyte", np.arange(119) % 10)
    with pytest.raises(Fault, match="120 t10k images but 119 t10k labels"):
        kuzu_data.load_kmnist(small)


def test_data_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "data").touch()
    with pytest.raises(Fault, match="is a file"):
        kuzu_data.load_kmnist(tmp_path / "data")


# Downloads, from a server of our own


class Host:
    """A server on this machine that stands for the host of the data set."""

    def __init__(self, monkeypatch, source):
        self.files = {f"{name}.gz": gzip.compress((source / name).read_bytes()) for name in NAMES}
        self.mend()
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                if target := host.redirect(self.path):
                    self.send_response(302)
                    self.send_header("Location", target)
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                    return
                content = host.files[self.path.rsplit("/", 1)[-1]]
                self.send_response(host.status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(host.spoil(content))

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,))
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/"
        resources = [(name, hashlib.md5(body).hexdigest()) for name, body in self.files.items()]
        monkeypatch.setattr(KMNIST, "resources", resources)
        monkeypatch.setattr(KMNIST, "mirrors", [self.url])

    def mend(self):
        """Serve everything as it is, by its own address."""
        self.status = 200
        self.spoil = lambda content: content
        self.redirect = lambda path: None
        # Set by who lets a host wait no longer.
        self.go_on = threading.Event()

    def stall(self, content):
        self.go_on.wait(10)
        return b""

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def host(tmp_path, monkeypatch):
    host = Host(monkeypatch, write_digits(tmp_path / "source") / "KMNIST" / "raw")
    yield host
    host.close()


def spoil(host, **how):
    for name, value in how.items():
        setattr(host, name, value)


# What can go wrong with a download, and the word of the message that tells it from the others.
FAULTS = {
    "404": (lambda host: spoil(host, status=404), "http error 404"),
    "truncated": (lambda host: spoil(host, spoil=lambda c: c[: len(c) // 2]), "incomplete"),
    "nothing at all": (lambda host: spoil(host, spoil=lambda c: b""), "incomplete"),
    "wrong md5": (lambda host: spoil(host, spoil=lambda c: bytes(len(c))), "md5"),
    "another file": (lambda host: spoil(host, spoil=lambda c: c[:4] + b"date" + c[8:]), "md5"),
    "stall": (lambda host: spoil(host, spoil=host.stall), "timed out"),
    # Where nothing listens, which the test sees to.
    "refused": (lambda host: None, "refused"),
    "redirect loop": (lambda host: spoil(host, redirect=lambda path: path), "redirect"),
    "redirects without end": (
        lambda host: spoil(host, redirect=lambda path: f"/x{path}"), "redirect",
    ),
    "redirect to a file": (
        lambda host: spoil(host, redirect=lambda path: "file:///etc/passwd"), "redirect",
    ),
    "redirect to no address": (
        lambda host: spoil(host, redirect=lambda path: f"http://{'a' * 100}.org/"), "label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(
    host, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(kuzu_data, "PATIENCE", 0.5)
    break_it, word = FAULTS[fault]
    mirrors, data = KMNIST.mirrors, tmp_path / "new"
    if fault == "refused":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        host.url = f"http://127.0.0.1:{port}/"
        monkeypatch.setattr(KMNIST, "mirrors", [host.url])
    break_it(host)
    with pytest.raises(Fault) as told:
        kuzu_data.load_kmnist(data)
    host.go_on.set()
    message, raw = str(told.value), data / "KMNIST" / "raw"
    for expected in (host.url, str(raw), "--dataset digits", *(f"{name}.gz" for name in NAMES)):
        assert expected in message
    message = " ".join(message.split()).lower()
    reason = re.search(rf"\(tried {host.url}{NAMES[0]}\.gz: (.*)\)\. put ", message)[1]
    assert {other for _, other in FAULTS.values() if other in reason} == {word}, reason
    assert os.listdir(raw) == []
    host.mend()
    monkeypatch.setattr(KMNIST, "mirrors", mirrors)
    assert len(kuzu_data.load_kmnist(data).train) == 300
    assert sorted(os.listdir(raw)) == sorted([*NAMES, *(f"{name}.gz" for name in NAMES)])


def test_a_redirect_to_the_right_place_is_followed(host, tmp_path):
    host.redirect = lambda path: None if path.startswith("/moved/") else f"/moved{path}"
    assert len(kuzu_data.load_kmnist(tmp_path / "new").train) == 300


def test_only_what_is_missing_is_downloaded(host, tmp_path, small):
    (small / "KMNIST" / "raw" / NAMES[2]).unlink()
    host.files = {f"{NAMES[2]}.gz": host.files[f"{NAMES[2]}.gz"]}
    assert len(kuzu_data.load_kmnist(small).test) == 120


# Digits and batches


def test_digits_are_split_evenly_and_kept_apart():
    digits = kuzu_data.load_digits()
    assert (len(digits.train), len(digits.test)) == (1437, 360)
    assert digits.train.shape[1:] == (28, 28)
    assert digits.train.max() == 255
    whole = torch.cat([digits.train_target, digits.test_target]).bincount()
    assert ((digits.test_target.bincount() - whole / 5).abs() < 1).all()
    again = kuzu_data.load_digits()
    assert torch.equal(digits.train, again.train)


def test_prepare_is_the_course_s_normalisation():
    images = torch.arange(256, dtype=torch.uint8).repeat(784 * 2 // 256 + 1)[: 784 * 2]
    images = images.view(2, 28, 28)
    for mean, deviation in ((0.5, 0.5), (0.19, 0.35)):
        expected = ((images.double() / 255 - mean) / deviation).unsqueeze(1)
        prepared = kuzu_data.prepare(images, (mean, deviation))
        assert torch.allclose(prepared.double(), expected, atol=1e-6)


@given(*[st.floats(-2, 2)] * 2, *[st.floats(0.5, 2)] * 2, *[st.floats(-1, 1)] * 2)
@settings(max_examples=50, deadline=None)
def test_affine_is_scale_then_shear_then_rotation_then_shift(angle, shear, wide, high, x, y):
    values = (angle, shear, wide, high, x, y)
    ours = kuzu_data.affine(*(torch.tensor([value], dtype=torch.float64) for value in values))
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    expected = rotation @ np.array([[1, shear], [0, 1]]) @ np.diag([wide, high])
    assert np.allclose(ours[0, :, :2], expected)
    assert np.allclose(ours[0, :, 2], [x, y])


def test_hardly_any_distortion_hardly_changes_an_image():
    pixels = kuzu_data.load_digits().train[:20].unsqueeze(1).float() / 255
    assert torch.allclose(kuzu_data.distort(pixels, 1e-4), pixels, atol=0.01)


def test_distortion_keeps_the_ink_and_moves_it_no_further_than_it_says():
    torch.manual_seed(0)
    pixels = torch.zeros(500, 1, 28, 28)
    pixels[:, :, 12:16, 12:16] = 1
    moved = kuzu_data.distort(pixels, 1.0)
    ink = moved.sum(dim=(1, 2, 3))
    # A square of 16 pixels, scaled by up to 10 % each way; a pixel all round adds 20 or takes 12,
    # a quarter of it on average, as often as the other.
    assert 16 < ink.mean() < 18.5
    assert (ink > 20).any()
    assert (ink < 13).any()
    place = torch.arange(28.0)
    right = (moved.sum(dim=(1, 2)) * place).sum(dim=1) / ink - 13.5
    # Uniform within 2 pixels, and bent by about 1 pixel at nodes that are interpolated.
    assert abs(right.mean()) < 0.25
    assert (4 / 3) ** 0.5 < right.std() < 2
    torch.manual_seed(0)
    assert torch.equal(moved, kuzu_data.distort(pixels, 1.0))


@given(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_the_brightest_neighbour_is_max_pooling(count, high, wide, seed):
    torch.manual_seed(seed)
    pixels = torch.rand(count, 1, high, wide)
    expected = torch.nn.functional.max_pool2d(pixels, 3, stride=1, padding=1)
    assert torch.equal(kuzu_data.brightest_neighbour(pixels), expected)
