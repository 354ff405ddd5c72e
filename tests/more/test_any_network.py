"""Any network goes through every section of seq_plot.py: 200 random, saturated, zero or
half-trained ones of every language, model and size (every eleventh of them, all with
ALL_NETWORKS=1, because all take ten minutes); and a machine that is too large to draw."""

import os

import pytest
import torch
from test_any_few import any_network, check_network

from recurrent.extraction import MAX_DRAWN
from seq_models import LSTM


@pytest.mark.parametrize("number", range(0, 200, 1 if os.environ.get("ALL_NETWORKS") else 11))
def test_any_network_goes_through_all_sections(number, tmp_path, capsys):
    trained, sections = number >= 150, "scatter,states,dynamics,context"
    sections += ",page,film" if number % 11 == 0 and not trained else ""
    check_network(*any_network(number, 12, trained), tmp_path, sections, capsys)


def test_a_machine_of_more_states_than_can_be_drawn(tmp_path, capsys):
    torch.manual_seed(0)
    net = LSTM(3, 2)
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    printed = check_network(["--lang", "anb2nc3n"], net, tmp_path, "states,page,film", capsys)
    assert f"states, more than {MAX_DRAWN}: no table and no picture" in printed
    assert "no film: " in printed
    drawn = {path.name for path in tmp_path.glob("anb2nc3n*")}
    assert drawn == {"anb2nc3n_lstm2_states.jpg", "anb2nc3n_lstm2.html"}
