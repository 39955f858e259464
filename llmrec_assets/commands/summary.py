"""What a run of the loop did, in a few lines."""

import sys

import click

from llmrec_assets.commands.jobs import shown_path
from llmrec_assets.layout import ROOT_VARIABLE, Layout


def print_summary(layout: Layout) -> None:
    """Print counts, held-out scores of the newest evaluation, and what to type next."""
    from llmrec_assets.resources.warehouse import Warehouse
    from llmrec_assets.sql.summary import summarise

    with Warehouse(path=str(layout.warehouse)).connect() as connection:
        outcome = summarise(connection)
    counts, decision = outcome.counts, outcome.decision
    facts = {
        "events read": counts["events_read"],
        "rejected": f"{counts['rejected']} rows; {counts['removed']} events removed by cleaning",
        "users": counts["users"],
        "items": counts["items"],
        "feedback": f"{counts['feedback']} impressions and responses",
        "model": f"{decision['served']} ({decision['outcome']})",
    }
    click.echo("")
    for name, value in facts.items():
        click.echo(f"{name:<16}{value}")
    test = "held-out test" if outcome.hides_seen else "held-out, repeats count"
    click.echo(f"\n{test:<28}{'NDCG@10':>9}{'Recall@10':>11}{'users':>8}")
    for row in outcome.scores.itertuples():
        click.echo(f"{row.scorer:<28}{row.ndcg_at_10:>9.4f}{row.recall_at_10:>11.4f}{row.users:>8}")
    where = shown_path(layout.root)
    # As it was called: a virtual environment need not be on the path.
    llmrec = sys.argv[0] if sys.argv[0].endswith("/llmrec") else "llmrec"
    click.echo(f"\nrecommendations {shown_path(layout.recommendations)}")
    click.echo(f"one user        {ROOT_VARIABLE}={where} {llmrec} recommend USER")
    click.echo(f"its page        {ROOT_VARIABLE}={where} {llmrec} serve")
    click.echo(f"Dagster UI      {ROOT_VARIABLE}={where} {llmrec} ui")
