"""At the desk as on the form: what does not apply by an answer is no part of the case."""

import msgspec

from services.routing.commands.catalogue import publish_catalogue
from shared.db import Database
from shared.town_pack.items import Condition, FormGroup, FormItem, ProcedureForm
from tests.routing.applying import SEE_OTHER
from tests.routing.conftest import Visitor
from tests.routing.makers import HOST, NOW, TOWN, make_pack
from tests.routing.test_desk import RES02_FORM, NewVisitor, all_of, at_desk, correct, id_of, prepare

HOUSE = "ハイツ二宮"
NEEDS_PHONE = Condition(item="address", part="building", one_of=(HOUSE,))
ADDRESS = {key: value for key, value in RES02_FORM.items() if key.startswith("address")}


async def test_what_no_longer_applies_after_a_correction_is_left_out(
    db: Database, visitor: Visitor, new_visitor: NewVisitor
) -> None:
    """And is asked again once it applies. Seen to fail without `not_asked` in `correct_at_desk` and `Desk.needed`."""
    pack = make_pack()
    entries = tuple(FormItem(item=item) for item in ("name", "kana", "address"))
    group = FormGroup(ja="書く人", easy="かく 人", en="You", items=(*entries, FormItem(item="phone", when=NEEDS_PHONE)))
    form = ProcedureForm(procedure="RES02", groups=(group,))
    items = msgspec.structs.replace(pack.items, forms=(*pack.items.forms, form))
    async with db.begin(TOWN) as session:
        await publish_catalogue(
            session, msgspec.structs.replace(pack, items=items), public_url=f"http://{HOST}", now=NOW
        )
    case = await prepare(visitor, address_building=HOUSE)
    desk = f"/office/cases/{id_of(case)}/desk"
    staff = await at_desk(db, new_visitor)
    assert f"{desk}/items/phone" in (await staff.get(desk)).text
    assert (await correct(staff, desk, "address", **ADDRESS)).status_code == SEE_OTHER
    assert f"{desk}/items/phone" not in (await staff.get(desk)).text
    [kept] = await all_of(db, "SELECT items, not_asked FROM case_file")
    assert ("phone" in kept.items, list(kept.not_asked)) == (False, ["phone"])
    again = await correct(staff, desk, "address", **(ADDRESS | {"address_building": HOUSE}))
    assert again.status_code == SEE_OTHER
    assert f"{desk}/items/phone" in (await staff.get(desk)).text
