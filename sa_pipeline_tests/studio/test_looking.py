"""Pictures, embeddings, decoders, browsing and guidelines over HTTP, from files that the engine made."""

import base64
import hashlib
import io

import numpy as np
import pytest
import safetensors.numpy
from PIL import Image
from pycocotools import mask as coco

from sa_pipeline.artifacts import AssetName, artifact_name, read_header, read_table
from sa_pipeline.studio import pictures as pictures_module
from sa_pipeline.studio.guidelines import markdown_html
from sa_pipeline.studio.models import Role
from sa_pipeline_tests.studio.desk import event, good, lease, rectangle, refused, send


def embedding_file(desk, shard: str) -> dict[str, np.ndarray]:
    name = artifact_name(AssetName.IMAGE_EMBEDDINGS, shard)
    return safetensors.numpy.load(desk.studio.dataset.storage.read_bytes(name))


def test_a_picture_is_served_as_the_pipeline_sees_it(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    info = good(ada.get("/images/2"))
    assert (info["file_name"], info["width"], info["height"]) == ("sa_2.jpg", 451, 300)
    answer = sqlite_desk.person("Eve").get(info["picture_url"].removeprefix("/api"))
    assert answer.headers["content-type"] == "image/jpeg"
    assert Image.open(io.BytesIO(answer.content)).size == (451, 300)
    table = read_table(sqlite_desk.studio.dataset.storage, AssetName.RAW_IMAGES, "000000", image_id=2)
    assert answer.content == table.column("jpeg")[0].as_py()
    refused(ada.get("/images/5"), 404, "not_found")
    refused(ada.get("/images/5/picture"), 404, "not_found")

    small = ada.get("/images/4/picture", params={"side": 160})
    assert Image.open(io.BytesIO(small.content)).size == (160, 107)
    refused(ada.get("/images/4/picture", params={"side": 100_000}), 422, "invalid")


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_an_embedding_is_served_as_float16_whatever_the_file_holds(sqlite_desk, monkeypatch, dtype) -> None:
    monkeypatch.setattr(pictures_module, "CHECK_SECONDS", 0.0)
    ada = sqlite_desk.person("Ada")
    url = good(ada.get("/images/3"))["embedding_url"].removeprefix("/api")
    held = embedding_file(sqlite_desk, "000001")
    storage = sqlite_desk.studio.dataset.storage
    header = read_header(storage, AssetName.IMAGE_EMBEDDINGS, "000001")
    changed = {name: array.astype(dtype) for name, array in held.items()}
    content = safetensors.numpy.save(changed, metadata={"sa_pipeline": header.dump()})
    storage.write_bytes(artifact_name(AssetName.IMAGE_EMBEDDINGS, "000001"), content)
    answer = ada.get(url)
    assert "immutable" in answer.headers["cache-control"]
    served = np.frombuffer(answer.content, "<f2").reshape(held["3"].shape)
    assert np.array_equal(served, held["3"])


def test_an_embedding_by_other_weights_is_not_there(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    refused(ada.get(f"/images/3/embedding?checkpoint={'0' * 64}"), 404, "not_found")
    refused(ada.get("/images/3/embedding?checkpoint=../../etc/passwd"), 422, "invalid")


def test_the_decoder_belongs_to_the_embedding_and_the_server_runs_it_too(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    digest = good(ada.get("/images/1"))["checkpoint_digest"]
    info = good(ada.get(f"/models/{digest}"))
    embedding = ada.get(f"/images/1/embedding?checkpoint={digest}").content
    assert len(embedding) == 2 * int(np.prod(info["embedding_shape"]))
    graph = ada.get(info["decoder_url"].removeprefix("/api"))
    assert graph.headers["content-type"] == "application/octet-stream"
    assert len(graph.content) > 1_000_000
    prompt = {"checkpoint_digest": digest, "point_coords": [[200, 200], [0, 0]], "point_labels": [1, -1]}
    decoded = good(ada.post("/images/1/decode", json=prompt))
    side = info["low_res_side"]
    logits = np.frombuffer(base64.b64decode(decoded["low_res_masks"]), "<f4").reshape(4, side, side)
    assert np.isfinite(logits).all()
    assert (logits > 0).any()
    refused(ada.post("/images/1/decode", json=prompt | {"point_labels": [1]}), 422, "invalid")
    refused(ada.post("/images/1/decode", json=prompt | {"checkpoint_digest": "0" * 64}), 404, "not_found")
    refused(ada.post("/images/1/decode", json=prompt | {"checkpoint_digest": "../x"}), 404, "not_found")
    refused(ada.get(f"/models/{'0' * 64}"), 404, "not_found")


def test_automatic_masks_are_browsed_with_where_they_came_from(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    storage = sqlite_desk.studio.dataset.storage
    kept = [
        row
        for shard in ("000000", "000001")
        for row in read_table(storage, AssetName.DEDUPLICATED_MASKS, shard).to_pylist()
        if row["kept"]
    ]
    page = good(ada.get("/browse/images"))
    assert sum(found["masks"] for found in page["images"]) == len(kept) > 0
    assert page["images"][0]["source_uri"].endswith("astronaut.jpg")
    best = max(kept, key=lambda row: row["predicted_iou"])
    threshold = {"min_predicted_iou": best["predicted_iou"] - 1e-6}
    masks = good(ada.get(f"/browse/images/{best['image_id']}/masks", params=threshold))
    found = next(mask for mask in masks if mask["mask_id"] == best["mask_id"])
    assert found["bbox"] == best["bbox"]
    assert found["checkpoint"].startswith("tiny ")
    assert int(coco.area({"size": found["mask"]["size"], "counts": found["mask"]["counts"].encode()})) == found["area"]
    large = [row for row in kept if 5000 <= row["area"] <= 20_000]
    by_area = good(ada.get("/browse/images", params={"min_area": 5000, "max_area": 20_000}))
    assert sum(found["masks"] for found in by_area["images"]) == len(large)
    assert good(ada.get("/browse/images", params={"label": "cat"})) == {"images": [], "next_cursor": None}


def test_pages_of_pictures_follow_each_other_without_gaps(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    whole = [found["image"]["image_id"] for found in good(ada.get("/browse/images"))["images"]]
    seen, cursor = [], 0
    while cursor is not None:
        page = good(ada.get("/browse/images", params={"limit": 1, "cursor": cursor}))
        seen += [found["image"]["image_id"] for found in page["images"]]
        cursor = page["next_cursor"]
    assert seen == whole == [1, 2, 3, 4]


def test_peoples_masks_are_browsed_by_what_is_known_of_them(desk) -> None:
    ada, rob = desk.person("Ada"), desk.person("Rob", Role.REVIEWER)
    task = lease(ada)
    image = task["task"]["image"]
    prompts = {"point_coords": [[20, 30]], "point_labels": [1], "output": 3, "predicted_iou": 0.5}
    small = event(rectangle(image, width=2), label="Tabby cat", tool="click", prompts=prompts)
    large = event(rectangle(image), label="sofa", source="prefilled", source_mask_id=77)
    good(send(ada, task, small, large))

    def labels(client, **wanted) -> list[str]:
        answer = client.get(f"/browse/images/{image['image_id']}/masks", params={"source": "human"} | wanted)
        return sorted(mask["label"] for mask in good(answer))

    assert labels(rob) == ["Tabby cat", "sofa"]
    assert labels(rob, label="CAT") == ["Tabby cat"]
    assert labels(rob, min_area=100) == ["sofa"]
    assert labels(rob, max_area=100) == ["Tabby cat"]
    assert labels(rob, min_predicted_iou=0.4) == ["Tabby cat"]
    assert labels(rob, annotator="Ada", round="round-1") == ["Tabby cat", "sofa"]
    assert labels(rob, annotator="Eve") == labels(rob, round="round-9") == labels(rob, min_stability_score=0.1) == []
    assert labels(rob, source="prefilled") == ["sofa"]
    assert labels(desk.person("Eve")) == []
    page = good(rob.get("/browse/images", params={"source": "human"}))
    assert [(found["image"]["image_id"], found["masks"]) for found in page["images"]] == [(image["image_id"], 2)]
    (found,) = good(rob.get(f"/browse/images/{image['image_id']}/masks?source=human&label=cat"))
    assert (found["point_coords"], found["predicted_iou"], found["tools"]) == ([[20.0, 30.0]], 0.5, ["click"])


def test_the_guidelines_begin_with_a_text_that_the_team_may_change(sqlite_desk) -> None:
    ada = sqlite_desk.person("Ada")
    assert "Segment every object" in good(ada.get("/guidelines"))["html"]
    folder = sqlite_desk.studio.folder
    (folder / "guidelines.md").write_text("# Ours\n\n![a dog](dog.png)\n\n<script>alert(1)</script>\n")
    (folder / "guidelines").mkdir()
    Image.new("RGB", (3, 2), "red").save(folder / "guidelines" / "dog.png")
    html = good(ada.get("/guidelines"))["html"]
    assert '<img src="/api/guidelines/pictures/dog.png" alt="a dog"' in html
    assert "<script" not in html
    answer = ada.get("/guidelines/pictures/dog.png")
    assert answer.headers["content-type"] == "image/png"
    assert (
        hashlib.sha256(answer.content).digest() == hashlib.sha256((folder / "guidelines/dog.png").read_bytes()).digest()
    )


@pytest.mark.parametrize(
    "text", ["[x](javascript:alert(1))", "<img src=x onerror=alert(1)>", "![x](../secret.png)", "![x](a/b.png)"]
)
def test_markdown_brings_in_no_script_and_no_other_folder(text) -> None:
    html = markdown_html(text)
    assert "<img src=x" not in html
    assert 'href="javascript' not in html
    assert "/api/guidelines/pictures" not in html
