"""Reading GGUF: as gguf's own writer writes it."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import pytest

from finetune.gguf_file import GgufFile

WORDS = ["Ġa", "β", ""]
MATRIX = np.arange(6 * 64, dtype=np.float32).reshape(6, 64) / 7
VECTOR = np.array([0.5, -1.0, 3.25], dtype=np.float32)
BLOCKS = gguf.quants.quantize(MATRIX, gguf.GGMLQuantizationType.Q8_0)


def written(path: Path, alignment: int | None = None) -> Path:
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_uint32("count", 7)
    writer.add_int16("small", -3)
    writer.add_uint64("large", 2**40)
    writer.add_float32("rate", 0.25)
    writer.add_bool("yes", True)
    writer.add_array("words", WORDS)
    writer.add_array("numbers", [1, -2, 3])
    if alignment:
        writer.add_custom_alignment(alignment)
    writer.add_tensor("vector", VECTOR)
    writer.add_tensor("blocks", BLOCKS, raw_dtype=gguf.GGMLQuantizationType.Q8_0)
    writer.add_tensor("matrix", MATRIX)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_settings_of_every_kind_are_read(tmp_path: Path) -> None:
    said = GgufFile(written(tmp_path / "a.gguf")).settings
    assert said["general.architecture"] == "llama"
    assert (said["count"], said["small"], said["large"], said["rate"], said["yes"]) == (7, -3, 2**40, 0.25, True)
    assert said["words"] == WORDS
    assert said["numbers"] == [1, -2, 3]


@pytest.mark.parametrize("alignment", [None, 128])
def test_tensors_are_found_in_their_shapes_and_blocks_dequantised(tmp_path: Path, alignment: int | None) -> None:
    file = GgufFile(written(tmp_path / "a.gguf", alignment))
    assert list(file.tensors) == ["vector", "blocks", "matrix"]
    assert np.array_equal(file.tensor("vector"), VECTOR)
    assert np.array_equal(file.tensor("matrix"), MATRIX)
    assert file.tensor("blocks").shape == MATRIX.shape
    assert np.array_equal(file.tensor("blocks"), gguf.dequantize(BLOCKS, gguf.GGMLQuantizationType.Q8_0))
    assert 0 < np.abs(file.tensor("blocks") - MATRIX).max() < 0.3
