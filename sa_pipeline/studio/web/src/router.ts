import { readable } from 'svelte/store';

export type Route =
  | { page: 'home' }
  | { page: 'task'; taskId: number | null }
  | { page: 'reviews' }
  | { page: 'review'; taskId: number | null }
  | { page: 'browse' }
  | { page: 'team' }
  | { page: 'guidelines' };

/** The page that a hash such as `#/tasks/12` names; anything unknown is the home page. */
export function routeOf(hash: string): Route {
  const [head, tail] = hash.replace(/^#\/?/, '').replace(/\?.*$/, '').split('/');
  const taskId = tail !== undefined && /^\d{1,15}$/.test(tail) ? Number(tail) : null;
  if (head === 'tasks' && (tail === 'next' || taskId !== null)) return { page: 'task', taskId };
  if (head === 'reviews' && (tail === 'next' || taskId !== null)) return { page: 'review', taskId };
  if (head === 'reviews' || head === 'browse' || head === 'team' || head === 'guidelines') return { page: head };
  return { page: 'home' };
}

/** What stands behind the `?` of the hash. */
export function queryOf(hash: string): URLSearchParams {
  return new URLSearchParams(hash.split('?')[1] ?? '');
}

export const route = readable<Route>(routeOf(location.hash), (set) => {
  const update = (): void => set(routeOf(location.hash));
  update();
  addEventListener('hashchange', update);
  return () => removeEventListener('hashchange', update);
});

export function goTo(hash: string): void {
  location.hash = hash;
}

/** Takes a personal token out of an address such as `…/#token=abc`, so that it stays neither on screen nor in the history. */
export function takeToken(): string | null {
  const found = /^#token=(.+)$/.exec(location.hash);
  if (!found) return null;
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  return decodeURIComponent(found[1]!);
}
