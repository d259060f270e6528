// freshKey names one wish of a person, so that a call that is repeated is done once. It
// needs no secure context: a page on a private network is often served without TLS.
export function freshKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
