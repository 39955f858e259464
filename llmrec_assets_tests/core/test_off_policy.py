"""Off-policy estimates against numbers worked out by hand, and against a simulated truth."""

import numpy as np
import pytest

from llmrec_assets.core.exploration import draw
from llmrec_assets.core.off_policy import (
    PRIOR_SLOTS,
    Slots,
    effective_sample,
    estimates,
    item_rewards,
    weights,
)
from llmrec_assets.core.policies import choices


def slots_of(rewards, propensities, chances, predicted=0.0, expected=0.0, users=None):
    n = len(rewards)
    return Slots(
        np.array(rewards, dtype=float),
        np.array(propensities, dtype=float),
        np.array(chances, dtype=float),
        np.broadcast_to(np.array(predicted, dtype=float), n),
        np.broadcast_to(np.array(expected, dtype=float), n),
        np.arange(n) if users is None else np.array(users),
    )


def values(slots, **options):
    return {found.estimator: found for found in estimates(slots, **options)}


def test_estimates_equal_what_is_worked_out_by_hand():
    # Weights 0.8/0.4 = 2, 0.1/0.2 = 0.5, 0/0.5 = 0, 0.3/0.3 = 1.
    slots = slots_of(
        [1, 1, 0, 0],
        [0.4, 0.2, 0.5, 0.3],
        [0.8, 0.1, 0.0, 0.3],
        predicted=[0.6, 0.5, 0.1, 0.2],
        expected=[0.5, 0.4, 0.3, 0.2],
    )
    assert weights(slots).tolist() == pytest.approx([2, 0.5, 0, 1])
    found = values(slots)
    assert found["logged"].value == pytest.approx(2 / 4)
    assert found["ips"].value == pytest.approx((2 + 0.5) / 4)
    assert found["snips"].value == pytest.approx((2 + 0.5) / 3.5)
    # 0.5 + 2 (1 - 0.6), 0.4 + 0.5 (1 - 0.5), 0.3 + 0, 0.2 + 1 (0 - 0.2)
    assert found["dr"].value == pytest.approx((1.3 + 0.65 + 0.3 + 0.0) / 4)
    assert found["ips"].difference == pytest.approx(0.625 - 0.5)
    assert found["logged"].difference == found["logged"].difference_lower == 0
    assert effective_sample(weights(slots)) == pytest.approx(3.5**2 / (4 + 0.25 + 1))


def test_weights_are_cut_where_they_say():
    slots = slots_of([1, 0], [0.001, 0.5], [0.5, 0.5])
    assert weights(slots).tolist() == [100, 1]
    assert weights(slots, most=10).tolist() == [10, 1]
    assert values(slots, most=10)["ips"].value == pytest.approx(5)


def test_the_logging_policy_is_worth_what_it_earned():
    rng = np.random.default_rng(0)
    chances = rng.uniform(0.1, 1, 50)
    found = values(slots_of(rng.integers(0, 2, 50), chances, chances))
    for estimator in ("ips", "snips"):
        assert found[estimator].value == pytest.approx(found["logged"].value)
        ends = found[estimator].difference_lower, found[estimator].difference_upper
        assert ends == pytest.approx((0, 0), abs=1e-12)


def test_a_policy_that_was_never_followed_has_no_sample():
    found = values(slots_of([1, 0], [0.5, 0.5], [0, 0]))
    assert found["ips"].value == found["snips"].value == 0
    assert effective_sample(np.zeros(2)) == 0
    assert effective_sample(np.ones(7)) == 7


def test_the_order_of_slots_is_no_matter_and_users_are_drawn_whole():
    rng = np.random.default_rng(1)
    rewards, users = rng.integers(0, 2, 60), np.repeat(np.arange(6), 10)
    chances = rng.uniform(0.1, 0.9, 60)
    order = rng.permutation(60)
    straight = values(slots_of(rewards, chances, chances[::-1], users=users))
    mixed = values(
        slots_of(rewards[order], chances[order], chances[::-1][order], users=users[order])
    )
    for name, found in straight.items():
        assert vars(mixed[name])["value"] == pytest.approx(found.value)
        assert mixed[name].lower == pytest.approx(found.lower)
    alone = values(slots_of(np.repeat([0, 1], 30), np.ones(60), np.ones(60), users=users))
    single = values(slots_of(np.repeat([0, 1], 30), np.ones(60), np.ones(60)))
    assert alone["ips"].upper - alone["ips"].lower > single["ips"].upper - single["ips"].lower


def test_a_reward_model_never_saw_what_it_predicts():
    codes, rewards = np.array([1, 1, 2, 2]), np.array([1.0, 1.0, 0.0, 1.0])
    model = item_rewards(codes, rewards, np.array([0, 1, 1, 1]), n_items=3)
    assert model.shape == (2, 4)
    # Fold 1 is predicted by the one reward of fold 0.
    assert model[1].tolist() == pytest.approx([1.0] * 4)
    mean = 2 / 3
    assert model[0, 2] == pytest.approx((1 + PRIOR_SLOTS * mean) / (2 + PRIOR_SLOTS))
    assert model[0, 3] == pytest.approx(mean)  # never shown


def test_policies_equal_what_is_worked_out_by_hand():
    probabilities = np.array([[0, 0.5, 0.3, 0.2, 0.0]])  # item 4 was seen
    shown = np.array([[2, 1, 0]])
    rewards = np.array([[0, 0.1, 0.4, 0.8, 9.0]])
    found = choices(probabilities, shown, rewards)
    exploring, greedy = found["exploring"], found["greedy"]
    assert exploring.chances[0].tolist() == pytest.approx([0.3, 0.5 / 0.7, 0.0])
    assert exploring.expected[0, 0] == pytest.approx(0.05 + 0.12 + 0.16)
    assert exploring.expected[0, 1] == pytest.approx((0.05 + 0.16) / 0.7)
    assert greedy.chances[0].tolist() == [0, 1, 0]
    assert greedy.expected[0].tolist() == pytest.approx([0.1, 0.1, 0.8])


def test_the_greedy_policy_takes_the_lower_code_of_a_tie_and_what_is_left():
    probabilities = np.array([[0, 0.3, 0.4, 0.3]])
    found = choices(probabilities, np.array([[2, 1, 3]]), np.zeros((1, 4)))["greedy"]
    assert found.chances[0].tolist() == [1, 1, 1]
    assert choices(probabilities, np.array([[2, 3, 1]]), np.zeros((1, 4)))["greedy"].chances[
        0
    ].tolist() == [1, 0, 1]


def test_the_policy_that_drew_the_slots_finds_their_propensities():
    rng = np.random.default_rng(2)
    probabilities = np.concatenate([[0.0], rng.dirichlet(np.ones(9))])
    candidates = np.flatnonzero(probabilities)
    codes, propensities = draw(probabilities, candidates, 6, (1,))
    found = choices(probabilities[None], codes[None], np.zeros((1, 10)))["exploring"]
    assert found.chances[0] == pytest.approx(propensities)


N_ITEMS, SLOTS = 8, 3


def simulated(seed, n, trust=True, resamples=2):
    """A log of Plackett-Luce lists of random users, and another policy's true value in its slots.

    The truth is known: a click has a chance that depends on item and user.
    """
    rng = np.random.default_rng(seed)
    logging = rng.dirichlet(np.ones(N_ITEMS), n)
    asked = rng.dirichlet(np.ones(N_ITEMS) * 2, n)
    clicks = np.column_stack([np.zeros(n), rng.beta(1, 4, (n, N_ITEMS))])
    keys = np.log(logging) + rng.gumbel(size=logging.shape)
    shown = np.argsort(-keys, axis=1)[:, :SLOTS] + 1
    none = np.zeros((n, 1))
    logging, asked = np.hstack([none, logging]), np.hstack([none, asked])
    propensities = choices(logging, shown, clicks)["exploring"].chances
    rewards = (rng.random(shown.shape) < np.take_along_axis(clicks, shown, 1)).astype(float)
    model = clicks if trust else np.full_like(clicks, 0.9)
    found = {}
    for policy, own in choices(asked, shown, model).items():
        truth = choices(asked, shown, clicks)[policy].expected.mean()
        slots = Slots(
            rewards.ravel(),
            propensities.ravel(),
            own.chances.ravel(),
            np.take_along_axis(model, shown, 1).ravel(),
            own.expected.ravel(),
            np.repeat(np.arange(n), SLOTS),
        )
        found[policy] = (truth, values(slots, most=np.inf, resamples=resamples))
    return found


@pytest.mark.parametrize("trust", [True, False])
def test_estimates_are_right_on_average(trust):
    logs = [simulated(seed, n=600, trust=trust) for seed in range(40)]
    for policy in ("exploring", "greedy"):
        errors = {
            name: np.array([log[policy][1][name].value - log[policy][0] for log in logs])
            for name in ("ips", "snips", "dr")
        }
        for name, own in errors.items():
            assert abs(own.mean()) < 3.5 * own.std() / np.sqrt(len(own)), (policy, name)
        assert not trust or errors["dr"].std() < errors["ips"].std()


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    logs = [simulated(seed, n=300, resamples=300)["exploring"] for seed in range(60)]
    held = [found["snips"].lower <= truth <= found["snips"].upper for truth, found in logs]
    assert 0.85 < np.mean(held) <= 1.0
