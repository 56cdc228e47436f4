"""Whole systems from scratch, as the papers have them: recurrent and attending encoder–decoders, classifiers, ViT.

`systems` are what there is to choose from; their parts are `norms`, `scores` and `tokenizers` here, `cores` and
`positions` of `finetune.attention`. `networks` makes them models of transformers, which recipes train as any other.
"""
