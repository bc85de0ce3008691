"""What people really type into the sample town's search, and the procedure that must be among the first three."""

import pytest

from tests.routing.searching import codes_of, index_of_sample_town

SAMPLE = index_of_sample_town()
FIRST = 3

QUERIES = {
    # Somebody of 80: half-width, kana left large, sentences, words of old, a finger beside the key.
    "elderly": """
        ｼﾞｭｳﾐﾝﾋｮｳ RES01|ジユウミンヒヨウ RES01|じゅうみんひょう RES01|住民票 RES01|住民票がほしい RES01
        住民票をとりたいのですが RES01|住民票　うつし RES01|住所の証明 RES01|はんこ RES06|はんこの登録 RES06
        判子の証明 RES07|ハンコ RES07|実印 RES06|いんかん証明 RES07|印鑑証明書 RES07|ｲﾝｶﾝ RES06
        いんかんとうろく RES06|印鑑登録証明 RES07|こせき FAM01|戸籍謄本 FAM01|こせきとうほん FAM01|戸籍抄本 FAM01
        相続 FAM01|そうぞく FAM05|昔の戸籍 FAM01|戸籍の写し FAM01|主人が亡くなりました FAM04|家内が亡くなった FAM05
        なくなった FAM04|亡くなったあとの手続き FAM05|お悔み FAM05|おくやみ FAM05|葬式のお金 INS04|そうしき INS04
        葬祭費 INS04|火葬 FAM04|死亡届 FAM04|しぼうとどけ FAM04|夫が死んだ FAM04|母が死にました FAM04|介護 CAR01
        かいご CAR01|介護をたのみたい CAR01|ヘルパーさん CAR01|ケアマネージャー CAR01|デイサービス CAR01
        要介護 CAR01|介護認定 CAR01|負担割合証 CAR02|介護の紙をなくした CAR02|かいごほけん CAR01
        割合証なくした CAR02|後期高齢者 INS05|こうきこうれい INS05|75歳 INS05|７５歳の保険 INS05
        七十五歳になった INS05|年寄りの保険 INS05|保険証をなくした INS01|保健証 INS01|ほけんしょう INS01
        医療費が高い INS03|いりょうひ INS03|入院した INS03|病院代 INS03|年金 PEN01|ねんきん PEN01|マイナンバー RES08
        まいなんばーかーど RES08|マイナカード RES08|まいなかーどの更新 RES09|暗証番号を忘れた RES09
        あんしょうばんごう RES09|暗証番号がロックされた RES09|電子証明 RES09|スマホ DIG01|すまほ DIG01
        スマホの使い方 DIG01|携帯電話がわからない DIG01|ラインの使い方 DIG01|LINE DIG01|スマートホン DIG01
        粗大ゴミ ENV02|そだいごみ ENV02|大きいごみ ENV02|たんすを捨てたい ENV02|家具をすてる ENV02
        布団を捨てたい ENV02|犬 ENV01|いぬ ENV01|犬を飼い始めた ENV01|犬の注射 ENV01|狂犬病 ENV01
        税金が払えない TAX03|ぜいきん TAX01|税の相談 TAX03|台風で屋根がこわれた DIS01|罹災証明 DIS01|りさい DIS01
        り災証明 DIS01|火事 DIS01|地震で家がこわれた DIS01|身障者手帳 WEL01|障害者手帳 WEL01|障がい者手帳 WEL01
        しょうがい WEL01|療育手帳 WEL01|世帯主を変える RES05|せたいぬし RES05|世帯分離 RES05|じうみんひょう RES01
        かいごにんてえ CAR01|いんかんとおろく RES06
    """,
    # A mother with one hand on her phone: everyday words, short, mistyped.
    "mother": """
        赤ちゃん FAM02|赤ちゃん生まれた FAM02|赤ちゃんが産まれました FAM02|あかちゃん CHI01|出産 FAM02|出生届 FAM02
        しゅっしょうとどけ FAM02|名前をつける FAM02|妊娠 CHI01|妊娠した CHI01|にんしん CHI01|母子手帳 CHI01
        ぼしてちょう CHI01|母子健康手帳 CHI01|おめでた CHI01|児童手当 CHI02|じどうてあて CHI02|ジドウテアテ CHI02
        じどうてやて CHI02|児童手宛 CHI02|子ども手当 CHI02|こども手当 CHI02|子供のお金 CHI02|こどものおかね CHI02
        児童手当もらいたい CHI02|子供の医療証 CHI03|こどもの病院 CHI03|小児医療 CHI03|医療証 CHI03|マル福 CHI03
        保育園 CHI04|ほいくえん CHI04|保育所 CHI04|保育園に入りたい CHI04|入園 CHI04|子どもを預けたい CHI04
        待機児童 CHI04|転校 CHI05|てんこう CHI05|小学校 CHI05|給食費 CHI05|就学援助 CHI05|学校 CHI05|引っ越し RES02
        引っ越した RES04|引っ越します RES03|引越し RES02|ひっこし RES02|引っ越してきた RES02|ひっこしたい RES03
        ひつこし RES02|引っ越ししたとき RES02|町を出る RES03|転入 RES02|転出 RES03|転居 RES04|転出届 RES03
        てんにゅうとどけ RES02|住所変更 RES04|住所が変わった RES04|県外に引っ越す RES03|結婚 FAM03|結婚した FAM03
        結婚します FAM03|入籍 FAM03|婚姻届 FAM03|けっこん FAM03|会社をやめた INS01|会社を辞めた INS01|退職した INS01
        就職した INS02|国保 INS01|国保をやめたい INS02|こくほ INS01|国民健康保険に入りたい INS01|バイク TAX02
        原付 TAX02|げんつき TAX02|バイクを廃車にしたい TAX02|ナンバープレート TAX02|所得証明 TAX01|課税証明書 TAX01
        非課税証明 TAX01|収入の証明 TAX01|年収 TAX01|子育て CHI02|子育て 手当 CHI02|子育て 医療 CHI03
        学生納付特例 PEN01|20歳 PEN01|年金 免除 PEN01
    """,
    # In English, with mistakes and without Japanese spelling.
    "english": """
        moving RES02|I moved to Ninomiya RES02|move in RES02|move out RES03|moving out RES03|change of address RES02
        I want to move RES03|residence certificate RES01|certificate of residence RES01|juminhyo RES01
        jūminhyō RES01|jyuuminhyou RES01|proof of address RES01|hanko RES06|inkan RES06|seal registration RES06
        seal certificate RES07|koseki FAM01|family register FAM01|my number card RES08|my number RES08
        mynumber RES08|mainanba RES08|pin reset RES09|forgot my PIN RES09|card renewal RES09|birth FAM02
        birth certificate FAM02|having a baby CHI01|baby FAM02|newborn FAM02|pregnant CHI01|pregnancy CHI01
        child allowance CHI02|jido teate CHI02|jidou teate CHI02|child alowance CHI02|children's medical CHI03
        nursery CHI04|daycare CHI04|hoikuen CHI04|kindergarten CHI04|school CHI05|school transfer CHI05
        marriage FAM03|getting married FAM03|death FAM04|my husband died FAM04|funeral INS04|cremation FAM04
        health insurance INS01|National Health Insurance INS01|kokuho INS01|insurence INS01
        leave health insurance INS02|new job insurance INS02|hospital bill INS03|pension PEN01|nenkin PEN01
        tax certificate TAX01|income certificate TAX01|moped TAX02|scooter TAX02|motorbike TAX02
        I cannot pay my tax TAX03|dog ENV01|dogs ENV01|pet ENV01|rabies ENV01|garbage ENV02|bulky trash ENV02
        furniture disposal ENV02|sodai gomi ENV02|typhoon damage DIS01|earthquake DIS01|fire DIS01|disability WEL01
        nursing care CAR01|elderly care CAR01|smartphone DIG01|help with my phone DIG01|tennyu RES02|tenshutsu RES03
        kaigo CAR01|hikkoshi RES02|head of household RES05
    """,
    # In やさしい日本語, with its spaces.
    "plain": """
        町に ひっこして きました RES02|町の 外に ひっこします RES03|町の 中で ひっこしました RES04
        ひっこしました RES02|住んでいる ことの 証明 RES01|家の 代表を かえます RES05|はんこを 登録します RES06
        カードを もらいます RES08|赤ちゃんが 生まれました FAM02|赤ちゃんが できました CHI01|結婚します FAM03
        けっこん しました FAM03|家族が 亡くなりました FAM04|税金の 証明 TAX01|税金が 払えません TAX03
        バイクの 手続き TAX02|健康保険に 入ります INS01|健康保険を やめます INS02|病院の お金 INS03
        年金の 手続き PEN01|手帳を もらいます WEL01|介護を たのみます CAR01|子どもの お金 CHI02
        子どもの 医療の カード CHI03|保育園に 入ります CHI04|学校の 手続き CHI05|犬を かいます ENV01
        大きい ごみを 出します ENV02|家が こわれました DIS01|スマホを 練習します DIG01
        カードの 番号を わすれました RES09|会社を やめました INS01|子どもが 病院に 行きます CHI03
    """,
}  # fmt: skip
TABLE = [
    pytest.param(*entry.strip().rsplit(" ", 1), id=f"{who}-{entry.strip()}")
    for who, text in QUERIES.items()
    for line in text.strip().splitlines()
    for entry in line.split("|")
]


def test_the_table_is_long_enough_to_say_something() -> None:
    assert len(TABLE) >= 150
    assert {code for _query, code in (entry.values for entry in TABLE)} == {
        procedure.code for procedure in SAMPLE.procedures
    }


@pytest.mark.parametrize(("query", "code"), TABLE)
def test_what_is_meant_is_among_the_first_three(query: str, code: str) -> None:
    assert code in codes_of(SAMPLE, query)[:FIRST]
