"""A recipe is a value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from finetune import AdamW, Blank, Budget, Frozen, Full, InputError, LoRA, Recipe, Split, catalog
from finetune.attention.cores.unscaled import Unscaled
from finetune.attention.positions.learned import LearnedPositions
from finetune.commands import variant
from finetune.data.numbers import Numbers
from finetune.tasks import Writing
from finetune.transformer.tokenizers.jamo import Jamo
from finetune.written import telling

NAMES = sorted(catalog.summaries())
EXPECTED = {
    *("bert_r8", "bert_r52", "bert_20ng", "bert_reviews", "gpt_r8", "gpt_reviews", "vit_mnist"),
    *("bert_sst2", "bert_mrpc", "gpt2_sst2", "vit_cifar10", "vit_beans", "distilbert_emotion"),
    *("numbers_es", "numbers_ko", "dates", "gpt_headlines", "t5_opus_books", "gpt2_cnn_dailymail"),
    *("numbers_rnn", "numbers_rnn_attention", "numbers_lstm", "numbers_lstm_attention", "vit_scratch"),
    *("roberta_sst2", "roberta_mrpc", "roberta_qnli", "roberta_qqp", "roberta_rte", "roberta_mnli"),
    *("bert_magnitudes", "magnitudes_scratch", "roberta_stsb", "bert_date_parts", "bert_conll"),
    *("roberta_cola", "vit_cifar100"),
}


@pytest.fixture
def recipe(toy: Callable[[str], Recipe]) -> Recipe:
    return toy("bert")


def test_the_shipped_recipes_are_all_there() -> None:
    assert set(NAMES) >= EXPECTED


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_recipe_is_named_as_its_file_and_says_how_to_run_it(name: str) -> None:
    entry = catalog.load(name)
    assert entry.recipe.name == name
    if entry.recipe.method_name != "scratch":  # one that begins with nothing has nothing to be kept frozen
        frozen = "as_is" if isinstance(entry.recipe.task, Writing) else "frozen"
        assert set(entry.variants) >= {frozen, "lora", "full"}
    module = __import__(f"recipes.{name}", fromlist=["recipe"])
    assert f"finetune run {name}" in module.__doc__
    assert f"accelerate launch recipes/{name}.py" in module.__doc__


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("method", ["frozen", "lora", "full", "last_layers"])
def test_json_and_back_is_the_same_recipe(name: str, method: str) -> None:
    recipe = catalog.load(name).of(method)
    assert Recipe.from_json(recipe.to_json()) == recipe


def test_a_recipe_cannot_be_changed_only_replaced(recipe: Recipe) -> None:
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 3  # pyright: ignore[reportAttributeAccessIssue]


def test_overrides_are_typed(recipe: Recipe) -> None:
    lora = replace(recipe, method=LoRA())
    changed = lora.override(
        ["method.rank=16", "method.optim.learning_rate=1e-3", "method.targets=query, key", "budget.patience=2"]
    )
    assert changed.method == LoRA(rank=16, targets=("query", "key"), optim=AdamW(learning_rate=1e-3))
    assert changed.budget.patience == 2
    assert changed.override(["budget.patience=none"]).budget.patience is None


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("method.rnak=16", "unknown field of LoRA 'rnak'; did you mean 'rank'?"),
        ("methd.rank=16", "unknown field of Recipe 'methd'; did you mean 'method'?"),
        ("method.rank=many", "method.rank must be a whole number, got 'many'"),
        ("method.rank", "--set takes field=value, got 'method.rank'"),
        ("seed.x=1", "seed is a plain value and has no field 'x'"),
        ("method=full", "method is a part with fields of its own"),
        ("method.rank=0", "method.rank must be at least 1, got 0"),
        ("method.optim.learning_rate=inf", "method.optim.learning_rate must be positive and finite, got inf"),
        ("method.optim.learning_rate=nan", "method.optim.learning_rate must be a number, got nan"),
        ("method.optim.decay=linaer", "did you mean 'linear'?"),
        ("precision=bf16", "unknown value of recipe.precision 'bf16'; did you mean 'bfloat16'?"),
        ("name=../x", "recipe.name becomes a folder's: letters, digits and . _ + - only, got '../x'"),
        ("method.optim.betas=0.9", "method.optim.betas must be 2 values separated by commas, got '0.9'"),
        ("method.optim.betas=1.5,0.9", "method.optim.betas must be in [0, 1), got (1.5, 0.9)"),
        ("budget.epochs=0", "budget.epochs must be at least 1, got 0"),
        ("method.targets=query,kye", "unknown role in a block 'kye'; did you mean 'key'?"),
    ],
)
def test_a_wrong_override_names_what_would_be_right(recipe: Recipe, setting: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        replace(recipe, method=LoRA()).override([setting])


def blank(recipe: Recipe) -> Blank:
    assert isinstance(recipe.checkpoint, Blank)
    return recipe.checkpoint


def test_a_part_is_chosen_by_the_name_of_its_class_and_keeps_what_was_said_of_it() -> None:
    numbers, where = catalog.load("numbers_es").recipe, "checkpoint.system.positions"
    learned = numbers.override([f"{where}=LearnedPositions", f"{where}.length=9"])
    assert vars(blank(learned).system)["positions"] == LearnedPositions(length=9)
    assert learned.override([f"{where}=LearnedPositions"]) == learned
    assert vars(blank(learned.override([f"{where}=none"])).system)["positions"] is None
    unscaled = numbers.override(["checkpoint.system.core=Unscaled", "checkpoint.tokenizer=Jamo"])
    assert vars(blank(unscaled).system)["core"] == Unscaled()
    assert blank(unscaled).tokenizer == Jamo()
    assert Recipe.from_json(unscaled.to_json()) == unscaled


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (
            "positions=learned",
            "unknown kind of checkpoint.system.positions 'learned'; did you mean 'LearnedPositions'?",
        ),
        ("positions=LearnedPosition", "did you mean 'LearnedPositions'?"),
        ("core=none", "unknown kind of checkpoint.system.core 'none'"),  # there is always one
    ],
)
def test_a_part_that_cannot_be_chosen_says_which_could(setting: str, words: str) -> None:
    with pytest.raises(InputError, match=re.escape(words)):
        catalog.load("numbers_es").recipe.override([f"checkpoint.system.{setting}"])


def test_a_part_with_something_left_open_is_not_chosen_by_name(recipe: Recipe) -> None:
    with pytest.raises(InputError, match=re.escape("data=Topics leaves name open, which has no default; write it in")):
        replace(recipe, data=Numbers()).override(["data=Topics"])


def test_a_stored_recipe_can_name_no_code_but_ours(recipe: Recipe) -> None:
    stored = recipe.to_json() | {"method": {"type": "Popen", "args": "true"}}
    with pytest.raises(InputError, match="unknown kind of method 'Popen'"):
        Recipe.from_json(stored)


def test_the_fingerprint_changes_with_the_number_and_with_nothing_else(recipe: Recipe) -> None:
    def of(recipe: Recipe, weights: str = "w", data: str = "d", dtype: str = "float32") -> str:
        return recipe.fingerprint(weights, data, dtype)

    same = [
        replace(recipe, name="other"),
        replace(recipe, budget=replace(recipe.budget, micro_batch=4)),
    ]
    other = [
        replace(recipe, seed=1),
        replace(recipe, method=Frozen()),
        replace(recipe, method=Full(optim=AdamW(learning_rate=1e-3))),
        replace(recipe, split=Split(train_rows=8)),
        replace(recipe, budget=Budget(epochs=9)),
    ]
    assert {of(each) for each in same} == {of(recipe)}
    fingerprints = {of(each) for each in other} | {of(recipe, weights="x"), of(recipe, data="x"), of(recipe, dtype="x")}
    assert len(fingerprints - {of(recipe)}) == len(other) + 3


@pytest.mark.parametrize(
    ("method", "attention", "expected"),
    [
        ("frozen", None, "b13de0f6bdb7fdde"),
        ("lora", None, "e47cd15781029968"),
        ("full", None, "dfa7844cfee6ff95"),
        ("last_layers", None, "8621cb29d9db9cb8"),
        ("stock_head", None, "3153406a7595a33e"),
        ("majority", None, "e14bd1d1dbd2d1a2"),
        ("surface", None, "c456748752be0446"),
        ("full", "sliding_window", "a83e60e716987669"),
    ],
)
def test_a_fingerprint_stays_what_it_is_until_recipe_format_counts_up(
    method: str, attention: str | None, expected: str
) -> None:
    # another one here is another number under the same fields (count FORMAT up), or a default that was changed
    assert variant("bert_r8", method, attention).fingerprint("w", "d", "float32").startswith(expected)


@dataclass(frozen=True, kw_only=True)
class Later(Full):
    """With a field that the first version did not have."""

    added: int = 0


def test_a_field_that_is_as_it_is_by_default_is_not_in_the_fingerprint() -> None:
    assert telling(Later()) == {"type": "Later"}
    assert telling(Later(added=1)) == {"type": "Later", "added": 1}
    rate = telling(Later(optim=AdamW(learning_rate=1.0)))
    assert rate == {"type": "Later", "optim": {"type": "AdamW", "learning_rate": 1.0}}


def test_a_part_of_the_wrong_kind_is_refused(recipe: Recipe) -> None:
    with pytest.raises(InputError, match=r"recipe\.method must be a Method, got 'full'"):
        replace(recipe, method="full")
