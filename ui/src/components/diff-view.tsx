import { useMemo, useState } from "react";
import { plural } from "../lib/format";
import { type DiffLine, lineDiff } from "../lib/line-diff";
import { yamlTokens } from "../lib/yaml-tokens";
import { Code } from "./code-view";

const looks = {
  same: { line: "", sign: " ", says: "" },
  added: { line: "bg-passed-bg", sign: "+", says: "added: " },
  removed: { line: "bg-failed-bg", sign: "−", says: "removed: " },
};

// DiffView shows how one text became another, with what is the same folded away.
export function DiffView({ before, after, label }: { before: string; after: string; label: string }) {
  const diff = useMemo(() => lineDiff(before.replace(/\n$/, ""), after.replace(/\n$/, "")), [before, after]);
  if (diff.added + diff.removed === 0) return <p className="p-3 text-text-2">The file itself is the same.</p>;
  return (
    <>
      <p className="flex gap-3 border-line border-b px-3 py-1.5 text-xs">
        <span className="text-passed-text">{plural(diff.added, "line")} added</span>
        <span className="text-failed-text">{plural(diff.removed, "line")} removed</span>
      </p>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <div className="mono overflow-x-auto py-2" tabIndex={0} role="region" aria-label={label}>
        <ol className="min-w-max">
          {diff.parts.map((part) =>
            part.kind === "fold" ? (
              <Folded key={`fold ${part.lines[0]?.before}`} lines={part.lines} />
            ) : (
              <Line key={`${part.kind} ${part.before} ${part.after}`} line={part} />
            ),
          )}
        </ol>
      </div>
    </>
  );
}

function Folded({ lines }: { lines: DiffLine[] }) {
  const [open, setOpen] = useState(false);
  if (open || lines.length === 1) return lines.map((line) => <Line key={line.before} line={line} />);
  return (
    <li>
      <button type="button" onClick={() => setOpen(true)} className="w-full bg-canvas py-0.5 pl-24 text-left text-text-2 hover:bg-hover">
        {plural(lines.length, "line")} that did not change
      </button>
    </li>
  );
}

function Line({ line }: { line: DiffLine }) {
  const look = looks[line.kind];
  const number = "w-10 shrink-0 select-none pr-2 text-right text-text-3";
  return (
    <li className={`flex pr-4 ${look.line}`}>
      <span aria-hidden="true" className={number}>
        {line.before || ""}
      </span>
      <span aria-hidden="true" className={number}>
        {line.after || ""}
      </span>
      <span aria-hidden="true" className="w-4 shrink-0 select-none text-text-2">
        {look.sign}
      </span>
      <span className="sr-only">{look.says}</span>
      <Code tokens={yamlTokens([line.text])[0] ?? []} />
    </li>
  );
}
