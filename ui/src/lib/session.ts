// The administrator's key of this tab. `testmesh dev` needs none; elsewhere it is typed
// once, kept until the tab is closed, and never part of an address.

const slot = "testmesh.key";

type Listener = () => void;

const listeners = new Set<Listener>();
let refused: string | null = null;

export function sessionKey(): string {
  try {
    return sessionStorage.getItem(slot) ?? "";
  } catch {
    return ""; // storage is switched off
  }
}

export function signIn(key: string): void {
  sessionStorage.setItem(slot, key);
  refused = null;
  tell();
}

// signOut forgets the key; why is shown where one is asked for.
export function signOut(why: string): void {
  try {
    sessionStorage.removeItem(slot);
  } catch {
    // there is none
  }
  if (refused === why) return;
  refused = why;
  tell();
}

// refusal is why the server wants a key: null as long as it has not asked for one.
export function refusal(): string | null {
  return refused;
}

export function onSession(listener: Listener): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell(): void {
  for (const listener of listeners) listener();
}
