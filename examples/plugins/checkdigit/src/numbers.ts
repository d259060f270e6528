// Check digits, and nothing of TestMesh.

/** Schemes by name: whether the check digits of a number are right. */
export const schemes = { luhn, iban };
export type Scheme = keyof typeof schemes;

/** The characters of a number, without the blanks and dashes between them. */
export function digitsOf(text: string): string {
  return text.replace(/[\s-]/g, "").toUpperCase();
}

/** All numbers of a pattern, each ? from 0 to 9, in order. */
export function* fill(pattern: string): Generator<string> {
  const holes = [...pattern].filter((c) => c === "?").length;
  for (let n = 0n; n < 10n ** BigInt(holes); n++) {
    const digits = n.toString().padStart(holes, "0");
    let next = 0;
    yield pattern.replace(/\?/g, () => digits[next++] ?? "");
  }
}

function luhn(number: string): boolean {
  if (!/^[0-9]{2,}$/.test(number)) return false;
  let sum = 0;
  for (let i = 0; i < number.length; i++) {
    const digit = number.charCodeAt(number.length - 1 - i) - 48;
    sum += i % 2 === 0 ? digit : digit > 4 ? 2 * digit - 9 : 2 * digit;
  }
  return sum % 10 === 0;
}

function iban(number: string): boolean {
  if (!/^[A-Z]{2}[0-9]{2}[A-Z0-9]{8,30}$/.test(number)) return false;
  let rest = 0;
  for (const c of number.slice(4) + number.slice(0, 4)) {
    const code = c.charCodeAt(0);
    rest = (code < 58 ? rest * 10 + code - 48 : rest * 100 + code - 55) % 97;
  }
  return rest === 1;
}
