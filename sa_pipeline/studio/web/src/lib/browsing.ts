import type { BrowseQuery } from '../api/client';
import type { MaskSource } from '../api/types';

/** What the person filters by; text as typed, '' for no limit. */
export interface Filters {
  source: MaskSource;
  label: string;
  min_predicted_iou: string;
  min_stability_score: string;
  min_area: string;
  max_area: string;
  annotator: string;
  round: string;
}

export const NO_FILTERS: Filters = {
  source: 'automatic',
  label: '',
  min_predicted_iou: '',
  min_stability_score: '',
  min_area: '',
  max_area: '',
  annotator: '',
  round: '',
};

const SOURCES: readonly MaskSource[] = ['automatic', 'prefilled', 'human'];
/** Filters that say nothing of a source, and so are neither shown nor sent with it. */
const MEANINGLESS: Record<MaskSource, readonly (keyof Filters)[]> = {
  automatic: ['label', 'annotator', 'round'],
  prefilled: ['min_stability_score'],
  human: ['min_stability_score'],
};

export const hasMeaning = (filter: keyof Filters, source: MaskSource): boolean => !MEANINGLESS[source].includes(filter);

/** The filters that an address names; unknown and broken ones are left out. */
export function filtersOf(address: URLSearchParams): Filters {
  const filters = { ...NO_FILTERS };
  for (const name of Object.keys(NO_FILTERS) as (keyof Filters)[]) {
    const value = address.get(name);
    if (value === null) continue;
    if (name !== 'source') filters[name] = value;
    else if (SOURCES.includes(value as MaskSource)) filters.source = value as MaskSource;
  }
  return filters;
}

/** What an address must say for `filtersOf` to give these filters. */
export function addressOf(filters: Filters): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(filters)) {
    if (value !== NO_FILTERS[name as keyof Filters]) parts.set(name, String(value));
  }
  return parts.size > 0 ? `#/browse?${parts}` : '#/browse';
}

/** The filters as the server wants them. */
export function queryOf(filters: Filters): BrowseQuery {
  const used = Object.entries(filters).filter(
    ([name, value]) => String(value).trim() !== '' && hasMeaning(name as keyof Filters, filters.source),
  );
  return { ...Object.fromEntries(used.map(([name, value]) => [name, String(value).trim()])), source: filters.source };
}
