/** Half-precision numbers, as embeddings are kept. */

type Float16ArrayMaker = new (buffer: ArrayBufferLike, offset: number, length: number) => ArrayLike<number>;

/** float32 of float16 bits; exact. */
export function fromFloat16(bits: Uint16Array): Float32Array {
  const native = (globalThis as { Float16Array?: Float16ArrayMaker }).Float16Array;
  return native === undefined
    ? fromFloat16ByTable(bits)
    : Float32Array.from(new native(bits.buffer, bits.byteOffset, bits.length));
}

let table: Float32Array | null = null;

/** The same for browsers without Float16Array. */
export function fromFloat16ByTable(bits: Uint16Array): Float32Array {
  table ??= Float32Array.from({ length: 65536 }, (_, half) => valueOf(half));
  const values = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) values[i] = table[bits[i]!]!;
  return values;
}

function valueOf(half: number): number {
  const sign = (half & 0x8000) === 0 ? 1 : -1;
  const exponent = (half >> 10) & 0x1f;
  const fraction = half & 0x3ff;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
