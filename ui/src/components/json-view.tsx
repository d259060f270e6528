import { useState } from "react";
import { brief, Exact, isObject } from "../lib/json";
import { Button } from "./button";
import { Icon } from "./icon";

// How many members of a value are shown before somebody asks for more.
const firstMembers = 200;
// Values deeper than this are closed at first.
const openDepth = 3;

// JsonView shows a value as a tree. Whatever the value holds is text: markup in it is
// shown, and text that runs from right to left stays within its own value.
export function JsonView({ value }: { value: unknown }) {
  return (
    <div className="mono overflow-x-auto p-2">
      <Node value={value} depth={0} />
    </div>
  );
}

function Node({ name, value, depth }: { name?: string; value: unknown; depth: number }) {
  const members = Array.isArray(value) ? value.map((one, i) => [String(i), one] as const) : isObject(value) ? Object.entries(value) : null;
  const [open, setOpen] = useState(depth < openDepth && (members?.length ?? 0) <= firstMembers);
  const [shown, setShown] = useState(firstMembers);
  const key = name !== undefined && <span className="text-accent">{name}: </span>;
  if (members === null || members.length === 0) {
    return (
      <div className="whitespace-pre-wrap break-words pl-5">
        {key}
        <Scalar value={value} />
      </div>
    );
  }
  return (
    <div>
      <button
        type="button"
        aria-expanded={open}
        onClick={() => setOpen(!open)}
        className="flex max-w-full items-center gap-1 rounded-sm text-left hover:bg-hover"
      >
        <Icon name="chevron" className={`size-4 text-text-3 ${open ? "rotate-90" : ""}`} />
        <span className="min-w-0 truncate">
          {key}
          <span className="text-text-2">{open ? (Array.isArray(value) ? `[${members.length}]` : `{${members.length}}`) : brief(value, 100)}</span>
        </span>
      </button>
      {open && (
        <div className="ml-2 border-line border-l pl-2">
          {members.slice(0, shown).map(([key, one]) => (
            <Node key={key} name={key} value={one} depth={depth + 1} />
          ))}
          {members.length > shown && (
            <Button kind="quiet" onClick={() => setShown(shown + 10 * firstMembers)}>
              {(members.length - shown).toLocaleString("en")} more
            </Button>
          )}
        </div>
      )}
    </div>
  );
}

export function Scalar({ value }: { value: unknown }) {
  if (value instanceof Exact) return <span className="text-running-text">{value.text}</span>;
  if (typeof value === "string") return <bdi className="whitespace-pre-wrap break-words text-passed-text">{JSON.stringify(value)}</bdi>;
  if (typeof value === "number") return <span className="text-running-text">{String(value)}</span>;
  if (typeof value === "boolean" || value === null) return <span className="text-errored-text">{String(value)}</span>;
  return <span className="text-text-2">{Array.isArray(value) ? "[]" : "{}"}</span>;
}

// Value is one on a line where it is short, else as a tree.
export function Value({ value }: { value: unknown }) {
  return typeof value === "object" && value !== null && !(value instanceof Exact) ? (
    <JsonView value={value} />
  ) : (
    <span className="mono break-words">
      <Scalar value={value} />
    </span>
  );
}
