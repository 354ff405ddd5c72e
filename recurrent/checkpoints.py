"""Networks from files: our checkpoints, those of the course's scripts, and other state_dicts.

A checkpoint is the network's state_dict with the run in its metadata (cli/files.py). The network
and its size follow from the shapes of the tensors, so that any file whose parameters map onto an
SRN or an LSTM is read, whatever its name.
"""

from __future__ import annotations

from cli import files, process, settings, training
from cli.process import UserError
from cli.training import Run

import argparse
import re
from pathlib import Path

import torch
from torch import Tensor

import anb2n
from recurrent import metrics
from recurrent.task import BLOCK, Recipe, Task, make_language, resolve_recipe, resolve_task
from seq_models import LSTM, SRN

# Keys under which other scripts keep a state_dict; "net" is that of our older files.
NESTED = ("model_state_dict", "state_dict", "net")
# Names of the course's files: net/{lang}_{model}{hid}_{epoch in thousands}.pth.
FILE_NAME = re.compile(r"(?P<lang>[a-z0-9]+?)(?P<embed>_embed)?_(srn|lstm)\d+_\d+\.pth")


# From tensors to a network


def network_of(content: dict) -> SRN | LSTM:
    """Return the network whose parameters a file contains.

    Accepts the names of seq_models.py; a module with one nn.RNN or nn.LSTM layer and a linear
    output layer, under any names; with the prefix "module." or nested under one of NESTED. Raises
    ValueError, with what does not fit, for other files.
    """
    for key in NESTED:
        if isinstance(content.get(key), dict):
            content = content[key]
    if not content or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("it is not a table of weights (a state_dict)")
    weights = {str(name).removeprefix("module."): value for name, value in content.items()}
    weights = weights if "W" in weights else _from_layers(weights)
    for name in ("W", "U", "V"):
        if name not in weights or weights[name].ndim != 2:
            raise ValueError(f"without a weight matrix {name}")
    (symbols, width), hid = weights["W"].shape, len(weights["U"])
    kinds = {hid: SRN, 4 * hid: LSTM}
    if width not in kinds:
        raise ValueError(f"W has {width} columns, an SRN of {hid} units {hid}, an LSTM {4 * hid}")
    net = kinds[width](symbols, hid)
    files.load_weights(net, weights)
    return net


def _from_layers(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the parameters of an nn.RNN or nn.LSTM layer and a linear layer by our names.

    An nn.RNN starts from a hidden vector of zeros. Raises ValueError for other layers.
    """
    layer, rest = {}, {}
    for name, value in weights.items():
        match = re.search(r"(weight_ih|weight_hh|bias_ih|bias_hh)_l0$", name)
        (layer if match else rest)[match[1] if match else name] = value
    if set(layer) != {"weight_ih", "weight_hh", "bias_ih", "bias_hh"}:
        raise ValueError(f"these are not the weights of an SRN or LSTM: {', '.join(weights)[:80]}")
    linear = {name.split(".")[-1]: value for name, value in rest.items()}
    # The count, because a second layer, such as an embedding, may have the same last names.
    if set(linear) != {"weight", "bias"} or len(weights) > len(layer) + len(linear):
        raise ValueError(f"not one recurrent and one linear layer: {', '.join(weights)[:80]}")
    found = {
        "W": layer["weight_ih"].T,
        "U": layer["weight_hh"].T,
        "hid_bias": layer["bias_ih"] + layer["bias_hh"],
        "V": linear["weight"].T,
        "out_bias": linear["bias"],
    }
    hid = len(found["U"])
    return found | ({"H0": torch.zeros(hid)} if found["W"].shape[1] == hid else {})


def read_network(path: Path, flag: str) -> tuple[SRN | LSTM, dict]:
    """Return the network in a file, and its run: {} if the file has none.

    Raises UserError, naming `flag`, if the file is damaged or holds another network.
    """
    content, run = files.read_checkpoint(path, flag)
    try:
        net = network_of(content)
        if run is None and isinstance(content.get("task"), dict):
            run = _older_run(content)
        return net, run or {}
    except ValueError as error:
        raise UserError(f"{flag} {path} does not fit: {error}") from None


def _older_run(content: dict) -> dict:
    """Return the run of a checkpoint that an older version of seq_train.py wrote."""
    names = ("seed", "recipe", "seconds")
    run = {name: content[name] for name in names if name in content}
    seen = content.get("seen", 0)
    return run | {
        "about": content["task"],
        "length": content.get("epoch"),
        "done": seen // BLOCK if isinstance(seen, int) else 0,
        "reports": [
            dict(zip(("seen", "loss", "correct", "total"), row, strict=False))
            for row in content.get("reports", [])
        ],
        "optimizer": content.get("optimizer", {}).get("state", {}),
    }


# Tasks


def task_of(net: SRN | LSTM, run: dict, path: Path, args: argparse.Namespace) -> Task:
    """Return the task of a network in a file: from its run, the flags, or the file's name.

    A network of seven symbols without any of these is scored on both of Reber's grammars; the
    better one is taken and printed. Raises UserError if the language does not fit the network, or a
    flag is given that says otherwise than the file.
    """
    model = "srn" if isinstance(net, SRN) else "lstm"
    named = FILE_NAME.fullmatch(path.name)
    if named and named["lang"] != "reber" and not anb2n.multipliers(named["lang"]):
        named = None
    if run.get("about"):
        try:
            task = settings.restore(Task, run["about"])
            language = task.language
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} does not fit: {error}") from None
    else:
        lang = args.lang or (named["lang"] if named else "reber" if net.symbols == 7 else None)
        if lang is None:
            raise UserError(
                f"{path} does not name its language: add --lang, a language of {net.symbols} "
                "symbols",
                status=2,
            )
        embed = args.embed if args.embed is not None else bool(named and named["embed"])
        if lang == "reber" and args.embed is None and not embed:
            embed = _better_grammar(net, path)
        task = resolve_task(
            argparse.Namespace(lang=lang, embed=embed, length=args.length, model=model, hid=net.hid)
        )
        language = task.language
    if language.classes != net.symbols or (task.model, task.hid) != (model, net.hid):
        raise UserError(
            f"{path} does not fit: {language.name} has {language.classes} symbols, the "
            f"{model.upper()} in the file {net.symbols} (and {net.hid} hidden units)"
        )
    for name in settings.flag_names(Task):
        # 0 is the default of --length and --hid.
        given, found = getattr(args, name), getattr(task, name)
        if given not in (None, found) and (given or name == "embed"):
            raise UserError(f"{path} is a network of --{name} {found}, not {given}: leave it out")
    return task


def _better_grammar(net: SRN | LSTM, path: Path) -> bool:
    """Return whether a network predicts the embedded grammar better; print which one it is."""
    losses = {}
    for embed in (False, True):
        language = make_language("reber", embed=embed)
        losses[embed] = metrics.evaluate(net, language, metrics.evaluation_set(language))["loss"]
    embed = losses[True] < losses[False]
    name = ("Reber's grammar", "the embedded grammar")
    print(
        f"{path} does not name its grammar: loss {losses[False]:.4f} on {name[0]}, "
        f"{losses[True]:.4f} on {name[1]}; taken: {name[embed]}"
    )
    return embed


def matches(folder: Path, language: str) -> list[str]:
    """Return the names of checkpoints of a language in a folder, of any network and length; for
    Reber's grammars those of both, because the course's names do not tell them apart."""
    pattern = f"{language.removesuffix('_embed')}_*.pth"
    names = [path.name for path in folder.glob(pattern) if FILE_NAME.fullmatch(path.name)]
    return sorted(
        names, key=lambda name: [int(x) if x.isdigit() else x for x in re.split(r"(\d+)", name)]
    )


def title(task: Task, run: dict) -> str:
    """Return a network's name in pictures: which run it is of, and how far."""
    parts = [f"{task.title} on {task.language.name}"]
    if run.get("done") is not None:
        done, length = run["done"] * BLOCK, (run.get("length") or 0) * BLOCK
        of = f" of {length}" if length and length != done else ""
        parts.append(f"{done}{of} sequences")
        parts += [f"seed {run['seed']}"] if "seed" in run else []
    return ", ".join(parts)


# Resuming


def resume(args: argparse.Namespace) -> Run:
    """Return the Run that --resume continues; a new one if the file contains only weights.

    Raises UserError if the file is invalid, or if a flag is given whose value the file determines.
    """
    net, saved = read_network(args.resume, "--resume")
    if not saved:
        return _start_from(net, args)
    names = ("seed", *settings.flag_names(Task), *settings.flag_names(Recipe))
    settings.refuse_given(args, "--resume", names)
    task_of(net, saved, args.resume, args)
    try:
        recipe = settings.restore(Recipe, saved.get("recipe"))
        run = training.resume(saved, recipe, net.to(args.device))
    except ValueError as error:
        raise UserError(f"--resume {args.resume}: not a run of seq_train.py: {error}") from error
    run.length = args.epoch or run.length
    if run.complete:
        raise UserError(
            f"--resume {args.resume}: already trained on {run.done * BLOCK} sequences; "
            f"to train longer, use --epoch {run.done + 1} or higher"
        )
    process.seed_everything(run.seed)
    return run


def _start_from(net: SRN | LSTM, args: argparse.Namespace) -> Run:
    """Return a new Run that starts from weights, as the course saves them.

    Raises UserError if they do not fit the network of the flags.
    """
    task = task_of(net, {}, args.resume, args)
    recipe = resolve_recipe(args, task)
    seed = process.seed_everything(args.seed)
    optimizer = training.make_optimizer(recipe, net.to(args.device))
    length = args.epoch or task.default_epoch
    return Run(settings.applying(task), recipe, seed, length, net, optimizer)
