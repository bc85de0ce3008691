"""Files as people attach them, and as somebody with bad intentions would: all are made here."""

import io
import struct
import zlib
from typing import Any

import pikepdf
from PIL import Image

# 35.3° N: where the picture was taken, as it is written into it.
PLACE = (35.0, 18.0, 12.25)
MAKER = b"ChoudoCamera"
SECRET = b"secret-behind-the-end"
SCRIPT = b"app.alert"


def make_picture(size: tuple[int, int] = (64, 48), kind: str = "JPEG", color: str = "red", **more: Any) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", size, color).save(out, kind, **more)
    return out.getvalue()


def make_photo() -> bytes:
    """A phone's photo, lying on its side, with where it was taken."""
    exif = Image.Exif()
    exif[0x010F] = MAKER.decode()
    exif[0x0112] = 6
    place = exif.get_ifd(0x8825)
    place[1], place[2], place[3], place[4] = "N", PLACE, "E", PLACE
    return make_picture(exif=exif, comment=MAKER)


def make_pdf(pages: int = 1, **save: Any) -> bytes:
    """A PDF with a picture that has a place in it, as an app for scanning makes it."""
    with pikepdf.new() as pdf:
        for _ in range(pages):
            add_page(pdf)
        pdf.docinfo["/Author"] = MAKER.decode()
        out = io.BytesIO()
        pdf.save(out, **save)
    return out.getvalue()


def add_page(pdf: pikepdf.Pdf) -> pikepdf.Page:
    page = pdf.add_blank_page()
    photo = pdf.make_stream(
        make_photo(), Type=pikepdf.Name.XObject, Subtype=pikepdf.Name.Image, Width=64, Height=48,
        ColorSpace=pikepdf.Name.DeviceRGB, BitsPerComponent=8, Filter=pikepdf.Name.DCTDecode,
    )  # fmt: skip
    font = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.Type1, BaseFont=pikepdf.Name.Helvetica)
    # Named as what is taken out elsewhere.
    page.obj.Resources = pikepdf.Dictionary(XObject=pikepdf.Dictionary(A=photo), Font=pikepdf.Dictionary(F=font))
    page.obj.Contents = pdf.make_stream(b"q 99 0 0 99 0 0 cm /A Do Q BT /F 12 Tf (Choudo) Tj ET")
    return page


def make_active_pdf() -> bytes:
    """A PDF with everything that acts, leads out, or hides something."""
    name, dictionary = pikepdf.Name, pikepdf.Dictionary
    with pikepdf.new() as pdf:
        page = add_page(pdf)
        script = dictionary(S=name.JavaScript, JS=SCRIPT.decode())
        launch = dictionary(S=name.Launch, F="cmd.exe")
        pdf.Root.OpenAction = script
        pdf.Root.AA = dictionary(WC=script)
        pdf.Root.AcroForm = dictionary(Fields=[], XFA=pdf.make_stream(b"<xdp>xfa-form</xdp>"))
        page.obj.AA = dictionary(O=launch)
        page.obj.PieceInfo = dictionary(Choudo=dictionary(Private=MAKER))
        page.obj.Metadata = pdf.make_stream(b"<x:xmpmeta>" + MAKER + b"</x:xmpmeta>")
        link = dictionary(
            Type=name.Annot, Subtype=name.Link, Rect=[0, 0, 9, 9], A=dictionary(S=name.URI, URI="https://evil.example")
        )
        media = dictionary(
            Type=name.Annot, Subtype=name.RichMedia, Rect=[0, 0, 9, 9], RichMediaContent=dictionary(A=launch)
        )
        page.obj.Annots = pdf.make_indirect(pikepdf.Array([pdf.make_indirect(link), pdf.make_indirect(media)]))
        # Where nobody looks: an action inside a font.
        page.obj.Resources.Font.F.Hidden = launch
        pdf.attachments["evil.exe"] = pikepdf.AttachedFileSpec(pdf, SECRET)
        with pdf.open_outline() as outline:
            outline.root.append(pikepdf.OutlineItem("x", 0))
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


def make_pdf_bomb() -> bytes:
    """A small PDF whose page is 300 MB when it is unpacked."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(1_048_576)) for _ in range(300)) + packer.flush()
    with pikepdf.new() as pdf:
        page = pdf.add_blank_page()
        page.obj.Contents = pdf.make_stream(b"")
        page.obj.Contents.write(packed, filter=pikepdf.Name.FlateDecode)
        out = io.BytesIO()
        pdf.save(out)
    return out.getvalue()


def make_png(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is so large."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
    )
