"""The sample town's procedures, and a town of any size, for the tests of the search."""

from collections.abc import Sequence
from pathlib import Path

from services.routing.domain.catalogue import Procedure
from services.routing.domain.search import SearchIndex, search
from shared.town_pack import Procedure as PackProcedure
from shared.town_pack import read_town_pack

SAMPLE_TOWN = Path(__file__).resolve().parents[2] / "deploy" / "towns" / "ninomiya"


def to_procedures(lines: Sequence[PackProcedure]) -> list[Procedure]:
    """Lines of a pack as the rules see them."""
    return [Procedure(**{name: getattr(line, name) for name in Procedure.__struct_fields__}) for line in lines]


def index_of_sample_town() -> SearchIndex:
    """As the sample town has it."""
    return SearchIndex(to_procedures(read_town_pack(SAMPLE_TOWN).procedures))


def codes_of(index: SearchIndex, query: str, frequent: Sequence[str] = ()) -> list[str]:
    """The codes of what is found, best first."""
    return [match.procedure.code for match in search(index, query, frequent)]
