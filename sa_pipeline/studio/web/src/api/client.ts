import { get, writable } from 'svelte/store';
import type {
  Annotator,
  AnnotatorStatistics,
  BrowsedImages,
  BrowsedMask,
  Decode,
  Decoded,
  Feedback,
  GuidelineCase,
  Guidelines,
  ImageInfo,
  LabelUse,
  Lease,
  MaskSource,
  ModelInfo,
  NewCase,
  Pin,
  Problem,
  Progress,
  Review,
  Save,
  Saved,
  Session,
  StoredEvent,
  TaskDetail,
  TaskState,
  TaskSummary,
} from './types';

const PATIENCE_MS = 30_000;

/** The server answered, and said no; the message is its sentence. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly version: number | null = null,
    readonly retryAfterSeconds: number | null = null,
  ) {
    super(detail);
    this.name = 'Refused';
  }
}

/** No answer, or none that means anything: worth another try. */
export class Unreachable extends Error {
  constructor(detail: string) {
    super(detail);
    this.name = 'Unreachable';
  }
}

/** Who is signed in: undefined until the server was asked, null for nobody. */
export const session = writable<Session | null | undefined>(undefined);

/** The server knows the person no more, while their page is open; their work stays until they sign in again. */
export const sessionEnded = writable(false);

interface Options {
  body?: unknown;
  query?: Query;
  keepalive?: boolean;
}

export type Query = Record<string, string | number | null | undefined>;

/** A query string without what is null, undefined or empty; '' or `?a=1&b=2`. */
export function queryString(query: Query): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== '') parts.set(name, String(value));
  }
  return parts.size > 0 ? `?${parts}` : '';
}

async function request<T>(method: string, path: string, options: Options = {}): Promise<T> {
  try {
    return await ask<T>(method, path, options);
  } catch (error) {
    if (!(error instanceof Refused && error.code === 'csrf')) throw error;
  }
  // signed in anew in another tab, by which this page's session is no longer the browser's
  await resumeSession();
  return ask<T>(method, path, options);
}

async function ask<T>(method: string, path: string, options: Options): Promise<T> {
  const headers: Record<string, string> = { Accept: 'application/json' };
  const token = get(session)?.csrf_token;
  if (method !== 'GET' && token) headers['X-CSRF-Token'] = token;
  if (options.body !== undefined) headers['Content-Type'] = 'application/json';
  let answer: Response;
  try {
    answer = await fetch(`/api${path}${queryString(options.query ?? {})}`, {
      method,
      headers,
      credentials: 'same-origin',
      cache: 'no-store',
      keepalive: options.keepalive ?? false,
      signal: AbortSignal.timeout(PATIENCE_MS),
      body: options.body === undefined ? null : JSON.stringify(options.body),
    });
    if (answer.status === 204) return undefined as T;
    if (answer.ok) return (await answer.json()) as T;
  } catch {
    throw new Unreachable('The server cannot be reached.');
  }
  throw await refusal(answer);
}

async function refusal(answer: Response): Promise<Error> {
  if (answer.status >= 500) return new Unreachable(`The server is in trouble (it answered ${answer.status}).`);
  let problem: Partial<Problem> = {};
  try {
    problem = (await answer.json()) as Partial<Problem>;
  } catch {
    // a proxy's own page; the status says enough
  }
  if (answer.status === 401 && get(session)) sessionEnded.set(true);
  const detail = typeof problem.detail === 'string' ? problem.detail : `The server refused (${answer.status}).`;
  const after = Number(answer.headers.get('Retry-After'));
  return new Refused(answer.status, problem.code ?? 'unknown', detail, problem.version ?? null, after > 0 ? after : null);
}

const read = <T>(path: string, query: Query = {}): Promise<T> => request<T>('GET', path, { query });
const post = <T>(path: string, body?: unknown): Promise<T> => request<T>('POST', path, { body });

/** Signs in; whoever was signed in before is not any more. */
export async function signIn(token: string): Promise<Session> {
  const started = await post<Session>('/session', { token });
  session.set(started);
  sessionEnded.set(false);
  return started;
}

/** Asks the server who is signed in, and keeps the answer in `session`. */
export async function resumeSession(): Promise<Session | null> {
  const found = await read<Session | null>('/session');
  session.set(found);
  sessionEnded.set(false);
  return found;
}

export async function signOut(): Promise<void> {
  await request<undefined>('DELETE', '/session');
  session.set(null);
  sessionEnded.set(false);
}

export interface TaskQuery extends Query {
  state?: TaskState;
  round?: string;
  annotator?: string;
  cursor?: number;
  limit?: number;
}

/** Filters of masks: label, min_predicted_iou, min_stability_score, min_area, max_area, annotator, round. */
export interface BrowseQuery extends Query {
  source: MaskSource;
}

/** Every path of the server, typed. */
export const api = {
  leaseNext: () => post<TaskDetail>('/tasks/lease'),
  lease: (taskId: number) => post<TaskDetail>(`/tasks/${taskId}/lease`),
  task: (taskId: number) => read<TaskDetail>(`/tasks/${taskId}`),
  tasks: (query: TaskQuery = {}) => read<TaskSummary[]>('/tasks', query),
  heartbeat: (taskId: number, lease_token: string) => post<Lease>(`/tasks/${taskId}/heartbeat`, { lease_token }),
  save: (taskId: number, save: Save, keepalive = false) =>
    request<Saved>('POST', `/tasks/${taskId}/events`, { body: save, keepalive }),
  events: (taskId: number) => read<StoredEvent[]>(`/tasks/${taskId}/events`),
  finish: (taskId: number, lease_token: string, version: number) =>
    post<TaskSummary>(`/tasks/${taskId}/finish`, { lease_token, version }),
  skip: (taskId: number, lease_token: string, reason: string) =>
    post<TaskSummary>(`/tasks/${taskId}/skip`, { lease_token, reason }),
  release: (taskId: number, lease_token: string) => post<TaskSummary>(`/tasks/${taskId}/release`, { lease_token }),
  leaseReview: () => post<TaskDetail>('/reviews/lease'),
  review: (taskId: number, review: Review) => post<TaskSummary>(`/tasks/${taskId}/review`, review),
  resolvePin: (pinId: number) => post<Pin>(`/pins/${pinId}/resolve`),
  feedback: () => read<Feedback>('/me/feedback'),
  progress: () => read<Progress>('/me/progress'),
  labels: (prefix: string, limit = 20) => read<LabelUse[]>('/labels', { prefix, limit }),
  guidelines: () => read<Guidelines>('/guidelines'),
  cases: () => read<GuidelineCase[]>('/guidelines/cases'),
  newCase: (newCase: NewCase) => post<GuidelineCase>('/guidelines/cases', newCase),
  answerCase: (caseId: number, answer: string) => post<GuidelineCase>(`/guidelines/cases/${caseId}/answer`, { answer }),
  statistics: (round?: string) => read<AnnotatorStatistics[]>('/statistics/annotators', { round }),
  dailyQa: (day?: string, per_annotator?: number) =>
    read<TaskSummary[]>('/statistics/daily-qa', { day, per_annotator }),
  annotators: () => read<Annotator[]>('/annotators'),
  image: (imageId: number) => read<ImageInfo>(`/images/${imageId}`),
  model: (digest: string) => read<ModelInfo>(`/models/${encodeURIComponent(digest)}`),
  decode: (imageId: number, decode: Decode) => post<Decoded>(`/images/${imageId}/decode`, decode),
  browseImages: (query: BrowseQuery & { cursor?: number | null; limit?: number }) =>
    read<BrowsedImages>('/browse/images', query),
  browseMasks: (imageId: number, query: BrowseQuery) =>
    read<BrowsedMask[]>(`/browse/images/${imageId}/masks`, query),
};

/** Where a small copy of a picture is to be had; side is px of its longer side. */
export const smallCopy = (image: ImageInfo, side: number): string => `${image.picture_url}?side=${side}`;

/** The sentence of anything that was thrown. */
export function sentence(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
