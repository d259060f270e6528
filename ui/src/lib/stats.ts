// median is the value that half of the others do not exceed; NaN of none.
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
}

// share is a part as a person reads it: never 100 % where something is missing, never 0 %
// where something is there.
export function share(part: number, whole: number): string {
  if (whole === 0) return "";
  const percent = Math.round((100 * part) / whole);
  if (percent === 100 && part < whole) return "99 %";
  if (percent === 0 && part > 0) return "1 %";
  return `${percent} %`;
}
