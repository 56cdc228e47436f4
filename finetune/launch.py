"""This process' place among those of a launch; and launches that would not be one training, refused."""

from __future__ import annotations

import ctypes
import os
import shlex
import signal
import sys

import torch
from accelerate import Accelerator
from accelerate.utils import InitProcessGroupKwargs

from finetune import STARTED_BY, allocator, zero
from finetune.errors import InputError
from finetune.peers import TIMEOUT, others
from finetune.progress import Silent

ELSEWHERE = {  # what a launcher may ask for that is not here, and why it is not
    "ACCELERATE_USE_MEGATRON_LM": "Megatron-LM is not supported: its models and its loop would be its own",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "a parallelism_config is not supported: a model is spread in one way here",
}
BY_ACCELERATE = "ACCELERATE_DYNAMO_MODE"  # its launchers always set it, and hardly anybody else does
PR_SET_PDEATHSIG = 1  # sys/prctl.h


def open_accelerator(progress: Silent | None = None) -> Accelerator:
    """This process' place among the processes of the run.

    Raises:
        InputError: the launcher asks for another loop than ours, or has started several processes that would not work
            together but each on its own.
    """
    end_with_launcher()
    told = zero.taken_over()
    zero.check()
    for variable, reason in ELSEWHERE.items():
        if os.environ.get(variable, "").lower() == "true":
            raise InputError(
                f"{variable} is true, and {reason}; use fsdp2.yaml (as ZeRO-3) or zero2.yaml (as ZeRO-2), or gpus.yaml "
                f"for a model that one GPU can train: accelerate launch --config_file {zero.machines()}/fsdp2.yaml"
            )
    launched = "LOCAL_RANK" in os.environ  # as one of several
    accelerator = Accelerator(
        cpu=launched and not torch.accelerator.is_available(),  # else each would be on its own
        mixed_precision="no",  # what numbers are computed in is the recipe's to say, not the launcher's
        kwargs_handlers=[InitProcessGroupKwargs(timeout=TIMEOUT)],
    )
    if accelerator.device.type == "cpu":
        allocator.keep_freed()
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started != accelerator.num_processes:
        raise InputError(
            f"WORLD_SIZE is {started} but accelerate sees {accelerator.num_processes} process(es): each would train "
            "alone and overwrite the others. Without a GPU, launch with: ACCELERATE_USE_CPU=true accelerate launch "
            f"--multi_gpu --num_processes {started} --num_machines 1 --mixed_precision no --dynamo_backend no "
            f"--main_process_port 0 {shlex.join(sys.argv)}"
        )
    if told is not None:
        (progress or Silent()).say(told)
    others().meet(accelerator.process_index, accelerator.num_processes)
    return accelerator


def end_with_launcher() -> None:
    """Be sent SIGTERM once accelerate's launcher of a single process ends: it passes on none that ends it.

    Of several processes the launcher is torch's, which does. Only Linux can be asked for this.
    """
    if sys.platform != "linux" or BY_ACCELERATE not in os.environ or "RANK" in os.environ:
        return
    if os.getpid() != STARTED_BY[0]:  # a copy of who was started, which has another parent
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != STARTED_BY[1]:  # it ended before that
        os.kill(os.getpid(), signal.SIGTERM)
