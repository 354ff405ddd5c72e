"""Downloads that fail: told in one line, nothing is left behind, and the next one succeeds."""

import os

import pytest
from conftest import NOWHERE

from kuzushiji import dataset
from kuzushiji.dataset import FILES, Unavailable


def set_all(host, **values):
    for name, value in values.items():
        setattr(host, name, value)


# What the server does, and a word of the message.
FAULTS = {
    "404": (lambda host: set_all(host, status=404), "404"),
    "truncated": (lambda host: set_all(host, spoil=lambda c: c[: len(c) // 2]), "corrupted"),
    "nothing at all": (lambda host: set_all(host, spoil=lambda c: b""), "corrupted"),
    "wrong md5": (lambda host: set_all(host, spoil=lambda c: bytes(len(c))), "corrupted"),
    "another file": (lambda host: set_all(host, spoil=lambda c: c[:4] + b"date" + c[8:]), "corr"),
    "stall": (lambda host: set_all(host, spoil=host.stall), "timed out"),
    "silent": (lambda host: set_all(host, silent=True), "no answer|timed out"),
    "redirect loop": (lambda host: set_all(host, redirect=lambda path: path), "redirect"),
    "redirects without end": (
        lambda host: set_all(host, redirect=lambda path: f"/x{path}"), "redirect",
    ),
    "redirect to a file": (
        lambda host: set_all(host, redirect=lambda path: "file:///etc/passwd"), "redirect",
    ),
    "redirect to no address": (
        lambda host: set_all(host, redirect=lambda path: f"http://{'a' * 100}.org/"), "label",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(
    host, tmp_path, monkeypatch, fault
):
    monkeypatch.setattr(dataset, "DOWNLOAD_TIMEOUT", 0.5)
    break_it, word = FAULTS[fault]
    break_it(host)
    data = tmp_path / "new"
    with pytest.raises(Unavailable, match=f"(?is){word}") as told:
        dataset.load_kmnist(data)
    host.go_on.set()
    for expected in (host.url, str(data), *(f"{name}.gz" for name in FILES[:2])):
        assert expected in str(told.value)
    assert os.listdir(tmp_path) == ["source"]
    host.mend()
    assert len(dataset.load_kmnist(data).train) == 300


def test_a_redirect_to_the_right_place_is_followed(host, tmp_path):
    host.redirect = lambda path: None if path.startswith("/moved/") else f"/moved{path}"
    assert len(dataset.load_kmnist(tmp_path / "new").train) == 300


@pytest.mark.parametrize("place", ["a_file", "a_file/data", "/proc/nothing"])
def test_a_folder_that_cannot_be_written_is_told(place, host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a_file").touch()
    with pytest.raises(Unavailable, match=f"{place}/KMNIST/raw lacks"):
        dataset.load_kmnist(place)
    assert dataset.HOST != NOWHERE
    assert sorted(os.listdir(tmp_path)) == ["a_file", "source"]
