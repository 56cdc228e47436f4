"""Where a wire's headline ends, told from the wire."""

from __future__ import annotations

import pytest

from finetune import InputError
from finetune.data import to_pairs
from finetune.data.headlines import Headlines, _end, _pairs

BODY = "inc said it has agreed to sell " + "all of its shares " * 5


@pytest.mark.parametrize(
    ("text", "headline"),
    [
        (f"kodak ek to sell holdings kodak {BODY}", "kodak ek to sell holdings"),
        (f"kodak sells kodak {BODY}", None),  # too few words before the first comes again
        (f"kodak says the board will sell kodak {BODY}", None),  # a headline has no article
        (f"kodak ek first quarter net kodak {BODY} net vs loss", None),  # a table
        ("kodak ek to sell holdings kodak said so", None),  # hardly a wire
        (f"kodak ek to sell holdings {BODY}", None),  # the first word never comes again
        ("", None),
    ],
)
def test_a_headline_ends_where_its_first_word_comes_again(text: str, headline: str | None) -> None:
    end = _end(text.split())
    assert (None if end is None else " ".join(text.split()[:end])) == headline


def test_a_row_is_the_wire_with_its_headline_as_target() -> None:
    rows = to_pairs({"id": ["a", "b"], "text": [f"kodak ek to sell holdings kodak {BODY}", "none here"]})
    (found,) = _pairs(rows)
    assert found == {"id": "a", "text": f"kodak {BODY}".strip(), "target": "kodak ek to sell holdings"}


def test_another_data_set_has_no_headlines() -> None:
    with pytest.raises(InputError, match=r"unknown data set of headlines 'reuters-r9'; did you mean 'reuters-r8'\?"):
        Headlines("reuters-r9")
