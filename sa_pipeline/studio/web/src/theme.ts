import { readable, writable } from 'svelte/store';

export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'studio.theme';

const systemIsDark = readable(false, (set) => {
  const query = matchMedia('(prefers-color-scheme: dark)');
  const update = (): void => set(query.matches);
  update();
  query.addEventListener('change', update);
  return () => query.removeEventListener('change', update);
});

function stored(): ThemeChoice {
  const value = localStorage.getItem(KEY);
  return value === 'light' || value === 'dark' ? value : 'system';
}

/** The person's choice; kept in this browser. */
export const theme = writable<ThemeChoice>('system');

/** Starts to bring the choice onto the page. */
export function applyTheme(): void {
  let dark = false;
  let choice: ThemeChoice = stored();
  const show = (): void => {
    document.documentElement.dataset['theme'] = choice === 'system' ? (dark ? 'dark' : 'light') : choice;
  };
  theme.set(choice);
  systemIsDark.subscribe((value) => {
    dark = value;
    show();
  });
  theme.subscribe((value) => {
    choice = value;
    localStorage.setItem(KEY, value);
    show();
  });
}
