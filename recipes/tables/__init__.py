"""Benchmark tables: one file each, in full. `finetune list tables` shows them, and `finetune table NAME` makes one."""
