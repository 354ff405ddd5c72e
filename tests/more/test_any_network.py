"""Any network goes through every section of seq_plot.py: 200 random, saturated, constant or
half-trained ones of every language, model and size: every tenth of them, all with ALL_NETWORKS=1,
because all take ten minutes."""

import os

import pytest
from test_any_few import SECTIONS, any_network, check_network, half_trained

STEP = 1 if os.environ.get("ALL_NETWORKS") else 10


@pytest.mark.parametrize("number", range(0, 150, STEP))
def test_any_network_goes_through_all_sections(number, tmp_path):
    sections = SECTIONS + (",page,film" if number % 10 == 0 else "")
    check_network(*any_network(number), tmp_path, sections)


@pytest.mark.parametrize("number", range(0, 50, STEP))
def test_any_half_trained_network_goes_through_all_sections(number, tmp_path):
    check_network(*half_trained(number), tmp_path)
