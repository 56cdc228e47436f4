"""What the tests of several processes start as one program: `processes.py FOLDER CHECKPOINT`, alone or by a launcher.

Each process' file `rank-<n>.json` says what it has seen; the runs' folders hold the rest.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState

from finetune import AdamW, Budget, Classification, Local, LoRA, Recipe, evaluate, run
from finetune.augmentations.drop_tokens import DropTokens
from finetune.data.toy import ToyText
from finetune.encode import Subset
from finetune.session import session

COUNTS = (0, 1, 2, 3, 7, 9, 10, 11)  # rows to predict
MICRO = (None, 3, 1)  # examples in a forward pass
DRAWN = (None, 1)  # likewise, where examples are drawn anew in each epoch


def recipe(checkpoint: str, micro: int | None) -> Recipe:
    """Twenty updates without dropout; the last of each epoch has six examples, the others sixteen."""
    return Recipe(
        name="toy",
        checkpoint=Local(checkpoint),
        data=ToyText(),
        task=Classification(),
        method=LoRA(optim=AdamW(learning_rate=1e-3), targets=("query", "value", "mlp")),
        budget=Budget(epochs=5, batch_size=16, micro_batch=micro, snapshot_every=7),
        precision="float32",
    )


def main(out: Path, checkpoint: str) -> None:
    seen: dict[str, object] = {}
    for micro in MICRO:
        result = run(recipe(checkpoint, micro), out=out / f"micro-{micro}")
        seen[f"scores {micro}"] = {name: score.value for name, score in result.scores.items()}
    for micro in DRAWN:
        drawn = replace(recipe(checkpoint, micro), augmentation=DropTokens(probability=0.3))
        run(drawn, out=out / f"drawn-{micro}")
    here = session(recipe(checkpoint, None))
    torch.manual_seed(0)
    trainee = here.recipe.method.trainee(here.material())
    for count in COUNTS:
        some = Subset(trainee.examples["test"], np.arange(count))
        predicted = evaluate.predict(trainee.module, some, here.accelerator)
        seen[f"ids {count}"] = predicted.ids
        seen[f"outputs {count}"] = predicted.responses.argmax(axis=-1).tolist() if count else []
    seen["processes"] = here.accelerator.num_processes
    (out / f"rank-{here.accelerator.process_index}.json").write_text(json.dumps(seen))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
    PartialState().destroy_process_group()
