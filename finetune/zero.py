"""How a launcher asks several processes to hold a model: whole each, or spread, as a stage of ZeRO.

From the environment alone, as accelerate's launchers set it. A launch for DeepSpeed is taken for one of the same stage
here, done by torch's FSDP2: its own engine would train in a loop of its own, and keep pickles.
"""

from __future__ import annotations

import os
from pathlib import Path

from finetune.errors import InputError

# what a launcher says, in the environment
ASKED, VERSION, RESHARD = "ACCELERATE_USE_FSDP", "FSDP_VERSION", "FSDP_RESHARD_AFTER_FORWARD"
ON_FIRST = "FSDP_CPU_RAM_EFFICIENT_LOADING"  # has transformers read weights in the first process alone
LACKING = ("FSDP_OFFLOAD_PARAMS", "FSDP_ACTIVATION_CHECKPOINTING")  # what there is not
# the same of a launch for DeepSpeed, of which the stage is taken over, and nothing else
BY_DEEPSPEED, STAGE, OWN_FILE = (
    "ACCELERATE_USE_DEEPSPEED",
    "ACCELERATE_DEEPSPEED_ZERO_STAGE",
    "ACCELERATE_DEEPSPEED_CONFIG_FILE",
)
OFFLOADS = ("ACCELERATE_DEEPSPEED_OFFLOAD_OPTIMIZER_DEVICE", "ACCELERATE_DEEPSPEED_OFFLOAD_PARAM_DEVICE")


def stage() -> int | None:
    """The stage of ZeRO, 2 or 3, that a launcher asks several processes for; None: each is to hold the whole model."""
    if os.environ.get(ASKED, "").lower() != "true" or int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return None
    return 3 if os.environ.get(RESHARD, "true").lower() == "true" else 2


def machines() -> Path:
    """The folder of the files that accelerate starts us by, which comes with the package."""
    import recipes

    return Path(next(iter(recipes.__path__))) / "machines"


def check() -> None:
    """
    Raises:
        InputError: the launcher asks for what there is not.
    """
    if os.environ.get(ASKED, "").lower() != "true":
        return
    if (version := os.environ.get(VERSION, "1")) != "2":
        raise InputError(
            f"{VERSION} must be 2, got {version}: write fsdp_version: 2, as {machines() / 'fsdp2.yaml'} does"
        )
    if (reshard := os.environ.get(RESHARD, "true")).lower() not in ("true", "false"):
        raise InputError(f"{RESHARD} must be true or false, got {reshard}")
    for name in LACKING:
        if os.environ.get(name, "false").lower() != "false":
            raise InputError(f"{name} must be false, got {os.environ[name]}: there is no such thing here")
    os.environ[ON_FIRST] = "false"


def taken_over() -> str | None:
    """Have a launch for DeepSpeed be one for the same stage of ZeRO in our loop, and say so; None: it is none.

    Its stage 1 shares out less than stage 2, which is taken for it; stage 0 shares out nothing.

    Raises:
        InputError: the launcher asks for what DeepSpeed alone has.
    """
    if os.environ.get(BY_DEEPSPEED, "").lower() != "true":
        return None
    if file := os.environ.get(OWN_FILE):
        raise InputError(
            f"{OWN_FILE} must not be set, got {file}: DeepSpeed's own file is not read, for batch, precision and "
            f"clipping are the recipe's; write zero_stage into accelerate's, as {machines() / 'deepspeed_zero3.yaml'} "
            "does"
        )
    for name in OFFLOADS:
        if os.environ.get(name, "none").lower() != "none":
            raise InputError(f"{name} must be none, got {os.environ[name]}: there is no such thing here")
    stages = {"0": None, "1": "false", "2": "false", "3": "true"}  # and whether blocks are let go of in between
    if (asked := os.environ.get(STAGE, "2")) not in stages:
        raise InputError(f"{STAGE} must be 0, 1, 2 or 3, got {asked}")
    os.environ[BY_DEEPSPEED] = "false"  # or accelerate would ask for its package
    if (reshard := stages[asked]) is not None:
        os.environ.update({ASKED: "true", VERSION: "2", RESHARD: reshard})
    found = stage()
    holds = "each process holds the whole model" if found is None else f"stage {found} of ZeRO by torch's FSDP2"
    own = "in finetune's own loop, with the recipe's batch, precision and clipping"
    return f"launched for DeepSpeed: {holds}, {own}"
