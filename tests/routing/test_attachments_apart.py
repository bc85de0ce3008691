"""What opens a file is apart from everything else, and carries over nothing that stands behind a picture's end."""

import asyncio
import io
from collections.abc import Callable
from pathlib import Path

import pikepdf
import pytest
from PIL import Image

from services.routing.attachments import cleaning
from services.routing.attachments.clean import strip_jpeg
from services.routing.attachments.cleaning import Cleaner
from shared.db import Database
from shared.errors import Refusal
from tests.routing.applying import SEE_OTHER
from tests.routing.attaching import attach, attached, begin, publish
from tests.routing.conftest import Visitor
from tests.routing.files import MAKER, SECRET, make_pdf, make_photo, make_picture

NewVisitor = Callable[..., Visitor]


def make_two() -> bytes:
    """As phones keep a photo: a second one behind the first, which has a place of its own."""
    return make_picture(progressive=True) + SECRET + make_photo()


def make_pdf_of(photo: bytes) -> bytes:
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        picture = pdf.make_stream(
            photo, Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image, Width=64, Height=48,
            ColorSpace=pikepdf.Name.DeviceRGB, BitsPerComponent=8, Filter=pikepdf.Name.DCTDecode,
        )  # fmt: skip
        page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(A=picture))
        page.obj.Contents = pdf.make_stream(b"q 99 0 0 99 0 0 cm /A Do Q")
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


async def test_of_a_picture_in_a_pdf_nothing_behind_its_end_is_kept(db: Database, visitor: Visitor) -> None:
    """Seen to fail while everything up to the stream's last end of a picture was copied."""
    await publish(db)
    case = await begin(visitor)
    assert (await attach(visitor, case, make_pdf_of(make_two()))).status_code == SEE_OTHER
    (path,) = await attached(visitor, case)
    kept = await visitor.get(path)
    with pikepdf.open(io.BytesIO(kept.content)) as pdf:
        picture = pdf.pages[0].obj.Resources.XObject.A
        body = picture.read_raw_bytes()
    assert MAKER not in body
    assert SECRET not in body
    assert b"Exif" not in body
    with Image.open(io.BytesIO(body)) as shown, Image.open(io.BytesIO(make_picture(progressive=True))) as before:
        assert shown.tobytes() == before.tobytes()


def test_between_two_scans_nothing_is_told() -> None:
    photo = make_picture(progressive=True)
    scan = photo.rindex(b"\xff\xda")
    told = photo[:scan] + b"\xff\xe1\x00\x0cExif\0\0abcd" + b"\xff\xfe\x00\x06xyzw" + photo[scan:]
    assert strip_jpeg(told) == strip_jpeg(photo) == photo


def test_of_what_may_stand_in_a_head_only_its_own_kind_is_kept() -> None:
    photo = make_picture()
    assert strip_jpeg(photo[:2] + b"\xff\xe2\x00\x0aMPF\0abcd" + photo[2:]) == photo
    profile = b"\xff\xe2\x00\x12ICC_PROFILE\0abcd"
    assert strip_jpeg(photo[:2] + profile + photo[2:]) == photo[:2] + profile + photo[2:]


OPENING = """
import os, socket, sys
sys.path.insert(0, {folder!r})
import clean
def clean_nothing(data):
    try:
        {deed}
    except OSError as error:
        raise clean.Refused("attachment_damaged") from error
    raise clean.Refused("attachment_infected")
clean.clean = clean_nothing
clean.main()
"""


@pytest.mark.parametrize("deed", ["open('/proc/self/status')", "socket.socket()", "os.pipe()"])
async def test_the_process_opens_nothing_any_more(deed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that was taken over reaches no file of a key and no server. Seen to fail without the limit of files."""
    script = tmp_path / "taken_over.py"
    script.write_text(OPENING.format(folder=str(cleaning.SCRIPT.parent), deed=deed))
    monkeypatch.setattr(cleaning, "SCRIPT", script)
    with pytest.raises(Refusal, match="attachment_damaged"):
        await Cleaner().clean(make_photo())


async def test_an_answer_without_end_is_not_read_to_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen to fail while all of it was read: the time's limit came first."""
    script = tmp_path / "endless.py"
    script.write_text("import sys\nwhile True: sys.stdout.write('x' * 1_000_000)")
    monkeypatch.setattr(cleaning, "SCRIPT", script)
    with pytest.raises(Refusal, match="attachment_too_complex"):
        await asyncio.wait_for(Cleaner().clean(b"%PDF-"), timeout=10)


@pytest.mark.parametrize(
    "body",
    [
        make_photo(),
        make_picture(kind="PNG"),
        make_picture(kind="WEBP"),
        make_picture(kind="MPO", save_all=True, append_images=[Image.new("RGB", (64, 48))]),
        make_pdf(2),
    ],
    ids=["JPEG", "PNG", "WebP", "MPO", "PDF"],
)
async def test_each_kind_is_read_though_nothing_can_be_opened(body: bytes) -> None:
    cleaned = await Cleaner().clean(body)
    assert cleaned.body
