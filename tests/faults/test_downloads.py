"""Downloads that fail: told in one line, nothing is left behind, and the next one succeeds."""

import os

import pytest

from kuzushiji import dataset
from kuzushiji.dataset import FILES, Unavailable

# What the server does, and a word of the reason that is printed.
FAULTS = {
    "not found": "404",
    "truncated": "corrupted",
    "another file": "corrupted",
    "stalled": "timed out",
    "silent": "no answer|timed out",
    "redirect": "redirect",
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failed_download_leaves_nothing_and_a_later_one_succeeds(
    fault, host, tmp_path, monkeypatch
):
    monkeypatch.setattr(dataset, "DOWNLOAD_TIMEOUT", 0.5)
    host.fault = fault
    raw = tmp_path / "new" / "KMNIST" / "raw"
    with pytest.raises(Unavailable, match=f"(?is){FAULTS[fault]}") as told:
        dataset.load_kmnist(tmp_path / "new")
    host.released.set()
    for expected in (host.url, str(raw), *(f"{name}.gz" for name in FILES[:2])):
        assert expected in str(told.value)
    assert os.listdir(tmp_path) == ["source"]
    host.fault = ""
    assert len(dataset.load_kmnist(tmp_path / "new").train) == 300


def test_a_folder_that_cannot_be_written_to_is_named(host, tmp_path):
    (tmp_path / "a_file").touch()
    for place in (tmp_path / "a_file", tmp_path / "a_file" / "data"):
        with pytest.raises(Unavailable, match=f"{place}/KMNIST/raw lacks"):
            dataset.load_kmnist(place)
    assert sorted(os.listdir(tmp_path)) == ["a_file", "source"]
