/** Every key of the editor, in one table: the handler, the tooltips and the `?` sheet read it. */

export type Command =
  | 'tool-sam'
  | 'tool-box'
  | 'tool-brush'
  | 'tool-eraser'
  | 'tool-polygon-add'
  | 'tool-polygon-cut'
  | 'tool-select'
  | 'tool-pin'
  | 'brush-smaller'
  | 'brush-larger'
  | 'brush-shape'
  | 'output-1'
  | 'output-2'
  | 'output-3'
  | 'undo'
  | 'redo'
  | 'keep'
  | 'clear'
  | 'label'
  | 'kind'
  | 'unnameable'
  | 'tidy'
  | 'no-overlap'
  | 'merge'
  | 'delete'
  | 'next-prefilled'
  | 'previous-prefilled'
  | 'next-object'
  | 'previous-object'
  | 'more-prominent'
  | 'less-prominent'
  | 'hide'
  | 'lock'
  | 'peek'
  | 'outline'
  | 'fit'
  | 'actual-size'
  | 'zoom-in'
  | 'zoom-out'
  | 'zoom-object'
  | 'guidelines'
  | 'unclear'
  | 'skip'
  | 'finish'
  | 'accept'
  | 'send-back'
  | 'leave'
  | 'help';

export type Section = 'SAM' | 'Pixels' | 'Object' | 'Objects' | 'View' | 'Picture';

/** A task is made or mended by its annotator, or looked at by a reviewer. */
export type Mode = 'annotate' | 'review';

export interface Shortcut {
  readonly command: Command;
  readonly section: Section;
  readonly says: string;
  /** `Ctrl+Shift+Z`; the first is the one that is shown. Ctrl stands for Cmd, too. */
  readonly keys: readonly string[];
  /** In this one only. */
  readonly mode?: Mode;
}

export const SHORTCUTS: readonly Shortcut[] = [
  { command: 'tool-sam', section: 'SAM', says: 'Click: left adds, right (or Alt) takes away, drag a box', keys: ['C'] },
  { command: 'tool-box', section: 'SAM', says: 'Box around an object', keys: ['X'] },
  { command: 'output-1', section: 'SAM', says: 'Take the subpart', keys: ['7'] },
  { command: 'output-2', section: 'SAM', says: 'Take the part', keys: ['8'] },
  { command: 'output-3', section: 'SAM', says: 'Take the whole', keys: ['9'] },
  { command: 'clear', section: 'SAM', says: 'Clear clicks, or leave the object', keys: ['Escape'] },
  { command: 'tool-brush', section: 'Pixels', says: 'Brush (Shift erases)', keys: ['B'] },
  { command: 'tool-eraser', section: 'Pixels', says: 'Eraser (Shift paints)', keys: ['E'] },
  { command: 'brush-smaller', section: 'Pixels', says: 'Smaller brush (or Ctrl+wheel)', keys: ['['] },
  { command: 'brush-larger', section: 'Pixels', says: 'Larger brush (or Ctrl+wheel)', keys: [']'] },
  { command: 'brush-shape', section: 'Pixels', says: 'Round or square brush', keys: ['R'] },
  { command: 'tool-polygon-add', section: 'Pixels', says: 'Polygon, added to the mask', keys: ['P'] },
  { command: 'tool-polygon-cut', section: 'Pixels', says: 'Polygon, cut out of the mask', keys: ['Shift+P'] },
  { command: 'tidy', section: 'Pixels', says: 'Fill holes and drop islands', keys: ['H'] },
  { command: 'no-overlap', section: 'Pixels', says: 'New masks take pixels from others', keys: ['W'] },
  { command: 'keep', section: 'Object', says: 'Keep the mask and start the next', keys: ['N', 'Enter'] },
  { command: 'label', section: 'Object', says: 'Name the object', keys: ['L'] },
  { command: 'kind', section: 'Object', says: 'Thing or stuff', keys: ['T'] },
  { command: 'unnameable', section: 'Object', says: "Can't name it", keys: ['J'] },
  { command: 'delete', section: 'Object', says: 'Delete the click under the pointer, or the object', keys: ['Delete', 'Backspace'] },
  { command: 'undo', section: 'Object', says: 'Undo', keys: ['Ctrl+Z', 'Z'] },
  { command: 'redo', section: 'Object', says: 'Redo', keys: ['Ctrl+Shift+Z', 'Ctrl+Y', 'Shift+Z'] },
  { command: 'tool-select', section: 'Objects', says: 'Pick an object on the picture (or Ctrl+click)', keys: ['A'] },
  { command: 'next-prefilled', section: 'Objects', says: 'Keep, and on to the next pre-filled mask', keys: ['Tab'] },
  { command: 'previous-prefilled', section: 'Objects', says: 'Pre-filled mask before', keys: ['Shift+Tab'] },
  { command: 'next-object', section: 'Objects', says: 'Next object', keys: ['ArrowDown'] },
  { command: 'previous-object', section: 'Objects', says: 'Object before', keys: ['ArrowUp'] },
  { command: 'more-prominent', section: 'Objects', says: 'More prominent', keys: ['Alt+ArrowUp'] },
  { command: 'less-prominent', section: 'Objects', says: 'Less prominent', keys: ['Alt+ArrowDown'] },
  { command: 'merge', section: 'Objects', says: 'Merge the marked objects', keys: ['M'] },
  { command: 'hide', section: 'Objects', says: 'Hide or show the object', keys: ['D'] },
  { command: 'lock', section: 'Objects', says: 'Lock or unlock the object', keys: ['K'] },
  { command: 'peek', section: 'View', says: 'Hide all masks while held', keys: ['V'] },
  { command: 'outline', section: 'View', says: 'Outline or fill', keys: ['O'] },
  { command: 'fit', section: 'View', says: 'Whole picture', keys: ['F'] },
  { command: 'actual-size', section: 'View', says: '100 %', keys: ['1'] },
  { command: 'zoom-in', section: 'View', says: 'Zoom in (or wheel)', keys: ['+', '='] },
  { command: 'zoom-out', section: 'View', says: 'Zoom out (or wheel)', keys: ['-'] },
  { command: 'zoom-object', section: 'View', says: 'Zoom to the object', keys: ['Y'] },
  { command: 'tool-pin', section: 'Picture', says: 'Pin a remark', keys: ['I'], mode: 'review' },
  { command: 'guidelines', section: 'Picture', says: 'Guidelines', keys: ['G'] },
  { command: 'unclear', section: 'Picture', says: 'This is unclear: ask the team', keys: ['U'] },
  { command: 'skip', section: 'Picture', says: 'Skip the picture', keys: ['S'], mode: 'annotate' },
  { command: 'finish', section: 'Picture', says: 'Finish the picture', keys: ['Ctrl+Enter'], mode: 'annotate' },
  { command: 'accept', section: 'Picture', says: 'Accept the picture', keys: ['Ctrl+Enter'], mode: 'review' },
  { command: 'send-back', section: 'Picture', says: 'Send the picture back', keys: ['Ctrl+Backspace'], mode: 'review' },
  { command: 'leave', section: 'Picture', says: 'Leave the picture; what is done stays', keys: ['Q'] },
  { command: 'help', section: 'Picture', says: 'This sheet', keys: ['?'] },
];

/** What holds for the mouse, for the sheet. */
const GESTURES: readonly Omit<Shortcut, 'command'>[] = [
  { section: 'Pixels', says: 'Close the polygon', keys: ['Enter', 'double click'] },
  { section: 'Objects', says: 'Mark several objects, on the picture (A) or in the list', keys: ['Shift+click'] },
  { section: 'View', says: 'Move the picture', keys: ['Space+drag', 'middle button'] },
];

const byKey: Readonly<Record<Mode, ReadonlyMap<string, Command>>> = { annotate: keysOf('annotate'), review: keysOf('review') };
const byCommand = new Map(SHORTCUTS.map((shortcut) => [shortcut.command, shortcut] as const));

export interface KeyPress {
  readonly key: string;
  readonly ctrlKey: boolean;
  readonly metaKey: boolean;
  readonly altKey: boolean;
  readonly shiftKey: boolean;
}

/** What the sheet shows: keys first, then gestures. */
export function sheetOf(section: Section, mode: Mode): Omit<Shortcut, 'command'>[] {
  return [...SHORTCUTS, ...GESTURES].filter((entry) => entry.section === section && holdsIn(entry, mode));
}

/** The command of a key press, or null. */
export function commandOf(press: KeyPress, mode: Mode): Command | null {
  return byKey[mode].get(nameOf(press)) ?? null;
}

function keysOf(mode: Mode): Map<string, Command> {
  const held = SHORTCUTS.filter((entry) => holdsIn(entry, mode));
  return new Map(held.flatMap(({ keys, command }) => keys.map((key) => [key, command] as const)));
}

function holdsIn(entry: Pick<Shortcut, 'mode'>, mode: Mode): boolean {
  return entry.mode === undefined || entry.mode === mode;
}

function nameOf(press: KeyPress): string {
  const letter = /^[a-z]$/i.test(press.key);
  const named = press.key.length > 1;
  const key = letter ? press.key.toUpperCase() : press.key;
  // A sign such as `?` is itself typed with Shift.
  const shift = press.shiftKey && (letter || named);
  return `${press.ctrlKey || press.metaKey ? 'Ctrl+' : ''}${press.altKey ? 'Alt+' : ''}${shift ? 'Shift+' : ''}${key}`;
}

const SIGNS: Readonly<Record<string, string>> = { ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc', Delete: 'Del' };

export function shownKey(key: string): string {
  if (key === '+') return key;
  return key
    .split('+')
    .map((part) => SIGNS[part] ?? part)
    .join('+');
}

/** `Fill holes and drop islands (H)`. */
export function tooltip(command: Command): string {
  const shortcut = byCommand.get(command)!;
  return `${shortcut.says} (${shownKey(shortcut.keys[0]!)})`;
}

export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target instanceof HTMLInputElement) return !['range', 'checkbox', 'radio', 'button'].includes(target.type);
  return target.isContentEditable || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
