/** What tests and benchmarks may read of the running editor: `window.studio`. Nothing secret, nothing to change. */

import { get } from 'svelte/store';
import type { ObjectState } from '../api/types';
import type { SaveStatus, TaskLog } from '../sync/tasklog';
import { fromPixel, toScreen, type View } from './view';
import type { Workspace } from './workspace';

export interface ExposedStudio {
  objects(): ObjectState[];
  view(): View;
  /** Page coordinates of a pixel's centre. */
  toScreen(x: number, y: number): [number, number];
  busy(): boolean;
  decoder(): 'threads' | 'single' | 'server' | 'none';
  saveState(): SaveStatus;
}

declare global {
  interface Window {
    studio?: ExposedStudio;
  }
}

export function exposeForTests(workspace: Workspace, log: TaskLog): () => void {
  const exposed: ExposedStudio = {
    objects: () => structuredClone(workspace.document.objects().map(({ state }) => state)),
    view: () => ({ ...(workspace.stage?.view ?? { scale: 1, x: 0, y: 0 }) }),
    toScreen: (x, y) => {
      const { stage } = workspace;
      if (stage === null) return [0, 0];
      const [left, top] = toScreen(stage.view, fromPixel([x, y]));
      const corner = stage.corner();
      return [left + corner[0], top + corner[1]];
    },
    busy: () => workspace.busy || workspace.stage === null,
    decoder: () => {
      const mode = get(workspace.decoder.mode);
      return mode === 'starting' ? 'none' : mode;
    },
    saveState: () => get(log.status),
  };
  window.studio = Object.freeze(exposed);
  return () => {
    if (window.studio === exposed) delete window.studio;
  };
}
