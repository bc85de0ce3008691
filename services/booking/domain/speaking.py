"""How a called number is spoken (呼び出し音声): 「ななの、じゅうにばんのかた、ななばんまどぐちへ…」, then in English.

Both languages are spoken whatever the board is read in. Numbers are written as they are said: a voice left to itself
says しち, which is heard as いち, and spells ``012`` sign by sign.
"""

NUMBER_MAX = 9_999
_DIGITS = ("ゼロ", "いち", "に", "さん", "よん", "ご", "ろく", "なな", "はち", "きゅう")
_TENS = ("", "じゅう", "にじゅう", "さんじゅう", "よんじゅう", "ごじゅう", "ろくじゅう", "ななじゅう", "はちじゅう",
         "きゅうじゅう")  # fmt: skip
_HUNDREDS = ("", "ひゃく", "にひゃく", "さんびゃく", "よんひゃく", "ごひゃく", "ろっぴゃく", "ななひゃく", "はっぴゃく",
             "きゅうひゃく")  # fmt: skip
_THOUSANDS = ("", "せん", "にせん", "さんぜん", "よんせん", "ごせん", "ろくせん", "ななせん", "はっせん",
              "きゅうせん")  # fmt: skip


def say_number(number: int) -> str:
    """A number from 0 to `NUMBER_MAX` in kana, as it is heard best: 7 is なな and 4 is よん, always."""
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(number)
    if number == 0:
        return _DIGITS[0]
    thousands, rest = divmod(number, 1000)
    hundreds, rest = divmod(rest, 100)
    tens, ones = divmod(rest, 10)
    return _THOUSANDS[thousands] + _HUNDREDS[hundreds] + _TENS[tens] + (_DIGITS[ones] if ones else "")


def say_call_ja(ticket_counter: str, ticket_no: int, counter_number: str) -> str:
    """To whom it is said, and where they go; a counter without a number (相談室) by its name."""
    where = f"{_say_ja(counter_number)}ばん、まどぐち" if _is_number(counter_number) else counter_number
    return f"{_say_ja(ticket_counter)}の、{say_number(ticket_no)}ばんのかた、{where}へ、おこしください。"


def say_call_en(ticket_counter: str, ticket_no: int, counter_number: str, name_en: str = "") -> str:
    """The same in English; a counter that has neither a number nor an English name is left to the screen."""
    who = f"Number {_say_en(ticket_counter)}, {ticket_no}."
    if _is_number(counter_number):
        return f"{who} Please come to counter {int(counter_number)}."
    if name_en or counter_number.isascii():
        return f"{who} Please come to {name_en or counter_number}."
    return f"{who} Please look at the screen."


def _is_number(said: str) -> bool:
    return said.isascii() and said.isdigit() and int(said) <= NUMBER_MAX


def _say_ja(code: str) -> str:
    return say_number(int(code)) if _is_number(code) else code


def _say_en(code: str) -> str:
    return str(int(code)) if _is_number(code) else code
