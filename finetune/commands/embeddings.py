"""say which tokens a finished run has learned to be alike, and draw the plane that they lie on"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune import commands
from finetune.commands import Command
from finetune.errors import InputError

if TYPE_CHECKING:
    from finetune.predict import Predictor
    from finetune.transformer.view import View


class Embeddings(Command):
    """A word is one token: its name, or a word that is read as it."""

    example = "finetune embeddings outputs/numbers_es/scratch-seed0-* siete treinta thirty --figure plane.png"

    def arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("folder", metavar="FOLDER", help="of a finished run of a checkpoint that reads text")
        parser.add_argument(
            "words",
            metavar="WORD",
            nargs="*",
            help="a token (default: every one of a vocabulary of at most 100, else the first 40 words of it)",
        )
        commands.takes_figure(parser)

    def run(self, given: Any) -> int:
        from tabulate import tabulate

        from finetune.predict import load

        commands.check_figure(given)
        predictor = load(given.folder, progress=commands.progress())
        view, name = _view(predictor), predictor.recipe.name
        tokens = list(dict.fromkeys(map(view.token, given.words))) or view.first()
        width = view.table_VE.shape[1]
        rows = [
            (token, " · ".join(f"{other} {cosine:.2f}" for other, cosine in view.nearest(token))) for token in tokens
        ]
        drawn = view.plane(tokens) if given.figure else None
        print(f"Embeddings of {name}: {len(view.tokens)} tokens of {width} numbers\n")
        print(tabulate(rows, ("token", "nearest, with the cosine"), disable_numparse=True))
        print(f"\ntwo directions drawn at random have a cosine of 0 ± {width**-0.5:.2f} (standard deviation)")
        if drawn is not None:
            from finetune.report import figures

            places_V2, kept = drawn
            below = (
                f"{len(tokens)} tokens on the plane that keeps the most of how they differ (PCA): {100 * kept:.0f} %"
            )
            figures.save(
                figures.plane(tokens, places_V2, title=f"Embeddings of {name}", below=below), Path(given.figure)
            )
            print(f"drawn: {given.figure}")
        return 0


def _view(predictor: Predictor) -> View:
    """
    Raises:
        InputError: the run has no embeddings of tokens.
    """
    from transformers import PreTrainedModel

    from finetune.loading import load_tokenizer
    from finetune.transformer.view import View, check_text

    model = next((child for child in predictor.module.modules() if isinstance(child, PreTrainedModel)), None)
    if model is None:
        raise InputError(f"{predictor.recipe.label} keeps no network, and so no embeddings of tokens")
    check_text(model)  # first: what reads images has no tokenizer
    return View.of(model, load_tokenizer(predictor.setup.weights))
