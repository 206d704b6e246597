"""Headers of media files: what they state, and that hostile ones state nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.vertex_batch.budgets.inputs import gif, jpeg, mp3, pdf, png, wav, webp
from vertex_batch.budgets.media_headers import audio_seconds, image_size, pdf_pages


@pytest.mark.parametrize(
    ("content", "size"),
    [
        (png(640, 480), (640, 480)),
        (png(0, 480), None),
        (gif(3, 70_00), (3, 7000)),
        (jpeg(4000, 3000), (4000, 3000)),
        (jpeg(20, 30, metadata=60_000), (20, 30)),
        (webp(5000, 20), (5000, 20)),
        (webp(321, 123, b"VP8L"), (321, 123)),
        (webp(321, 123, b"VP8 "), (321, 123)),
        (png(640, 480)[:20], None),
        (jpeg(20, 30)[:50], None),
        (webp(5000, 20)[:28], None),
        (b"<svg/>", None),
        (b"", None),
    ],
)
def test_the_size_of_a_picture_is_read_from_its_header(content, size):
    assert image_size(content) == size


@pytest.mark.parametrize(
    ("content", "seconds"),
    [
        (wav(12.5), 12.5),
        (wav(2, stated=0), 2),
        (wav(2, stated=0xFFFFFFFF), 2),
        (mp3(30), 30),
        (mp3(30, tag=b"\x00" * 300), 30),
        (mp3(5, frames=1000), 1000 * 1152 / 44100),
        (b"OggS" + b"\x00" * 100, None),
        (b"RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00", None),
        (b"\xff\xfb", None),
        (b"", None),
    ],
)
def test_the_length_of_sound_is_read_from_its_header(content, seconds):
    found = audio_seconds(content, len(content))
    assert found == (None if seconds is None else pytest.approx(seconds, rel=0.01))


@pytest.mark.parametrize(
    ("content", "pages"),
    [
        (pdf(7), 7),
        (pdf(1), 1),
        (b"%PDF-1.5 << /Type /Pages /Count 12 /Kids [3 0 R] >>", 12),
        (b"%PDF-1.5 << /Type /Pages /Count 12 0 R >>", None),
        (pdf(3, packed=True), None),
        (b"/Type /Page", None),
        (b"", None),
    ],
)
def test_the_pages_of_a_document_are_counted_where_they_can_be_seen(content, pages):
    assert pdf_pages(content) == pages


@given(
    st.binary(max_size=200),
    st.sampled_from(
        [b"", png(1, 1), jpeg(1, 1, 2)[:8], wav(0.01)[:40], b"\xff\xfb", b"RIFFxxxxWEBPVP8X", b"ID3"]
    ),
)
def test_no_content_breaks_a_reader(tail, head):
    content = head + tail
    size = image_size(content)
    assert size is None or min(size) > 0
    seconds = audio_seconds(content, len(content))
    assert seconds is None or seconds >= 0
    pages = pdf_pages(b"%PDF" + content)
    assert pages is None or pages > 0
