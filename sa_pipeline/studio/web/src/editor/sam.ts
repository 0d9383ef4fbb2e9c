/** Clicks and boxes on the open object, and what SAM answers. */

import type { MaskCrop } from '../decoder/enlargement';
import { decoderPoints, isAmbiguous, type Output } from '../decoder/prompts';
import { heeds, withClicks } from '../decoder/heeding';
import { logitsOf, type DecodeMessage, type Decoding } from '../decoder/protocol';
import { fit, seedOfBox } from '../decoder/seed';
import type { DecoderService } from '../decoder/service';
import { cropOf, maskInputOf, measure, NOTHING_ASKED, rounded, seedOrNull, withPoint, type Asked } from './asking';
import type { Snapshot } from './document';
import type { Point } from './view';
import type { Workspace } from './workspace';

const FITS_FROM = 0.5;

/** A prompt that SAM has not answered yet, to be drawn at once. */
export interface Pending {
  readonly pixel: Point;
  /** Null: a box, or a click that is taken away. */
  readonly label: 0 | 1 | null;
}

export class SamPrompting {
  readonly pending: Pending[] = [];
  /** What a click at the pointer would give. */
  preview: MaskCrop | null = null;
  /** The last preview asked for: a click at the same place with the same prompts need not ask again. */
  #previewed: { key: string; active: Snapshot | null; decoding: Promise<Decoding | null> } | null = null;
  #choices: { snapshot: Snapshot; decoding: Decoding } | null = null;
  #queue: Promise<void> = Promise.resolve();
  #waiting = 0;
  /** Raised by what makes answers that are under way worthless: undo, another object. */
  #generation = 0;
  #hovers = 0;
  #hovering = false;

  constructor(
    private readonly workspace: Workspace,
    private readonly decoder: DecoderService,
  ) {}

  get busy(): boolean {
    return this.#waiting > 0;
  }

  /** The outputs that the person may switch among, and the one that is shown; null when there is no choice. */
  get choice(): { shown: Output; predictedIou: readonly number[] } | null {
    const active = this.workspace.active;
    if (this.#choices === null || active !== this.#choices.snapshot) return null;
    return { shown: active.state.prompts.output ?? 1, predictedIou: this.#choices.decoding.predictedIou };
  }

  click(pixel: Point, label: 0 | 1, time: number): void {
    this.#ask('click', { pixel, label }, (asked) => withPoint(asked, pixel, label), true, time);
  }

  /** XYXY, stored coordinates. A new box takes the place of the one before. */
  box(box: readonly [number, number, number, number], time: number): void {
    this.#ask('box', { pixel: [box[0], box[1]], label: null }, (asked) => ({ ...asked, box: [...box] }), true, time);
  }

  removePoint(index: number): void {
    const without = <T>(list: readonly T[]): T[] => list.filter((_, k) => k !== index);
    const asked = this.workspace.active?.state.prompts;
    if (asked === undefined) return;
    if (asked.point_coords.length === 1 && asked.box === null) return this.clear();
    this.#ask(
      'click',
      { pixel: asked.point_coords[index]!, label: null },
      (now) => ({ ...now, point_coords: without(now.point_coords), point_labels: without(now.point_labels) }),
      // Earlier answers knew of the click that goes, so SAM starts over from those that stay.
      false,
      performance.now(),
    );
  }

  /** Without clicks and boxes: what was there before SAM was asked, and what hands did. */
  clear(): void {
    const { workspace } = this;
    const { active } = workspace;
    if (active === null) return;
    this.drop();
    workspace.paintActive(workspace.plane.answer(cropOf(active.logits === null ? null : active.base)));
    workspace.commitActive('click', { logits: null, runs: workspace.plane.runs(), state: { prompts: NOTHING_ASKED } });
  }

  /** Take another of the three masks of one click. */
  choose(output: 1 | 2 | 3): void {
    const active = this.workspace.active;
    if (active === null) return;
    if (this.#choices?.snapshot === active) {
      void this.#take(this.#choices.decoding, output);
    } else if (isAmbiguous(active.state.prompts, active.base !== null)) {
      const pixel = active.state.prompts.point_coords[0]!;
      this.#ask('click', { pixel, label: null }, (asked) => asked, false, performance.now(), output);
    } else {
      this.workspace.say('Subpart, part and whole are a choice for a single click');
    }
  }

  hover(pixel: Point | null, label: 0 | 1): void {
    const { active } = this.workspace;
    const now = ++this.#hovers;
    if (pixel === null || this.decoder.frame === null || this.busy) {
      this.decoder.dropPreview();
      this.#showPreview(null);
      return;
    }
    const asked = withPoint(active?.state.prompts ?? NOTHING_ASKED, pixel, label);
    const key = JSON.stringify(asked);
    if (this.#hovering && this.#previewed?.key === key && this.#previewed.active === active) return;
    const preview = this.decoder.preview(this.#question(active, asked, true, null));
    this.#previewed = { key, active, decoding: preview };
    preview.then(
      (decoding) => {
        // Answers come in order; one that is behind by a few is still near the pointer, one behind a click is not.
        if (decoding !== null && !this.busy && this.#hovers >= now && this.workspace.active === active && this.#hovering) {
          this.#showPreview(decoding.crop);
        }
      },
      () => this.#showPreview(null),
    );
    this.#hovering = true;
  }

  /** Forget the prompts that SAM has not answered; whether there were any. */
  takeBack(): boolean {
    if (this.pending.length === 0) return false;
    this.drop();
    this.workspace.changed();
    return true;
  }

  /** Forget what is under way. */
  drop(): void {
    this.#generation++;
    this.pending.length = 0;
    this.#stopHover();
  }

  #stopHover(): void {
    this.#hovering = false;
    this.decoder.dropPreview();
    this.#showPreview(null);
  }

  #showPreview(crop: MaskCrop | null): void {
    if (crop === null) this.#hovering = false;
    if (this.preview === crop) return;
    this.preview = crop;
    this.workspace.stage?.redraw('masks');
  }

  #ask(
    tool: 'click' | 'box',
    pending: Pending,
    next: (asked: Asked) => Asked,
    feedBack: boolean,
    time: number,
    output: Output | null = null,
  ): void {
    const { workspace } = this;
    const asked = workspace.active ?? workspace.openNew();
    const objectId = asked.state.object_id;
    const generation = this.#generation;
    this.#stopHover();
    this.#waiting++;
    this.pending.push(pending);
    workspace.changed();
    const done = (): void => {
      const place = this.pending.indexOf(pending);
      if (place >= 0) this.pending.splice(place, 1);
    };
    const stale = (): boolean => generation !== this.#generation || workspace.active?.state.object_id !== objectId;
    const job = async (): Promise<void> => {
      const before = workspace.active;
      if (before === null || stale()) return;
      const prompts = next(before.state.prompts);
      const question = this.#question(before, prompts, feedBack, output);
      const previewed = feedBack ? await this.#previewOf(before, prompts) : null;
      const decoding = await this.#heeded(question, before, prompts, previewed ?? (await this.decoder.decode(question)));
      if (stale()) return;
      const arrived = performance.now();
      if (previewed === null) measure(decoding, arrived);
      done();
      this.#accept(tool, prompts, decoding, question.output === null || output !== null);
      workspace.stage?.whenDrawn(() => {
        performance.measure('studio:paint', { start: arrived });
        performance.measure('studio:click', { start: time });
      });
    };
    this.#queue = this.#queue
      .then(job)
      .catch((error: unknown) => workspace.say(error instanceof Error ? error.message : String(error)))
      .finally(() => {
        done();
        this.#waiting--;
        workspace.changed();
      });
  }

  /**
   * The answer, or where it has little to do with the box that was drawn, a second one with the box as the mask before:
   * a model that was hardly taught boxes, as `tiny` is, has then something to refine.
   */
  async #insideBox(question: DecodeMessage, asked: Asked, decoding: Decoding): Promise<Decoding> {
    const { frame } = this.decoder;
    if (frame === null || asked.box === null || asked.point_coords.length > 0) return decoding;
    if (question.maskInput !== null || fit(decoding.crop, asked.box) >= FITS_FROM) return decoding;
    return this.decoder.decode({ ...question, maskInput: seedOfBox(asked.box, frame) });
  }

  /**
   * The answer, or where it leaves a click unheeded (one that takes away lies in the mask still), another that does not:
   * by the clicks without the answer before, which a weak model clings to, or else by that answer mended around them.
   */
  async #heeded(question: DecodeMessage, before: Snapshot, asked: Asked, decoding: Decoding): Promise<Decoding> {
    const { frame } = this.decoder;
    const { point_labels: labels } = asked;
    if (labels.length === 0) return this.#insideBox(question, asked, decoding);
    if (frame === null || question.output !== 0 || heeds(decoding.crop, asked)) return decoding;
    const fresh = seedOrNull(before.logits === null ? null : before.base, frame);
    const others = labels.includes(1) || asked.box !== null ? [fresh] : [];
    if (question.maskInput !== null) others.push(withClicks(question.maskInput, asked, frame));
    for (const maskInput of others) {
      const other = await this.decoder.decode({ ...question, maskInput });
      if (heeds(other.crop, asked)) return other;
    }
    return decoding;
  }

  /** The answer that a hover at this place brought already, or is about to bring. */
  async #previewOf(before: Snapshot, asked: Asked): Promise<Decoding | null> {
    const previewed = this.#previewed;
    const same = before.state.deleted ? previewed?.active === null : previewed?.active === before;
    return previewed !== null && same && previewed.key === JSON.stringify(asked) ? previewed.decoding.catch(() => null) : null;
  }

  #question(active: Snapshot | null, asked: Asked, feedBack: boolean, output: Output | null): DecodeMessage {
    const frame = this.decoder.frame;
    if (frame === null) throw new Error('SAM is not ready yet');
    const { coords, labels } = decoderPoints(asked, frame);
    const maskInput = active === null ? null : feedBack ? maskInputOf(active, frame) : seedOrNull(active.base, frame);
    return {
      kind: 'decode',
      coords,
      labels,
      maskInput,
      output: output ?? (isAmbiguous(asked, maskInput !== null) ? null : 0),
    };
  }

  #accept(tool: 'click' | 'box', asked: Asked, decoding: Decoding, choice: boolean): void {
    const { workspace } = this;
    const before = workspace.active!;
    workspace.paintActive(workspace.plane.answer(decoding.crop));
    const { output } = decoding;
    workspace.commitActive(tool, {
      runs: workspace.plane.runs(),
      logits: logitsOf(decoding, output).slice(),
      base: before.logits === null ? before.runs : before.base,
      state: { prompts: { ...asked, output, predicted_iou: rounded(decoding.predictedIou[output]!) } },
    });
    this.#choices = choice ? { snapshot: workspace.active!, decoding } : null;
  }

  async #take(decoding: Decoding, output: Output): Promise<void> {
    const { workspace } = this;
    const active = workspace.active!;
    if (active.state.prompts.output === output) return;
    this.#waiting++;
    const logits = logitsOf(decoding, output).slice();
    try {
      const crop = await this.decoder.enlarge(logits);
      if (workspace.active !== active) return;
      workspace.paintActive(workspace.plane.answer(crop));
      const predicted_iou = rounded(decoding.predictedIou[output]!);
      const prompts = { ...active.state.prompts, output, predicted_iou };
      workspace.commitActive('click', { runs: workspace.plane.runs(), logits, state: { prompts } });
      this.#choices = { snapshot: workspace.active, decoding };
    } catch (error) {
      workspace.say(error instanceof Error ? error.message : String(error));
    } finally {
      this.#waiting--;
      workspace.changed();
    }
  }
}
