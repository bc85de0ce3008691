"""Makes a file anew from what it shows, in a process of its own: `python -I clean.py`, file in, answer out.

A picture is decoded and drawn again, a PDF is written again page by page. What nobody sees (place, camera, author,
scripts, other files, whatever stands behind the end) is in neither. The process has limits of time and memory, opens
nothing after its imports and knows no key: whatever a file does to a decoder, it does it here. It imports nothing of
ours.

The answer is a line of JSON, then the bytes of the file and of its small picture. A refused file has a code only.
"""

import io
import json
import re
import resource
import sys
import zlib
from collections.abc import Iterator
from typing import Any

FILE_MAX_BYTES = 10 * 1024 * 1024
# 48-megapixel phones are let in; four bytes each, twice, stay below the memory's limit.
PIXELS_MAX = 50_000_000
# A sheet of A4 at 300 dots per inch: more is not needed to see what is on it.
SIDE_MAX_PX = 3_508
SMALL_SIDE_PX = 240
JPEG_QUALITY = 88
SMALL_QUALITY = 70
PAGES_MAX = 50
OBJECTS_MAX = 50_000
DEPTH_MAX = 200
# What all of a PDF's streams may be, unpacked.
UNPACKED_MAX_BYTES = 150 * 1024 * 1024
MEMORY_MAX_BYTES = 1024 * 1024 * 1024
CPU_MAX_S = 20

PICTURES = ((b"\xff\xd8\xff", "JPEG"), (b"\x89PNG\r\n\x1a\n", "PNG"))
PDF_HEAD = b"%PDF-"

# Of a page, what is needed to draw it.
PAGE_KEYS = frozenset({
    "/Type", "/Parent", "/MediaBox", "/CropBox", "/BleedBox", "/TrimBox", "/ArtBox", "/Rotate", "/UserUnit",
    "/Resources", "/Contents", "/Group",
})  # fmt: skip
# Anywhere else: what acts, leads out of the file, holds other files, or tells of who made it.
NOWHERE = frozenset({
    "/AA", "/OpenAction", "/JavaScript", "/AcroForm", "/XFA", "/Names", "/EmbeddedFiles", "/EF", "/AF", "/Annots",
    "/RichMediaContent", "/Metadata", "/PieceInfo", "/OPI", "/Outlines", "/Dests", "/Collection", "/Perms",
})  # fmt: skip
# Of a stream: its content in another file, or drawn from one. Elsewhere a page may call a font so.
NOT_OF_STREAMS = frozenset({"/F", "/FFilter", "/FDecodeParms", "/Ref", "/PS", "/Alternates"})
ACTIONS = frozenset({
    "/JavaScript", "/Launch", "/URI", "/GoTo", "/GoToR", "/GoToE", "/GoTo3DView", "/SubmitForm", "/ImportData",
    "/ResetForm", "/Rendition", "/Movie", "/Sound", "/Thread", "/Named", "/Hide", "/SetOCGState", "/Trans",
    "/RichMediaExecute",
})  # fmt: skip
# Of a JPEG inside a PDF: its own head and colours stay, everything else that is told beside the picture goes.
JPEG_KEPT = {0xE0: b"JFIF\0", 0xE2: b"ICC_PROFILE\0", 0xEE: b"Adobe"}
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8", 0xDA, 0xD9
# Where the dots of a scan end: in them stand only FF 00 and the marks from which a decoder can go on.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7]")


CODES = frozenset({
    "attachment_empty", "attachment_type", "attachment_too_large", "attachment_too_many_pixels", "attachment_damaged",
    "attachment_locked", "attachment_too_many_pages", "attachment_too_complex",
})  # fmt: skip


class Refused(Exception):
    """This file is not taken; the message is the refusal's code."""


def clean(data: bytes) -> tuple[dict[str, Any], bytes, bytes]:
    """What the file is, by its content alone, the file made anew, and a small picture of it (none of a PDF).

    Raises:
        Refused: with the code of the reason.
    """
    if not data:
        raise Refused("attachment_empty")
    if len(data) > FILE_MAX_BYTES:
        raise Refused("attachment_too_large")
    if data.startswith(PDF_HEAD):
        pages, made = clean_pdf(data)
        return {"kind": "pdf", "pages": pages}, _within(made), b""
    for head, name in PICTURES:
        if data.startswith(head):
            return _picture(data, name)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _picture(data, "WEBP")
    raise Refused("attachment_type")


def _picture(data: bytes, name: str) -> tuple[dict[str, Any], bytes, bytes]:
    made, small = clean_picture(data, name)
    return {"kind": "jpeg", "pages": 1}, _within(made), small


def _within(made: bytes) -> bytes:
    if len(made) > FILE_MAX_BYTES:
        raise Refused("attachment_too_large")
    return made


def clean_picture(data: bytes, name: str) -> tuple[bytes, bytes]:
    """The picture drawn again, upright, as a JPEG without anything beside it; and a small one."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = PIXELS_MAX
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as picture:
            # Before a single dot is decoded.
            _refuse_pixels(picture.width, picture.height)
            if name == "JPEG":
                picture.draft("RGB", (SIDE_MAX_PX, SIDE_MAX_PX))
            picture.load()
            # Made smaller first: every step after it needs less memory.
            picture.thumbnail((SIDE_MAX_PX, SIDE_MAX_PX))
            drawn = _on_white(_upright(picture))
    except Image.DecompressionBombError as error:
        raise Refused("attachment_too_many_pixels") from error
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a decoder's errors are of every kind
        raise Refused("attachment_damaged") from error
    small = drawn.copy()
    small.thumbnail((SMALL_SIDE_PX, SMALL_SIDE_PX))
    return _jpeg(drawn, JPEG_QUALITY), _jpeg(small, SMALL_QUALITY)


def _upright(picture: Any) -> Any:
    from PIL import ImageOps

    try:
        return ImageOps.exif_transpose(picture)
    except Exception:  # noqa: BLE001 - what lies beside the picture may be broken: the picture is not
        return picture


def _on_white(picture: Any) -> Any:
    """Only the dots: a fresh picture has nothing of what the old one carried along."""
    from PIL import Image

    is_clear = picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info
    dots = picture.convert("RGBA" if is_clear else "RGB")
    fresh = Image.new("RGB", picture.size, "white")
    fresh.paste(dots, mask=dots if is_clear else None)
    return fresh


def _jpeg(picture: Any, quality: int) -> bytes:
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=quality, optimize=True)
    return out.getvalue()


def clean_pdf(data: bytes) -> tuple[int, bytes]:
    """How many pages, and the PDF written again: what is drawn on them, and nothing that acts or tells more."""
    import pikepdf

    try:
        with pikepdf.open(io.BytesIO(data)) as pdf:
            pages = _count_pages(pdf)
            _refuse_bombs(pdf)
            # What was filled in, and notes on the page, become part of what is drawn.
            pdf.generate_appearance_streams()
            pdf.flatten_annotations("all")
            for page in pdf.pages:
                for key in set(page.obj.keys()) - PAGE_KEYS:
                    del page.obj[key]
            # A new file has no catalogue of the old one's: no actions, names, forms, attached files.
            with pikepdf.new() as made:
                made.pages.extend(pdf.pages)
                _take_out(made)
                out = io.BytesIO()
                made.save(out, deterministic_id=True, linearize=False)
    except pikepdf.PasswordError as error:
        raise Refused("attachment_locked") from error
    except (Refused, MemoryError):
        raise
    except Exception as error:  # a parser's errors are of every kind
        raise Refused("attachment_damaged") from error
    return pages, out.getvalue()


def _count_pages(pdf: Any) -> int:
    if pdf.is_encrypted:
        raise Refused("attachment_locked")
    pages = len(pdf.pages)
    if not pages:
        raise Refused("attachment_damaged")
    if pages > PAGES_MAX:
        raise Refused("attachment_too_many_pages")
    return pages


def _refuse_pixels(width: int, height: int) -> None:
    if width * height > PIXELS_MAX:
        raise Refused("attachment_too_many_pixels")


def _refuse_bombs(pdf: Any) -> None:
    """Refuse what would fill the memory of whoever opens it: streams are unpacked here, piece by piece, and counted."""
    import pikepdf

    if len(pdf.objects) > OBJECTS_MAX:
        raise Refused("attachment_too_complex")
    left = UNPACKED_MAX_BYTES
    for thing in pdf.objects:
        if not isinstance(thing, pikepdf.Stream):
            continue
        if thing.get("/Subtype") == "/Image":
            _refuse_pixels(_number(thing, "/Width"), _number(thing, "/Height"))
        filters = _filters(thing)
        if filters.count("/FlateDecode") + filters.count("/LZWDecode") > 1:
            raise Refused("attachment_too_complex")
        if filters[:1] == ["/FlateDecode"]:
            left -= _unpacked_length(thing.read_raw_bytes(), left)
        elif filters and filters[-1] not in ("/DCTDecode", "/JPXDecode", "/JBIG2Decode", "/CCITTFaxDecode"):
            left -= len(thing.read_bytes())
        if left < 0:
            raise Refused("attachment_too_complex")


def _filters(stream: Any) -> list[str]:
    import pikepdf

    found = stream.get("/Filter")
    if found is None:
        return []
    return [str(each) for each in found] if isinstance(found, pikepdf.Array) else [str(found)]


def _number(stream: Any, key: str) -> int:
    try:
        return int(stream.get(key, 0))
    except (TypeError, ValueError):
        return 0


def _unpacked_length(data: bytes, most: int) -> int:
    """How long it is unpacked, up to one byte more than `most`."""
    unpacker, length = zlib.decompressobj(), 0
    while data and not unpacker.eof:
        piece = unpacker.decompress(data, 1_048_576)
        length += len(piece)
        if length > most:
            return most + 1
        data = unpacker.unconsumed_tail
    return length


def _take_out(pdf: Any) -> None:
    """Take out of every object what acts or tells; of pictures what stands beside them."""
    import pikepdf

    if "/Info" in pdf.trailer:
        del pdf.trailer["/Info"]
    for key in set(pdf.Root.keys()) - {"/Type", "/Pages"}:
        del pdf.Root[key]
    for thing in pdf.objects:
        for each in _dictionaries(thing, 0):
            for key in list(each.keys()):
                is_told = key in NOWHERE or (key in NOT_OF_STREAMS and isinstance(each, pikepdf.Stream))
                if is_told or _is_action(each.get(key)):
                    del each[key]
        if isinstance(thing, pikepdf.Stream):
            _take_out_of_stream(thing)


def _is_action(thing: Any) -> bool:
    import pikepdf

    return isinstance(thing, pikepdf.Dictionary) and str(thing.get("/S", "")) in ACTIONS


def _take_out_of_stream(stream: Any) -> None:
    import pikepdf

    if stream.get("/Subtype") == "/PS":
        stream.write(b"")
    filters = _filters(stream)
    if filters == ["/DCTDecode"]:
        stream.write(strip_jpeg(stream.read_raw_bytes()), filter=pikepdf.Name.DCTDecode, decode_parms=None)
    elif "/JPXDecode" in filters or filters[-1:] == ["/DCTDecode"]:
        # A scanner writes plain JPEG; what is packed otherwise could carry a place, and is not looked into.
        raise Refused("attachment_too_complex")


def _dictionaries(thing: Any, depth: int) -> Iterator[Any]:
    """The dictionaries that stand in an object itself; what it refers to is an object of its own."""
    import pikepdf

    if depth > DEPTH_MAX:
        raise Refused("attachment_too_complex")
    if isinstance(thing, pikepdf.Stream | pikepdf.Dictionary):
        yield thing
        inner = [thing[key] for key in list(thing.keys()) if key in thing]
    elif isinstance(thing, pikepdf.Array):
        inner = list(thing)
    else:
        return
    for each in inner:
        if isinstance(each, pikepdf.Dictionary | pikepdf.Array) and not each.is_indirect:
            yield from _dictionaries(each, depth + 1)


def strip_jpeg(data: bytes) -> bytes:
    """A JPEG up to its own end, without what is told beside the picture (Exif with its place, comments), its dots
    untouched. Behind the end of a phone's photo stand others, each with an Exif of its own.

    Raises:
        Refused: it is none.
    """
    if not data.startswith(_JPEG_START):
        raise Refused("attachment_damaged")
    out, at = bytearray(_JPEG_START), 2
    while at + 2 <= len(data):
        if data[at] != 0xFF:
            raise Refused("attachment_damaged")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == _JPEG_END:
            return bytes(out + data[at : at + 2])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end < at + 4:
            raise Refused("attachment_damaged")
        is_told = 0xE0 <= marker <= 0xEF or marker == 0xFE
        if not is_told or (marker in JPEG_KEPT and data.startswith(JPEG_KEPT[marker], at + 4)):
            out += data[at:end]
        if marker == _JPEG_SCAN:
            found = _JPEG_MARKER.search(data, end)
            stop = found.start() if found else len(data)
            out += data[end:stop]
            if found is None:
                # Cut off: shown as far as it goes.
                return bytes(out)
            end = stop
        at = end
    raise Refused("attachment_damaged")


def _import_all() -> None:
    """What is imported only when it is needed, before nothing can be opened any more."""
    import encodings.ascii
    import encodings.latin_1
    import encodings.utf_16
    import encodings.utf_16_be
    import encodings.utf_16_le  # noqa: F401

    import pikepdf
    from PIL import Image, ImageOps, MpoImagePlugin, TiffImagePlugin, WebPImagePlugin  # noqa: F401

    Image.preinit()
    # A locked PDF is told from a broken one by what its library loads first with such a file.
    out = io.BytesIO()
    with pikepdf.new() as pdf:
        pdf.save(out, encryption=pikepdf.Encryption(owner="o", user=""))
    pikepdf.open(out).close()


def main() -> None:
    """Read a file, write the answer. Whatever goes beyond the limits ends the process, and its parent says so."""
    _import_all()
    # Before a byte of the file is read: the keys of the service lie in files and in its process, beside this one.
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_MAX_BYTES, MEMORY_MAX_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_MAX_S, CPU_MAX_S))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    data = sys.stdin.buffer.read(FILE_MAX_BYTES + 1)
    made, small = b"", b""
    try:
        about, made, small = clean(data)
        about |= {"size_bytes": len(made), "small_bytes": len(small)}
    except Refused as refused:
        about = {"refused": str(refused)}
    except MemoryError:
        about = {"refused": "attachment_too_complex"}
    out = sys.stdout.buffer
    out.write(json.dumps(about).encode() + b"\n" + made + small)
    out.flush()


if __name__ == "__main__":
    main()
