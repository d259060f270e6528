import { useCallback, useState } from "react";

// What was typed into a form, kept in this tab until it is sent or cleared: a page that is
// loaded anew, or goes away in between, loses nothing of it.

const prefix = "testmesh.draft.";
// keptBytes bounds a draft: storage of a tab is small, and what is larger is a file that
// can be chosen again.
const keptBytes = 1 << 20;

export interface Draft<T> {
  value: T;
  // kept says whether it would outlive a reload.
  kept: boolean;
  set(change: Partial<T>): void;
  clear(): void;
}

export function readDraft<T extends object>(key: string, initial: T): T {
  try {
    const text = sessionStorage.getItem(prefix + key);
    return text === null ? initial : { ...initial, ...(JSON.parse(text) as Partial<T>) };
  } catch {
    return initial; // storage is switched off, or holds what is none of ours
  }
}

export function writeDraft(key: string, value: object | null): boolean {
  try {
    const text = value === null ? "" : JSON.stringify(value);
    if (text === "" || text.length > keptBytes) sessionStorage.removeItem(prefix + key);
    else sessionStorage.setItem(prefix + key, text);
    return text.length <= keptBytes;
  } catch {
    return false;
  }
}

export function useDraft<T extends object>(key: string, initial: T): Draft<T> {
  const [state, setState] = useState(() => ({ value: readDraft(key, initial), kept: true }));
  const set = useCallback(
    (change: Partial<T>) =>
      setState((was) => {
        const value = { ...was.value, ...change };
        return { value, kept: writeDraft(key, value) };
      }),
    [key],
  );
  const clear = useCallback(() => {
    writeDraft(key, null);
    setState({ value: initial, kept: true });
  }, [key, initial]);
  return { value: state.value, kept: state.kept, set, clear };
}
