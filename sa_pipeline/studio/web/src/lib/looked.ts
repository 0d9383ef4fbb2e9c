import { area, fromRle } from '../rle';
import type { BrowsedMask, ObjectState, TaskDetail } from '../api/types';

/** A task's objects as masks to look at; what only the server knows of them (box, tools) is left out. */
export function looked(detail: TaskDetail): BrowsedMask[] {
  return detail.objects.filter((object) => object.mask !== null).map((object) => maskOf(object, detail));
}

function maskOf(object: ObjectState, detail: TaskDetail): BrowsedMask {
  return {
    source: object.source === 'prefilled' ? 'prefilled' : 'human',
    mask_id: object.source_mask_id,
    object_id: object.object_id,
    mask: object.mask!,
    bbox: [0, 0, 0, 0],
    area: area(fromRle(object.mask!)),
    label: object.label || null,
    kind: object.kind,
    predicted_iou: object.prompts.predicted_iou,
    stability_score: null,
    point_coords: object.prompts.point_coords,
    annotator: detail.task.annotator,
    round: detail.task.round,
    checkpoint: null,
    tools: [],
  };
}
