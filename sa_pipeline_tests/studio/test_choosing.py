"""Which images a round is about: by chance, by prominence, by uncertainty, and never those of another round."""

import numpy as np
import pyarrow as pa
import pytest

from sa_pipeline.artifacts import AssetName
from sa_pipeline.assets.annotation_tasks import PASSED_OVER, AnnotationTasksConfig
from sa_pipeline.masks.rle import mask_to_counts
from sa_pipeline.runs import ensure_dagster_home, run_fill, shards_passed_over
from sa_pipeline.studio.choosing import Choice, choose_images
from sa_pipeline.studio.filling import fill_queue
from sa_pipeline.studio.image_scores import prominence, prominences, uncertainties, uncertainty

SIZE = (10, 20)


@pytest.fixture
def studio(sqlite_studio):
    return sqlite_studio


def chosen(studio, how: Choice, count: int | None, **options) -> set[int] | None:
    found = choose_images(studio, "assisted-1", how, count, **options).image_ids
    return None if found is None else set(found)


def test_chance_is_the_same_for_the_same_seed_and_takes_no_image_of_another_round(studio) -> None:
    draws = [chosen(studio, Choice.RANDOM, 2, seed=seed) for seed in range(8)]
    assert draws == [chosen(studio, Choice.RANDOM, 2, seed=seed) for seed in range(8)]
    assert all(len(draw) == 2 for draw in draws)
    assert len({frozenset(draw) for draw in draws}) > 1
    fill_queue(studio, "assisted-0", images={1, 2, 3})
    assert chosen(studio, Choice.RANDOM, 2) == {4}
    assert chosen(studio, Choice.RANDOM, None) is None


def test_a_choice_stays_when_its_tasks_are_made_and_grows_by_what_is_missing(studio) -> None:
    two = chosen(studio, Choice.RANDOM, 2)
    fill_queue(studio, "assisted-1", images=two, max_images=2)
    assert chosen(studio, Choice.RANDOM, 2) == two
    three = chosen(studio, Choice.RANDOM, 3)
    assert two < three
    assert fill_queue(studio, "assisted-1", images=three, max_images=3).counts["images"] == 1


@pytest.mark.parametrize(("how", "measure"), [(Choice.PROMINENCE, prominences), (Choice.UNCERTAINTY, uncertainties)])
def test_images_of_the_highest_score_come_first_over_all_shards(studio, how, measure) -> None:
    scores = {image: score for shard in ("000000", "000001") for image, score in measure(studio.dataset, shard).items()}
    assert set(scores) == {1, 2, 3, 4}
    in_order = sorted(scores, key=lambda image: -scores[image])
    for count in (1, 2, 3):
        assert chosen(studio, how, count) == set(in_order[:count])


def test_a_shard_without_masks_is_passed_over_with_one_sentence(studio) -> None:
    studio.dataset.storage.remove(f"{AssetName.CANDIDATE_MASKS}/000000.parquet")
    found = choose_images(studio, "assisted-1", Choice.UNCERTAINTY, 3)
    assert found.image_ids == {3, 4}
    assert found.passed_over["000000"] == (
        "Its images cannot be compared by uncertainty: candidate_masks of shard 000000 were not made. Run shard_masks "
        "for it, or choose at random."
    )
    with ensure_dagster_home(studio.dataset) as instance:
        config = AnnotationTasksConfig(choose="uncertainty", max_images=1)
        assert run_fill(studio.dataset, "assisted-1", config, instance).success
        assert list(shards_passed_over(instance, "assisted-1")) == ["000000"], PASSED_OVER
        wrong = run_fill(studio.dataset, "assisted-1", AnnotationTasksConfig(choose="best", max_images=1), instance)
        assert wrong.error == "choose: expected random, prominence, uncertainty, got 'best'."


def column_mask(first: int, last: int) -> str:
    mask = np.zeros(SIZE, bool)
    mask[:, first:last] = True
    return mask_to_counts(mask)


def candidates(*rows: tuple[tuple[float, float], float, str]) -> pa.Table:
    return pa.table(
        {
            "point_coords": [list(point) for point, _, _ in rows],
            "predicted_iou": pa.array([iou for _, iou, _ in rows], pa.float32()),
            "size": [list(SIZE)] * len(rows),
            "counts": [counts for _, _, counts in rows],
        }
    )


def test_uncertainty_is_low_where_three_sure_outputs_agree_and_one_where_there_is_none() -> None:
    same = column_mask(0, 10)
    sure = candidates(*[((1.0, 1.0), 1.0, same)] * 3)
    assert uncertainty(sure, 1) == 0.0
    assert uncertainty(sure, 2) == 0.5
    assert uncertainty(sure.slice(0, 0), 4) == 1.0
    # IoUs of halves, quarters: 0.5, 0.25, 0.5; the best predicted IoU is 0.8.
    nested = candidates(
        ((1.0, 1.0), 0.8, same), ((1.0, 1.0), 0.5, column_mask(0, 5)), ((1.0, 1.0), 0.5, column_mask(0, 20))
    )
    assert uncertainty(nested, 1) == pytest.approx(((1 - 0.8) + 1 - (0.5 + 0.5 + 0.25) / 3) / 2, abs=1e-6)


def test_prominence_grows_with_size_and_confidence() -> None:
    def table(*rows: tuple[float, int]) -> pa.Table:
        ious, areas = zip(*rows, strict=True)
        return pa.table({"predicted_iou": ious, "area": areas, "size": [list(SIZE)] * len(rows)})

    assert prominence(table((1.0, 200))) == 1.0
    assert prominence(table((0.5, 50))) == 0.25
    assert prominence(table(*[(1.0, 50)] * 9)) == 5 * 0.5
    assert prominence(table((1.0, 50)).slice(0, 0)) == 0.0
