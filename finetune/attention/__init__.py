"""Attention from scratch, and the way into pretrained models.

`masks` say who may look at whom, a core of `cores` turns queries, keys and values into a context, `positions` tell it
where things stand, `multihead` puts projections around it, and `swap` puts that into a checkpoint in place of its own.
"""
