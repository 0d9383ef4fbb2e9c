/** Which pre-filled masks of a task were looked at, kept in this browser. */

const keyOf = (taskId: number): string => `studio.seen.${taskId}`;

export function loadSeen(taskId: number): string[] {
  try {
    const seen: unknown = JSON.parse(localStorage.getItem(keyOf(taskId)) ?? '[]');
    return Array.isArray(seen) ? seen.filter((id) => typeof id === 'string') : [];
  } catch {
    return [];
  }
}

export function storeSeen(taskId: number, seen: ReadonlySet<string>): void {
  if (seen.size > 0) localStorage.setItem(keyOf(taskId), JSON.stringify([...seen]));
}
