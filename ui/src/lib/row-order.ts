// The order of a live list on the screen: rows that are shown stay where they are; what
// is new waits beside the list as long as somebody points at it or has scrolled.

export interface Shown {
  order: readonly string[];
  // New ids of the head that wait, the newest first.
  waiting: readonly string[];
}

// follow makes the order anew from the newest part of the list (head), which is whole
// down to its end, and what was shown before. With hold nothing is put in.
export function follow(shown: Shown, head: readonly string[], full: boolean, hold: boolean): Shown {
  const inHead = new Set(head);
  const known = new Set(shown.order);
  const fresh = head.filter((id) => !known.has(id));
  if (shown.order.length === 0) return { order: [...head], waiting: [] };
  // What left a head that is not full is not in the list any more; what left a full one
  // has become too old for it, and stays.
  const gone = (id: string) => !full && !inHead.has(id);
  if (hold) return { order: shown.order, waiting: fresh };
  const kept = shown.order.filter((id) => !inHead.has(id) && !gone(id));
  return { order: [...head, ...kept], waiting: [] };
}

// append adds older rows behind; what is there already stays where it is.
export function append(shown: Shown, older: readonly string[]): Shown {
  const known = new Set(shown.order);
  return { order: [...shown.order, ...older.filter((id) => !known.has(id))], waiting: shown.waiting };
}

export interface Grouped<T> {
  batch: string;
  runs: T[];
}

// group puts the runs of a batch together, where its newest run stands.
export function group<T extends { batchId: string; number: number }>(runs: readonly T[]): Grouped<T>[] {
  const groups = new Map<string, Grouped<T>>();
  for (const run of runs) {
    const known = groups.get(run.batchId);
    if (known === undefined) groups.set(run.batchId, { batch: run.batchId, runs: [run] });
    else known.runs.push(run);
  }
  for (const one of groups.values()) order(one.runs);
  return [...groups.values()];
}

// order puts runs in the order of their numbers. Most often they are the other way round
// already, the newest first: of ten thousand that is noticed at every change.
function order<T extends { number: number }>(runs: T[]): void {
  if (runs.every((run, i) => i === 0 || run.number < (runs[i - 1]?.number ?? 0))) runs.reverse();
  else runs.sort((a, b) => a.number - b.number);
}
