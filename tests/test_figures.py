"""A picture shows what it is given: in one scale, in any writing, without overlaps, and the same bytes again."""

from __future__ import annotations

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font

from finetune import InputError
from finetune.report import figures, fonts
from finetune.report.grounds import Picture, Scale, Text
from finetune.report.lines import Band, Bands

HARD = ["$$", "$x^", "<b>&\"'", "--", "]]>", "%s\\", "한글", "字", "🙂", "\x07", "\u200d", "naïve", "a" * 40]


def heads(count: int, tokens: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {f"head {n}": rng.dirichlet(np.ones(tokens), tokens) for n in range(1, count + 1)}


def text_figure(tokens: list[str], count: int = 2) -> Figure:
    given = heads(count, len(tokens))
    return figures.maps(Text(tokens), given, given["head 1"], title="Attention", below="of a text")


def changed_figure(tokens: list[str], count: int) -> Figure:
    before, after = heads(count, len(tokens)), heads(count, len(tokens), seed=1)
    rollouts = before["head 1"], after["head 1"]
    return figures.change(Text(tokens), before, after, rollouts, title="Attention", below="before and after")


def image_figure(count: int) -> Figure:
    panels = {name: each[:4, :4] for name, each in heads(count, 4).items()}
    image = np.random.default_rng(0).random((16, 16, 3))
    return figures.maps(Picture(image), panels, panels["head 1"], title="Attention", below="of an image")


def position_figure() -> Figure:
    similar = np.cos(np.arange(30)[:, None] / 30 - np.arange(30) / 30)
    kinds = {"learned": similar, "sinusoidal": -similar}
    falls = {name: each[0, 1:] for name, each in kinds.items()}
    return figures.positions(kinds, falls, unit="tokens", tiled=False, title="Positions", below="each with each")


def written(figure: Figure) -> set[str]:
    FigureCanvasAgg(figure).draw()
    return {text.get_text() for axes in figure.axes for text in (*axes.get_xticklabels(), *axes.get_yticklabels())}


@pytest.mark.parametrize("ending", figures.ENDINGS)
@pytest.mark.parametrize("make", [lambda: text_figure(HARD), lambda: image_figure(3), position_figure])
def test_the_same_picture_is_the_same_file(tmp_path: Path, make, ending: str) -> None:  # pyright: ignore
    paths = [tmp_path / f"{number}{ending}" for number in range(2)]
    for path in paths:
        figures.save(make(), path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"dc:date" not in paths[0].read_bytes()


def test_an_svg_is_well_formed_whatever_the_tokens_are(tmp_path: Path) -> None:
    figures.save(text_figure(HARD), tmp_path / "hard.svg")
    assert ElementTree.parse(tmp_path / "hard.svg").getroot().tag.endswith("svg")


def test_a_letter_that_no_font_has_is_spelled_out() -> None:
    private = "\U000f0000\U000f0001"
    known = fonts.letters([f"a{private}b\x07"])
    assert known(f"a{private}b\x07") == "a⟨F0000 F0001⟩b⟨0007⟩"
    assert "⟨F0000⟩" in written(text_figure(["a", "\U000f0000"]))


def test_a_letter_that_the_default_font_lacks_is_drawn_by_another_that_has_it(tmp_path: Path) -> None:
    fonts_path = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    default, other = (FT2Font(str(fonts_path / name)) for name in ("DejaVuSans.ttf", "STIXGeneral.ttf"))
    rare = next(chr(code) for code in other.get_charmap() if chr(code).isalpha() and not default.get_char_index(code))
    known = fonts.letters(["a", rare])
    assert known(rare) == rare
    assert known.families[0] == fonts.DEFAULT
    assert len(known.families) == 2
    figures.save(text_figure(["a", rare]), tmp_path / "rare.png")  # a glyph that is missing is a warning


def test_a_long_token_is_cut_and_one_of_east_asia_counts_twice() -> None:
    assert fonts.short("a" * 14) == "a" * 14
    assert fonts.short("a" * 15) == "a" * 13 + "…"
    assert fonts.short("한" * 7) == "한" * 7
    assert Text(["한" * 7, "a"]).room == Text(["a" * 14, "a"]).room > Text(["a" * 7, "a"]).room
    assert fonts.short("한" * 8) == "한" * 6 + "…"


@pytest.mark.parametrize(("tokens", "count"), [(1, 1), (4, 7), (16, 12), (64, 4), (200, 1)])
def test_nothing_overlaps_and_nothing_is_cut_off(tokens: int, count: int) -> None:
    labels = [f"token{n}"[: 3 + n % 8] for n in range(tokens)]
    check_layout(text_figure(labels, count))
    check_layout(changed_figure(labels, count))


@pytest.mark.parametrize("make", [lambda: image_figure(1), lambda: image_figure(6), position_figure])
def test_nothing_overlaps_in_other_pictures(make) -> None:  # pyright: ignore
    check_layout(make())


def check_layout(figure: Figure) -> None:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [axes.get_tightbbox(canvas.get_renderer()).padded(-1) for axes in figure.axes]  # pyright: ignore
    boxes += [text.get_window_extent(canvas.get_renderer()) for text in figure.texts]
    width, height = canvas.get_width_height()
    for index, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= width
        assert box.y1 <= height
        for other in boxes[:index]:
            assert not box.overlaps(other), (box, other)


def plane_figure(names: list[str], seed: int = 0) -> Figure:
    """Half of the dots lie close together."""
    rng = np.random.default_rng(seed)
    places_N2 = np.concatenate([rng.normal(0, scale, (len(names) // 2, 2)) for scale in (0.1, 1)])
    return figures.plane(names, places_N2, title="Plane", below="of names")


@pytest.mark.parametrize("letters", [1, 6, 13])
def test_no_name_of_a_dot_covers_a_dot_or_another_name(letters: int) -> None:
    figure = plane_figure([f"{n:0{letters}}" for n in range(100)] if letters > 1 else list(map(chr, range(97, 117))))
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (axes,) = figure.axes
    boxes = [text.get_window_extent(canvas.get_renderer()).padded(-1) for text in axes.texts]
    dots = axes.transData.transform(axes.lines[0].get_xydata())
    assert len(boxes) == len(dots) in (20, 100)
    frame = axes.get_window_extent()
    for index, box in enumerate(boxes):
        assert frame.x0 <= box.x0 < box.x1 <= frame.x1
        assert frame.y0 <= box.y0 < box.y1 <= frame.y1
        assert not any(box.overlaps(other) for other in boxes[:index])
        assert not any(box.contains(*dot) for dot in dots)


def test_dots_lie_as_far_from_each_other_across_as_upwards() -> None:
    places_N2 = np.array([[0.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    figure = figures.plane(["a", "b", "c"], places_N2, title="", below="")
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    first, right, above = axes.transData.transform(axes.lines[0].get_xydata())
    assert right[0] - first[0] == pytest.approx(3 * (above[1] - first[1]))
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"]


def test_up_to_64_tokens_every_one_has_a_label_and_beyond_those_that_fit() -> None:
    labels = [f"t{n}" for n in range(64)]
    assert {*labels} <= written(text_figure(labels))
    many = [f"t{n}" for n in range(400)]
    shown = written(text_figure(many)) & {*many}
    assert 20 < len(shown) <= 100


def test_heads_share_one_scale() -> None:
    weights = {"head 1": np.array([[0.5, 0.0], [0.0, 0.5]]), "head 2": np.array([[1.0, 0.5], [0.0, 0.0]])}
    figure = figures.maps(Text(["a", "b"]), weights, weights["head 1"], title="", below="")
    one, other = (np.asarray(axes.images[0].get_array()) for axes in figure.axes[:2])
    assert (one[0, 0] == other[0, 1]).all()
    assert (one[0, 0] != other[0, 0]).any()


def test_a_difference_is_white_where_there_is_none_and_as_strong_above_zero_as_below() -> None:
    scale = Scale.about_zero([np.array([-0.1, 0.3])])
    assert (scale.low, scale.high) == (-0.3, 0.3)
    less, none, more = Text(["a"]).coloured(scale).to_rgba(np.array([-0.3, 0.0, 0.3]))
    assert none[:3].min() > 0.95
    assert less[2] > less[0]  # blue
    assert more[0] > more[2]  # red
    assert Scale.about_zero([np.array([1e-8])]).high == 1.0  # rounding is no difference


def test_weights_below_zero_get_a_scale_with_a_middle() -> None:
    assert Scale.of([np.array([0.2, 0.8])]) == Scale(0.0, 0.8)
    assert Scale.of([np.array([-0.2, 0.8])]) == Scale(-0.8, 0.8, signed=True)
    assert Scale.of([np.zeros(3)]) == Scale(0.0, 1.0)


def test_a_mosaic_has_a_tile_where_each_patch_is() -> None:
    similar = np.arange(36.0).reshape(6, 6)  # 2 × 3 patches
    found = figures.mosaic(similar, 2, 3)
    assert found.shape == (2 * 3 - 1, 3 * 4 - 1)
    assert (found[3:, 4:7] == similar[4].reshape(2, 3)).all()  # of the patch in the second row, second column
    assert np.isnan(found[2]).all()
    assert np.isnan(found[:, 3]).all()


@pytest.mark.parametrize("name", ["map.pdf", "map", "map.png.txt"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"a figure is saved as .png or .svg, got '.*{name}'"):
        figures.save(position_figure(), tmp_path / name)
    assert not (tmp_path / name).exists()


def test_the_users_settings_neither_change_a_picture_nor_are_changed(tmp_path: Path) -> None:
    figures.save(text_figure(["a", "b"]), tmp_path / "plain.svg")
    own = {"font.size": 30.0, "svg.fonttype": "none", "axes.facecolor": "red", "text.parse_math": True}
    with matplotlib.rc_context(own):
        figures.save(text_figure(["a", "b"]), tmp_path / "own.svg")
        assert {name: matplotlib.rcParams[name] for name in own} == own
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "own.svg").read_bytes()


def test_drawing_needs_neither_a_screen_nor_torch() -> None:
    code = (
        "import sys; from finetune.report import figures\n"
        "print(sorted({'matplotlib.pyplot', 'torch', 'transformers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def scores(first: float, last: float) -> Band:
    values = np.linspace(first, last, 4)
    return Band(name=f"to {last:g}", at=10.0 ** np.arange(4), values=values, lows=values - 1, highs=values + 1)


def test_names_at_the_ends_of_lines_do_not_cover_each_other() -> None:
    lines = [scores(50, 90), scores(60, 90.1), scores(70, 89.9)]
    part = Bands(lines=lines, along="rows", up="test %", title="mine", side=3.0)
    figure = figures.beside([part], title="Labels", below="of each class")
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["to 90", "to 90.1", "to 89.9"]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))


def test_parts_that_are_wider_than_there_is_room_stand_in_rows() -> None:
    part = Bands(lines=[scores(50, 90)], along="rows", up="test %", title="mine", side=3.0)
    few, many = (figures.beside([part] * count, title="Labels", below="") for count in (4, 7))
    assert [len({axes.get_position().y0 for axes in figure.axes}) for figure in (few, many)] == [1, 2]
    assert few.get_figwidth() == many.get_figwidth() <= figures.ROOM
    renderer = FigureCanvasAgg(many).get_renderer()
    boxes = [box for axes in many.axes if (box := axes.get_tightbbox(renderer)) is not None]
    assert len(boxes) == 7
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))  # names, numbers and all
    assert min(box.y0 for box in boxes) > 0


def test_every_place_is_marked_with_its_number() -> None:
    part = Bands(lines=[scores(50, 90)], along="rows", up="test %", title="mine", side=3.0)
    assert {"1", "10", "100", "1000"} <= written(figures.beside([part], title="Labels", below=""))


@pytest.mark.parametrize(("powers", "said"), [(8, {"1"}), (1, {"0.2", "0.5"})])
def test_a_steep_part_has_plain_numbers_beside_it_and_names_that_stay_apart(powers: int, said: set[str]) -> None:
    values = np.logspace(0, -powers, 4)
    lines = [
        Band(name=f"line {n}", at=10.0 ** np.arange(4), values=values * n, lows=values * n / 2, highs=values * n * 2)
        for n in (1, 1.1, 1.2)
    ]
    part = Bands(lines=lines, along="rows", up="gradient", title="mine", side=3.0, steep=True)
    figure = figures.beside([part], title="Studies", below="of each")
    assert said <= written(figure)
    assert not any("$" in each for each in written(figure))  # no formula: a token of dollars is none
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.axes[0].texts]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(boxes, 2))
    assert boxes[0].height < boxes[1].y0 - boxes[0].y0 + 1 < 3 * boxes[0].height


@pytest.mark.parametrize(
    "name",
    [
        "lora",
        "numbers_lstm_attention",
        "checkpoint.system.positions=LearnedPositions",
        "NUMBERS_MWMW",
        "숫자를 쓰는 사람",
    ],
)
def test_the_name_at_the_end_of_a_line_is_on_the_page(name: str) -> None:
    lines = [Band(name=name, at=np.arange(3.0), values=np.ones(3), lows=np.zeros(3), highs=np.ones(3))]
    part = Bands(lines=lines, along="length", up="test %", title="", side=3.0, logarithmic=False)
    figure = figures.beside([part], title="Score", below="")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    (text,) = figure.axes[0].texts
    assert text.get_window_extent().x1 < figure.bbox.x1
