"""What people type into forms: names with rare characters, kana of every width, phone numbers in every notation."""

from datetime import date

import phonenumbers
import pytest

from shared.errors import Refusal
from shared.web.forms import EMAIL_MAX_LENGTH, MOBILE_PREFIXES, NAME_MAX_LENGTH, Form, parse_uuid

COMPOSED, DECOMPOSED = "\u304c", "\u304b\u3099"


def text_of(typed: str, *, max_length: int = NAME_MAX_LENGTH) -> tuple[str, str | None]:
    form = Form({"field": typed})
    clean = form.text("field", max_length=max_length)
    return clean, form.errors.get("field")


def phone_of(typed: str) -> tuple[str, str | None]:
    form = Form({"field": typed})
    clean = form.phone("field")
    return clean, form.errors.get("field")


def mobile_of(typed: str) -> tuple[str, str | None]:
    form = Form({"field": typed})
    clean = form.mobile_phone("field")
    return clean, form.errors.get("field")


def kana_of(typed: str) -> tuple[str, str | None]:
    form = Form({"field": typed})
    clean = form.kana("field")
    return clean, form.errors.get("field")


def email_of(typed: str) -> tuple[str, str | None]:
    form = Form({"field": typed})
    clean = form.email("field")
    return clean, form.errors.get("field")


@pytest.mark.parametrize(
    "name",
    [
        "𠮷野 家子",
        "山﨑 髙子",
        "渡邊 齋",
        "渡邉 齊",
        "丸〆 々",
        "〇一",
        "O'Brien-Smith",
        "José Nuñez",
        "김 민수",
        "葛\U000e0100城",  # a variant chosen by an ideographic variation sequence
        "\ufa19谷",  # 神 of the family register, a compatibility ideograph that NFC would replace by the plain one
        "福\ufa1b島",
        "\U0002f804",
    ],
)
def test_a_name_stays_as_the_person_writes_it(name: str) -> None:
    assert text_of(name) == (name, None)


def test_a_decomposed_letter_becomes_the_usual_one() -> None:
    assert text_of(f"な{DECOMPOSED}\ufa19") == (f"な{COMPOSED}\ufa19", None)


def test_blanks_of_every_width_around_are_taken_away() -> None:
    assert text_of("　 山田 花子\t　") == ("山田 花子", None)


@pytest.mark.parametrize(
    "typed",
    [
        "花子😀", "❤️花子", "👨‍👩‍👧", "🇯🇵", "1️⃣", "🏻", "↔️", "◾️", "花\u200b子", "花\u202e子", "花\x00子",
        "花\n子", "花\x1b[31m子",
        "花\u2028子", "花\ue000子", "花\ufffd", "花\ufdd0", "花\u0085子",
    ],
)  # fmt: skip
def test_emoji_and_control_characters_are_refused_in_plain_words(typed: str) -> None:
    clean, error = text_of(typed)
    assert clean == ""
    assert error is not None
    assert "使えない記号" in error


def test_an_empty_field_is_told_only_when_it_is_required() -> None:
    assert text_of("　 ")[1] == "入力してください。"
    form = Form({})
    assert form.text("absent", max_length=10, required=False) == ""
    assert form.ok


def test_a_text_may_have_its_maximum_and_no_character_more() -> None:
    assert text_of("あ" * 10, max_length=10) == ("あ" * 10, None)
    assert text_of("𠮷" * 10, max_length=10) == ("𠮷" * 10, None)
    clean, error = text_of("あ" * 11, max_length=10)
    assert clean == ""
    assert error == "10文字までで入力してください。いまは11文字です。"


def test_what_was_typed_is_kept_and_every_field_has_its_own_problem() -> None:
    form = Form({"name": "😀", "kana": "abc", "phone": "x", "email": "y"})
    form.text("name", max_length=NAME_MAX_LENGTH)
    form.kana("kana")
    form.phone("phone")
    form.email("email")
    assert not form.ok
    assert set(form.errors) == {"name", "kana", "phone", "email"}
    assert [form.value(name) for name in ("name", "kana", "phone", "email", "absent")] == ["😀", "abc", "x", "y", ""]


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("ヤマダ ハナコ", "ヤマダ ハナコ"),
        ("やまだ　はなこ", "ヤマダ ハナコ"),
        ("ﾔﾏﾀﾞ ﾊﾅｺ", "ヤマダ ハナコ"),
        ("ｼﾞｮｰｼﾞ", "ジョージ"),
        ("ﾊﾟﾋﾟﾌﾟ", "パピプ"),
        ("はか" + DECOMPOSED, "ハカガ"),
        ("ゔぁいおりん", "ヴァイオリン"),
        ("  さとう   たろう  ", "サトウ タロウ"),
        ("マリア・ホセ", "マリア・ホセ"),
        ("ヷヸヹヺヵヶ", "ヷヸヹヺヵヶ"),
    ],
)
def test_a_reading_becomes_full_width_katakana(typed: str, expected: str) -> None:
    assert kana_of(typed) == (expected, None)


@pytest.mark.parametrize("typed", ["山田", "yamada", "ヤマダ1", "ヤマ-ダ", "ヤマダ！", "ヤ😀"])
def test_a_reading_in_other_letters_is_refused(typed: str) -> None:
    clean, error = kana_of(typed)
    assert clean == ""
    assert error


def test_a_reading_of_half_width_kana_counts_as_it_will_be_stored() -> None:
    assert kana_of("ﾀﾞ" * NAME_MAX_LENGTH) == ("ダ" * NAME_MAX_LENGTH, None)
    assert kana_of("ダ" * (NAME_MAX_LENGTH + 1))[1] == "60文字までで入力してください。いまは61文字です。"


@pytest.mark.parametrize(
    "typed",
    [
        "090-1234-5678",
        "09012345678",
        "090 1234 5678",
        "090　1234　5678",
        "０９０－１２３４－５６７８",
        "０９０１２３４５６７８",
        "090ー1234ー5678",
        "090−1234−5678",
        "090‐1234‐5678",
        "090–1234–5678",
        "090—1234—5678",
        "090―1234―5678",
        "090─1234─5678",
        "090━1234━5678",
        "090ｰ1234ｰ5678",
        "090﹣1234﹣5678",
        "(090)1234-5678",
        "（０９０）１２３４－５６７８",
        "090(1234)5678",
        "090.1234.5678",
        "090．1234．5678",
        "+81-90-1234-5678",
        "+819012345678",
        "＋81 90 1234 5678",
        "+81 (0)90-1234-5678",
        "+81 090 1234 5678",
        "00819012345678",
        "0081-90-1234-5678",
        "００８１　９０　１２３４　５６７８",
        "00 81 (0)90-1234-5678",
        "  090-1234-5678  ",
        "\t090-1234-5678\n",
    ],
)
def test_a_mobile_number_in_every_japanese_notation_is_one_number(typed: str) -> None:
    assert mobile_of(typed) == ("+819012345678", None)


@pytest.mark.parametrize("prefix", ["060", "070", "080", "090"])
def test_every_mobile_range_receives_sms(prefix: str) -> None:
    rest = f"{prefix[1:]}12345678"
    for typed in (f"{prefix}-1234-5678", f"+81 {rest}", f"+81-{prefix}-1234-5678", f"0081{rest}"):
        assert mobile_of(typed) == (f"+81{prefix[1:]}12345678", None)


def test_mobile_is_what_the_library_of_numbers_calls_so() -> None:
    """When Japan opens another range, or a pager's becomes a telephone's, the library's next version says so here."""
    mobile = set()
    for number in range(10, 100):
        parsed = phonenumbers.parse(f"+81{number}12345678", "JP")
        if phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE:
            mobile.add(f"0{number}")
    assert mobile == set(MOBILE_PREFIXES)


@pytest.mark.parametrize(
    "typed", ["020-1234-5678", "0463-71-3311", "03-1234-5678", "0120-123-456", "050-1234-5678", "+81-463-71-3311"]
)
def test_machines_and_landlines_receive_no_sms(typed: str) -> None:
    clean, error = mobile_of(typed)
    assert clean == ""
    assert error
    assert "SMS" in error


@pytest.mark.parametrize(
    ("typed", "expected"),
    [("0463-71-3311", "+81463713311"), ("０３（１２３４）５６７８", "+81312345678"), ("0120-123-456", "+81120123456")],
)
def test_a_landline_is_a_phone_number(typed: str, expected: str) -> None:
    assert phone_of(typed) == (expected, None)


@pytest.mark.parametrize(
    "typed",
    [
        "abc", "1", "110", "090", "090-1234", "090-1234-567", "090-1234-56789", "9012345678901234567890", "山田",
        "-", "+",
        "電話は090-1234-5678です", "<script>09012345678", "090-1234-5678 ext. 5", "090-1234-5678;ext=5", "090-CALL-ME",
        "090-1234-5678" + " " * 40 + "garbage", "+1-202-555-0123", "+82 10-1234-5678", "090-1234-5678 090-9876-5432",
        "०९०१२३४५६७८x",
        "090\x001234\x005678", "٠٩٠١٢٣٤٥٦٧٨😀",
    ],
)  # fmt: skip
def test_what_is_no_japanese_number_is_refused_and_not_guessed_at(typed: str) -> None:
    for clean, error in (phone_of(typed), mobile_of(typed)):
        assert clean == ""
        assert error


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("hanako@example.jp", "hanako@example.jp"),
        ("  hanako@Example.JP　", "hanako@example.jp"),
        ("ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｊｐ", "hanako@example.jp"),
        ("hanako+town@mail.example.jp", "hanako+town@mail.example.jp"),
    ],
)
def test_an_address_is_normalised(typed: str, expected: str) -> None:
    assert email_of(typed) == (expected, None)


@pytest.mark.parametrize("typed", ["hanako..chan@docomo.ne.jp", "hanako.@ezweb.ne.jp", "a..@docomo.ne.jp", "..@docomo"])
def test_an_old_carrier_address_is_told_to_use_sms(typed: str) -> None:
    clean, error = email_of(typed)
    assert clean == ""
    assert error == "このメールアドレスには送れないことがあります。SMSを選んでください。"


@pytest.mark.parametrize(
    "typed",
    [
        "hanako", "@example.jp", "hanako@", "hanako@localhost", "a@b@example.jp", "a b@example.jp", "花子@example.jp",
        "a@example.jp\nBcc: all@example.jp", "a@example.jp\r\n", '"a b"@example.jp', "a@[127.0.0.1]", "<a@example.jp>",
        "x" * 65 + "@example.jp", "a" * 300 + "@example.jp", "a@" + "b" * EMAIL_MAX_LENGTH + ".jp", "a\x00@example.jp",
    ],
)  # fmt: skip
def test_what_no_mail_server_takes_is_refused(typed: str) -> None:
    clean, error = email_of(typed)
    if typed.strip() == "a@example.jp":
        assert (clean, error) == ("a@example.jp", None)  # a line end around it was a slip of the hand
    else:
        assert clean == ""
        assert error


def test_nothing_typed_is_told_at_every_kind_of_field() -> None:
    for _, error in (phone_of(""), mobile_of(" "), email_of("　"), kana_of("")):
        assert error
        assert "入力してください" in error


def test_only_the_offered_choices_count() -> None:
    form = Form({"reach": "pigeon"})
    assert form.choice("reach", ("email", "sms", "none")) == ""
    assert form.errors["reach"] == "ひとつ選んでください。"
    assert Form({"reach": "none"}).choice("reach", ("email", "sms", "none")) == "none"


@pytest.mark.parametrize("garbage", ["", "x", "../../etc/passwd", "1' OR '1'='1", "{}", "0" * 31])
def test_a_reference_that_is_none_is_refused(garbage: str) -> None:
    with pytest.raises(Refusal) as raised:
        parse_uuid(garbage, code="visit_unknown")
    assert (raised.value.code, raised.value.status) == ("visit_unknown", 404)


EARLIEST, LATEST = date(1900, 1, 1), date(2026, 11, 24)


def day_of(era: str, year: str, month: str, day: str) -> tuple[str, set[str]]:
    form = Form({"born_era": era, "born_year": year, "born_month": month, "born_day": day})
    return form.day("born", earliest=EARLIEST, latest=LATEST), set(form.errors)


@pytest.mark.parametrize(
    ("typed", "day"),
    [
        (("AD", "2019", "5", "1"), "2019-05-01"),
        (("", "２０１９", "５", "０１"), "2019-05-01"),
        (("R", "1", "5", "1"), "2019-05-01"),
        (("R", "元", "5", "1"), "2019-05-01"),
        (("AD", "昭和64", "1", "7"), "1989-01-07"),
        (("AD", "H元年", "1月", "8日"), "1989-01-08"),
        (("S", "1989", "1", "8"), "1989-01-08"),
        (("T", "15", "12", "24"), "1926-12-24"),
        # Old papers count on: 平成31年6月 is 令和元年6月.
        (("H", "31", "6", "1"), "2019-06-01"),
    ],
)
def test_a_day_is_read_in_the_western_count_and_in_eras(typed: tuple[str, str, str, str], day: str) -> None:
    assert day_of(*typed) == (day, set())


@pytest.mark.parametrize(
    "typed",
    [
        ("", "", "", ""),
        ("AD", "50", "1", "1"),
        ("R", "0", "1", "1"),
        ("R", "100", "1", "1"),
        ("X", "5", "1", "1"),
        ("AD", "2023", "2", "29"),
        ("AD", "2023", "13", "1"),
        ("AD", "2023", "999999999999", "1"),
        ("AD", "2023", "1", ""),
        ("AD", "1899", "12", "31"),
        ("AD", "2026", "11", "25"),
        ("AD", "99999", "1", "1"),
        ("AD", "²⁰²³", "🙂", "１e9"),
        ("🙂", "x" * 5000, "\x00", "-1"),
    ],
)
def test_what_is_no_day_is_told_at_the_field(typed: tuple[str, str, str, str]) -> None:
    assert day_of(*typed) == ("", {"born"})


def test_an_optional_day_may_stay_empty() -> None:
    form = Form({})
    assert form.day("born", required=False, earliest=EARLIEST, latest=LATEST) == ""
    assert form.ok


@pytest.mark.parametrize("typed", ["2590196", "259-0196", "〒２５９－０１９６", " 259ー0196 "])
def test_a_postal_code_in_any_notation(typed: str) -> None:
    assert Form({"code": typed}).postal_code("code") == "2590196"


@pytest.mark.parametrize("typed", ["", "259-019", "259-01966", "二五九", "🙂", "x" * 9_999, "259\x000196"])
def test_what_is_no_postal_code_is_told(typed: str) -> None:
    form = Form({"code": typed})
    assert form.postal_code("code") == ""
    assert set(form.errors) == {"code"}


def test_numbers_have_limits_and_digits_a_length() -> None:
    form = Form(
        {"copies": "３", "many": "21", "bad": "1e3", "account": "0012", "long": "12345678", "line": "a\r\n b \rc"}
    )
    assert form.number("copies", lowest=1, highest=20) == "3"
    assert form.digits("account", length=7) == "0000012"
    assert form.long_text("line", max_length=9) == "a\n b\nc"
    assert form.ok
    assert form.number("many", lowest=1, highest=20) == form.number("bad", lowest=1, highest=20) == ""
    assert form.digits("long", length=7) == form.long_text("line", max_length=3) == ""
    assert set(form.errors) == {"many", "bad", "long", "line"}
