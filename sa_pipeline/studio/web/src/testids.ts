import { editorTestids } from './editor/testids';

/** Every `data-testid` of the pages and the editor; the Playwright tests use the literal values, so they stay as they are. */
export const testids = {
  ...editorTestids,
  app: 'app',
} as const;
