"""`choudo …`: the operator's command line.

choudo town check FOLDER          read a town pack and say everything that is wrong with it: 0 nothing, 2 something
choudo town diff FOLDER           what loading it would change, and what open cases would feel of it: 0 nothing, 1 some
choudo town load FOLDER           load it: catalogue, opening rules, reminder rules, hosts; again, it changes nothing
choudo town export FOLDER …       write the newest loaded pack, or --version N, to an empty folder: 0 done, 1 none there
choudo town versions TOWN         which packs were loaded when: 0 some, 1 none
choudo town publish               load what managers want published on /office/catalogue; --follow: go on doing so
choudo practice open TOWN         a practice town for its staff: 0 opened or there already, 2 bad input
choudo account open LOGIN …       open an account; the password is read from the environment or made and printed;
                                  --sms or --mail: by which its owner is told things, and signs in without it
choudo account close LOGIN …      nobody signs in with it any more
choudo ledger verify [TOWN]       check all three ledgers and their checkpoints: 0 intact, 1 broken, 2 bad input
choudo ledger verify FOLDER       the same of an export, without a database; --roots FILE: against published checkpoints
choudo ledger export TOWN --to …  write a town's ledgers into a folder: 0 done, 2 bad input
choudo ledger check RECEIPT …     a resident's receipt against published checkpoints: 0 right, 1 wrong, 2 bad input
choudo dead-letters list          what the services could not apply: 0 nothing, 1 something, 2 bad input
choudo dead-letters show ID       one of them, without anything of a person: 0 shown, 1 not there, 2 bad input
choudo dead-letters replay …      have the services' workers apply them: 0 asked for, 1 some not there, 2 bad input
choudo dead-letters discard …     let them go for good: 0 done, 1 some not there, 2 bad input
choudo draw replay FILE           draw again from a public record: 0 the same, 1 another, 2 bad input
choudo erase SUBJECT …            a person's data goes, with --yes: 0 done, 1 not there or in the way, 2 bad input
choudo retention [TOWN]           what was kept long enough, by procedure; goes with --yes: 0 done, 2 bad input
choudo keys status                how many data keys are under older master keys: 0 none, 1 some, 2 bad input
choudo keys rotate                wrap them by the newest, while everything goes on: 0 none left, 1 some, 2 bad input
choudo backup FOLDER              the data, and apart from it the keys, of which the newest two stay: 0 written
choudo restore FOLDER/data-…      bring it back into an empty database, with the newest keys; who was erased meanwhile
                                  is erased again: 0 done, 1 not empty or of another version, 2 bad input

3, of any command: a database cannot be reached.

The databases are those of CHOUDO_<SERVICE>_DATABASE_URL; `town load` needs the administrator's DATABASE_URL as well,
`backup` and `restore` those of the schemas' owners (CHOUDO_<SERVICE>_OWNER_DATABASE_URL), `keys` the master keys.
Each may be given as a file (CHOUDO_BOOKING_DATABASE_URL_FILE).
"""

import argparse
import asyncio
import os
import secrets
import sys
from collections.abc import Mapping

from deploy.backup import add_backup, back_up_or_restore
from deploy.databases import Unreachable, transaction
from deploy.dead_letters import add_dead_letters, decide_dead_letters
from deploy.draw import add_draw, replay
from deploy.erase import add_erase, erase
from deploy.keys import add_keys, keep_keys
from deploy.ledger import add_ledger, decide_ledger
from deploy.practice import add_practice, decide_practice, open_anew
from deploy.retention import add_retention, retention
from deploy.secrets import MissingVariable, required
from deploy.town import add_town, decide_town
from services.routing.commands.account_contact import vouch_for_contact
from services.routing.commands.accounts import HELPER, Profile, close_account, open_staff_account
from services.routing.domain.sign_in import Address
from services.routing.keys import ContactKeys, read_master_keys
from shared.clock import utc_now
from shared.crypto import ServiceBox
from shared.errors import Refusal
from shared.roles import ROLES
from shared.town_pack import BadTownPack
from shared.web.forms import Form

INTACT, BAD_INPUT, UNREACHABLE = 0, 2, 3
PASSWORD_BYTES = 9


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="choudo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    add_town(commands)
    accounts = commands.add_parser("account").add_subparsers(dest="action", required=True)
    account = accounts.add_parser("open")
    account.add_argument("login")
    account.add_argument("--town", required=True)
    account.add_argument("--role", action="append", default=[], choices=list(ROLES))
    account.add_argument("--office")
    account.add_argument("--name", help="of a helper: what residents call them")
    account.add_argument("--language", action="append", default=[], help="of a helper: ja, en …; ja without it")
    contact = account.add_mutually_exclusive_group()
    contact.add_argument("--sms", dest="contact", type=_sms, help="a mobile phone of theirs")
    contact.add_argument("--mail", dest="contact", type=_mail, help="a mail address of theirs")
    closing = accounts.add_parser("close")
    closing.add_argument("login")
    closing.add_argument("--town", required=True)

    add_practice(commands)
    add_ledger(commands)
    add_dead_letters(commands)
    add_draw(commands)
    add_erase(commands)
    add_retention(commands)
    add_keys(commands)
    add_backup(commands)

    given = parser.parse_args(arguments)
    try:
        return asyncio.run(_run(given, os.environ))
    except BadTownPack as error:
        print(error, file=sys.stderr)
    except Refusal as error:
        details = "".join(f", {name} {value}" for name, value in error.details.items())
        print(f"refused: {error.code}{details}", file=sys.stderr)
    except MissingVariable as error:
        print(f"missing in the environment: {error}", file=sys.stderr)
    except Unreachable as error:
        print(error, file=sys.stderr)
        return UNREACHABLE
    return BAD_INPUT


async def _run(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    match given.command, given.action:
        case "town", _:
            return await decide_town(given, environ, open_anew)
        case "practice", _:
            return await decide_practice(given, environ)
        case "account", "open":
            return await _open_account(given, environ)
        case "account", "close":
            return await _close_account(given, environ)
        case "dead-letters", _:
            return await decide_dead_letters(given, environ)
        case "draw", _:
            return replay(given)
        case "erase", _:
            return await erase(given, environ)
        case "backup" | "restore", _:
            return await back_up_or_restore(given, environ, now=utc_now())
        case "keys", _:
            return await keep_keys(given, environ)
        case "retention", _:
            return await retention(given, environ)
        case _:
            return await decide_ledger(given, environ)


async def _open_account(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    password = environ.get("CHOUDO_NEW_PASSWORD") or secrets.token_urlsafe(PASSWORD_BYTES)
    profile = box = None
    if HELPER in given.role:
        profile = Profile(display_name=given.name or "", languages=tuple(given.language) or ("ja",))
        box = _box(environ)
    contact_keys = None
    if given.contact is not None:
        masters = read_master_keys(required(environ, "CHOUDO_ROUTING_MASTER_KEY"))
        contact_keys = ContactKeys(box or _box(environ), masters)
    async with transaction("routing", given.town, environ) as (session, now):
        account_id = await open_staff_account(
            session,
            municipality=given.town,
            login=given.login,
            password=password,
            roles=tuple(given.role),
            office=given.office,
            profile=profile,
            box=box,
            now=now,
        )
        if contact_keys is not None:
            await vouch_for_contact(
                session,
                contact_keys,
                municipality=given.town,
                account_id=account_id,
                address=given.contact,
                now=now,
            )
    shown = "(as given)" if environ.get("CHOUDO_NEW_PASSWORD") else password
    print(f"account {given.login}: password {shown}, roles {', '.join(given.role) or 'none'}")
    return INTACT


def _box(environ: Mapping[str, str]) -> ServiceBox:
    return ServiceBox.from_settings(
        required(environ, "CHOUDO_ROUTING_BOX_KEY"), required(environ, "CHOUDO_BOX_PUBLIC_KEYS")
    )


def _sms(typed: str) -> Address:
    number = Form({"phone": typed}).mobile_phone("phone")
    if not number:
        raise argparse.ArgumentTypeError("a Japanese mobile number, please: 090-1234-5678")
    return Address(reach="sms", value=number)


def _mail(typed: str) -> Address:
    mail = Form({"email": typed}).email("email")
    if not mail:
        raise argparse.ArgumentTypeError("a mail address, please: hanako@example.jp")
    return Address(reach="email", value=mail)


async def _close_account(given: argparse.Namespace, environ: Mapping[str, str]) -> int:
    async with transaction("routing", given.town, environ) as (session, now):
        await close_account(session, municipality=given.town, login=given.login, now=now)
    print(f"account {given.login}: closed")
    return INTACT


if __name__ == "__main__":
    sys.exit(main())
