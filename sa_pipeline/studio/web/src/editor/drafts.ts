/** Remarks of a review that is not given yet, kept in this browser so that a crash or a reload loses none. */

import type { NewPin, Session, TaskSummary } from '../api/types';

/** Of one reviewer and task; one address may serve other datasets at other times. */
export type DraftsKey = string;

export function draftsKey(session: Session, task: TaskSummary): DraftsKey {
  const { annotator, dataset } = session;
  return `studio.remarks.${JSON.stringify([dataset, annotator.annotator_id, task.round, task.task_id, task.image.image_id])}`;
}

export function loadDrafts(key: DraftsKey): NewPin[] {
  try {
    const kept: unknown = JSON.parse(localStorage.getItem(key) ?? '[]');
    return Array.isArray(kept) ? kept.filter(isPin) : [];
  } catch {
    return [];
  }
}

export function storeDrafts(key: DraftsKey, drafts: readonly NewPin[]): void {
  if (drafts.length > 0) localStorage.setItem(key, JSON.stringify(drafts));
  else localStorage.removeItem(key);
}

function isPin(value: unknown): value is NewPin {
  const pin = value as Partial<NewPin> | null;
  return typeof pin?.x === 'number' && typeof pin.y === 'number' && typeof pin.comment === 'string';
}
