"""Renders output files: a PNG or a short WebM video that shows the prompt on a colour gradient.

The functions are pure: the same canvas gives the same bytes. Needs the extra `[sandbox]` (Pillow and PyAV).
"""

from __future__ import annotations

import colorsys
import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import av
from PIL import Image, ImageDraw, ImageFont, ImageOps

_MAX_TEXT_LENGTH = 400
_VIDEO_LONG_SIDE = 640
_VIDEO_SECONDS = 2.5
_FRAMES_PER_SECOND = 12
_WHITE = (255, 255, 255)
_DARK = (16, 16, 24)

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


@dataclass(frozen=True)
class Canvas:
    """The input of a rendering: width and height in pixels, the text, and the seed of the colours."""

    width: int
    height: int
    text: str
    seed: str

    @property
    def hues(self) -> tuple[float, float]:
        """Two matching hues from 0 to 1, derived from the text and the seed."""
        digest = hashlib.sha256(f"{self.seed} {self.text}".encode()).digest()
        first = digest[0] / 255
        return first, (first + 0.15 + digest[1] / 1024) % 1


def image_size(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Return width and height for an input. `720p` is the short side, `2k` the long one; v1 inputs name both."""
    if "width_and_height" in parameters:
        width, _, height = str(parameters["width_and_height"]).partition("x")
        return int(width), int(height)
    across, down = _ratio(parameters)
    resolution = str(parameters.get("resolution", parameters.get("quality", "1k"))).lower()
    if resolution.endswith("p"):
        unit = int(resolution[:-1]) / min(across, down)
    else:
        unit = int(resolution[:-1]) * 1024 / max(across, down)
    return round(across * unit), round(down * unit)


def video_size(parameters: Mapping[str, Any]) -> tuple[int, int]:
    """Return a small width and height in the requested aspect ratio. The resolution is ignored: encoding is slow."""
    across, down = _ratio(parameters, otherwise="16:9")
    unit = _VIDEO_LONG_SIDE / max(across, down)
    # Chroma is halved in both directions, so both sides are even.
    return 2 * round(across * unit / 2), 2 * round(down * unit / 2)


def thumbnail_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return a quarter of the width and height, as even numbers."""
    return 2 * (size[0] // 8), 2 * (size[1] // 8)


def render_png(canvas: Canvas) -> bytes:
    """Return a PNG file."""
    picture = _background(canvas)
    _draw_text(picture, canvas.text)
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def render_webm(canvas: Canvas) -> bytes:
    """Return a WebM file: a spot of light circles behind the text."""
    file = io.BytesIO()
    with av.open(file, "w", format="webm") as container:
        stream = container.add_stream("libvpx-vp9", rate=_FRAMES_PER_SECOND)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = canvas.width, canvas.height, "yuv420p", 400_000
        stream.options = {"deadline": "realtime", "cpu-used": "8"}
        for picture in _frames(canvas):
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # PyAV annotates it in part
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


def _ratio(parameters: Mapping[str, Any], otherwise: str = "1:1") -> tuple[int, int]:
    named = str(parameters.get("aspect_ratio", otherwise))
    across, _, down = (named if ":" in named else otherwise).partition(":")
    return int(across), int(down)


def _frames(canvas: Canvas) -> Iterator[Image.Image]:
    background = _background(canvas)
    count = round(_VIDEO_SECONDS * _FRAMES_PER_SECOND)
    light = min(canvas.width, canvas.height) // 6
    for number in range(count):
        turn = 2 * math.pi * number / count
        x = canvas.width * (0.5 + 0.38 * math.cos(turn))
        y = canvas.height * (0.5 + 0.34 * math.sin(turn))
        picture = background.copy()
        ImageDraw.Draw(picture).ellipse(
            (x - light, y - light, x + light, y + light), fill=_colour(canvas.hues[1], 0.95)
        )
        _draw_text(picture, canvas.text)
        yield picture


def _background(canvas: Canvas) -> Image.Image:
    shade = Image.linear_gradient("L").resize((canvas.width, canvas.height))
    dark, light = canvas.hues
    return ImageOps.colorize(shade, _colour(dark, 0.35), _colour(light, 0.75))


def _colour(hue: float, value: float) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.7, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _draw_text(picture: Image.Image, text: str) -> None:
    """Draw the text in the middle, in the largest size that fits."""
    shown = text if len(text) <= _MAX_TEXT_LENGTH else text[: _MAX_TEXT_LENGTH - 1] + "…"
    size = max(picture.width // 10, 12)
    while True:
        font = ImageFont.load_default(size)
        lines = _wrap(shown, font, picture.width * 0.86)
        if size <= 12 or len(lines) * size * 1.3 <= picture.height * 0.86:
            break
        size = max(12, size * 4 // 5)
    ImageDraw.Draw(picture).multiline_text(
        (picture.width / 2, picture.height / 2),
        "\n".join(lines),
        fill=_WHITE,
        font=font,
        anchor="mm",
        align="center",
        stroke_width=max(1, size // 16),
        stroke_fill=_DARK,
    )


def _wrap(text: str, font: Font, width: float) -> list[str]:
    lines = [""]
    for word in text.split():
        for part in _pieces(word, font, width):
            longer = f"{lines[-1]} {part}".strip()
            if font.getlength(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(part)
    return lines


def _pieces(word: str, font: Font, width: float) -> Iterator[str]:
    """Split a word that is wider than a line."""
    while font.getlength(word) > width and len(word) > 1:
        fitting = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or font.getlength(word[:n]) <= width)
        yield word[:fitting]
        word = word[fitting:]
    yield word
