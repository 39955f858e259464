"""Fine-tuning a transformer: what it learns, that it does so again, and what it leaves behind."""

import random

import numpy as np
import pytest
import torch

from llmrec_assets.core.co_consumption import CoConsumption
from llmrec_assets.core.encoder_head import Head, Pairs
from llmrec_assets.core.encoding import load_folder
from llmrec_assets.core.fine_tuning import FineTuneConfig, add_head, fine_tune
from llmrec_assets.core.pair_loss import PairLoss
from llmrec_assets.core.reproducible import reproducible
from llmrec_assets_tests.core.tiny_encoder import write_tiny_encoder

THEMES = ["coffee", "garden", "music", "running"]
WORDS = [f"w{n}" for n in range(60)]
N = 40
THEME_OF = np.arange(N) % 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_tiny_encoder(tmp_path_factory.mktemp("encoder") / "tiny", THEMES + WORDS)


@pytest.fixture(scope="module")
def texts() -> list[str]:
    """The theme is one word of nine."""
    rng = np.random.default_rng(0)
    noise = rng.choice(WORDS, size=(N, 8))
    return ["", *(f"{THEMES[t]} " + " ".join(n) for t, n in zip(THEME_OF, noise, strict=True))]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """Two items of one theme."""
    rng = np.random.default_rng(1)
    drawn = [rng.choice(np.flatnonzero(n % 4 == THEME_OF) + 1, 2, False) for n in range(300)]
    first, second = np.array(drawn).T
    return Pairs(first, second, np.ones(len(first), np.float32))


def same_theme(texts):
    """For how many items the nearest one is of the same theme."""

    def validate(model) -> float:
        vectors = model.encode(texts[1:], normalize_embeddings=True, show_progress_bar=False)
        vectors -= vectors.mean(axis=0)
        cosines = vectors @ vectors.T / np.linalg.norm(vectors, axis=1)
        np.fill_diagonal(cosines, -np.inf)
        return float((THEME_OF[cosines.argmax(1)] == THEME_OF).mean())

    return validate


def tuned(folder, texts, pairs, kind, validate=None, **options):
    model = load_folder(folder)
    usual = {"max_steps": 40, "batch": 20, "check_every": 10, "learning_rate": 5e-3}
    config = FineTuneConfig(kind=kind, **(usual | options))
    with reproducible(config.seed, 1):
        course = fine_tune(model, texts, pairs, config, validate or same_theme(texts))
    return model, course


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_it_learns_what_is_consumed_together_and_does_so_again(folder, texts, pairs, kind):
    before = same_theme(texts)(load_folder(folder))
    model, course = tuned(folder, texts, pairs, kind)
    assert course.curve[0] == (0, before)
    assert same_theme(texts)(model) == dict(course.curve)[course.best_step]
    assert same_theme(texts)(model) > before + 0.2
    again, same_course = tuned(folder, texts, pairs, kind)
    assert same_course == course
    for name, weights in model.state_dict().items():
        assert torch.equal(again.state_dict()[name], weights), name


def test_the_result_is_an_ordinary_folder_of_finite_weights(folder, texts, pairs, tmp_path):
    model, _ = tuned(folder, texts, pairs, "lora", max_steps=10)
    assert not any("lora" in name for name in model.state_dict())
    assert all(weights.isfinite().all() for weights in model.state_dict().values())
    model.save(str(tmp_path / "saved"), create_model_card=False)
    files = {path.suffix for path in (tmp_path / "saved").rglob("*") if path.is_file()}
    assert files == {".json", ".safetensors"}
    vectors = load_folder(tmp_path / "saved").encode(texts)
    np.testing.assert_allclose(vectors, model.encode(texts), atol=1e-6)


def test_without_a_better_validation_the_weights_stay_and_tuning_stops(folder, texts, pairs):
    model, course = tuned(
        folder, texts, pairs, "full", lambda _model: 0.5, check_every=5, patience=2
    )
    assert course.best_step == 0
    assert [step for step, _ in course.curve] == [0, 5, 10]
    for name, weights in load_folder(folder).state_dict().items():
        assert torch.equal(model.state_dict()[name], weights), name


def test_the_random_numbers_of_the_process_are_left_alone(folder, texts, pairs):
    random.seed(5), np.random.seed(5)
    expected = random.random(), np.random.random()
    random.seed(5), np.random.seed(5)
    tuned(folder, texts, pairs, "lora", max_steps=1)
    assert (random.random(), np.random.random()) == expected


def test_a_head_is_a_layer_that_maps_as_it_does_alone(folder, texts):
    rng = np.random.default_rng(0)
    head = Head(rng.normal(size=32).astype(np.float32), rng.normal(size=(32, 32)).astype("f4"))
    model = load_folder(folder)
    vectors = model.encode(texts[1:], normalize_embeddings=True)
    add_head(model, head)
    np.testing.assert_allclose(model.encode(texts[1:]), head.apply(vectors), atol=1e-5)


def test_a_small_catalogue_is_one_batch_and_no_pair_is_refused(folder, texts, pairs):
    _, course = tuned(folder, texts, pairs, "lora", batch=41, max_steps=1)
    assert [step for step, _ in course.curve] == [0, 1]
    none = Pairs(*(np.zeros(0, np.int64),) * 2, np.zeros(0, np.float32))
    with pytest.raises(ValueError, match="no two items were consumed together"):
        tuned(folder, texts, none, "lora")


def test_the_default_prompt_is_trained_with(folder, texts, pairs):
    def lengths(prompt):
        model, found = load_folder(folder), []
        model.prompts, model.default_prompt_name = {"text": prompt}, "text"
        model[0].register_forward_pre_hook(
            lambda _module, given: found.append(given[0]["input_ids"].shape[1])
        )
        config = FineTuneConfig(kind="full", max_steps=1, batch=20)
        fine_tune(model, texts, pairs, config, lambda _model: 0.0)
        return found

    assert lengths("coffee garden ") == [2 + length for length in lengths("")]


def test_the_loss_is_the_cross_entropy_to_the_neighbours_less_popularity():
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0], [1, 1], [0, 1]]), dim=-1)
    graph = CoConsumption.of(
        Pairs(np.array([1, 1, 1]), np.array([2, 2, 3]), np.ones(3, np.float32)), 4
    )

    class Given(torch.nn.Module):
        def forward(self, _features):
            return {"sentence_embedding": vectors}

    found = PairLoss(Given(), graph)([{}], torch.tensor([1, 2, 3])).item()
    shares, wanted = np.array([3, 2, 1]) / 6, np.array([[0, 2 / 3, 1 / 3], [1, 0, 0], [1, 0, 0]])
    odds = np.exp(20 * (vectors @ vectors.T).numpy()) / shares
    np.fill_diagonal(odds, 0)
    chances = odds / odds.sum(1, keepdims=True)
    expected = -(wanted * np.log(np.where(chances > 0, chances, 1))).sum(1).mean()
    assert found == pytest.approx(expected, rel=1e-4)
