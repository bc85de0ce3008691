"""Notes to the next helper: what is refused however it is typed, and what people write all the same."""

import pytest

from services.booking.domain.notes import find_personal

REFUSED = (
    ("電話は090-1234-5678です", "phone"),
    ("電話は０９０ー１２３４ー５６７８", "phone"),
    ("０９０　１２３４　５６７８へ", "phone"),
    ("〇九〇の一二三四の五六七八に電話", "phone"),
    ("零九零一二三四五六七八", "phone"),
    ("09012345678", "phone"),
    ("0 9 0 1 2 3 4 5 6 7 8", "phone"),
    ("0463(71)3311", "phone"),
    ("090​1234​5678", "phone"),
    ("マイナンバー 1234 5678 9012", "personal_number"),
    ("１２３４５６７８９０１２", "personal_number"),
    ("一二三四五六七八九〇一二", "personal_number"),
    ("259-0123の人", "postal_code"),
    ("〒259", "postal_code"),
    ("２５９－０１２３", "postal_code"),
    ("郵便番号はメモした", "postal_code"),
    ("a@example.jp", "mail"),
    ("ｈａｎａ＠ｅｘａｍｐｌｅ．ｊｐ", "mail"),
    ("はな アットマーク てがみ", "mail"),
    ("hana ドット com", "mail"),
    ("神奈川県中郡に住んでいる", "address"),
    ("二宮町百合が丘１の２", "address"),
    ("二宮町百合が丘一の二", "address"),
    ("百合が丘二丁目の角", "address"),
    ("百合が丘２丁目", "address"),
    ("十二番地です", "address"),
    ("番地まで聞いた", "address"),
    ("5番3号", "address"),
    ("大字山西", "address"),
    ("ハイツ201", "address"),
    ("２０１号室", "address"),
    ("昭和三十二年", "birth_date"),
    ("S32年", "birth_date"),
    ("昭和元年", "birth_date"),
    ("誕生日がもうすぐ", "birth_date"),
    ("12月生まれ", "birth_date"),
    ("1957/3/4", "number"),
    ("口座は1234567番", "postal_code"),
    ("暗証は1234", "number"),
    ("暗証は一二三四", "number"),
    ("暗証は1・2・3・4", "number"),
    ("暗証は千二百三十四", "number"),
    ("受付番号 2026-11", "number"),
)
FINE = (
    "写真の送りかたで止まった",
    "字を大きくすると読めた。次は一緒に2回やってみる",
    "十分ほどで終わった。三人で来られた",
    "次回は本人確認書類を持ってくる",
    "一度目はうまくいかず、二度目でできた",
    "パスワードは本人が紙で持っている",
    "10時30分に間にあうように",
    "電話番号を入れるところで止まった",
    "住所を入れるところで止まった",
    "100円ショップのタッチペンが使いやすい",
    "",
)


@pytest.mark.parametrize(("text", "found"), REFUSED)
def test_what_somebody_is_found_by_is_refused(text: str, found: str) -> None:
    assert find_personal(text) == found


@pytest.mark.parametrize("text", FINE)
def test_what_helps_the_next_one_is_not(text: str) -> None:
    assert find_personal(text) is None
