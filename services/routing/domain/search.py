"""Finding a procedure by whatever people call it: official name, plain words, everyday words, what is like them.

An index is made once for a version of the catalogue. What is compared is brought to one form (`spelling.py`). Among
what fits equally well, what people need most comes first.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from services.routing.domain.catalogue import Procedure
from services.routing.domain.likeness import Likes
from services.routing.domain.spelling import (
    TEXT_MAX_LENGTH,
    is_kana,
    is_latin,
    latin_words,
    normalise,
    romaji,
    stem,
)

QUERY_MAX_LENGTH = TEXT_MAX_LENGTH
TOKENS_MAX = 6
SHORTEST_WORD = 2
# Shorter, a stem in kana is part of too many words.
SHORTEST_KANA_STEM = 3
SHORTEST_ROMAJI = 4
LONGEST_WORD = 30
NEAR_MAX = 3
# How alike something has to be to be offered at all (0 to 1).
NEAR_LIKENESS = 0.4

# How well something fits, best first: the official name, the plain one and the English one, the town's everyday words.
EXACT, PLAIN_EXACT, PREFIX, CONTAINS, PLAIN_PART, WORD, WORD_PART, CATEGORY, MENTIONED, SOUNDS, LIKE = range(11)
_BREAK = "\n"
_RARE = 1_000
_PARTS = ("・", "の", "(", "（")
_STOP_WORDS = frozenset(
    word
    for text in (
        "i my me we our you your he she it a an the to of for in on at is am are was do does did how what where when",
        "can could need want would like get got have has had new apply application about with and or from this that",
        "please make",
    )
    for word in latin_words(text)
)


class Found(msgspec.Struct, frozen=True):
    """A procedure that matches, how well (0 is best), and by which of its words."""

    procedure: Procedure
    rank: int
    by: str = ""
    # Signs of the query that it explains; mistakes that it takes.
    covered: int = 0
    distance: int = 0


class _Lines:
    """Many short texts as one long one, in which a piece is found faster than in each of them."""

    def __init__(self, lines: Iterable[tuple[str, int, str]]) -> None:
        kept = [line for line in lines if line[0]]
        self._of = [(owner, said) for _text, owner, said in kept]
        self._starts: list[int] = []
        start = 1
        for text, _owner, _said in kept:
            self._starts.append(start)
            start += len(text) + 1
        self._text = _BREAK + "".join(text + _BREAK for text, _owner, _said in kept)

    def find(self, piece: str) -> Iterator[tuple[int, str, bool, bool]]:
        """Whose line has the piece, how it was written, whether it begins with it, and whether it is all of it."""
        # One kana stands in nearly every line.
        wanted = _BREAK + piece if len(piece) == 1 and is_kana(piece) else piece
        at = self._text.find(wanted)
        while at >= 0:
            at += len(wanted) - len(piece)
            owner, said = self._of[bisect_right(self._starts, at) - 1]
            begins = self._text[at - 1] == _BREAK
            yield owner, said, begins, begins and self._text[at + len(piece)] == _BREAK
            # The break may be where the next one begins.
            at = self._text.find(wanted, self._text.index(_BREAK, at))


class SearchIndex:
    """The words of a town's procedures, ready to be searched. It holds `procedures` as they were given."""

    def __init__(self, procedures: Sequence[Procedure]) -> None:
        self.procedures = tuple(procedures)
        names: list[tuple[str, int, str]] = []
        plain: list[tuple[str, int, str]] = []
        words: list[tuple[str, int, str]] = []
        sounds: list[tuple[str, int, str]] = []
        # Most words stand in several places, while the index is made.
        self._forms: dict[str, str] = {}
        self._mentions: dict[str, dict[int, str]] = {}
        self._stems: dict[str, dict[int, str]] = {}
        self._latin: dict[str, dict[int, bool]] = {}
        for owner, procedure in enumerate(self.procedures):
            official = (procedure.name_ja, procedure.kana, procedure.code)
            names += [(self._form(text), owner, text) for text in official]
            plain += [(self._form(text), owner, text) for text in (procedure.name_plain_ja, procedure.name_en)]
            words += [(self._form(text), owner, text) for text in procedure.words]
            spoken = (word for word in procedure.words if is_kana(self._form(word)))
            sounds += [(romaji(text), owner, text) for text in (procedure.kana, *spoken)]
            self._note(owner, procedure)
        self._names, self._plain, self._words, self._sounds = map(_Lines, (names, plain, words, sounds))
        self._categories = _Lines(
            (self._form(procedure.category), owner, procedure.category)
            for owner, procedure in enumerate(self.procedures)
        )
        self._latin_order = sorted(self._latin)
        self._likes = Likes([*names, *plain, *words])
        self._sounds_like = Likes(sounds)
        self._latin_like = Likes([(word, 0, word) for word in self._latin_order])
        self._forms.clear()

    def _form(self, text: str) -> str:
        if text not in self._forms:
            self._forms[text] = normalise(text)
        return self._forms[text]

    def _note(self, owner: int, procedure: Procedure) -> None:
        texts = (procedure.name_ja, procedure.kana, procedure.name_plain_ja, *_heads(procedure.name_ja))
        for text in (*texts, *procedure.words):
            self._mention(self._form(text), owner, text)
        for word in procedure.words:
            root = stem(self._form(word))
            self._stems.setdefault(root, {}).setdefault(owner, word)
            if _says_enough(root):
                self._mention(root, owner, word)
        for text, is_name in ((procedure.name_en, True), *((word, False) for word in procedure.words)):
            for part in latin_words(text):
                known = self._latin.setdefault(part, {})
                known[owner] = known.get(owner, False) or is_name

    def _mention(self, form: str, owner: int, said: str) -> None:
        # One kanji is a word; one kana, or a letter, is not.
        shortest = 1 if form and not is_kana(form) and not form.isascii() else SHORTEST_WORD
        if shortest <= len(form) <= LONGEST_WORD:
            self._mentions.setdefault(form, {}).setdefault(owner, said)

    def fit(self, form: str) -> dict[int, tuple[int, str]]:
        """How well each procedure fits one text, and by which of its words."""
        best: dict[int, tuple[int, str]] = {}

        def note(owner: int, rank: int, said: str) -> None:
            if owner not in best or rank < best[owner][0]:
                best[owner] = (rank, said)

        for owner, said, begins, whole in self._names.find(form):
            note(owner, EXACT if whole else PREFIX if begins else CONTAINS, said)
        for owner, said, _begins, whole in self._plain.find(form):
            note(owner, PLAIN_EXACT if whole else PLAIN_PART, said)
        for owner, said, _begins, whole in self._words.find(form):
            note(owner, WORD if whole else WORD_PART, said)
        for owner, said in self._stems.get(stem(form), {}).items():
            note(owner, WORD, said)
        for owner, said, _begins, _whole in self._categories.find(form):
            note(owner, CATEGORY, said)
        return best

    def mentioned(self, form: str) -> dict[int, tuple[int, str]]:
        """The procedures whose words stand in a sentence: how many of its signs they cover, and the longest of them."""
        masks: dict[int, int] = {}
        longest: dict[int, tuple[int, str]] = {}
        for start in range(len(form)):
            for end in range(start + 1, min(len(form), start + LONGEST_WORD) + 1):
                for owner, said in self._mentions.get(form[start:end], {}).items():
                    length = end - start
                    masks[owner] = masks.get(owner, 0) | ((1 << length) - 1) << start
                    if length > longest.get(owner, (0, ""))[0]:
                        longest[owner] = (length, said)
        return {owner: (mask.bit_count(), longest[owner][1]) for owner, mask in masks.items()}

    def latin(self, parts: Sequence[str]) -> dict[int, tuple[int, int]]:
        """By words in Latin letters, the last letters of which may be missing: the rank, and what those that fit weigh.

        A word weighs the more, the fewer procedures have it.
        """
        fits: dict[int, list[bool]] = {}
        weights: dict[int, int] = {}
        for part in dict.fromkeys(parts):
            here: dict[int, bool] = {}
            for known in self._latin_from(part):
                for owner, is_name in self._latin[known].items():
                    here[owner] = here.get(owner, False) or is_name
            for owner, is_name in here.items():
                fits.setdefault(owner, []).append(is_name)
                weights[owner] = weights.get(owner, 0) + _RARE // len(here)
        wanted = len(set(parts))
        return {
            owner: (MENTIONED if len(names) < wanted else PLAIN_PART if all(names) else WORD, weights[owner])
            for owner, names in fits.items()
        }

    def _latin_from(self, part: str) -> Iterator[str]:
        if len(part) < SHORTEST_WORD + 1:
            yield from (part,) if part in self._latin else ()
            return
        for known in self._latin_order[bisect_left(self._latin_order, part) :]:
            if not known.startswith(part):
                return
            yield known

    def sounding(self, letters: str) -> dict[int, str]:
        """By Japanese typed in Latin letters."""
        return {owner: said for owner, said, _begins, _whole in self._sounds.find(letters)}

    def like(self, form: str) -> dict[int, tuple[int, str]]:
        """With a mistake or two in it: how many, and what was meant."""
        return self._sounds_like.within(romaji(form)) if is_latin(form) else self._likes.within(form)

    def corrected(self, parts: Sequence[str]) -> list[str]:
        """Words in Latin letters with their mistakes put right, as far as that can be."""
        return [part if part in self._latin else self._latin_like.best(part) or part for part in parts]

    def near(self, query: str) -> list[Procedure]:
        """What is least unlike a text that finds nothing."""
        form = normalise(query)
        letters = romaji(query) if is_latin(form) else ""
        likeness = self._likes.likeness(form)
        for owner, share in self._sounds_like.likeness(letters).items():
            likeness[owner] = max(share, likeness.get(owner, 0.0))
        near = sorted((-share, owner) for owner, share in likeness.items() if share >= NEAR_LIKENESS)
        return [self.procedures[owner] for _share, owner in near[:NEAR_MAX]]


def search(index: SearchIndex, query: str, frequent: Sequence[str] = ()) -> list[Found]:
    """The procedures that match, best first; among equals what is `frequent`, then the town's order.

    Nothing typed finds nothing. Mistakes are looked for only where nothing else fits.
    """
    whole = normalise(query)
    if not whole:
        return []
    found = (_find_latin if is_latin(whole) else _find_japanese)(index, query, whole)
    if not found:
        for owner, (distance, said) in index.like(whole).items():
            found.setdefault(owner, Found(index.procedures[owner], LIKE, said, distance=distance))
        parts = _meaning(query)
        if parts and (corrected := index.corrected(parts)) != parts:
            for owner, (_rank, weight) in index.latin(corrected).items():
                found.setdefault(owner, Found(index.procedures[owner], LIKE, index.procedures[owner].name_en, weight))
    places = {code: place for place, code in enumerate(frequent)}
    order = sorted(
        found.items(),
        key=lambda item: (
            item[1].rank,
            -item[1].covered,
            item[1].distance,
            places.get(item[1].procedure.code, len(places)),
            item[0],
        ),
    )
    return [match for _owner, match in order]


class _Notes(msgspec.Struct):
    """The best that was found for each procedure."""

    index: SearchIndex
    found: dict[int, Found] = {}

    def note(self, owner: int, rank: int, said: str, covered: int = 0) -> None:
        match = self.found.get(owner)
        if match is None or (rank, -covered) < (match.rank, -match.covered):
            self.found[owner] = Found(self.index.procedures[owner], rank, said, covered)


def _find_latin(index: SearchIndex, query: str, whole: str) -> dict[int, Found]:
    notes = _Notes(index)
    for owner, (rank, said) in index.fit(whole).items():
        # In the middle of a word in Latin letters stands another word only by chance.
        if rank in (EXACT, PLAIN_EXACT, PREFIX, WORD):
            notes.note(owner, rank, said)
    for owner, (rank, weight) in index.latin(_meaning(query)).items():
        notes.note(owner, rank, index.procedures[owner].name_en, weight if rank == MENTIONED else 0)
    letters = romaji(query)
    if len(letters) >= SHORTEST_ROMAJI:
        for owner, said in index.sounding(letters).items():
            notes.note(owner, SOUNDS, said)
    return notes.found


def _find_japanese(index: SearchIndex, query: str, whole: str) -> dict[int, Found]:
    notes = _Notes(index)
    for owner, (rank, said) in index.fit(whole).items():
        notes.note(owner, rank, said)
    root = stem(whole)
    if _says_enough(root) and root != whole:
        for owner, (rank, said) in index.fit(root).items():
            notes.note(owner, max(rank, WORD_PART), said)
    tokens = [token for token in map(normalise, query.split()[:TOKENS_MAX]) if token]
    if len(tokens) > 1:
        for owner, (rank, said) in _fit_all(index, tokens).items():
            notes.note(owner, rank, said)
    for owner, (covered, said) in index.mentioned(whole).items():
        notes.note(owner, MENTIONED, said, covered)
    return notes.found


def _says_enough(root: str) -> bool:
    return len(root) >= (SHORTEST_KANA_STEM if is_kana(root) else SHORTEST_WORD)


def _fit_all(index: SearchIndex, tokens: Sequence[str]) -> dict[int, tuple[int, str]]:
    """Several words, each of which must match: as good as the worst of them."""
    first, *others = (index.fit(token) for token in dict.fromkeys(tokens))
    return {
        owner: max([fit, *(other[owner] for other in others)])
        for owner, fit in first.items()
        if all(owner in other for other in others)
    }


def _meaning(query: str) -> list[str]:
    parts = latin_words(query)
    return [part for part in parts if part not in _STOP_WORDS] or parts


def _heads(name: str) -> list[str]:
    """What stands before の, and between signs: 国民健康保険 of 国民健康保険の加入. Two signs say too little."""
    for part in _PARTS:
        name = name.replace(part, _BREAK)
    return [head for head in name.split(_BREAK)[:2] if len(head) > SHORTEST_WORD]
