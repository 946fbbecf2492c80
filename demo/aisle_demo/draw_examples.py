"""Draws the page's example pictures: `python -m aisle_demo.draw_examples`. Simple products on white, and ours to give away."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from PIL import Image, ImageDraw, ImageFilter

_WIDTH, _HEIGHT = 360, 480
# Drawn larger and shrunk: Pillow draws without smoothing.
_SCALE = 4
_Point: TypeAlias = tuple[float, float]
_Colour: TypeAlias = tuple[int, int, int]


class Sketch:
    """A white sheet of 360 x 480 on which shapes are drawn in those units, whatever the resolution."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (_WIDTH * _SCALE, _HEIGHT * _SCALE), "white")
        self._draw = ImageDraw.Draw(self.image)

    def polygon(self, points: Sequence[_Point], fill: _Colour) -> None:
        """Fill a polygon."""
        self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=fill)

    def blob(self, corners: Sequence[_Point], fill: _Colour) -> None:
        """Fill a closed shape with rounded corners: a quadratic spline through the middles of the sides."""
        self.polygon(_smooth(corners), fill)

    def ellipse(
        self, centre: _Point, radii: _Point, fill: _Colour | None, outline: _Colour | None = None, width: float = 0
    ) -> None:
        """Fill an ellipse, or draw its outline."""
        (x, y), (rx, ry) = centre, radii
        box = [(x - rx) * _SCALE, (y - ry) * _SCALE, (x + rx) * _SCALE, (y + ry) * _SCALE]
        self._draw.ellipse(box, fill=fill, outline=outline, width=round(width * _SCALE))

    def line(self, points: Sequence[_Point], fill: _Colour, width: float) -> None:
        """Draw a line with round joints and ends."""
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        self._draw.line(scaled, fill=fill, width=round(width * _SCALE), joint="curve")
        for x, y in (points[0], points[-1]):
            self.ellipse((x, y), (width / 2, width / 2), fill)

    def box(self, left_top: _Point, right_bottom: _Point, radius: float, fill: _Colour) -> None:
        """Fill a box with round corners."""
        box = [coordinate * _SCALE for coordinate in (*left_top, *right_bottom)]
        self._draw.rounded_rectangle(box, radius * _SCALE, fill=fill)

    def shadow(self, centre: _Point, radii: _Point) -> None:
        """Lay the soft shadow of something that stands on a table."""
        self.ellipse(centre, radii, (222, 222, 224))
        self.image = self.image.filter(ImageFilter.GaussianBlur(6 * _SCALE))
        self._draw = ImageDraw.Draw(self.image)

    def finished(self) -> Image.Image:
        """Return the picture in its final size."""
        return self.image.resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


def draw_tshirt(sketch: Sketch) -> None:
    """A teal crew-neck T-shirt, laid flat."""
    teal, dark, light = (33, 122, 128), (24, 96, 102), (46, 140, 146)
    sleeves = [(118, 86), (52, 132), (18, 206), (82, 238), (106, 188)]
    sketch.polygon(_smooth(sleeves, 0.1), dark)
    sketch.polygon(_mirrored(_smooth(sleeves, 0.1)), dark)
    body = [(136, 78), (112, 88), (100, 128), (104, 240), (98, 408), (180, 418)]
    sketch.polygon(_smooth([*body, *reversed(_mirrored(body))], 0.12), teal)
    sketch.polygon([(128, 250), (134, 250), (130, 400), (121, 400)], dark)
    sketch.polygon([(236, 200), (240, 200), (246, 396), (238, 398)], light)
    sketch.ellipse((180, 78), (46, 34), dark)
    sketch.ellipse((180, 72), (40, 29), (245, 246, 246))
    sketch.polygon([(120, 30), (240, 30), (240, 74), (120, 74)], (255, 255, 255))
    sketch.line(_arc((180, 74), (43, 32), 0, 180), light, 5)
    sketch.line([(24, 198), (86, 228)], teal, 3)
    sketch.line([(336, 198), (274, 228)], teal, 3)
    sketch.line([(102, 396), (180, 406), (258, 396)], dark, 3)


def draw_watch(sketch: Sketch) -> None:
    """A steel wrist watch with a brown leather strap."""
    leather, stitch, steel, edge = (112, 68, 42), (176, 132, 96), (196, 200, 205), (150, 155, 162)
    sketch.polygon(_smooth([(148, 40), (212, 40), (222, 190), (138, 190)], 0.15), leather)
    sketch.polygon(_smooth([(138, 290), (222, 290), (210, 446), (180, 458), (150, 446)], 0.15), leather)
    for x, to in ((154, 148), (206, 212)):
        for y in range(56, 150, 12):
            sketch.line([(x + (to - x) * y / 150, y), (x + (to - x) * y / 150, y + 6)], stitch, 1.6)
            sketch.line(
                [(x + (to - x) * (150 - y) / 150, y + 272), (x + (to - x) * (150 - y) / 150, y + 278)], stitch, 1.6
            )
    for y in (372, 394, 416):
        sketch.ellipse((180, y), (4, 5), (62, 36, 22))
    sketch.box((262, 228), (284, 252), 5, edge)
    sketch.ellipse((180, 240), (94, 94), edge)
    sketch.ellipse((180, 240), (88, 88), steel)
    sketch.ellipse((180, 240), (74, 74), (28, 44, 72))
    for hour in range(12):
        inner = 54 if hour % 3 else 48
        sketch.line(
            [_polar((180, 240), 64, hour * 30), _polar((180, 240), inner, hour * 30)],
            (236, 238, 240),
            5 if hour % 3 == 0 else 3,
        )
    sketch.line([(180, 240), _polar((180, 240), 36, 305)], (240, 242, 244), 6)
    sketch.line([(180, 240), _polar((180, 240), 54, 60)], (240, 242, 244), 4)
    sketch.line([_polar((180, 240), 16, 10), _polar((180, 240), 58, 190)], (204, 72, 56), 1.8)
    sketch.ellipse((180, 240), (5, 5), (204, 72, 56))


def draw_handbag(sketch: Sketch) -> None:
    """A tan leather handbag with two handles and a gold buckle."""
    tan, dark, light, gold = (190, 128, 76), (150, 96, 54), (208, 150, 98), (216, 178, 92)
    sketch.shadow((180, 424), (150, 16))
    sketch.line(_arc((180, 208), (78, 138), 180, 360), dark, 13)
    sketch.line(_arc((180, 212), (64, 112), 180, 360), tan, 11)
    sketch.polygon(_smooth([(70, 196), (290, 196), (330, 408), (316, 426), (44, 426), (30, 408)], 0.12), tan)
    sketch.polygon(_smooth([(70, 196), (290, 196), (300, 262), (180, 298), (60, 262)], 0.1), light)
    sketch.line([(60, 262), (180, 297), (300, 262)], dark, 2.5)
    sketch.polygon([(30, 396), (330, 396), (322, 426), (38, 426)], dark)
    sketch.box((156, 268), (204, 318), 8, gold)
    sketch.box((166, 279), (194, 307), 4, tan)
    sketch.line([(180, 272), (180, 302)], gold, 5)
    for x in (106, 254):
        sketch.ellipse((x, 206), (9, 9), gold)
        sketch.ellipse((x, 206), (4, 4), dark)


def draw_shoe(sketch: Sketch) -> None:
    """A running shoe, seen from the side."""
    navy, coral, grey, sole = (38, 60, 108), (236, 96, 74), (206, 212, 220), (246, 246, 244)
    sketch.shadow((186, 344), (150, 14))
    upper = [
        (30, 300),
        (34, 196),
        (60, 178),
        (104, 200),
        (126, 188),
        (172, 214),
        (236, 258),
        (312, 276),
        (338, 304),
        (338, 316),
        (30, 316),
    ]
    sketch.polygon(_smooth(upper, 0.22), navy)
    sketch.polygon(_smooth([(30, 300), (33, 214), (64, 222), (84, 300), (80, 316), (30, 316)], 0.2), coral)
    sketch.polygon(_smooth([(246, 264), (312, 276), (338, 304), (338, 318), (250, 316)], 0.22), coral)
    sketch.polygon(_smooth([(112, 192), (130, 184), (238, 254), (218, 268)], 0.12), grey)
    for step in range(5):
        x, y = 130 + 20 * step, 200 + 13 * step
        sketch.line([(x - 12, y + 14), (x + 12, y - 4)], sole, 5)
    sketch.line([(112, 302), (146, 252), (170, 302)], sole, 7)
    sketch.line([(146, 302), (176, 262), (202, 302)], sole, 7)
    sketch.polygon(
        _smooth([(22, 304), (120, 312), (230, 310), (344, 306), (346, 330), (320, 346), (36, 346), (20, 330)], 0.2),
        sole,
    )
    sketch.polygon(_smooth([(22, 334), (344, 330), (326, 348), (36, 348)], 0.2), coral)
    sketch.line([(26, 312), (120, 318), (230, 317), (340, 312)], grey, 2.5)
    sketch.line([(36, 196), (58, 182), (100, 204)], grey, 6)


def draw_sunglasses(sketch: Sketch) -> None:
    """Sunglasses with a dark frame, seen from the front."""
    frame, lens, glint = (34, 32, 36), (70, 62, 58), (118, 108, 100)
    for mirror in (False, True):

        def side(points: Sequence[_Point], mirror: bool = mirror) -> list[_Point]:
            return _mirrored(points) if mirror else list(points)

        sketch.polygon(
            side(_smooth([(12, 200), (166, 206), (168, 232), (152, 286), (112, 304), (58, 298), (26, 262)], 0.42)),
            frame,
        )
        sketch.polygon(
            side(_smooth([(32, 212), (152, 217), (154, 234), (141, 278), (108, 292), (64, 286), (38, 256)], 0.42)), lens
        )
        sketch.polygon(side(_smooth([(52, 218), (82, 219), (62, 270), (46, 252)], 0.2)), glint)
        sketch.polygon(side([(10, 200), (30, 202), (30, 222), (12, 218)]), frame)
        sketch.ellipse(side([(24, 211)])[0], (4, 2.5), (196, 198, 202))
    sketch.line(_arc((180, 226), (22, 14), 190, 350), frame, 9)


DRAWINGS: Final[Mapping[str, Callable[[Sketch], None]]] = {
    "tshirt.jpg": draw_tshirt,
    "watch.jpg": draw_watch,
    "handbag.jpg": draw_handbag,
    "shoe.jpg": draw_shoe,
    "sunglasses.jpg": draw_sunglasses,
}


def draw_all(folder: Path) -> None:
    """Draw every example into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in DRAWINGS.items():
        sketch = Sketch()
        draw(sketch)
        sketch.finished().save(folder / name, quality=88, optimize=True)


def _smooth(corners: Sequence[_Point], roundness: float = 0.5) -> list[_Point]:
    # Each corner becomes a quadratic curve that begins and ends at `roundness` of its sides.
    points: list[_Point] = []
    for index, (x, y) in enumerate(corners):
        (px, py), (nx, ny) = corners[index - 1], corners[(index + 1) % len(corners)]
        start = (x + (px - x) * roundness, y + (py - y) * roundness)
        end = (x + (nx - x) * roundness, y + (ny - y) * roundness)
        for step in range(13):
            t = step / 12
            a, b, c = (1 - t) ** 2, 2 * t * (1 - t), t**2
            points.append((a * start[0] + b * x + c * end[0], a * start[1] + b * y + c * end[1]))
    return points


def _mirrored(points: Sequence[_Point]) -> list[_Point]:
    return [(_WIDTH - x, y) for x, y in points]


def _polar(centre: _Point, radius: float, degrees: float) -> _Point:
    angle = math.radians(degrees - 90)
    return centre[0] + radius * math.cos(angle), centre[1] + radius * math.sin(angle)


def _arc(centre: _Point, radii: _Point, start: int, end: int) -> list[_Point]:
    angles = [math.radians(degrees) for degrees in range(start, end + 1, 4)]
    return [(centre[0] + radii[0] * math.cos(angle), centre[1] + radii[1] * math.sin(angle)) for angle in angles]


if __name__ == "__main__":
    draw_all(Path(__file__).parent / "examples")
