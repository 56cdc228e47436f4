"""Whole systems from scratch, as the papers have them: recurrent and attending encoder–decoders, classifiers, ViT.

`systems` are what there is to choose from; their parts are `norms`, `scores` and `tokenizers` here, `cores` and
`positions` of `finetune.attention`. `networks` makes models of transformers of them, so that recipes train them as any
other.
"""
