const whole = new Intl.NumberFormat('en');
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' });

export const count = (value: number): string => whole.format(value);

/** '1 mask', '20 masks'. */
export const plural = (value: number, one: string, many = `${one}s`): string => `${count(value)} ${value === 1 ? one : many}`;

/** Seconds as '14 s', '12 min', '3 h 05 min'; '–' for nothing. */
export function duration(seconds: number | null): string {
  if (seconds === null) return '–';
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

/** A share as '94 %'; '–' for nothing. */
export const percent = (share: number | null): string => (share === null ? '–' : `${Math.round(share * 100)} %`);

export const decimal = (value: number | null, digits = 1): string => (value === null ? '–' : value.toFixed(digits));

/** Seconds since 1970 as the person's date and time. */
export const when = (seconds: number | null): string => (seconds === null ? '–' : moment.format(seconds * 1000));

/** A word of the server's, such as sent_back, for people. */
export const words = (value: string): string => value.replaceAll('_', ' ');
