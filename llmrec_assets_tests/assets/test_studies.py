"""The study of texts as an asset: what it says, what it refuses, and where it goes on."""

import dagster as dg
import pytest
from pydantic import ValidationError

from llmrec_assets.assets import study_steps
from llmrec_assets.assets.studies import AblationConfig
from llmrec_assets.core.text_variants import VARIANTS
from llmrec_assets.datasets import shop
from llmrec_assets.resources.wiring import resources_of
from llmrec_assets.sql.studies import TEXT_ABLATION, TEXT_ABLATION_FITS

TWO = {"variants": ["ids_only", "default"], "seeds": 1, "max_epochs": 1}


@pytest.fixture
def study(root, run_job):
    """A small generated shop up to the fused features; studies of it."""
    made = shop.generate(seed=3, n_users=50, n_items=40)
    made.events.to_csv(root.landing_events / "events.csv", index=False)
    made.items.to_csv(root.landing_items / "items.csv", index=False)
    build(root)

    def run(**choices):
        result = run_job("study_texts", config={"text_ablation": {**TWO, **choices}})
        return result.asset_materializations_for_node("text_ablation")[0].metadata

    return run


def build(root):
    from llmrec_assets.definitions import defs

    resources = resources_of(root)
    resources["encoder"] = type(resources["encoder"])(model="bag_of_words")
    job = dg.define_asset_job("build", dg.AssetSelection.assets("fused_features").upstream())
    built = dg.Definitions(
        assets=defs.assets, asset_checks=defs.asset_checks, jobs=[job], resources=resources
    )
    assert built.resolve_job_def("build").execute_in_process().success


def fits(root):
    table = TEXT_ABLATION_FITS.full_name
    rows = resources_of(root)["warehouse"].read(f"from {table} order by variant, seed")
    return rows.set_index(["variant", "seed"])


def test_a_study_says_what_texts_add_and_goes_on_where_it_ended(root, study):
    shown = study()
    assert "default less ids_only" in shown["verdict"].value
    assert shown["cheapest_not_surely_worse"].value in {"ids_only", "default"}
    assert "data:image/png" in shown["plot"].value
    rows = resources_of(root)["warehouse"].read(f"from {TEXT_ABLATION.full_name}")
    everybody = rows[(rows["slice"] == "all") & (rows["scorer"] == "served")]
    assert list(everybody["variant"]) == ["ids_only", "default"]
    assert everybody["less_ids_only_lower"].notna().tolist() == [False, True]
    assert (everybody["ndcg_at_10"] > 0).all()
    assert rows.groupby(["scorer", "variant"])["users"].sum().nunique() == 1
    first = fits(root)
    assert list(first.index) == [("default", 0), ("ids_only", 0)]

    study(variants=["ids_only", "default", "words_only", "tuned_encoder", "fusion_mean"])
    second = fits(root)
    assert list(second.index) == [("default", 0), ("ids_only", 0), ("words_only", 0)]
    assert second.loc[first.index, "measured_at"].equals(first["measured_at"])

    study(max_epochs=2, variants=["default"])
    assert len(fits(root)) == 4  # another setting is another fit


def test_a_kill_loses_one_fit_and_the_rest_is_as_if_nothing_had_happened(root, study, monkeypatch):
    honest, done = study_steps.measure, []

    def killed_in_the_third(*arguments):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(arguments[0])
        return honest(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(study_steps, "measure", killed_in_the_third)
        with pytest.raises(KeyboardInterrupt):
            study(seeds=2)
    kept = fits(root)
    assert len(kept) == 2
    study(seeds=2)
    whole = fits(root)
    assert len(whole) == 4
    assert whole.loc[kept.index, "measured_at"].equals(kept["measured_at"])

    lost = root.arrays / kept["gains_file"].iloc[0]
    lost.unlink()
    study(seeds=2)
    assert lost.is_file()
    again, numbers = fits(root), ["served_ndcg_at_10", "network_ndcg_at_10"]
    assert again["measured_at"].ne(whole["measured_at"]).sum() == 1
    assert again[numbers].equals(whole[numbers])


def test_a_wrong_name_fails_at_once():
    with pytest.raises(ValidationError, match="unknown variants"):
        AblationConfig(variants=["id_only"])
    assert AblationConfig().variants == list(VARIANTS)


def test_without_texts_there_is_nothing_to_study(root, run_job):
    rows = [f"u{user},i{(user + step) % 5},{step},buy" for user in range(9) for step in range(4)]
    text = "\n".join(["user_id,item_id,timestamp,behavior", *rows])
    (root.landing_events / "events.csv").write_text(text)
    build(root)
    with pytest.raises(dg.Failure, match="no item has a text"):
        run_job("study_texts")
