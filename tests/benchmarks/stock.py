"""The stock ways to do what we do, written as their own documentation has them; nothing of ours is imported.

    python tests/benchmarks/stock.py '{"peer": "trainer", "checkpoint": …, "data": …, …}'

Each job gets rows on disk and a checkpoint's folder, and prints one line of JSON: seconds of training, seconds from the
start of the process to the end of the first update, peak memory, and what it predicts of the test rows.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from functools import partial
from typing import Any


def since_start() -> float:
    """Seconds since the process began, the interpreter and all imports included."""
    with open("/proc/uptime") as file:
        uptime = float(file.read().split()[0])
    with open("/proc/self/stat") as file:
        started = float(file.read().rpartition(")")[2].split()[19])
    return uptime - started / os.sysconf("SC_CLK_TCK")


def model_and_encoder(job: dict[str, Any]) -> tuple[Any, Any]:
    """The checkpoint with a fresh head, and its tokenizer or image processor."""
    import torch
    from transformers import (
        AutoImageProcessor,
        AutoModelForImageClassification,
        AutoModelForSequenceClassification,
        AutoTokenizer,
    )

    torch.manual_seed(job["seed"])
    auto = AutoModelForImageClassification if job["images"] else AutoModelForSequenceClassification
    model = auto.from_pretrained(job["checkpoint"], num_labels=job["labels"], dtype=torch.float32)
    if job["images"]:
        return model, AutoImageProcessor.from_pretrained(job["checkpoint"])
    tokenizer = AutoTokenizer.from_pretrained(job["checkpoint"])
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    model.config.pad_token_id = tokenizer.pad_token_id
    if job["method"] == "lora":
        from peft import LoraConfig, TaskType, get_peft_model

        model = get_peft_model(model, LoraConfig(task_type=TaskType.SEQ_CLS, **job["lora"]))
    return model, tokenizer


def rows_and_collator(job: dict[str, Any], encoder: Any) -> tuple[Any, Any]:
    """Texts tokenised once and padded to the longest of a batch, as in the tutorials; images made when asked for."""
    import datasets
    from transformers import DataCollatorWithPadding, DefaultDataCollator

    rows = datasets.load_from_disk(job["data"])
    if job["images"]:
        size = {"height": job["size"], "width": job["size"]}

        def pixels(batch: dict[str, Any]) -> dict[str, Any]:
            images = [image.convert("RGB") for image in batch["image"]]
            made = encoder(images, return_tensors="pt", size=size, do_center_crop=False)
            return {"pixel_values": made["pixel_values"], "labels": batch["label"]}

        return rows.with_transform(pixels), DefaultDataCollator()
    cut = partial(encoder, truncation=True, max_length=job["max_length"])
    encoded = rows.map(lambda batch: cut(batch["text"]), batched=True, remove_columns=["text"])
    return encoded.rename_column("label", "labels"), DataCollatorWithPadding(encoder)


def trainer(job: dict[str, Any]) -> dict[str, Any]:
    """transformers' Trainer, with peft where the method is LoRA."""
    from transformers import Trainer, TrainerCallback, TrainingArguments

    model, encoder = model_and_encoder(job)
    rows, collator = rows_and_collator(job, encoder)
    if job["method"] == "lora" and job["images"]:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(modules_to_save=["classifier"], **job["lora"]))
    if job["method"] == "frozen":
        model.base_model.requires_grad_(False)
    times: dict[str, float] = {}

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            times["begin"] = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            times.setdefault("first", since_start())
            times["end"] = time.perf_counter()

    arguments = TrainingArguments(
        output_dir=job["scratch"],
        num_train_epochs=job["epochs"],
        per_device_train_batch_size=job["batch_size"],
        per_device_eval_batch_size=64,
        learning_rate=job["learning_rate"],
        warmup_steps=0.1,
        weight_decay=0.01,
        seed=job["seed"],
        bf16=job["precision"] == "bfloat16",
        train_sampling_strategy="group_by_length" if job.get("grouped") else "random",
        remove_unused_columns=not job["images"],
        use_cpu=job["device"] == "cpu",
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    run = Trainer(model, arguments, collator, rows["train"], callbacks=[Watch()])
    run.train()
    predicted = run.predict(rows["test"]).predictions.argmax(-1).tolist()
    return {
        "train": times["end"] - times["begin"],
        "whole": time.perf_counter() - times["begin"],
        "first": times["first"],
        "predicted": predicted,
    }


def accelerate(job: dict[str, Any]) -> dict[str, Any]:
    """A loop as in accelerate's own examples."""
    import torch
    from accelerate import Accelerator
    from torch.utils.data import DataLoader
    from transformers import get_linear_schedule_with_warmup

    accelerator = Accelerator(
        cpu=job["device"] == "cpu", mixed_precision="bf16" if job["precision"] == "bfloat16" else "no"
    )
    model, encoder = model_and_encoder(job)
    rows, collator = rows_and_collator(job, encoder)
    loader = DataLoader(rows["train"], job["batch_size"], shuffle=True, collate_fn=collator)
    optimizer = torch.optim.AdamW(model.parameters(), lr=job["learning_rate"], weight_decay=0.01)
    steps = len(loader) * job["epochs"]
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    model, optimizer, loader, schedule = accelerator.prepare(model, optimizer, loader, schedule)
    begin, first = time.perf_counter(), 0.0
    for _ in range(job["epochs"]):
        model.train()
        for batch in loader:
            loss = model(**batch).loss
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            first = first or since_start()
    taken = time.perf_counter() - begin
    model.eval()
    with torch.no_grad():
        tests = DataLoader(rows["test"], 64, collate_fn=collator)
        predicted = [model(**batch).logits.argmax(-1) for batch in tests]
    whole = time.perf_counter() - begin
    return {"train": taken, "whole": whole, "first": first, "predicted": torch.cat(predicted).tolist()}


def sentence_transformers(job: dict[str, Any]) -> dict[str, Any]:
    """sentence-transformers' vectors, and scikit-learn's logistic regression on them."""
    import datasets
    import torch
    from sentence_transformers import SentenceTransformer, models
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = datasets.load_from_disk(job["data"])
    dtype = getattr(torch, job["precision"])
    body = models.Transformer(job["checkpoint"], max_seq_length=job["max_length"], model_kwargs={"dtype": dtype})
    model = SentenceTransformer(modules=[body, models.Pooling(body.get_embedding_dimension(), "mean")], device="cpu")
    begin = time.perf_counter()
    vectors = model.encode(rows["train"]["text"], batch_size=job["batch_size"], show_progress_bar=False)
    head = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000)).fit(
        vectors, rows["train"]["label"]
    )
    taken = time.perf_counter() - begin
    tests = model.encode(rows["test"]["text"], batch_size=job["batch_size"], show_progress_bar=False)
    predicted = head.predict(tests).tolist()
    return {"train": taken, "whole": time.perf_counter() - begin, "predicted": predicted}


PEERS = {"trainer": trainer, "accelerate": accelerate, "sentence_transformers": sentence_transformers}

if __name__ == "__main__":
    asked = json.loads(sys.argv[1])
    said = PEERS[asked["peer"]](asked)
    said["process"] = since_start()
    said["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps(said))
