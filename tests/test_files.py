"""Your own rows: what is read, and what every kind of broken file is answered with."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import datasets
import pytest
from PIL import Image

from finetune import Files, InputError
from finetune.data import Rows
from finetune.data.files import tables
from finetune.progress import Silent

pytestmark = pytest.mark.usefixtures("own_cache")
GOOD = "text,label\ngood film,fresh\nbad film,rotten\n"


def read(data: Files) -> Rows:
    return data.load(data.fetch(Silent()))


def csv(folder: Path, content: str | bytes, name: str = "rows.csv") -> Files:
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return Files(train=str(folder / name))


def test_a_csv_is_read_as_text_and_nothing_is_guessed(tmp_path: Path) -> None:
    rows = read(csv(tmp_path, "text,label\nNA,007\nnull,7\n"))
    assert rows.labels == ("007", "7")
    assert rows.train["text"][:] == ["NA", "null"]


def test_csv_json_and_parquet_hold_the_same_rows(tmp_path: Path) -> None:
    records = [{"text": "good film", "label": "fresh"}, {"text": "bad film", "label": "rotten"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    datasets.Dataset.from_list(records).to_parquet(tmp_path / "rows.parquet")
    expected = read(csv(tmp_path, GOOD)).train.to_dict()
    for name in ("rows.jsonl", "rows.parquet"):
        assert read(Files(train=str(tmp_path / name))).train.to_dict() == expected


def test_ids_survive_sorting_and_adding_rows_and_differ_for_equal_rows(tmp_path: Path) -> None:
    before = read(csv(tmp_path, GOOD)).train
    after = read(csv(tmp_path, "text,label\nnew,fresh\nbad film,rotten\ngood film,fresh\ngood film,fresh\n")).train
    assert (
        dict(zip(before["text"], before["id"], strict=True)).items()
        <= dict(zip(reversed(after["text"][:]), reversed(after["id"][:]), strict=True)).items()
    )
    assert len(set(after["id"])) == 4


def test_other_column_names_a_pair_and_an_id_column(tmp_path: Path) -> None:
    data = csv(tmp_path, "n,a,b,y\n1,x,y,0\n2,z,w,1\n")
    rows = read(Files(train=data.train, text="a", text_pair="b", label="y", id="n")).train
    assert rows["id"][:] == ["1", "2"]
    assert rows["text_pair"][:] == ["y", "w"]


def test_reading_draws_no_bars_of_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(csv(tmp_path, GOOD))
    assert capsys.readouterr() == ("", "")
    assert not datasets.are_progress_bars_disabled()


def test_a_file_edited_at_the_same_size_and_time_is_read_anew(tmp_path: Path) -> None:
    import os

    first = csv(tmp_path, GOOD)
    stamp = (tmp_path / "rows.csv").stat()
    sums = [first.fetch(Silent()).sha256]
    read(first)
    second = csv(tmp_path, GOOD.replace("good", "fine"))
    os.utime(tmp_path / "rows.csv", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert read(second).train["text"][0] == "fine film"
    assert second.fetch(Silent()).sha256 not in sums


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "rows.csv is empty"),
        ("text,label\n", "rows.csv .*no rows"),
        (
            "txt,label\na,b\n",
            r"no column for data.text: unknown column 'text'; did you mean 'txt'\? known: label, txt",
        ),
        ("text,klass\na,b\n", "no column for data.label: unknown column 'label'; .*known: klass, text"),
        ("text,label\na,x\nb,x\n", "holds one class only .x.; two or more are needed"),
        ("text,label\na,x\nb,\nc,y\n", r"column 'label' is empty in 1 rows \(line 3\)"),
        ('text,label\n\n"a\nb",x\n   \nb,\nc,y\nd,\n', r"column 'label' is empty in 2 rows \(line 6, line 8\)"),
        ("text;label\na;x\nb;y\n", r"rows.csv has a single column when divided at ','; set data.separator to ';'$"),
        ("text;label\na, b;x\nb;y\n", r"rows.csv has a single column when divided at ','; set data.separator to ';'$"),
        ("text\tlabel\na\tx\nb\ty\n", r"single column when divided at ','; set data.separator to 'tab'$"),
        ("text,label\na,x\nb,y,z\n", "rows.csv cannot be read as csv: .*Expected 2 fields in line 3, saw 3"),
        (b"text,label\ncaf\xe9,x\nb,y\n", r"as csv: line 2 \(byte 0xe9\) is not UTF-8; save the file as UTF-8$"),
        ("text,label,id\na,x,1\nb,y,1\n", "column 'id' must be unique, '1' occurs more than once"),
    ],
)
def test_a_broken_csv_is_named_with_what_is_wrong(tmp_path: Path, content: str | bytes, words: str) -> None:
    data = csv(tmp_path, content)
    if "unique" in words:
        data = Files(train=data.train, id="id")
    with pytest.raises(InputError, match=words):
        read(data)


def test_a_file_in_another_encoding_is_one_line_and_the_reader_adds_none(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for name, content in (("rows.csv", GOOD), ("rows.jsonl", '{"text": "good film", "label": "fresh"}\n' * 3)):
        data = csv(tmp_path, content.replace("film", "caf\xe9", 1).encode("latin-1"), name)
        with pytest.raises(InputError, match=rf"{name} cannot be read as .*: line . \(byte 0xe9\) is not UTF-8; save"):
            read(data)
    assert capfd.readouterr() == ("", "")


def test_other_separators_are_read_where_they_are_named(tmp_path: Path) -> None:
    expected = read(csv(tmp_path, GOOD)).train.to_dict()
    for character, name in ((";", ";"), ("|", "|"), ("\t", "tab"), ("\t", "\t"), (" ", " ")):
        data = csv(tmp_path, GOOD.replace(" ", "_").replace(",", character))
        rows = read(replace(data, separator=name)).train.to_dict()
        assert rows["text"] == [text.replace(" ", "_") for text in expected["text"]]
        assert rows["label"] == expected["label"]
    with pytest.raises(InputError, match="single column when divided at 'tab'; set data.separator to ','"):
        read(csv(tmp_path, GOOD, "rows.tsv"))


def test_a_separator_changes_what_the_data_is_and_none_leaves_it_as_it_was(tmp_path: Path) -> None:
    from finetune.hashing import content_key, file_sha256

    data = csv(tmp_path, GOOD)
    before = content_key(file_sha256(tmp_path / "rows.csv"), ("text", None, "label", None, None))
    assert data.fetch(Silent()).sha256 == before != replace(data, separator=",").fetch(Silent()).sha256


@pytest.mark.parametrize("separator", ["", ";;", "\n", '"', "→"])
def test_a_separator_that_is_no_character_is_refused(separator: str) -> None:
    with pytest.raises(InputError, match="data.separator must be a single character, or 'tab', got"):
        Files(train="x.csv", separator=separator)


def test_a_separator_has_no_meaning_where_no_csv_is_read(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n')
    for name in ("rows.jsonl", "photos"):
        (tmp_path / "photos").mkdir(exist_ok=True)
        with pytest.raises(InputError, match=f"data.separator is of CSV files and has no meaning for {name}; leave it"):
            Files(train=str(tmp_path / name), separator=";").fetch(Silent())


def test_a_truncated_json_and_garbage_parquet_are_named(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"text": "a", "label": "b"}\n{"text": ')
    with pytest.raises(InputError, match="rows.jsonl cannot be read as json"):
        read(Files(train=str(tmp_path / "rows.jsonl")))
    (tmp_path / "rows.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(InputError, match="rows.parquet cannot be read as parquet"):
        read(Files(train=str(tmp_path / "rows.parquet")))


def test_a_missing_file_is_answered_with_its_folder_and_the_nearest_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    csv(tmp_path, GOOD)
    with pytest.raises(
        InputError, match=rf"^there is no data file 'rows\.cvs' in {tmp_path}; did you mean 'rows\.csv'\?$"
    ):
        Files(train=str(tmp_path / "rows.cvs")).fetch(Silent())
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=rf"^there is no data file 'rows\.cvs' in {tmp_path}; did you mean"):
        Files(train="rows.cvs").fetch(Silent())
    with pytest.raises(InputError, match=rf"^there is no data file 'x' in {tmp_path}/no, and there is no such folder$"):
        Files(train="no/x").fetch(Silent())


def test_a_test_label_that_no_training_row_has_is_named_with_its_row(tmp_path: Path) -> None:
    csv(tmp_path, "text,label,n\na,fresh,r1\n", "test.csv")
    csv(tmp_path, "text,label,n\na,rotten,r1\nb,frehs,r2\n", "train.csv")
    data = Files(train=str(tmp_path / "train.csv"), test=str(tmp_path / "test.csv"), id="n")
    with pytest.raises(
        InputError, match=r"test.csv: line 2 has a label that no training row has: .*'fresh'; .*'frehs'"
    ):
        read(data)


def images(folder: Path) -> Path:
    for label, colour in (("red", (255, 0, 0)), ("blue", (0, 0, 255))):
        for number in range(3):
            (folder / label).mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8 + number, 8), colour).save(folder / label / f"{number}.png")
    return folder


def test_an_image_folder_has_its_subfolders_as_classes_and_its_paths_as_ids(tmp_path: Path) -> None:
    (images(tmp_path) / "notes.txt").write_text("no image")
    rows = read(Files(train=str(tmp_path)))
    assert rows.labels == ("blue", "red")
    assert rows.train["id"][0] == "blue/0.png"
    assert rows.train[0]["image"].getpixel((0, 0)) == (0, 0, 255)


@pytest.mark.parametrize("content", [b"", b"no image", None], ids=["empty", "text", "truncated"])
def test_a_corrupt_image_is_named_before_anything_is_trained(tmp_path: Path, content: bytes | None) -> None:
    path = images(tmp_path) / "red" / "1.png"
    path.write_bytes(path.read_bytes()[:40] if content is None else content)
    with pytest.raises(InputError, match=f"{re.escape(str(path))} is not a readable image"):
        read(Files(train=str(tmp_path)))


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(InputError, match="is not a readable image: .*decompression bomb"):
        read(Files(train=str(tmp_path)))


def test_images_and_rows_are_not_mixed(tmp_path: Path) -> None:
    csv(tmp_path, GOOD)
    with pytest.raises(InputError, match="must both be files of rows, or both be folders of images"):
        Files(train=str(images(tmp_path / "p")), test=str(tmp_path / "rows.csv")).fetch(Silent())


def test_a_missing_group_is_named_and_a_missing_second_text_is_empty(tmp_path: Path) -> None:
    records = [{"text": "a", "other": None, "label": "x", "film": "f"}, {"text": "b", "other": "c", "label": "y"}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    data = Files(train=str(tmp_path / "rows.jsonl"), text_pair="other")
    assert read(data).train["text_pair"][:] == ["", "c"]
    with pytest.raises(InputError, match=r"column 'film' is empty in 1 rows \(row 2\)"):
        read(Files(train=str(tmp_path / "rows.jsonl"), group="film"))


def test_a_folder_without_class_folders_says_what_is_expected(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "loose.png")
    with pytest.raises(InputError, match="holds no images in sub-folders; expected .*/<class>/<image>.png"):
        read(Files(train=str(tmp_path)))


def test_a_file_read_in_portions_is_the_file_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = csv(tmp_path, "text,label\n" + "".join(f"{'abcd'[n % 4]},{n % 2}\n" for n in range(23)))
    found = []
    for portion in (10_000, 5):
        monkeypatch.setattr(tables, "PORTION", portion)
        monkeypatch.setenv("FINETUNE_CACHE", str(tmp_path / str(portion)))
        found.append(read(data).train.to_list())
    assert found[0] == found[1]
    ids = [row["id"] for row in found[0]]
    assert len(set(ids)) == 23
    assert (ids[4], ids[8]) == (f"{ids[0]}-1", f"{ids[0]}-2")  # rows of the same text and label


def test_rows_of_a_file_are_on_disk_not_in_memory(tmp_path: Path) -> None:
    assert read(csv(tmp_path, GOOD)).train.cache_files


def sentences(folder: Path, *records: object, name: str = "names.jsonl") -> Files:
    (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return Files(train=str(folder / name), words="words")


NAMES = [
    {"words": ["Ann", "saw", "Rome"], "tags": ["B-person", "O", "B-place"], "film": "a"},
    {"words": ["No"], "tags": ["O"], "film": "b"},
]


def test_sentences_are_lists_of_words_and_of_tags_that_are_numbered_by_name(tmp_path: Path) -> None:
    data = sentences(tmp_path, *NAMES, NAMES[1])
    rows = read(data)
    assert rows.labels == ("B-person", "B-place", "O")
    assert rows.train["words"][:] == [["Ann", "saw", "Rome"], ["No"], ["No"]]
    assert rows.train["tags"][:] == [[0, 2, 1], [2], [2]]
    assert len(set(rows.train["id"])) == 3
    assert rows.train["id"][2] == f"{rows.train['id'][1]}-1"
    datasets.Dataset.from_list(NAMES).to_parquet(tmp_path / "names.parquet")
    assert read(replace(data, train=str(tmp_path / "names.parquet"))).train["id"][:] == rows.train["id"][:2]


def test_sentences_may_have_other_column_names_ids_and_groups(tmp_path: Path) -> None:
    records = [
        {"tokens": each["words"], "ner": each["tags"], "film": each["film"], "n": n} for n, each in enumerate(NAMES)
    ]
    data = replace(sentences(tmp_path, *records), words="tokens", tags="ner", id="n", group="film")
    rows = read(data)
    assert (rows.train["id"][:], rows.train["group"][:]) == (["0", "1"], ["a", "b"])
    assert data.fetch(Silent()).sha256 != replace(data, tags="film").fetch(Silent()).sha256


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ({"words": ["a", "b"], "tags": ["O"]}, r"names\.jsonl: row 2 has 2 words and 1 tags: each word must have one$"),
        ({"words": [], "tags": []}, r"names\.jsonl: row 2 has no words: a sentence to be tagged has at least one$"),
        ({"words": None, "tags": ["O"]}, r"names\.jsonl: row 2: column 'words' must hold a list, got None$"),
        ({"words": ["a", None], "tags": ["O", "O"]}, r"names\.jsonl: row 2: word 2 or its tag is missing$"),
    ],
)
def test_a_broken_sentence_is_named_with_its_row(tmp_path: Path, record: object, words: str) -> None:
    with pytest.raises(InputError, match=words):
        read(sentences(tmp_path, NAMES[0], record))


def test_a_tag_that_only_test_has_a_repeated_id_and_texts_for_lists_are_named(tmp_path: Path) -> None:
    data = sentences(tmp_path, *NAMES)
    sentences(tmp_path, {"words": ["x"], "tags": ["B-persn"]}, name="test.jsonl")
    with pytest.raises(InputError, match=r"test\.jsonl: row 1: unknown tag 'B-persn'; did you mean 'B-person'"):
        read(replace(data, test=str(tmp_path / "test.jsonl")))
    with pytest.raises(InputError, match=r"column 'film' must be unique, 'a' occurs more than once"):
        read(replace(sentences(tmp_path, NAMES[0], NAMES[0]), id="film"))
    with pytest.raises(InputError, match=r"row 1: column 'film' must hold a list, got 'a'"):
        read(replace(sentences(tmp_path, *NAMES), tags="film"))
    with pytest.raises(InputError, match=r"no column for data\.words: unknown column 'wrods'; did you mean 'words'\?"):
        read(replace(sentences(tmp_path, *NAMES), words="wrods"))
    with pytest.raises(InputError, match=r"holds one class only \(O\)"):
        read(sentences(tmp_path, NAMES[1]))


def test_words_and_values_are_not_said_together_nor_of_a_folder(tmp_path: Path) -> None:
    data = sentences(tmp_path, *NAMES)
    with pytest.raises(
        InputError, match=r"data\.value and data\.words are two things to be said, one of which must be"
    ):
        replace(data, value="points")
    with pytest.raises(InputError, match=r"data\.words is of files of rows and has no meaning for the folder"):
        replace(data, train=str(tmp_path)).fetch(Silent())


def test_where_no_words_are_named_the_data_is_what_it_was(tmp_path: Path) -> None:
    data = csv(tmp_path, GOOD)
    assert data.fetch(Silent()).sha256 == replace(data, tags="other").fetch(Silent()).sha256


PAIRS = "text,target,kind\ndos,two,n\ntres,three,n\n"


def test_texts_to_be_written_are_read_as_they_are_and_make_another_data_set(tmp_path: Path) -> None:
    labels = replace(csv(tmp_path, PAIRS), label="kind")
    pairs = replace(labels, target="target")
    rows = read(pairs)
    assert (rows.train["text"][:], rows.train["target"][:], rows.labels) == (["dos", "tres"], ["two", "three"], ())
    assert "label" not in rows.train.column_names
    assert pairs.fetch(Silent()).sha256 != labels.fetch(Silent()).sha256


def test_a_row_with_nothing_to_write_is_named_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"column 'target' is empty in 1 rows \(line 3\)"):
        read(replace(csv(tmp_path, "text,target\ndos,two\ntres,\n"), target="target"))
    with pytest.raises(
        InputError, match=r"no column for data\.target: unknown column 'tagret'; did you mean 'target'\?"
    ):
        read(replace(csv(tmp_path, PAIRS), target="tagret"))


def test_texts_and_numbers_are_not_said_together_nor_texts_of_a_folder(tmp_path: Path) -> None:
    data = replace(csv(tmp_path, PAIRS), target="target")
    with pytest.raises(
        InputError, match=r"data\.value and data\.target are two things to be said, one of which must be"
    ):
        replace(data, value="kind")
    with pytest.raises(InputError, match=r"data\.text_pair is the second of two texts .* leave data\.text_pair none"):
        replace(data, text_pair="kind")
    with pytest.raises(InputError, match=r"data\.target is of files of rows and has no meaning for the folder"):
        replace(data, train=str(tmp_path)).fetch(Silent())
