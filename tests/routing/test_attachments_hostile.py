"""Files from people with bad intentions, or bad luck, through the door: what is kept only shows itself."""

import gzip
import io
import zipfile

import httpx
import pikepdf
import pytest
import pytest_asyncio
from PIL import Image

from services.routing.attachments.clean import CODES, FILE_MAX_BYTES, PAGES_MAX, PIXELS_MAX
from services.routing.pages.wording import REFUSALS
from shared.db import Database
from tests.routing.applying import SEE_OTHER
from tests.routing.attaching import attach, attached, begin, count, error_of, publish, stored
from tests.routing.conftest import Visitor
from tests.routing.files import (
    MAKER,
    SCRIPT,
    SECRET,
    make_active_pdf,
    make_pdf,
    make_pdf_bomb,
    make_photo,
    make_picture,
    make_png,
)

HTML = b"<html><script>alert(1)</script></html>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'
UNPROCESSABLE = httpx.codes.UNPROCESSABLE_ENTITY


def make_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("bomb", bytes(20_000_000))
    return out.getvalue()


NOT_TAKEN = {
    "nothing": (b"", "attachment_empty"),
    "HTML": (HTML, "attachment_type"),
    "SVG with a script": (SVG, "attachment_type"),
    "GIF that is a script": (b"GIF89a/*\x00\x00*/=1;alert(1)", "attachment_type"),
    "GIF": (make_picture(kind="GIF"), "attachment_type"),
    "TIFF": (make_picture(kind="TIFF"), "attachment_type"),
    "ZIP bomb": (make_zip(), "attachment_type"),
    "gzip": (gzip.compress(bytes(5_000_000)), "attachment_type"),
    "PDF behind something else": (b"MZ" + make_pdf(), "attachment_type"),
    "ZIP as PDF": (b"%PDF-1.7\n" + make_zip(), "attachment_damaged"),
    "HTML as PDF": (b"%PDF-1.7\n" + HTML, "attachment_damaged"),
    "HTML as JPEG": (b"\xff\xd8\xff\xe0" + HTML, "attachment_damaged"),
    "huge picture in a tiny file": (make_png(50_000, 50_000), "attachment_too_many_pixels"),
    "as huge as a PNG can say": (make_png(2**31 - 1, 2**31 - 1), "attachment_too_many_pixels"),
    "one dot too many": (make_png(1, PIXELS_MAX + 1), "attachment_too_many_pixels"),
    "picture of which nothing is there": (make_png(5_000, 5_000), "attachment_damaged"),
    "JPEG cut off": (make_photo()[:-200], "attachment_damaged"),
    "PNG cut off": (make_picture(kind="PNG")[:80], "attachment_damaged"),
    "PDF cut off": (make_pdf()[:300], "attachment_damaged"),
    "one page too many": (make_pdf(PAGES_MAX + 1), "attachment_too_many_pages"),
    "password": (make_pdf(encryption=pikepdf.Encryption(owner="o", user="u")), "attachment_locked"),
    "encrypted": (make_pdf(encryption=pikepdf.Encryption(owner="o", user="")), "attachment_locked"),
    "flate bomb in a PDF": (make_pdf_bomb(), "attachment_too_complex"),
}


@pytest_asyncio.fixture
async def case(db: Database, visitor: Visitor) -> str:
    await publish(db)
    return await begin(visitor)


async def kept(visitor: Visitor, case: str) -> httpx.Response:
    """The one file that is kept, as its owner opens it."""
    (path,) = await attached(visitor, case)
    answer = await visitor.get(path)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer


async def test_of_a_photo_nothing_is_kept_but_what_it_shows(db: Database, visitor: Visitor, case: str) -> None:
    """Its place, its camera and its comment are gone; it stands upright."""
    photo = make_photo()
    assert MAKER in photo
    assert (await attach(visitor, case, photo)).status_code == SEE_OTHER
    answer = await kept(visitor, case)
    with Image.open(io.BytesIO(answer.content)) as picture:
        assert (picture.format, picture.size, dict(picture.getexif())) == ("JPEG", (48, 64), {})
        assert "comment" not in picture.info
    assert MAKER not in answer.content
    assert b"Exif" not in answer.content
    # Nothing of it can be read in the database.
    assert all(b"JFIF" not in sealed for sealed in await stored(db))


POLYGLOTS = {
    "JPEG with something behind it": make_photo() + SECRET,
    "PNG with something behind it": make_picture(kind="PNG") + SECRET,
    "JPEG that is a ZIP as well": make_picture() + make_zip() + SECRET,
    "JPEG that is a PDF as well": make_picture() + make_active_pdf() + SECRET,
    "JPEG with HTML in its comment": make_picture(comment=HTML) + SECRET,
    "WebP with something in its Exif": make_picture(kind="WEBP", exif=b"Exif\0\0" + SECRET),
}
# What a sender may call a file.
NAMES = ("x.jpg", "x.pdf", "x.html", "../../etc/passwd", "a\nb.png", "\u202egpj.exe", "a" * 300)


async def test_of_a_polyglot_only_the_picture_is_kept(visitor: Visitor, case: str) -> None:
    for what, body in POLYGLOTS.items():
        assert (await attach(visitor, case, body)).status_code == SEE_OTHER, what
        answer = await kept(visitor, case)
        assert answer.headers["content-type"] == "image/jpeg", what
        for trace in (SECRET, b"PK\x03\x04", b"%PDF", b"<script"):
            assert trace not in answer.content, what
        await visitor.post(f"{answer.url.path}/remove")


async def test_what_its_sender_calls_a_file_counts_nothing_and_is_not_kept(visitor: Visitor, case: str) -> None:
    for name in NAMES:
        assert (await attach(visitor, case, name=name, kind="text/html")).status_code == SEE_OTHER, name
    for path in await attached(visitor, case):
        answer = await visitor.get(path)
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["content-disposition"] == 'inline; filename="file.jpg"'
    page = await visitor.get(f"{case}/attachments")
    assert "passwd" not in page.text
    assert "gpj" not in page.text


async def test_a_file_is_served_so_that_it_can_do_nothing(visitor: Visitor, case: str) -> None:
    assert (
        await attach(visitor, case, make_pdf(), kind="image/png", item="attached_bankbook")
    ).status_code == SEE_OTHER
    answer = await kept(visitor, case)
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == 'attachment; filename="file.pdf"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-store"


ACTING = {
    "/AA", "/OpenAction", "/JS", "/JavaScript", "/Launch", "/URI", "/AcroForm", "/XFA", "/Names", "/EmbeddedFiles",
    "/EF", "/Annots", "/RichMediaContent", "/Metadata", "/PieceInfo", "/Outlines", "/Info", "/Author",
}  # fmt: skip


def keys_of(thing: object) -> set[str]:
    """Every key that stands anywhere in an object."""
    if isinstance(thing, pikepdf.Array):
        return {key for each in list(thing) for key in keys_of(each) if not getattr(each, "is_indirect", False)}
    if isinstance(thing, pikepdf.Dictionary | pikepdf.Stream):
        inner = [each for key in set(thing.keys()) if not getattr(each := thing.get(key), "is_indirect", False)]
        return set(thing.keys()) | {key for each in inner for key in keys_of(each)}
    return set()


async def test_of_a_pdf_only_what_is_drawn_is_kept(visitor: Visitor, case: str) -> None:
    """No script, no action, no other file, no form, no link, nothing of its author or of the photo's place in it."""
    active = make_active_pdf()
    assert SCRIPT in active
    assert (await attach(visitor, case, active, item="attached_bankbook")).status_code == SEE_OTHER
    answer = await kept(visitor, case)
    with pikepdf.open(io.BytesIO(answer.content)) as pdf:
        found = set().union(*(keys_of(thing) for thing in pdf.objects)) | set(pdf.trailer.keys())
        assert found & ACTING == set()
        # What is drawn is drawn as before, by the names that its page gives it.
        page = pdf.pages[0].obj
        assert set(page.Resources.XObject.keys()) == {"/A"}
        assert set(page.Resources.Font.keys()) == {"/F"}
        assert b"(Choudo) Tj" in page.Contents.read_bytes()
        photo = page.Resources.XObject.A.read_raw_bytes()
    with Image.open(io.BytesIO(photo)) as picture:
        picture.load()
        assert dict(picture.getexif()) == {}
    for trace in (SCRIPT, SECRET, MAKER, b"evil", b"cmd.exe", b"xfa", b"Exif"):
        assert trace not in answer.content


async def test_what_is_not_taken_is_refused_with_words_and_leaves_nothing(
    db: Database, visitor: Visitor, case: str
) -> None:
    for what, (body, code) in NOT_TAKEN.items():
        answer = await attach(visitor, case, body)
        assert error_of(answer).startswith(REFUSALS[code].title), (what, error_of(answer))
        assert answer.status_code == UNPROCESSABLE, what
    assert await count(db, "attachment") == 0
    # What was typed is there.
    assert "ソファ" in (await visitor.get(f"{case}/form")).text


async def test_a_file_has_a_limit_to_the_byte_and_a_giant_body_is_never_held(
    db: Database, visitor: Visitor, case: str
) -> None:
    picture = make_picture()
    just = picture + bytes(FILE_MAX_BYTES - len(picture))
    assert (await attach(visitor, case, just)).status_code == SEE_OTHER
    for body in (just + b"\0", just + bytes(5_000_000)):
        answer = await attach(visitor, case, body)
        assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
        assert error_of(answer).startswith(REFUSALS["attachment_too_large"].title)
    # Without end, and without saying how long.
    sent = 0

    async def without_end() -> object:
        nonlocal sent
        while True:
            sent += 1_048_576
            yield bytes(1_048_576)

    kind = {"content-type": "multipart/form-data; boundary=x"}
    answer = await visitor.http.post(f"{case}/attachments", content=without_end(), headers=kind)  # type: ignore[arg-type]
    assert answer.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE
    assert sent <= 110_000_000
    assert await count(db, "attachment") == 1


async def test_what_is_no_form_with_a_file_is_refused(visitor: Visitor, case: str) -> None:
    file = b'--x\r\nContent-Disposition: form-data; name="a"; filename="b"\r\n\r\nz\r\n--x--\r\n'
    for content, kind in (
        (b"item=photos", "application/x-www-form-urlencoded"),
        (b"--x\r\n\r\n", "multipart/form-data"),
        (b"--x\r\nContent-Dispos", "multipart/form-data; boundary=x"),
        (file, "multipart/form-data; boundary=x"),
        (bytes(100), ""),
    ):
        answer = await visitor.http.post(f"{case}/attachments", content=content, headers={"content-type": kind})
        assert answer.status_code == httpx.codes.BAD_REQUEST, content


def test_every_code_of_the_child_process_has_words() -> None:
    assert set(REFUSALS) >= CODES


async def test_the_process_that_opens_files_knows_no_key_and_no_time_without_end(tmp_path: object) -> None:
    """A decoder that never ends is ended; a process that breaks is a refusal."""
    from services.routing.attachments import cleaning
    from services.routing.attachments.cleaning import Cleaner
    from shared.errors import Refusal

    with pytest.raises(Refusal, match="attachment_too_complex"):
        await Cleaner(max_s=0.01).clean(make_photo())
    with pytest.raises(Refusal, match="attachment_too_complex"):
        cleaning._read_answer(b"", -11)
    with pytest.raises(Refusal, match="attachment_too_complex"):
        cleaning._read_answer(b'{"kind": "jpeg", "size_bytes": 9, "small_bytes": 0}\nshort', 0)
    with pytest.raises(Refusal, match="attachment_too_complex"):
        cleaning._read_answer(b'{"refused": "role_missing"}\n', 0)
