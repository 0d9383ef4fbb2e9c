/** What each command of the shortcut table does. */

import { get } from 'svelte/store';
import { change, stepBrush } from './options';
import type { Command } from './shortcuts';
import type { Workspace } from './workspace';

/** What is not the canvas's: panels and dialogues. */
export interface Surroundings {
  focusLabel(): void;
  toggleHelp(): void;
  toggleGuidelines(): void;
  askSkip(): void;
  askSendBack(): void;
  finish(): void;
  accept(): void;
  leave(): void;
}

export function run(command: Command, workspace: Workspace, around: Surroundings): void {
  actions[command](workspace, around);
}

type Action = (workspace: Workspace, around: Surroundings) => void;

const actions: Record<Command, Action> = {
  'tool-sam': (workspace) => workspace.useTool('sam'),
  'tool-box': (workspace) => workspace.useTool('box'),
  'tool-brush': (workspace) => workspace.useTool('brush'),
  'tool-eraser': (workspace) => workspace.useTool('eraser'),
  'tool-polygon-add': (workspace) => workspace.useTool('polygon-add'),
  'tool-polygon-cut': (workspace) => workspace.useTool('polygon-cut'),
  'tool-select': (workspace) => workspace.useTool('select'),
  'tool-pin': (workspace) => workspace.useTool('pin'),
  unclear: (workspace) => workspace.useTool('unclear'),
  'brush-smaller': (workspace) => stepBrush(workspace.options, -1),
  'brush-larger': (workspace) => stepBrush(workspace.options, 1),
  'brush-shape': ({ options }) =>
    change(options, { brushShape: get(options).brushShape === 'round' ? 'square' : 'round' }),
  'output-1': (workspace) => workspace.sam.choose(1),
  'output-2': (workspace) => workspace.sam.choose(2),
  'output-3': (workspace) => workspace.sam.choose(3),
  undo: (workspace) => workspace.undo(),
  redo: (workspace) => workspace.redo(),
  keep: (workspace) => workspace.keep(),
  clear: (workspace) => workspace.escape(),
  label: (_, around) => around.focusLabel(),
  kind: (workspace) => workspace.describe({ kind: workspace.active?.state.kind === 'thing' ? 'stuff' : 'thing' }),
  unnameable: (workspace) => {
    const unnameable = workspace.active?.state.unnameable !== true;
    workspace.describe(unnameable ? { unnameable, label: '' } : { unnameable });
  },
  tidy: (workspace) => workspace.tidy(),
  'no-overlap': ({ options }) => change(options, { noOverlap: !get(options).noOverlap }),
  merge: (workspace) => workspace.objects.merge(),
  delete: (workspace) => workspace.deleteUnderPointer(),
  'next-prefilled': (workspace) => workspace.objects.nextPrefilled(1),
  'previous-prefilled': (workspace) => workspace.objects.nextPrefilled(-1),
  'next-object': (workspace) => workspace.objects.step(1),
  'previous-object': (workspace) => workspace.objects.step(-1),
  'more-prominent': (workspace) => workspace.objects.moveActive(-1),
  'less-prominent': (workspace) => workspace.objects.moveActive(1),
  hide: (workspace) => withActive(workspace, (id) => workspace.objects.toggleHidden(id)),
  lock: (workspace) => withActive(workspace, (id) => workspace.objects.toggleLocked(id)),
  peek: (workspace) => workspace.table.peek(true),
  outline: ({ options }) => change(options, { outlineOnly: !get(options).outlineOnly }),
  fit: ({ stage }) => stage?.fit(),
  'actual-size': ({ stage }) => stage?.actualSize(),
  'zoom-in': ({ stage }) => stage?.zoom(1.25),
  'zoom-out': ({ stage }) => stage?.zoom(0.8),
  'zoom-object': (workspace) => workspace.zoomToActive(),
  guidelines: (_, around) => around.toggleGuidelines(),
  skip: (_, around) => around.askSkip(),
  finish: (_, around) => around.finish(),
  accept: (_, around) => around.accept(),
  'send-back': (_, around) => around.askSendBack(),
  leave: (_, around) => around.leave(),
  help: (_, around) => around.toggleHelp(),
};

function withActive(workspace: Workspace, act: (id: string) => void): void {
  if (workspace.activeId === null) workspace.say('Open an object first');
  else act(workspace.activeId);
}
