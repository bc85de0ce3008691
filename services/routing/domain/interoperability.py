"""Items by the names of the Government Interoperability Framework (政府相互運用性フレームワーク, GIF).

Source: GIF コアデータモデル (個人, 住所, 連絡先). What it has no name for keeps our key.
"""

from collections.abc import Callable, Sequence

from services.routing.domain.addresses import Place, split_address
from services.routing.domain.items import ADDRESS_ITEMS, unpack_value

# 性別: ISO 5218. Who does not say is "not known".
SEX_CODES = {"unsaid": "0", "male": "1", "female": "2"}
NAME_PIECES = 2

Places = Callable[[str], Sequence[Place]]


def gif_record(item: str, value: str, places_of: Places) -> dict[str, str]:
    """One item as pairs of GIF names and values, empty ones left out. `places_of` looks a postal code up."""
    parts = unpack_value(item, value)
    if item in ADDRESS_ITEMS:
        address = split_address(
            parts.get("postal_code", ""), parts.get("line", ""), parts.get("building", ""),
            places_of(parts.get("postal_code", "")),
        )  # fmt: skip
        record = {
            "郵便番号": address.postal_code,
            "全国地方公共団体コード": address.code,
            "都道府県": address.prefecture,
            "市区町村": address.city,
            "町字": address.area,
            "番地以下": address.rest,
            "方書": address.building,
            "住所": "".join(filter(None, (address.prefecture, address.city, address.area, address.rest))),
            "異動日": parts.get("day", ""),
            "異動者": parts.get("members", ""),
        }
    elif item == "name":
        record = {"氏名": value} | _pieces(value, "氏", "名")
    elif item == "kana":
        record = {"氏名カナ": value} | _pieces(value, "氏カナ", "名カナ")
    elif item == "sex":
        record = {"性別": SEX_CODES.get(value, "")}
    elif item == "birth_date":
        record = {"生年月日": value}
    elif item == "phone":
        record = {"電話番号": value}
    else:
        record = {name or item: text for name, text in parts.items()}
    return {name: text for name, text in record.items() if text}


def _pieces(value: str, family: str, given: str) -> dict[str, str]:
    """Family and given name where the person parted them; a guess would be wrong for too many."""
    pieces = value.split()
    return dict(zip((family, given), pieces, strict=True)) if len(pieces) == NAME_PIECES else {}
