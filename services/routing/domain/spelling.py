"""One form for every way of writing a word, the part of a verb that stays the same, and Japanese in Latin letters."""

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache

TEXT_MAX_LENGTH = 100
# More than the signs of a town's catalogue.
KNOWN_SIGNS_MAX = 8_192

_KATAKANA_FIRST, _KATAKANA_LAST, _TO_HIRAGANA = 0x30A1, 0x30F6, 0x60
_HIRAGANA_FIRST, _HIRAGANA_LAST = 0x3041, 0x3096
_LONG = "ー"
# Typed as a sign of its own, ゛ belongs to the kana before it.
_VOICED = str.maketrans("゛゜", "\u3099\u309a")
# Typed alone and put together by Unicode again: not one form.
_JAMO_FIRST, _JAMO_LAST = 0x1100, 0x11FF

# People who type by one finger leave kana large, and write ぢ, づ and ず as they hear them.
_AS_HEARD = str.maketrans("ぁぃぅぇぉっゃゅょゎゕゖゔぢづ", "あいうえおつやゆよわかけぶじず")
# Forms from before 1949 and those of names, as they stand on old papers.
_KANJI_OF_TODAY = str.maketrans(
    "國學會證廣澤髙邊體醫戶稅屆寫轉區縣險應當兒產變舊濟辨號單點關發鐵獨圓賣讀參燒齒齡來亞惡壓圍爲榮衞驗權廳觀歸據擧"
    "總雙續臺擔團斷遲鑄傳佛拜豐萬餘與譽禮勞劍劑實處狀眞靜攝專戰淺錢曾壯增藏屬對澁繼經輕藝縱從獸肅緖敍條淨嶋嶌峯瀨",
    "国学会証広沢高辺体医戸税届写転区県険応当児産変旧済弁号単点関発鉄独円売読参焼歯齢来亜悪圧囲為栄衛験権庁観帰拠挙"
    "総双続台担団断遅鋳伝仏拝豊万余与誉礼労剣剤実処状真静摂専戦浅銭曽壮増蔵属対渋継経軽芸縦従獣粛緒叙条浄島島峰瀬",
)  # fmt: skip
# One word, several spellings; and words that many people type in kana.
_SPELLINGS = {
    spelling: form
    for form, spellings in {
        "ひっこし": "引っ越し 引っこし 引越し 引越", "ひっこ": "引っ越", "うまれ": "生まれ 産まれ",
        "なくな": "亡くな 無くな", "なくし": "無くし 失くし", "やめ": "辞め", "もら": "貰", "あずけ": "預け",
        "わすれ": "忘れ", "申込": "申し込み 申込み", "届": "届け", "手続": "手続き", "こども": "子供 子ども",
        "あかちゃん": "赤ちゃん 赤ん坊", "おかね": "お金", "おくやみ": "お悔やみ お悔み", "はんこ": "判子",
        "障害": "障がい 障碍", "まいなんばー": "マイナンバー マイナ", "すまーとふぉん": "スマートホン",
        "いんかん": "印鑑", "こせき": "戸籍", "そうぞく": "相続", "そうしき": "葬式", "かいご": "介護",
        "ほけんしょう": "保険証 保健証", "ほけん": "保険 保健", "いりょうひ": "医療費", "ねんきん": "年金",
        "ぜいきん": "税金", "せたいぬし": "世帯主", "ほいくえん": "保育園", "てんこう": "転校", "こくほ": "国保",
        "ぼしてちょう": "母子手帳", "けっこん": "結婚", "にんしん": "妊娠",
    }.items()
    for spelling in spellings.split()
}  # fmt: skip

# What follows a whole verb, what follows its te-form, and what follows its stem itself.
_AFTER_VERB = re.compile(r"(?:のですが|んですが|ですが|ですか|です|ので|とき|時|場合|たあと|後|には|から|か)$")
_AFTER_TE = re.compile(r"(?<=[てで])(?:しまいました|しまつた|きました|きた|いました|います|いる|ください|ほしい)$")
_AFTER_STEM = re.compile(r"(?:ました|ましたら|ます|ません|たいの|たいん|たい|なかつた|ない|ちやいました|ちやつた)$")
_PAST = re.compile(r"(?:つた|つて|んだ|んで|いた|いて|いだ|いで|した|して|たら|た|て)$")
_DICTIONARY = re.compile(r"(?:する|[うくぐすつぬぶむる])$")
_CONNECTIVE = re.compile(r"[いきぎしちにびみり]$")
_TAILS_MAX = 2
_ENGLISH_STEM_MIN = 3

_ROMAJI_ROWS = {
    "": "あいうえお", "k": "かきくけこ", "s": "さしすせそ", "t": "たちつてと", "n": "なにぬねの", "h": "はひふへほ",
    "m": "まみむめも", "r": "らりるれろ", "g": "がぎぐげご", "z": "ざじずぜぞ", "d": "だ  でど", "b": "ばびぶべぼ",
    "p": "ぱぴぷぺぽ",
}  # fmt: skip
_ROMAJI = {
    kana: consonant + vowel
    for consonant, row in _ROMAJI_ROWS.items()
    for kana, vowel in zip(row, "aiueo", strict=True)
    if kana != " "
}
_ROMAJI |= {"や": "ya", "ゆ": "yu", "よ": "yo", "わ": "wa", "を": "o", "ん": "n", "ぢ": "zi", "づ": "zu", "ゔ": "b"}
_SMALL_Y = {"ゃ": "ya", "ゅ": "yu", "ょ": "yo"}
# As it is written abroad, on signs and on a passport, to one of them.
_ROMAJI_SPELLINGS = (
    ("tch", "ch"), ("sh", "sy"), ("ch", "ty"), ("j", "zy"), ("ts", "t"), ("f", "h"), ("l", "r"), ("syi", "si"),
    ("tyi", "ti"), ("zyi", "zi"), ("zyy", "zy"), ("mb", "nb"), ("mp", "np"), ("mm", "nm"),
)  # fmt: skip
_DOUBLED = re.compile(r"([a-z])\1+")


def normalise(text: str) -> str:
    """One form for all that sounds or means the same; of that form it is the form itself.

    Half-width kana, full-width letters, katakana, capitals, spaces, signs, accents, long vowels, large and small kana,
    old kanji, and a few spellings of one word.
    """
    return _SPELLED.sub(lambda found: _FOLDED[found[0]], _folded(text))[:TEXT_MAX_LENGTH]


def stem(form: str) -> str:
    """What stays of a verb in this form: of ひっこした, ひっこします, ひっこす and ひっこし the same."""
    for _turn in range(_TAILS_MAX):
        form = _AFTER_VERB.sub("", form) or form
    form = _AFTER_TE.sub("", form) or form
    before = form
    form = _AFTER_STEM.sub("", form) or form
    if form != before:
        return _CONNECTIVE.sub("", form) or form
    for ending in (_PAST, _DICTIONARY, _CONNECTIVE):
        if (shorter := ending.sub("", form)) != form:
            return shorter or form
    return form


def romaji(text: str) -> str:
    """Japanese in kana or Latin letters as one spelling in Latin letters, long vowels short; other signs fall out."""
    plain = _plain(text)
    plain = _ANY_SPELLING.sub(lambda found: _PLAIN_SPELLINGS[found[0]], plain)
    letters = ""
    for char in plain:
        if char in _SMALL_Y and letters.endswith("i"):
            letters = letters[:-1] + _SMALL_Y[char]
        else:
            letters += _ROMAJI.get(char, char if char.isascii() else "")
    for spelling, form in _ROMAJI_SPELLINGS:
        letters = letters.replace(spelling, form)
    return _DOUBLED.sub(r"\1", _DOUBLED.sub(r"\1", letters).replace("ou", "o"))


def is_kana(text: str) -> bool:
    """Whether a text is written in kana alone, and so tells how it is read."""
    plain = _plain(text)
    return bool(plain) and all(_HIRAGANA_FIRST <= ord(char) <= _HIRAGANA_LAST or char == _LONG for char in plain)


def is_latin(form: str) -> bool:
    """Whether a form is in Latin letters and digits alone, with a letter among them."""
    return form.isascii() and any(char.isalpha() for char in form)


def latin_words(text: str) -> list[str]:
    """The words in Latin letters of a text, without accents, each cut to what its forms have in common."""
    folded = unicodedata.normalize("NFKD", text[:TEXT_MAX_LENGTH]).casefold()
    bare = "".join(char for char in folded if unicodedata.category(char) != "Mn")
    return [_english_stem(word) for word in re.findall(r"[a-z0-9]+", bare.replace("'", ""))]


def _english_stem(word: str) -> str:
    for ending in ("ing", "ies", "es", "ed", "s", "e", "y"):
        if word.endswith(ending) and len(word) - len(ending) >= _ENGLISH_STEM_MIN:
            return word.removesuffix(ending)
    return word


def _folded(text: str) -> str:
    return _plain(text).replace(_LONG, "").translate(_AS_HEARD)


def _plain(text: str) -> str:
    """Letters and digits, one of each kind, kana as it was typed."""
    voiced = text[:TEXT_MAX_LENGTH].translate(_VOICED)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", voiced).casefold())
    kept = (_plain_char(char) for char in folded.translate(_KANJI_OF_TODAY))
    return "".join(kept)[:TEXT_MAX_LENGTH]


@lru_cache(maxsize=KNOWN_SIGNS_MAX)
def _plain_char(char: str) -> str:
    code = ord(char)
    if _KATAKANA_FIRST <= code <= _KATAKANA_LAST:
        return chr(code - _TO_HIRAGANA)
    if _HIRAGANA_FIRST <= code <= _HIRAGANA_LAST or char == _LONG or char.isascii():
        return char if char.isalnum() else ""
    if unicodedata.category(char)[0] not in "LN" or _JAMO_FIRST <= code <= _JAMO_LAST:
        return ""
    # é and ō are e and o; what else has parts (한) stays whole.
    first = unicodedata.normalize("NFKD", char)[0]
    if first.isascii() and first.isalnum():
        return first
    return char if unicodedata.normalize("NFKC", char.casefold()) == char else ""


def _any_of(spellings: Iterable[str]) -> re.Pattern[str]:
    # Longest first: a shorter spelling may be part of a longer one.
    return re.compile("|".join(sorted(spellings, key=len, reverse=True)))


_FOLDED = {_folded(spelling): _folded(form) for spelling, form in _SPELLINGS.items()}
_SPELLED = _any_of(_FOLDED)
_PLAIN_SPELLINGS = {_plain(spelling): form for spelling, form in _SPELLINGS.items()}
_ANY_SPELLING = _any_of(_PLAIN_SPELLINGS)
