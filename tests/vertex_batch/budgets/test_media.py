"""Tokens of media by the published rules: a table, and ranges that always hold what is expected."""

from __future__ import annotations

import base64

import pytest

from tests.vertex_batch.budgets.inputs import gif, jpeg, mp3, pdf, png, wav
from vertex_batch.budgets.media import Family, MediaFile, family, image_tiles, media_tokens
from vertex_batch.usage import Modality

OLD, NEW, OTHER = Family.GEMINI_2, Family.GEMINI_3, Family.OTHER


def held(content: bytes, mime: str, **more) -> MediaFile:
    return MediaFile(mime, base64.b64encode(content).decode(), **more)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("gemini-2.0-flash-001", OLD),
        ("gemini-2.5-pro", OLD),
        ("gemini-live-2.5-flash", OLD),
        ("gemini-3-flash-preview", NEW),
        ("gemini-3.8-flash", NEW),
        ("gemini-4-argon", NEW),
        ("gemini-nano-banana-2.1", NEW),
        ("claude-sonnet-4-5", OTHER),
        ("", OTHER),
    ],
)
def test_models_have_the_rules_of_their_family(model, expected):
    assert family(model) is expected


@pytest.mark.parametrize(
    ("width", "height", "tiles"),
    [
        (384, 384, 1),
        (385, 384, 4),
        (960, 540, 6),
        (1024, 1024, 4),
        (768, 4000, 16),
        (4000, 3000, 24),
        (100, 2000, 8),
        (2000, 100, 8),
    ],
)
def test_a_picture_is_cut_into_tiles_of_google_s_size(width, height, tiles):
    assert image_tiles(width, height) == tiles


@pytest.mark.parametrize(
    ("file", "family_", "modality", "expected"),
    [
        (held(png(300, 200, 5000), "image/png"), OLD, Modality.IMAGE, 258),
        (held(jpeg(960, 540), "image/jpeg"), OLD, Modality.IMAGE, 6 * 258),
        (held(gif(960, 540), "image/png"), OLD, Modality.IMAGE, 6 * 258),
        (held(png(4000, 3000), "image/png", resolution="LOW"), OLD, Modality.IMAGE, 66),
        (held(png(4000, 3000), "image/png", resolution="MEDIUM"), OLD, Modality.IMAGE, 258),
        (held(png(10, 10), "image/png"), NEW, Modality.IMAGE, 1120),
        (MediaFile("image/png", resolution="LOW"), NEW, Modality.IMAGE, 280),
        (MediaFile("image/png", resolution="ULTRA_HIGH"), NEW, Modality.IMAGE, 2240),
        (held(png(750, 1000), "image/png"), OTHER, Modality.IMAGE, 1000),
        (held(wav(10), "audio/wav"), OLD, Modality.AUDIO, 320),
        (held(mp3(10), "audio/mpeg"), NEW, Modality.AUDIO, 320),
        (held(wav(10), "audio/wav", seconds=4), OLD, Modality.AUDIO, 128),
        (held(pdf(7), "application/pdf"), OLD, Modality.DOCUMENT, 7 * 258),
        (held(pdf(7), "application/pdf"), NEW, Modality.DOCUMENT, 7 * 560),
        (held(pdf(7), "application/pdf", resolution="HIGH"), NEW, Modality.DOCUMENT, 7 * 1120),
        (held(b"x" * 400, "text/plain"), NEW, Modality.DOCUMENT, 100),
        (MediaFile("video/mp4", seconds=10), OLD, Modality.VIDEO, 2630),
        (MediaFile("video/mp4", seconds=10, fps=2), OLD, Modality.VIDEO, 5210),
        (MediaFile("video/mp4", seconds=10, resolution="LOW"), OLD, Modality.VIDEO, 680),
        (MediaFile("video/mp4", seconds=10, resolution="LOW"), OLD, Modality.AUDIO, 320),
        (MediaFile("video/mp4", seconds=10), NEW, Modality.VIDEO, 700),
        (MediaFile("video/mp4", seconds=10, resolution="HIGH"), NEW, Modality.VIDEO, 2800),
    ],
)
def test_what_is_known_of_a_file_is_counted_by_the_rules(file, family_, modality, expected):
    found = media_tokens(file, family_)
    assert found.tokens[modality].expected == pytest.approx(expected, abs=3)
    assert found.assumed == ""


@pytest.mark.parametrize(
    ("file", "assumed"),
    [
        (MediaFile("image/png"), "pictures of unknown size"),
        (held(b"no picture", "image/png"), "pictures of unknown size"),
        (MediaFile("image/png", "!!"), "pictures of unknown size"),
        (MediaFile("video/mp4"), "video of unknown length, taken to last 60 seconds"),
        (held(b"v" * 250_000, "video/mp4"), "video whose length was guessed"),
        (MediaFile("audio/ogg"), "sound of unknown length, taken to last 60 seconds"),
        (MediaFile("application/pdf"), "documents of unknown length, taken to have 10 pages"),
        (held(pdf(1, packed=True), "application/pdf"), "documents whose pages were guessed"),
        (MediaFile("text/csv"), "texts of unknown length"),
        (MediaFile(""), "documents of unknown length"),
    ],
)
def test_what_is_not_known_of_a_file_is_assumed_aloud_and_with_a_wide_range(file, assumed):
    found = media_tokens(file, OLD)
    assert assumed in found.assumed
    counts = [count for count in found.tokens.values() if count.expected]
    assert counts
    assert all(count.high > 3 * count.low > 0 for count in counts)


@pytest.mark.parametrize("family_", list(Family))
@pytest.mark.parametrize("mime", ["image/png", "audio/wav", "video/mp4", "application/pdf", "text/plain", ""])
@pytest.mark.parametrize("resolution", ["", "LOW", "MEDIUM", "HIGH", "ULTRA_HIGH"])
@pytest.mark.parametrize("content", [b"", png(900, 900, 999), wav(3), pdf(3)])
def test_every_range_is_in_order(family_, mime, resolution, content):
    for count in media_tokens(held(content, mime, resolution=resolution), family_).tokens.values():
        assert 0 <= count.low <= count.expected <= count.high
