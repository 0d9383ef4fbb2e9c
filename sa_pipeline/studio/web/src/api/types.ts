// From sa_pipeline/studio/models.py, by `python -m sa_pipeline.studio.typescript`; a test compares them.
// Every field is there in both directions: the server sends them all, and so does the page.

export const MAX_EVENTS_PER_SAVE = 200;

export const MAX_COUNTS_LENGTH = 4000000;

export const MAX_PINS_PER_REVIEW = 200;

export const MAX_TIME = 253402300799;

/** What a person may do; each role may do what the one before may. */
export type Role = 'annotator' | 'reviewer' | 'lead';

/** The stage of the data engine that a round belongs to (paper §4). */
export type Stage = 'assisted_manual' | 'semi_automatic' | 'audit';

/** Where a task stands. */
export type TaskState = 'open' | 'finished' | 'sent_back' | 'accepted' | 'skipped';

/** Of an object: a thing can be counted, stuff cannot. */
export type Kind = 'thing' | 'stuff';

/** How a mask first came to be. */
export type Source = 'manual' | 'prefilled' | 'imported';

/** What changed an object. */
export type Tool = 'click' | 'box' | 'brush' | 'eraser' | 'polygon_add' | 'polygon_cut' | 'tidy' | 'no_overlap' | 'label' | 'order' | 'merge' | 'delete' | 'undo' | 'redo' | 'prefill' | 'import' | 'confirm';

/** A mask as COCO's compressed run lengths, as pycocotools writes them. */
export interface Rle {
  /** height and width of the task's image, px */
  size: [number, number];
  counts: string;
}

/** What SAM was asked with for the mask as it is; empty for a mask that was only painted. */
export interface Prompts {
  point_coords: [number, number][];
  point_labels: (0 | 1)[];
  /** XYXY */
  box: [number, number, number, number] | null;
  /** the decoder's output: 0 for several prompts; 1 subpart, 2 part, 3 whole for one */
  output: 0 | 1 | 2 | 3 | null;
  predicted_iou: number | null;
}

/** All that is known of one object; each event carries the state that it leads to. */
export interface ObjectState {
  object_id: string;
  /** in the annotator's own words */
  label: string;
  kind: Kind;
  /** the annotator said: can't name it */
  unnameable: boolean;
  /** 0 first; ties by the time of making */
  prominence: number;
  source: Source;
  /** the automatic mask that it was pre-filled from */
  source_mask_id: number | null;
  /** None: nothing painted yet */
  mask: Rle | null;
  prompts: Prompts;
  deleted: boolean;
}

/** One change of one object by one person. */
export interface Event {
  /** made by the client; the same id is applied once only */
  op_id: string;
  tool: Tool;
  object: ObjectState;
  /** the client's clock */
  at: number;
  /** worked since the event before; idle and hidden time left out */
  active_seconds: number;
}

/** An event as it is kept. */
export interface StoredEvent extends Event {
  /** of the task after it */
  version: number;
  annotator: string;
  received_at: number;
}

/** A person. */
export interface Annotator {
  annotator_id: number;
  name: string;
  role: Role;
  active: boolean;
}

/** A personal token, as `sa-pipeline annotators add` printed it. */
export interface SignIn {
  token: string;
}

/** Who is signed in, and what the page must know. */
export interface Session {
  annotator: Annotator;
  /** goes into the header X-CSRF-Token of every request that changes something */
  csrf_token: string;
  /** a mask that takes longer is left (paper §4: 30 s) */
  guideline_seconds: number;
  lease_seconds: number;
  heartbeat_seconds: number;
  /** name of the dataset's folder */
  dataset: string;
  /** the round that tasks are handed out from */
  round: string | null;
}

/** The picture of a task. */
export interface ImageInfo {
  image_id: number;
  file_name: string;
  width: number;
  height: number;
  picture_url: string;
  embedding_url: string | null;
  /** of the embedding; None: SAM's help is not to be had */
  checkpoint_digest: string | null;
}

/** What the browser needs to run the mask decoder that belongs to an embedding. */
export interface ModelInfo {
  checkpoint_digest: string;
  name: string;
  /** ONNX: see sa_pipeline.studio.decoder */
  decoder_url: string;
  /** px; the longer side of the image is brought to it, so scale is this / longer */
  image_size: number;
  /** C, h, w of the float16 little-endian embedding */
  embedding_shape: [number, number, number];
  /** px; the square logits, the image in their upper left corner */
  low_res_side: number;
  mask_threshold: number;
}

/** A reviewer's remark at a place of the picture. */
export interface Pin {
  pin_id: number;
  task_id: number;
  author: string;
  x: number;
  y: number;
  comment: string;
  object_id: string | null;
  created_at: number;
  resolved_at: number | null;
}

/** A remark that a reviewer places. */
export interface NewPin {
  x: number;
  y: number;
  comment: string;
  object_id: string | null;
}

/** A task without its objects. */
export interface TaskSummary {
  task_id: number;
  round: string;
  stage: Stage;
  state: TaskState;
  pilot: boolean;
  image: ImageInfo;
  version: number;
  /** who made it, or is making it */
  annotator: string | null;
  masks: number;
  active_seconds: number;
  finished_at: number | null;
  open_pins: number;
  skip_reason: string | null;
  /** what the last review said of the whole picture */
  review_comment: string;
}

/** The right to change a task. */
export interface Lease {
  lease_token: string;
  lease_until: number;
}

/** A task in the hands of the person who asked. */
export interface TaskDetail {
  task: TaskSummary;
  /** None: to look at only */
  lease: Lease | null;
  /** in order of prominence, without deleted ones */
  objects: ObjectState[];
  pins: Pin[];
  /** pictures that are likely to be next, to be fetched ahead */
  upcoming: ImageInfo[];
}

/** Changes of a task, in order. */
export interface Save {
  lease_token: string;
  /** the version that the first new event builds on */
  base_version: number;
  events: Event[];
}

/** The answer to a save; the same for a retry. */
export interface Saved {
  version: number;
  applied: string[];
  /** had been applied before */
  duplicates: string[];
  lease_until: number;
}

/** The holder is still there. */
export interface Heartbeat {
  lease_token: string;
}

/** The annotator is done with the picture. */
export interface Finish {
  lease_token: string;
  version: number;
}

/** The annotator leaves the picture to nobody. */
export interface Skip {
  lease_token: string;
  reason: string;
}

/** What a reviewer decides. */
export type Verdict = 'accepted' | 'sent_back';

/** A reviewer's decision; sent back only with at least one pin. */
export interface Review {
  lease_token: string;
  version: number;
  verdict: Verdict;
  pins: NewPin[];
  comment: string;
}

/** A label that was used before. */
export interface LabelUse {
  label: string;
  kind: Kind;
  uses: number;
}

/** A person's day and the round's state. */
export interface Progress {
  masks_today: number;
  tasks_today: number;
  active_seconds_today: number;
  seconds_per_mask_today: number | null;
  round: string | null;
  round_tasks: Partial<Record<TaskState, number>>;
  /** until they are accepted, only reviewers and leads are given tasks */
  pilot_tasks_left: number;
}

/** What came back to the person: shown first. */
export interface Feedback {
  sent_back: TaskSummary[];
  pins: Pin[];
  /** pictures of the person's that wait for review */
  waiting: number;
  accepted_today: number;
}

/** How one person works. */
export interface AnnotatorStatistics {
  annotator: string;
  tasks: number;
  masks: number;
  active_seconds: number;
  seconds_per_mask: number | null;
  clicks_per_mask: number | null;
  accepted: number;
  sent_back: number;
  /** share of reviewed tasks that were accepted at the first review */
  acceptance: number | null;
  /** mean best IoU with another person's masks on the same picture */
  agreement: number | null;
}

/** An unclear case that a pilot task brought up, with its answer once there is one. */
export interface GuidelineCase {
  case_id: number;
  task_id: number;
  image: ImageInfo;
  x: number;
  y: number;
  question: string;
  author: string;
  answer: string | null;
  created_at: number;
}

/** An unclear case, marked on the picture. */
export interface NewCase {
  task_id: number;
  x: number;
  y: number;
  question: string;
}

/** What the guidelines shall say about a case. */
export interface CaseAnswer {
  answer: string;
}

/** What annotators are told. */
export interface Guidelines {
  /** made from guidelines.md of the studio's folder; no scripts */
  html: string;
  /** the answered ones */
  cases: GuidelineCase[];
}

/** Which masks are looked at. */
export type MaskSource = 'automatic' | 'prefilled' | 'human';

/** A mask with where it came from. */
export interface BrowsedMask {
  source: MaskSource;
  /** of an automatic mask */
  mask_id: number | null;
  /** of a human or pre-filled one */
  object_id: string | null;
  mask: Rle;
  /** XYWH */
  bbox: [number, number, number, number];
  area: number;
  label: string | null;
  kind: Kind | null;
  predicted_iou: number | null;
  stability_score: number | null;
  point_coords: [number, number][];
  annotator: string | null;
  round: string | null;
  /** name and digest of the weights that answered the prompts */
  checkpoint: string | null;
  /** that shaped it, in order of first use */
  tools: Tool[];
}

/** A picture and how many of its masks pass the filter. */
export interface BrowsedImage {
  image: ImageInfo;
  source_uri: string;
  masks: number;
}

/** A page of pictures. */
export interface BrowsedImages {
  images: BrowsedImage[];
  next_cursor: number | null;
}

/** Asks the server to run the mask decoder, for a browser that cannot. */
export interface Decode {
  checkpoint_digest: string;
  /** px of the decoder's input (image px times scale) */
  point_coords: [number, number][];
  /** 1 foreground, 0 background, 2 and 3 a box's corners, -1 padding */
  point_labels: (-1 | 0 | 1 | 2 | 3)[];
  /** base64 of float32 little-endian (low_res_side, low_res_side) */
  mask_input: string | null;
}

/** The decoder's four outputs. */
export interface Decoded {
  /** base64 of float32 little-endian (4, low_res_side, low_res_side) logits */
  low_res_masks: string;
  iou_predictions: [number, number, number, number];
}

/** Why a request was refused, in a sentence. */
export interface Problem {
  detail: string;
  /** one word for programs, such as lease_lost, stale_version, not_found */
  code: string;
  /** of the task, where it matters */
  version: number | null;
}

/** Whether the server can do its work. */
export interface Health {
  status: 'ok';
  /** sqlite or postgresql */
  database: string;
  tasks: number;
}
