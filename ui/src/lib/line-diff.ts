import { diffArrays } from "diff";

// How one text became another, line by line, with what did not change folded away.

export interface DiffLine {
  kind: "same" | "added" | "removed";
  text: string;
  // Its number before and after; 0: it was not there.
  before: number;
  after: number;
}

export interface Fold {
  kind: "fold";
  lines: DiffLine[];
}

export interface LineDiff {
  parts: (DiffLine | Fold)[];
  added: number;
  removed: number;
}

// context is how many lines around a change are shown.
const context = 3;
// longestEdit bounds the time that a comparison takes: texts that differ more than that
// are shown as one that went and one that came.
const longestEdit = 1_000;

export function lineDiff(before: string, after: string): LineDiff {
  const [a, b] = [before.split("\n"), after.split("\n")];
  const changes = diffArrays(a, b, { maxEditLength: longestEdit }) ?? [
    { value: a, removed: true, added: false },
    { value: b, removed: false, added: true },
  ];
  const lines: DiffLine[] = [];
  let [left, right] = [0, 0];
  for (const change of changes) {
    for (const text of change.value) {
      if (change.removed) lines.push({ kind: "removed", text, before: ++left, after: 0 });
      else if (change.added) lines.push({ kind: "added", text, before: 0, after: ++right });
      else lines.push({ kind: "same", text, before: ++left, after: ++right });
    }
  }
  return { parts: folded(lines), added: count(lines, "added"), removed: count(lines, "removed") };
}

function count(lines: DiffLine[], kind: DiffLine["kind"]): number {
  return lines.filter((line) => line.kind === kind).length;
}

function folded(lines: DiffLine[]): (DiffLine | Fold)[] {
  const near = new Set<number>();
  for (const [i, line] of lines.entries()) {
    if (line.kind !== "same") for (let at = i - context; at <= i + context; at++) near.add(at);
  }
  const parts: (DiffLine | Fold)[] = [];
  for (const [i, line] of lines.entries()) {
    const last = parts.at(-1);
    if (near.has(i)) parts.push(line);
    else if (last?.kind === "fold") last.lines.push(line);
    else parts.push({ kind: "fold", lines: [line] });
  }
  return parts;
}
