"""The sample town of `make run` with one procedure more: 【見本】, of nobody, whose sending asks for the identity step.

The town's own pack stays as it is: no town has this procedure.
"""

import shutil
from pathlib import Path

CODE = "MIHON"
# As the settings of `make run` name the made-up provider.
PROVIDER = "sample"
_LINE = (
    f"{CODE},【見本】本人確認つきの申請,【見本】本人だと たしかめる 申請,Sample: application with an identity check,"
    "戸籍,yes,yes,no,10,0,name|birth_date,none,identity,,,general,2,"
    "ミホン ホンニンカクニンツキノシンセイ,住まい・戸籍,見本,false,30,,,\n"
)
_RULE = f"""
[[procedures]]
procedure = "{CODE}"
identity_step = "{PROVIDER}"
appeal_to = ""
"""


def with_sample(pack: Path, folder: Path) -> Path:
    """A copy of the pack with the sample procedure, in this folder; the pack itself where it has no such files."""
    procedures, office = pack / "procedures.csv", pack / "office.toml"
    if not (procedures.exists() and office.exists()):
        return pack
    shutil.copytree(pack, folder, dirs_exist_ok=True)
    for file, more in ((procedures, _LINE), (office, _RULE)):
        text = file.read_text("utf-8")
        (folder / file.name).write_text(text.rstrip("\n") + "\n" + more, "utf-8")
    return folder
