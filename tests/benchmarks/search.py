"""The search over 2,000 procedures: by itself, and as the page that a resident gets."""

import time
from collections.abc import Iterator
from itertools import islice, product
from urllib.parse import quote

from services.routing.domain.catalogue import Procedure
from services.routing.domain.search import SearchIndex, search
from services.routing.queries.catalogue import list_procedures
from shared.db import Database
from tests.benchmarks.client import ask_steadily, make_request
from tests.benchmarks.figures import Figure, make_figure, percentile
from tests.benchmarks.house import TOWN, House

PROCEDURES = 2_000
PER_SECOND = 50
SECONDS = 10
WARM_UP = 100
ROUNDS = 20
TARGET_MS = 20

# What a town of any size might have, said as the sample town says it.
THINGS = (
    ("農地", "ノウチ", "はたけ", "Farmland"), ("空き家", "アキヤ", "人が いない 家", "Vacant house"),
    ("水道", "スイドウ", "みず", "Water supply"), ("下水道", "ゲスイドウ", "よごれた みず", "Sewerage"),
    ("町営住宅", "チョウエイジュウタク", "町の 家", "Town housing"),
    ("図書館", "トショカン", "本を かりる ところ", "Library"),
    ("体育館", "タイイクカン", "うんどうする ところ", "Gymnasium"),
    ("学童保育", "ガクドウホイク", "学校の あとの 場所", "After-school care"),
    ("予防接種", "ヨボウセッシュ", "ちゅうしゃ", "Vaccination"),
    ("健康診断", "ケンコウシンダン", "からだの けんさ", "Health check"), ("墓地", "ボチ", "おはか", "Cemetery"),
    ("道路", "ドウロ", "みち", "Road"), ("公園", "コウエン", "こうえん", "Park"),
    ("駐車場", "チュウシャジョウ", "車を とめる ところ", "Car park"), ("商店", "ショウテン", "みせ", "Shop"),
    ("太陽光発電", "タイヨウコウハツデン", "日の 光の でんき", "Solar power"),
    ("耐震診断", "タイシンシンダン", "地しんの けんさ", "Earthquake check"),
    ("浄化槽", "ジョウカソウ", "トイレの タンク", "Septic tank"),
    ("奨学金", "ショウガクキン", "べんきょうの お金", "Scholarship"),
    ("敬老祝金", "ケイロウイワイキン", "お年よりの お祝い", "Gift for the elderly"),
)  # fmt: skip
FOR_WHOM = (
    ("", "", "", ""), ("乳幼児", "ニュウヨウジ", "小さい 子ども", "infant"),
    ("高齢者", "コウレイシャ", "お年より", "elderly"),
    ("障害者", "ショウガイシャ", "しょうがいの ある 人", "disabled"),
    ("事業者", "ジギョウシャ", "会社の 人", "business"),
    ("ひとり親", "ヒトリオヤ", "ひとりで そだてる 人", "single parent"),
    ("転入者", "テンニュウシャ", "ひっこして きた 人", "newcomer"), ("学生", "ガクセイ", "学生", "student"),
    ("自治会", "ジチカイ", "町内会", "association"), ("被災者", "ヒサイシャ", "さいがいに あった 人", "victim"),
)  # fmt: skip
DEEDS = (
    ("の申請", "ノシンセイ", "もうしこみます", "application"), ("の届出", "ノトドケデ", "知らせます", "notification"),
    ("の変更", "ノヘンコウ", "かえます", "change"), ("の廃止", "ノハイシ", "やめます", "end"),
    ("の補助金", "ノホジョキン", "お金を もらいます", "subsidy"),
    ("の減免", "ノゲンメン", "安く します", "reduction"),
    ("の証明書", "ノショウメイショ", "しょうめい", "certificate"),
    ("の相談", "ノソウダン", "そうだんします", "advice"), ("の予約", "ノヨヤク", "よやくします", "reservation"),
    ("の更新", "ノコウシン", "あたらしく します", "renewal"),
)  # fmt: skip
CATEGORIES = (
    "住まい・戸籍", "子育て", "税", "保険・年金", "福祉・介護", "くらし・ごみ", "災害", "おくやみ", "しごと",
    "まちづくり",
)  # fmt: skip
# Names and parts of them, kana of all kinds, sentences, several words, English, Japanese in Latin letters, mistakes,
# and what there is not.
QUERIES = (
    "児童手当", "水道", "水道の申請", "すいどう", "ｽｲﾄﾞｳ", "引っ越した", "赤ちゃんが生まれました",
    "学童保育の補助金がほしいのですが", "高齢者 予防接種", "人が いない 家", "証明書", "申請", "お金", "vaccination",
    "I need a scholarship for a student", "solar power subsidy", "kenkoushindan", "ｋｏｕｅｎ", "よぼうせつしゆ",
    "よぼうせっしゅのしんせえ", "たいようこおはつでん", "vacination", "shcolarship", "ありえない言葉です", "zzzzzzzz",
    "あ", "の",
)  # fmt: skip

_INSERT = """
    INSERT INTO routing.procedure (
        municipality, code, position, name_ja, name_plain_ja, name_en, kana, category, words, office, online, counter,
        helper, counter_minutes, fee_yen, items, identity, source, counters, discreet)
    SELECT $1, code, 1000 + row_number() OVER (), name_ja, name_plain_ja, name_en, kana, category,
           string_to_array(words, '|'), office, 'no', 'yes', 'no', 20, 0, '{name}', 'one', 'general', '{7}', false
    FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[])
         AS line (code, name_ja, name_plain_ja, name_en, kana, category, words, office)
"""
_COLUMNS = ("code", "name_ja", "name_plain_ja", "name_en", "kana", "category", "words", "office")
_NEXT_VERSION = f"UPDATE routing.catalogue SET version = version + 1 WHERE municipality = '{TOWN}'"
_AS_BEFORE = f"DELETE FROM routing.procedure WHERE municipality = '{TOWN}' AND code LIKE 'BENCH%'; {_NEXT_VERSION}"


def make_lines() -> Iterator[dict[str, str]]:
    """Procedures of a large town, no two of one name."""
    for number, (thing, whom, deed) in enumerate(product(THINGS, FOR_WHOM, DEEDS)):
        ja, kana, plain, en = (" ".join(filter(None, parts)) for parts in zip(whom, thing, deed, strict=True))
        yield {
            "code": f"BENCH{number:05}",
            "name_ja": ja.replace(" ", ""),
            "kana": kana.replace(" ", ""),
            "name_plain_ja": plain,
            "name_en": en,
            "category": CATEGORIES[number % len(CATEGORIES)],
            "words": "|".join((thing[0], thing[2], f"{whom[0]}{thing[0]}", f"{thing[0]}{deed[0][1:]}", thing[3])),
            "office": "総務",
        }  # fmt: skip


async def measure(house: House) -> list[Figure]:
    """Fill the sample town up, search in this process, then ask for the page at a steady rate; and take it all away."""
    db = Database(house.environ["CHOUDO_ROUTING_DATABASE_URL"], service="routing")
    try:
        async with db.begin(TOWN) as session:
            there = len(await list_procedures(session, TOWN))
        lines = list(islice(make_lines(), PROCEDURES - there))
        await house.rows(_INSERT, TOWN, *([line[name] for line in lines] for name in _COLUMNS))
        await house.execute(_NEXT_VERSION)
        async with db.begin(TOWN) as session:
            procedures = await list_procedures(session, TOWN)
        assert len(procedures) == PROCEDURES
        figures = _by_itself(procedures)
        bare = await _ask(house, ["/healthz"])
        pages = await _ask(house, [f"/search?q={quote(query)}" for query in QUERIES])
        return [*figures, *_figures(f"the page, at {PER_SECOND} req/s", pages, bare)]
    finally:
        await house.execute(_AS_BEFORE)
        await db.dispose()


def _by_itself(procedures: list[Procedure]) -> list[Figure]:
    began = time.perf_counter()
    index = SearchIndex(procedures)
    made_ms = (time.perf_counter() - began) * 1_000
    took, plain = [], []
    names = [procedure.name_ja for procedure in procedures]
    for query in QUERIES * ROUNDS:
        began = time.perf_counter()
        search(index, query) or index.near(query)
        took.append((time.perf_counter() - began) * 1_000)
        began = time.perf_counter()
        [name for name in names if query in name]
        plain.append((time.perf_counter() - began) * 1_000)
    slowest = max(QUERIES, key=lambda query: took[QUERIES.index(query)])
    return [
        *_figures("by itself", took, plain, reference_name="`in` over the official names", note=f"Slowest: {slowest}."),
        make_figure("search", "making the index of a version", made_ms, "ms", ""),
    ]


def _figures(
    name: str,
    took: list[float],
    bare: list[float],
    *,
    reference_name: str = f"GET /healthz at {PER_SECOND}/s",
    note: str = "",
) -> list[Figure]:
    p95 = percentile(took, 0.95)
    what = f"{len(QUERIES)} queries over {PROCEDURES} procedures, {name}"
    return [
        make_figure("search", f"{what}: p95", p95, "ms", f"≤ {TARGET_MS} ms", reference=percentile(bare, 0.95),
                    reference_name=reference_name, met=p95 <= TARGET_MS, note=note),
        make_figure("search", f"{what}: p50", percentile(took, 0.5), "ms", "", reference=percentile(bare, 0.5),
                    reference_name=reference_name),
        make_figure("search", f"{what}: slowest", max(took), "ms", ""),
    ]  # fmt: skip


async def _ask(house: House, paths: list[str]) -> list[float]:
    requests = [make_request(house.url, "GET", path) for path in paths]
    await ask_steadily(house.url, _in_turn(requests, WARM_UP), per_second=PER_SECOND)
    answers = await ask_steadily(house.url, _in_turn(requests, PER_SECOND * SECONDS), per_second=PER_SECOND)
    assert all(answer.status == 200 for answer in answers), (answers[0].status, answers[0].body[:500])
    return [answer.seconds * 1_000 for answer in answers]


def _in_turn(requests: list[bytes], count: int) -> list[bytes]:
    return [requests[number % len(requests)] for number in range(count)]
