"""The few commands a person types: the table of contents of `commands`."""

import click

from llmrec_assets.commands import care, importing, loop, persons, rejected, service
from llmrec_assets.commands.told import Told


@click.group(cls=Told)
def main() -> None:
    """Recommendations from a folder of events. LLMREC_DATA_DIR names the store (default data/)."""


for command in (
    loop.run,
    loop.demo,
    loop.recommend,
    loop.rollback,
    loop.approve,
    loop.ui,
    service.serve,
    service.key,
    importing.import_,
    rejected.rejected,
    care.doctor,
    care.backup,
    care.restore,
    care.retract,
    persons.erase_user,
    persons.export_user,
    persons.expire,
):
    main.add_command(command)
