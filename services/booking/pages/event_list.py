"""Classes as 「イベント一覧」 of the towns' open data has them (推奨データセット, デジタル庁), in its order."""

from datetime import datetime

import msgspec

from shared.clock import JST

COLUMNS = (
    "都道府県コード又は市区町村コード", "NO", "都道府県名", "市区町村名", "イベント名", "イベント名_カナ",
    "イベント名_英語", "開始日", "終了日", "開始時間", "終了時間", "開始日時特記事項", "説明", "料金(基本)",
    "料金(詳細)", "連絡先名称", "連絡先電話番号", "連絡先内線番号", "主催者", "場所名称", "住所", "方書",
    "緯度", "経度", "アクセス方法", "駐車場情報", "定員", "参加申込終了日", "参加申込終了時間", "参加申込方法",
    "URL", "備考", "カテゴリー", "区", "公開日", "更新日", "子育て情報", "施設No.",
)  # fmt: skip
# In the order of their codes (JIS X 0401), which a town's code begins with.
PREFECTURES = (
    "北海道", "青森県", "岩手県", "宮城県", "秋田県", "山形県", "福島県", "茨城県", "栃木県", "群馬県",
    "埼玉県", "千葉県", "東京都", "神奈川県", "新潟県", "富山県", "石川県", "福井県", "山梨県", "長野県",
    "岐阜県", "静岡県", "愛知県", "三重県", "滋賀県", "京都府", "大阪府", "兵庫県", "奈良県", "和歌山県",
    "鳥取県", "島根県", "岡山県", "広島県", "山口県", "徳島県", "香川県", "愛媛県", "高知県", "福岡県",
    "佐賀県", "長崎県", "熊本県", "大分県", "宮崎県", "鹿児島県", "沖縄県",
)  # fmt: skip
CATEGORY = "講座・教室"
CALLED_OFF = "中止"
PREFECTURE_DIGITS = 2


class EventRow(msgspec.Struct, frozen=True, kw_only=True):
    """A session of a class, as the list says it. A series has a row for each."""

    municipality: str
    number: int
    count: int
    town_name: str
    title: str
    title_en: str
    text: str
    starts_at: datetime
    ends_at: datetime
    fee_yen: int
    phone: str
    venue_code: str
    venue_name: str
    venue_place: str
    latitude: str
    longitude: str
    room: str
    seats: int
    closes_at: datetime
    is_drawn: bool
    url: str
    called_off: str | None
    published_at: datetime | None
    changed_at: datetime
    no: str


def prefecture_of(municipality: str) -> str:
    """Of a code such as 143421; empty for a practice town's."""
    digits = municipality[:PREFECTURE_DIGITS]
    number = int(digits) if digits.isascii() and digits.isdigit() else 0
    return PREFECTURES[number - 1] if 1 <= number <= len(PREFECTURES) else ""


def values_of(row: EventRow) -> dict[str, str]:
    """A row by its columns; what a class does not have is empty."""
    starts, ends, closes = (each.astimezone(JST) for each in (row.starts_at, row.ends_at, row.closes_at))
    told = {
        "都道府県コード又は市区町村コード": row.municipality,
        "NO": row.no,
        "都道府県名": prefecture_of(row.municipality),
        "市区町村名": row.town_name,
        "イベント名": row.title,
        "イベント名_英語": row.title_en,
        "開始日": starts.date().isoformat(),
        "終了日": ends.date().isoformat(),
        "開始日時特記事項": f"全{row.count}回の{row.number}回目" if row.count > 1 else "",
        "開始時間": f"{starts:%H:%M}",
        "終了時間": f"{ends:%H:%M}",
        "説明": row.text,
        "料金(基本)": f"{row.fee_yen}円" if row.fee_yen else "無料",
        "連絡先名称": row.town_name,
        "連絡先電話番号": row.phone,
        "主催者": row.town_name,
        "場所名称": row.venue_name,
        "住所": row.venue_place,
        "方書": row.room,
        "緯度": row.latitude,
        "経度": row.longitude,
        "定員": str(row.seats),
        "参加申込終了日": closes.date().isoformat(),
        "参加申込終了時間": f"{closes:%H:%M}",
        "参加申込方法": "ウェブサイト、電話、窓口（抽選）" if row.is_drawn else "ウェブサイト、電話、窓口（先着順）",
        "URL": row.url,
        "備考": "" if row.called_off is None else f"{CALLED_OFF}：{row.called_off}",
        "カテゴリー": CATEGORY,
        "公開日": row.published_at.astimezone(JST).date().isoformat() if row.published_at else "",
        "更新日": row.changed_at.astimezone(JST).date().isoformat(),
        "施設No.": row.venue_code,
    }
    return {column: told.get(column, "") for column in COLUMNS}
