"""Whether a text is やさしい日本語, as far as a machine can tell: short sentences, few kanji, words apart, です・ます.

The rules are those of the guidelines of 出入国在留管理庁 and 文化庁 that can be counted. What they cannot see, such as
whether a word is known, is for readers.
"""

import re
from typing import Final

from shared.bare_text import bare
from shared.web.readings import unread

KANJI_MAX: Final = 13
"""In a sentence."""
KANJI_RUN_MAX: Final = 4
"""In a row: longer ones are chains of nouns (本人確認書類)."""
PHRASE_MAX: Final = 12
"""Characters without a space: 分かち書き puts one after each phrase."""
SENTENCE_MAX: Final = 40
"""Characters of a sentence, which carries one message."""

_PLACEHOLDER = re.compile(r"%\(\w+\)s|\{\w+\}")
_SENTENCE_END = re.compile(r"(?<=[。？！])")
_KANJI = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff々]")
_KANJI_RUN = re.compile(rf"[\u3400-\u4dbf\u4e00-\u9fff々]{{{KANJI_RUN_MAX + 1},}}")
# What ends a phrase as well as a space does; an address or a number is none.
_PHRASE_END = re.compile(r"[\s\x00-\x7f、。？！・（）「」『』【】〜：…—]+")
_KATAKANA = re.compile(r"[ァ-ヶー]+")
_ASIDE = re.compile(r"（[^）]*）")
_POLITE = re.compile(r"(です|ます|ません|でした|ました|ましょう|ください|どうぞ|ございます|ですか|ますか)[。？！]$")
_NEGATIVE = re.compile(r"ない|なく(?!な[っりる])|なければ|なきゃ|ません|ずに|(?<=[わえせてけれべめ])ず(?=\s|、|。)")


def plain_problems(text: str) -> list[str]:
    """What makes a text less plain than it should be, in words for its author; nothing when it is well."""
    problems = [
        f"{problem}: {sentence.strip()}"
        for sentence in _SENTENCE_END.split(bare(text).replace("\n", "。"))
        for problem in _problems_of(sentence.strip())
    ]
    return problems + [f"no reading of {word} in readings.txt: {text}" for word in unread(text)]


def _problems_of(sentence: str) -> list[str]:
    bare = _PLACEHOLDER.sub("\x00", sentence)
    problems = []
    if (kanji := len(_KANJI.findall(bare))) > KANJI_MAX:
        problems.append(f"{kanji} kanji, at most {KANJI_MAX}")
    if run := _KANJI_RUN.search(bare):
        problems.append(f"a chain of nouns, {run[0]}")
    if (length := len(re.sub(r"[\s\x00]", "", bare))) > SENTENCE_MAX:
        problems.append(f"{length} characters, at most {SENTENCE_MAX}")
    # A long word in katakana has no place for a space.
    long = (phrase for phrase in _PHRASE_END.split(bare) if len(_KATAKANA.sub("ー", phrase)) > PHRASE_MAX)
    problems += [f"no space in {phrase}" for phrase in long]
    if bare.endswith(("。", "？", "！")) and not _POLITE.search(_ASIDE.sub("", bare).replace(" ", "")):
        problems.append("does not end in です, ます or ください")
    if len(_NEGATIVE.findall(bare)) > 1:
        problems.append("two negatives")
    return problems
