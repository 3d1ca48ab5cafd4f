"""Media files: they decode, have the requested size, and show the prompt."""

from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import av
import pytest
from PIL import Image, ImageChops

from gateway.sandbox.media.render import Canvas, image_size, render_png, render_webm, video_size


async def _file(api: Any, prompt: str = "a red fox", **more: Any) -> tuple[str, bytes]:
    request_id = await api.submitted(prompt, **more)
    api.clock.advance(100)
    done = (await api.status(request_id)).json
    url = done["video"]["url"] if "video" in done else done["images"][0]["url"]
    api.auth = {}
    answer = await api.call("GET", url)
    assert answer.status == 200
    return answer.headers["Content-Type"], answer.content


def _decoded(video: bytes) -> list[Image.Image]:
    with av.open(io.BytesIO(video)) as container:
        assert container.streams.video[0].codec_context.codec.canonical_name == "vp9"
        return [frame.to_image() for frame in container.decode(video=0)]


async def test_an_image_is_a_png_of_the_requested_size(api: Any) -> None:
    content_type, content = await _file(api, aspect_ratio="9:16", resolution="1080p")
    picture = Image.open(io.BytesIO(content))
    picture.load()
    assert (content_type, picture.format, picture.size) == ("image/png", "PNG", (1080, 1920))


async def test_a_video_is_a_webm_that_moves(api: Any) -> None:
    content_type, content = await _file(api, model="kling-video/v2.5-turbo/pro/text-to-video")
    frames = _decoded(content)
    assert content_type == "video/webm"
    assert (len(frames), frames[0].size) == (30, (640, 360))
    difference = ImageChops.difference(frames[0], frames[15]).convert("L")
    assert difference.getextrema()[1] > 60


async def test_each_image_of_a_batch_looks_different(api: Any) -> None:
    request_id = await api.submitted(model="higgsfield-ai/soul/standard", batch_size=4)
    api.clock.advance(5)
    urls = [image["url"] for image in (await api.status(request_id)).json["images"]]
    contents = [(await api.call("GET", url)).content for url in urls]
    assert len(set(contents)) == 4


async def test_concurrent_downloads_return_the_same_bytes(api: Any) -> None:
    request_id = await api.submitted()
    api.clock.advance(5)
    answers = await asyncio.gather(*(api.call("GET", f"/media/{request_id}/0.png") for _ in range(5)))
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize("path", ["0.png", "0.webm", "0.min.png", "1.png", "x.png"])
async def test_only_listed_files_exist_and_only_after_the_end(api: Any, path: str) -> None:
    request_id = await api.submitted()
    assert (await api.call("GET", f"/media/{request_id}/{path}")).status == 404
    api.clock.advance(5)
    assert (await api.call("GET", f"/media/{request_id}/{path}")).status == (200 if path == "0.png" else 404)


async def test_a_download_can_continue_after_a_part(api: Any) -> None:
    request_id = await api.submitted()
    api.clock.advance(5)
    path = f"/media/{request_id}/0.png"
    whole = await api.call("GET", path)
    size, etag = len(whole.content), whole.headers["Etag"]

    async def after(offset: int, condition: str) -> tuple[int, str | None, bytes]:
        answer = await api.call("GET", path, headers={"Range": f"bytes={offset}-", "If-Range": condition})
        return answer.status, answer.headers.get("Content-Range"), answer.content

    assert await after(100, etag) == (206, f"bytes 100-{size - 1}/{size}", whole.content[100:])
    assert await after(100, '"another"') == (200, None, whole.content)
    assert await after(size, etag) == (416, f"bytes */{size}", b"")


async def test_a_fault_of_a_download_can_be_limited_to_a_prompt(api: Any) -> None:
    fox, wolf = [await api.submitted(prompt) for prompt in ("fox", "wolf")]
    api.clock.advance(5)
    await api.plan(on="media", kind="503", prompt="wolf")
    assert [(await api.call("GET", f"/media/{one}/0.png")).status for one in (fox, wolf, wolf)] == [200, 503, 200]


async def test_a_failed_request_has_no_file(api: Any) -> None:
    request_id = await api.submitted("[fail]")
    api.clock.advance(5)
    assert (await api.call("GET", f"/media/{request_id}/0.png")).status == 404


async def test_downloads_return_501_without_the_sandbox_extra(api: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr("gateway.sandbox.media.render")
    monkeypatch.setitem(sys.modules, "gateway.sandbox.media.render", None)
    request_id = await api.submitted()
    api.clock.advance(5)
    answer = await api.call("GET", f"/media/{request_id}/0.png")
    assert answer.status == 501
    assert "need the extra sandbox" in answer.text


def _white_pixels(content: bytes) -> int:
    histogram = Image.open(io.BytesIO(content)).convert("L").histogram()
    return sum(histogram[250:])


def _box_of_white(content: bytes) -> tuple[int, int, int, int]:
    box = Image.open(io.BytesIO(content)).convert("L").point(lambda value: 255 if value >= 250 else 0).getbbox()
    assert box is not None
    return box


@pytest.mark.parametrize("text", ["fox", "a red fox in the snow " * 12, "x" * 300, "word " * 500, "füchse 狐"])
def test_the_prompt_fits_into_the_picture(text: str) -> None:
    content = render_png(Canvas(640, 480, text, "0"))
    left, top, right, bottom = _box_of_white(content)
    assert _white_pixels(content) > 100
    assert left > 10
    assert top > 10
    assert right < 630
    assert bottom < 470


def test_the_picture_depends_on_the_prompt() -> None:
    def drawn(text: str) -> bytes:
        return render_png(Canvas(320, 240, text, "0"))

    assert drawn("fox") == drawn("fox") != drawn("ox")
    assert _white_pixels(drawn("")) == 0


def test_the_seed_changes_the_colours() -> None:
    assert render_png(Canvas(64, 64, "", "1")) != render_png(Canvas(64, 64, "", "2"))


def test_a_video_shows_the_prompt() -> None:
    frame = _decoded(render_webm(Canvas(320, 180, "fox", "0")))[3].convert("L")
    without = _decoded(render_webm(Canvas(320, 180, "", "0")))[3].convert("L")
    assert sum(frame.histogram()[240:]) > sum(without.histogram()[240:]) + 50


@pytest.mark.parametrize(
    ("parameters", "image", "video"),
    [
        ({}, (1024, 1024), (640, 360)),
        ({"aspect_ratio": "4:3", "resolution": "720p"}, (960, 720), (640, 480)),
        ({"aspect_ratio": "3:4", "resolution": "720p"}, (720, 960), (480, 640)),
        ({"aspect_ratio": "16:9", "resolution": "2k"}, (2048, 1152), (640, 360)),
        ({"aspect_ratio": "auto", "resolution": "2K"}, (2048, 2048), (640, 360)),
        ({"aspect_ratio": "21:9", "resolution": "480p"}, (1120, 480), (640, 274)),
    ],
)
def test_sizes_follow_aspect_ratio_and_resolution(
    parameters: dict[str, str], image: tuple[int, int], video: tuple[int, int]
) -> None:
    assert image_size(parameters) == image
    assert video_size(parameters) == video
