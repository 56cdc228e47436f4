"""Every letter a token, where a Korean syllable is two or three letters: 나는 is ㄴㅏㄴㅡㄴ.

A syllable is an initial, a vowel and perhaps a final. Written one after the other they can be put together in one way
only: a consonant before a vowel is an initial, any other is a final.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import tokenizers
from tokenizers import Regex, decoders, normalizers

from finetune.transformer.tokenizers.characters import Characters

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# the letters of Unicode's syllables in their order there, as letters that stand alone
INITIALS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"
VOWELS = "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
FINALS = "ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
# each beside the part of a syllable that it is: what Unicode's decomposition makes of one, and its composition takes
PARTS = [
    [(letter, chr(start + number)) for number, letter in enumerate(letters)]
    for letters, start in ((INITIALS, 0x1100), (VOWELS, 0x1161), (FINALS, 0x11A8))
]
ALONE = "\u2060"  # stands before a letter that is none of a syllable in the text itself, as in ㅋㅋㅋ
LETTERS = sorted({*INITIALS, *VOWELS, *FINALS})
VOWEL = "[ㅏ-ㅣ]"


@dataclass(frozen=True, kw_only=True)
class Jamo(Characters):
    """A token for every character, and for every letter of a Korean syllable; all modern ones are known.

    Text is read in Unicode's composed form (NFC), and `written` gives it back in that.
    """

    def parts(self) -> tuple[tokenizers.Tokenizer, Any]:
        pipeline, trainer = super().parts()
        pipeline.normalizer = normalizers.Sequence(
            [
                normalizers.NFC(),
                *(normalizers.Replace(letter, ALONE + letter) for letter in LETTERS),
                normalizers.NFD(),
                *(normalizers.Replace(part, letter) for kind in PARTS for letter, part in kind),
                normalizers.NFC(),  # of what is not Korean
            ]
        )
        pipeline.decoder = decoders.Sequence([decoders.Fuse(), *_composing()])
        return pipeline, trainer

    def train(self, texts: Iterable[str]) -> PreTrainedTokenizerFast:
        return super().train(chain(texts, LETTERS))


def _composing() -> list[decoders.Decoder]:
    """From letters to parts of syllables, which Unicode composes: initials first, then what stands after them."""
    initials, vowels, finals = PARTS
    return [
        *(decoders.Replace(Regex(f"(?<!{ALONE}){letter}(?={VOWEL})"), part) for letter, part in initials),
        *(decoders.Replace(Regex(f"(?<=[ᄀ-ᄒ]){letter}"), part) for letter, part in vowels),
        *(decoders.Replace(Regex(f"(?<=[ᅡ-ᅵ]){letter}"), part) for letter, part in finals),
        decoders.Replace(ALONE, ""),
    ]
