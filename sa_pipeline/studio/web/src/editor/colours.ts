/** Colours of objects, packed as a little-endian ImageData word: 0xAABBGGRR. */

const GOLDEN_ANGLE = 137.508;

export interface Colour {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
}

/** Far apart for objects made one after another, and bright enough to be seen on any picture. */
export function colourOf(index: number): Colour {
  const hue = (205 + index * GOLDEN_ANGLE) % 360;
  const lightness = [0.56, 0.66, 0.48][index % 3]!;
  return fromHsl(hue, 0.85, lightness);
}

export function css({ red, green, blue }: Colour, alpha = 1): string {
  return `rgb(${red} ${green} ${blue} / ${alpha})`;
}

/** alpha in 0..1. */
export function packed({ red, green, blue }: Colour, alpha: number): number {
  return ((Math.round(alpha * 255) << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

function fromHsl(hue: number, saturation: number, lightness: number): Colour {
  const reach = saturation * Math.min(lightness, 1 - lightness);
  const channel = (offset: number): number => {
    const k = (offset + hue / 30) % 12;
    return Math.round(255 * (lightness - reach * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return { red: channel(0), green: channel(8), blue: channel(4) };
}
