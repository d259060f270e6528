import { useEffect, useRef } from "react";

// Shortcuts of single keys, silent while somebody types, and never with a modifier but
// for the palette's: what an editor or browser has, it keeps.

export interface Shortcut {
  keys: string; // "j", "g r", "mod+k", "?"
  does: string;
  run(): void;
}

const active: { group: string; list: Shortcut[] }[] = [];
let pending = "";
let pendingUntil = 0;
const chordMillis = 1_200;

// useShortcuts has the shortcuts of a screen work as long as it is shown, and be listed.
export function useShortcuts(group: string, list: Shortcut[]): void {
  const entry = useRef({ group, list });
  entry.current.list = list;
  useEffect(() => {
    const one = entry.current;
    active.push(one);
    return () => {
      active.splice(active.indexOf(one), 1);
    };
  }, []);
}

export function listShortcuts(): readonly { group: string; list: Shortcut[] }[] {
  return active;
}

function typing(target: EventTarget | null): boolean {
  return target !== null && target instanceof HTMLElement && (target.isContentEditable || target.closest("input, textarea, select") !== null);
}

// pressed gives the shortcut of a key, with a chord's first key remembered.
export function pressed(
  event: Pick<KeyboardEvent, "key" | "ctrlKey" | "metaKey" | "altKey" | "target">,
  now: number,
  lists = active,
): Shortcut | null {
  const mod = event.ctrlKey || event.metaKey;
  if (event.altKey || (mod && event.key.toLowerCase() !== "k")) return null;
  if (!mod && typing(event.target)) return null;
  const key = mod ? "mod+k" : event.key;
  const chord = now < pendingUntil ? `${pending} ${key}` : "";
  const all = lists.flatMap((one) => one.list).reverse(); // the newest screen is on top
  const hit = all.find((one) => one.keys === chord) ?? all.find((one) => one.keys === key) ?? null;
  if (hit !== null) {
    pendingUntil = 0;
  } else if (all.some((one) => one.keys.startsWith(`${key} `))) {
    pending = key;
    pendingUntil = now + chordMillis;
  }
  return hit;
}

// listen hears keys for the whole page. A dialog that is open has them to itself.
export function listen(): () => void {
  const heard = (event: KeyboardEvent) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]") !== null) return;
    const hit = pressed(event, Date.now());
    if (hit === null) return;
    event.preventDefault();
    hit.run();
  };
  window.addEventListener("keydown", heard);
  return () => window.removeEventListener("keydown", heard);
}
