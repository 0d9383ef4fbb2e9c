import type { Event as TaskEvent, ObjectState } from '../api/types';

/** Objects after events, in order of prominence (equal ones by the time of making), without deleted ones. */
export function applyEvents(objects: readonly ObjectState[], events: readonly TaskEvent[]): ObjectState[] {
  const states = new Map(objects.map((object) => [object.object_id, object]));
  for (const { object } of events) states.set(object.object_id, object);
  return [...states.values()].filter((object) => !object.deleted).sort((a, b) => a.prominence - b.prominence);
}
